//! The control connection: one request, one answer (`braid_shm::abi`, control messages).

use crate::errno::Errno;
use crate::sys::message::Descriptors;
use crate::sys::numbers::{give_back, out_of_the_way};
use crate::sys::{message, poll};
use braid_shm::abi::{ABI_VERSION, Attach, Attached, MAX_MESSAGE_BYTES, Refused, Reply, Request};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How long an answer may take. The engine answers within a turn of its loop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to an engine.
#[derive(Debug)]
pub(crate) struct Connection(OwnedFd);

impl Drop for Connection {
    fn drop(&mut self) {
        give_back(self.0.as_raw_fd());
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) descriptors: Descriptors,
}

/// Why nothing useful did.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine says no.
    Refused(Box<Refused>),
    /// The engine is not there any more.
    Gone,
    /// A system call failed, or the answer makes no sense (EPROTO).
    Errno(Errno),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno.get() {
            libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN => Self::Gone,
            _ => Self::Errno(errno),
        }
    }
}

impl Connection {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        message::connect(path)
            .map(|connection| Self(out_of_the_way(connection)))
            .map_err(Failure::Errno)
    }

    /// Asks for a region.
    pub(crate) fn attach(&self) -> Result<(Attached, Descriptors), Failure> {
        let request = Request::Attach(Attach {
            version: ABI_VERSION,
            pid: std::process::id(),
            flags: 0,
            reserved: 0,
        });
        let answer = self.ask(&request, None)?;
        match answer.reply {
            Reply::Attached(attached) => Ok((attached, answer.descriptors)),
            _ => Err(Failure::Errno(Errno::new(libc::EPROTO))),
        }
    }

    pub(crate) fn ask(
        &self,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Answer, Failure> {
        message::send(self.0.as_fd(), &request.encode(), descriptor)?;
        // The caller's signals are blocked, so this is not interrupted.
        if poll::poll_one(self.0.as_fd(), libc::POLLIN, Some(PATIENCE))? == 0 {
            return Err(Failure::Errno(Errno::new(libc::ETIMEDOUT)));
        }
        let mut packet = vec![0; MAX_MESSAGE_BYTES];
        let received = message::receive(self.0.as_fd(), &mut packet, libc::MSG_DONTWAIT)?;
        let packet = packet.get(..received.length).unwrap_or_default();
        if packet.is_empty() {
            return Err(Failure::Gone);
        }
        match Reply::parse(packet) {
            Ok(Reply::Refused(refused)) => Err(Failure::Refused(Box::new(refused))),
            Ok(reply) => Ok(Answer {
                reply,
                descriptors: received.descriptors,
            }),
            Err(_) => Err(Failure::Errno(Errno::new(libc::EPROTO))),
        }
    }

    /// Whether the engine has closed it, or died.
    pub(crate) fn has_hung_up(&self) -> bool {
        poll::has_hung_up(self.0.as_fd())
    }
}
