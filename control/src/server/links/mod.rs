//! The links of the ports: what the kernel tells of an interface that loses its carrier, is set down
//! or deleted moves the traffic of its port, and its return brings it back (RFC 8684 section 3.3.8
//! leaves to each host when a path is out of use).
//!
//! The kernel tells at once of an interface that is set down or deleted. Of a carrier it tells once a
//! second at most, so that one which comes and goes costs little: the notice of a loss may be late by
//! that. Until it comes, probes and timeouts of the subflows are all there is.
//!
//! Devices that the kernel has no part in (DPDK) tell nothing: they are asked ten times a second, here and
//! not by the workers, whose steps have no time for that.

mod probed;
mod socket;

use std::io;
use std::time::{Duration, Instant};

use braid_engine::stack::PortId;

use probed::Probed;
pub(super) use socket::LinkState;
use socket::{LinkSocket, Notice};

use super::control::Control;
use super::host::WorkerGone;
use super::poller::{EventFlags, Poller};
use super::ports::LinkProbe;
use crate::management::{EventKind, EventRecord};

/// How long after an interface could not be used again that is tried once more: whoever made it may hold
/// it for a moment.
const PAUSE: Duration = Duration::from_millis(200);

/// Messages that are read in one turn.
const NOTICES: usize = 256;

/// A port with an interface of the kernel.
#[derive(Copy, Clone, Debug)]
struct Watched {
    port: PortId,
    /// The index of its interface; another one's once it is gone, so it is not looked at then.
    interface: u32,
    state: LinkState,
}

impl Watched {
    fn is_gone(&self) -> bool {
        self.state == LinkState::Gone
    }
}

/// A link that went down or came back.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct LinkChange {
    pub(super) port: PortId,
    pub(super) state: LinkState,
}

impl LinkChange {
    pub(super) fn is_up(self) -> bool {
        self.state == LinkState::Up
    }
}

/// The links of all ports.
pub(super) struct Links {
    socket: LinkSocket,
    ports: Vec<Watched>,
    probed: Probed,
    /// Something was lost: once what waits is read, the state of all is asked for.
    lost: bool,
    /// An interface came or went, so that one of the name of a port's may be there again.
    look: bool,
    /// Until then nothing is looked for, as it was in vain.
    retry: Option<Instant>,
}

impl Links {
    /// Watches the interfaces of these indices from now on. Each counts as up at first; if it is not,
    /// that is the first change.
    pub(super) fn watch(
        interfaces: impl IntoIterator<Item = (PortId, u32)>,
        probes: Vec<(PortId, LinkProbe)>,
    ) -> io::Result<Self> {
        let watched = |(port, interface)| Watched {
            port,
            interface,
            state: LinkState::Up,
        };
        Ok(Self {
            socket: LinkSocket::open()?,
            ports: interfaces.into_iter().map(watched).collect(),
            probed: Probed::new(probes),
            lost: true,
            look: false,
            retry: None,
        })
    }

    /// The ports whose interfaces are gone, if there is reason to look for them since the last call.
    pub(super) fn take_missed(&mut self) -> Vec<PortId> {
        if self.retry.is_some_and(|at| at > Instant::now()) {
            return Vec::new();
        }
        self.retry = None;
        let look = std::mem::take(&mut self.look);
        let gone = self.ports.iter().filter(|watched| watched.is_gone());
        gone.filter(|_| look).map(|watched| watched.port).collect()
    }

    /// Whether the interface of a port was deleted.
    pub(super) fn is_gone(&self, port: PortId) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|watched| watched.port == port && watched.is_gone())
    }

    /// Watches another interface for a port. It counts as down until the kernel has said otherwise.
    pub(super) fn watch_instead(&mut self, port: PortId, interface: u32) -> io::Result<()> {
        let mut ports = self.ports.iter_mut();
        if let Some(watched) = ports.find(|watched| watched.port == port) {
            watched.interface = interface;
            watched.state = LinkState::SetDown;
            self.socket.ask(interface)?;
        }
        Ok(())
    }

    pub(super) fn add_to(&self, poller: &Poller, token: u64) -> io::Result<()> {
        poller.add(&self.socket, token, EventFlags::IN)
    }

    /// How long until devices are to be asked, or interfaces looked for; `None` for neither.
    pub(super) fn time_of_probes(&self) -> Option<Duration> {
        let now = Instant::now();
        let retry = self.retry.map(|at| at.saturating_duration_since(now));
        [self.probed.due_in(now), retry].into_iter().flatten().min()
    }

    /// An interface that is there again cannot be used yet.
    pub(super) fn look_again(&mut self) {
        self.look = true;
        self.retry = Some(Instant::now() + PAUSE);
    }

    /// What changed since the last call, in order. The poller tells again when there is more.
    pub(super) fn changes(&mut self) -> io::Result<Vec<LinkChange>> {
        let mut changes = self.probed.changes(Instant::now());
        for _ in 0..NOTICES {
            match self.socket.next() {
                Some(Notice::Link { index, state }) => changes.extend(self.note(index, state)),
                Some(Notice::Other) => {}
                Some(Notice::Overflow) => self.lost = true,
                // A socket that was full takes answers only once it is empty.
                None if self.lost => {
                    self.lost = false;
                    for watched in &self.ports {
                        self.socket.ask(watched.interface)?;
                    }
                }
                None => break,
            }
        }
        Ok(changes)
    }

    fn note(&mut self, interface: u32, state: LinkState) -> Option<LinkChange> {
        let mut of_interface = self.ports.iter_mut();
        let watched =
            of_interface.find(|watched| watched.interface == interface && !watched.is_gone());
        let Some(watched) = watched else {
            self.look = true;
            return None;
        };
        self.look |= state == LinkState::Gone;
        let before = std::mem::replace(&mut watched.state, state);
        let change = LinkChange {
            port: watched.port,
            state,
        };
        ((before == LinkState::Up) != change.is_up()).then_some(change)
    }
}

impl Control {
    /// The kernel has told something about interfaces, or devices are to be asked.
    pub(super) fn on_links(&mut self) -> io::Result<Result<(), WorkerGone>> {
        for change in self.links.changes()? {
            if let Err(gone) = self.link_changed(change) {
                return Ok(Err(gone));
            }
        }
        self.reopen_what_returned()
    }

    fn link_changed(&mut self, change: LinkChange) -> Result<(), WorkerGone> {
        let LinkChange { port, state } = change;
        let up = change.is_up();
        self.hosts.call_all(move |turn| {
            // One that has failed works again once it was opened again.
            let up = up && turn.ports.capabilities(port).is_some();
            turn.stack.set_link(turn.now, port, up);
        })?;
        let name = match self.config.ports.get(usize::from(port.0)) {
            Some(port) => port.name.clone(),
            None => port.0.to_string(),
        };
        self.complaints.say(line(&name, state));
        let event = if up {
            EventKind::LinkUp { port: name }
        } else {
            EventKind::LinkDown {
                port: name,
                reason: state.name().replace(' ', "_"),
            }
        };
        self.tell_monitors(&[EventRecord::now(event)])
    }
}

/// What the log says of a change.
pub(super) fn line(port: &str, state: LinkState) -> String {
    match state {
        LinkState::Up => format!("the link of port {port} is up: it is used again"),
        _ => format!(
            "the link of port {port} is down ({}): its connections go on by the other ports",
            state.name()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_to_traffic_is_a_change() {
        let mut links = Links::watch([(PortId(0), 4), (PortId(1), 5)], Vec::new()).unwrap();
        let mut note = |interface, state| links.note(interface, state).map(|change| change.port);
        assert_eq!(note(4, LinkState::Up), None);
        assert_eq!(note(5, LinkState::NoCarrier), Some(PortId(1)));
        assert_eq!(note(5, LinkState::SetDown), None);
        assert_eq!(note(6, LinkState::SetDown), None);
        assert_eq!(note(5, LinkState::Up), Some(PortId(1)));
        assert_eq!(note(4, LinkState::Gone), Some(PortId(0)));
        // Another interface of the same index.
        assert_eq!(note(4, LinkState::Up), None);
    }

    #[test]
    fn one_that_is_gone_is_looked_for_when_another_comes() {
        let mut links = Links::watch([(PortId(0), 4), (PortId(1), 5)], Vec::new()).unwrap();
        links.note(5, LinkState::SetDown);
        assert!(links.take_missed().is_empty());
        links.note(4, LinkState::Gone);
        assert!(links.is_gone(PortId(0)) && !links.is_gone(PortId(1)));
        assert_eq!(links.take_missed(), [PortId(0)]);
        assert!(links.take_missed().is_empty(), "nothing has come since");
        links.note(9, LinkState::SetDown);
        assert_eq!(links.take_missed(), [PortId(0)]);
        links.watch_instead(PortId(0), 9).unwrap();
        let up = links.note(9, LinkState::Up).unwrap();
        assert!(up.is_up() && up.port == PortId(0));
        links.note(10, LinkState::Up);
        assert!(links.take_missed().is_empty(), "none is gone");
    }

    #[test]
    fn an_interface_that_is_not_there_is_the_first_change() {
        let mut links = Links::watch([(PortId(3), 0x7fff_fff0)], Vec::new()).unwrap();
        let gone = LinkChange {
            port: PortId(3),
            state: LinkState::Gone,
        };
        assert_eq!(links.changes().unwrap(), [gone]);
        links.lost = true;
        assert_eq!(links.changes().unwrap(), []);
    }
}
