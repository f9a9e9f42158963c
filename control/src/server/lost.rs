//! The end of a worker: it panicked, and with it went the connections that were at home there. Their
//! programs read ECONNRESET; everything else goes on at the other workers, which share the flows that
//! would have been its. Its queues are closed with it: what the ports would have brought there they
//! bring to the others.
//!
//! A worker that does not answer is taken for one that has ended, so that nobody waits for it and no letters
//! to it pile up. Its queues stay open until it ends itself, and what the ports bring there is lost so long.

use std::os::fd::AsFd;

use braid_engine::stack::WorkerId;
use braid_shm::{ReadEnd, SlotState};

use super::control::Control;
use super::host::{Loss, WorkerGone};
use super::socket::{Socket, State};
use super::table::Key;

impl Control {
    /// What was asked has failed if a worker was gone: then the others go on without it, and there is no
    /// result.
    ///
    /// # Errors
    ///
    /// When no worker is left.
    pub(super) fn outlive<T>(
        &mut self,
        result: Result<T, WorkerGone>,
    ) -> Result<Option<T>, WorkerGone> {
        if let Ok(done) = result {
            return Ok(Some(done));
        }
        self.look_for_lost()?;
        Ok(None)
    }

    /// Goes on without the workers that have ended since the last look.
    ///
    /// # Errors
    ///
    /// When none is left.
    pub(super) fn look_for_lost(&mut self) -> Result<(), WorkerGone> {
        loop {
            let lost = self.hosts.take_lost();
            if lost.is_empty() {
                return self.hosts.living().next().map(drop).ok_or(WorkerGone);
            }
            for (worker, loss) in lost {
                self.lose(worker, &loss)?;
            }
        }
    }

    fn lose(&mut self, worker: WorkerId, loss: &Loss) -> Result<(), WorkerGone> {
        let number = worker.number();
        eprintln!(
            "braid: worker {number} {loss}: its connections are reset, those of other workers go on; \
             restart the engine to have it back, and report what it printed"
        );
        self.losses.note(worker, loss);
        let of_worker: Vec<Key> = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.home() == Some(worker))
            .map(|(key, _)| key)
            .collect();
        self.attempts
            .retain(|attempts| attempts.connection.home != worker);
        for key in of_worker {
            match self.sockets.get_mut(key) {
                Some(socket) if socket.connection().is_some() => socket.reset(),
                // Nobody has it, and nobody else is done with it.
                Some(Socket {
                    state: State::Ending { .. },
                    ..
                }) => self.forget_socket(key),
                _ => {}
            }
        }
        self.hosts
            .call_all(move |turn| turn.stack.worker_lost(turn.now, worker))?;
        self.reopen_without_queues()?;
        self.after_sockets()
    }
}

/// The workers that were lost so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    panicked: u64,
    silent: u64,
    last: Option<String>,
}

impl Losses {
    fn note(&mut self, worker: WorkerId, loss: &Loss) {
        match loss {
            Loss::Panicked(_) => self.panicked += 1,
            Loss::Silent => self.silent += 1,
        }
        let number = worker.number();
        self.last = Some(format!(
            "worker {number} {loss}, as the engine's log tells: ask again for what is left, and restart \
             the engine to have it back"
        ));
    }

    /// What is said to who has asked a worker that was lost over it.
    pub(super) fn last(&self) -> String {
        let last = self.last.as_deref();
        last.unwrap_or("no worker was left to ask").to_owned()
    }

    /// How many have panicked, and how many were given up as they did not answer.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.panicked, self.silent)
    }
}

impl Socket {
    /// The worker that its connection is, or was, at home at.
    pub(super) fn home(&self) -> Option<WorkerId> {
        match self.state {
            State::Connected { connection, .. } => Some(connection.home),
            State::Ending { home, .. } | State::Lost { home, .. } => Some(home),
            State::Open { .. } | State::Listening { .. } => None,
        }
    }

    /// Its worker has ended: the program reads what had come, then ECONNRESET.
    fn reset(&mut self) {
        let (bound, home) = match self.state {
            State::Connected {
                bound, connection, ..
            } => (bound, connection.home),
            _ => return,
        };
        self.state = State::Lost { bound, home };
        let end = self.end.as_fd();
        self.handle.close_write();
        self.handle.set_error(libc::ECONNRESET.unsigned_abs());
        self.handle.set_state(SlotState::Closed);
        self.handle.finish_receive(ReadEnd::Reset, &end);
        self.handle.force_writable(&end);
    }
}

#[cfg(test)]
mod tests;
