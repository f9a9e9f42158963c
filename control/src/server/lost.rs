//! The end of a worker: it panicked, and with it went the connections that were at home there. Their
//! programs read ECONNRESET; everything else goes on at the other workers, which share the flows that
//! would have been its. Its queues are closed with it: what the ports would have brought there they
//! bring to the others, as far as a port can (packet sockets, TAP and memory ports do).

use std::os::fd::AsFd;

use braid_engine::stack::WorkerId;
use braid_shm::{ReadEnd, SlotState};

use super::control::Control;
use super::host::WorkerGone;
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
            for (worker, last_words) in lost {
                self.lose(worker, &last_words)?;
            }
        }
    }

    fn lose(&mut self, worker: WorkerId, last_words: &str) -> Result<(), WorkerGone> {
        let number = worker.number();
        eprintln!(
            "braid: worker {number} has failed ({last_words}): its connections are reset, those of \
             other workers go on; restart the engine to have it back, and report what it printed"
        );
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
                _ => self.forget_socket(key),
            }
        }
        self.hosts
            .call_all(move |turn| turn.stack.worker_lost(turn.now, worker))?;
        self.reopen_without_queues()?;
        self.after_sockets()
    }
}

impl Socket {
    /// The worker that its connection is, or was, at home at.
    fn home(&self) -> Option<WorkerId> {
        match self.state {
            State::Connected { connection, .. } => Some(connection.home),
            State::Ending { home, .. } => Some(home),
            State::Open { .. } | State::Listening { .. } | State::Lost { .. } => None,
        }
    }

    /// Its worker has ended: the program reads what had come, then ECONNRESET.
    fn reset(&mut self) {
        let bound = match self.state {
            State::Connected { bound, .. } => bound,
            _ => return,
        };
        self.state = State::Lost { bound };
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
