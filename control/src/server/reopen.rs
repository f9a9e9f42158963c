//! Ports that are opened again while the engine runs: when an interface that was deleted is there
//! again under its name, and when the worker that alone had queues of a port has ended.
//!
//! Each worker that lives gets a queue in place of the one it had, as far as the port has so many. Then
//! connections use the link as after any other return of it.

use std::io;
use std::num::NonZeroU8;

use braid_dataplane::port::{PortError, interface};
use braid_dataplane::worker::Seat;
use braid_engine::stack::{PortId, WorkerId};

use super::control::Control;
use super::host::WorkerGone;
use super::ports::open_port;

/// Why a port is not opened again.
#[derive(Debug, thiserror::Error)]
enum NotReopened {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("it has other offloads than before, or a group's link address: restart the engine")]
    Differs,
    #[error("it is not of the kernel: restart the engine")]
    NotOfKernel,
}

/// A worker's part in a port that was opened again.
struct Part {
    seat: Seat,
    /// Who sends its frames.
    driver: WorkerId,
}

impl Control {
    /// Opens the ports again whose interfaces were deleted and are there again.
    pub(super) fn reopen_what_returned(&mut self) -> io::Result<Result<(), WorkerGone>> {
        for port in self.links.take_missed() {
            let config = self.config.ports.get(usize::from(port.0));
            let name = config.and_then(|config| config.kind.kernel_interface());
            // No index: it is not there yet.
            if let Some(index) = name.and_then(|name| interface::index(name).ok()) {
                match self.reopen(port) {
                    Ok(true) => self.links.watch_instead(port, index)?,
                    Ok(false) => {}
                    Err(gone) => return Ok(Err(gone)),
                }
            }
        }
        Ok(Ok(()))
    }

    /// Gives the ports to other workers that only one which has ended had queues of.
    pub(super) fn reopen_without_queues(&mut self) -> Result<(), WorkerGone> {
        for (port, config) in (0..).map(PortId).zip(self.config.ports.clone()) {
            let queues = self
                .hosts
                .call_all(move |turn| turn.ports.has_queue(port))?;
            let served = queues.into_iter().any(|(_, here)| here);
            let Some(name) = config.kind.kernel_interface() else {
                continue;
            };
            if served || self.links.is_gone(port) || !self.reopen(port)? {
                continue;
            }
            if let Ok(index) = interface::index(name) {
                // What the kernel cannot be asked now it tells with the next change.
                let _ = self.links.watch_instead(port, index);
            }
        }
        Ok(())
    }

    /// Opens a port again; whether that could be.
    fn reopen(&mut self, port: PortId) -> Result<bool, WorkerGone> {
        let Some(config) = self.config.ports.get(usize::from(port.0)) else {
            return Ok(false);
        };
        let name = config.name.clone();
        let reopened = self.try_reopen(port)?;
        if let Err(error) = &reopened {
            self.complaints
                .say(format!("port {name} cannot be opened again: {error}"));
        }
        if matches!(reopened, Err(NotReopened::Port(_))) {
            self.links.look_again();
        }
        Ok(reopened.is_ok())
    }

    fn try_reopen(&self, port: PortId) -> Result<Result<(), NotReopened>, WorkerGone> {
        let Some(config) = self.config.ports.get(usize::from(port.0)) else {
            return Ok(Err(NotReopened::NotOfKernel));
        };
        #[cfg(feature = "dpdk")]
        if matches!(config.kind, crate::config::PortKind::Dpdk(_)) {
            return Ok(Err(NotReopened::NotOfKernel));
        }
        let hash = self
            .hosts
            .call_first(|turn| turn.stack.place().steering().hash())?;
        let living: Vec<WorkerId> = self.hosts.living().collect();
        let queues = u8::try_from(living.len()).ok().and_then(NonZeroU8::new);
        let opened = match open_port(config, queues.ok_or(WorkerGone)?, hash) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error.into())),
        };
        let Some(capabilities) = opened.capabilities() else {
            return Ok(Err(NotReopened::Differs));
        };
        let mac = config.mac.unwrap_or(opened.mac);
        let alike = self
            .hosts
            .call_all(move |turn| turn.stack.replace_port(port, mac, capabilities))?;
        if !alike.merge(|all, one| *all &= one) {
            return Ok(Err(NotReopened::Differs));
        }
        let drivers: Vec<WorkerId> = living.iter().copied().take(opened.queues.len()).collect();
        let mut queues = opened.queues.into_iter();
        let parts = living.into_iter().zip(drivers.into_iter().cycle());
        let parts = parts.map(|(worker, driver)| {
            let seat = queues.next().map(Seat::Here);
            let seat = seat.unwrap_or(Seat::Elsewhere(capabilities));
            (worker, Part { seat, driver })
        });
        self.hosts.call_each(parts, move |turn, part| {
            turn.ports.replace(port, part.seat);
            turn.stack.set_port_worker(port, part.driver);
        });
        Ok(Ok(()))
    }
}
