//! What the protocols do to the two ends of a socket's descriptor, and the bells (eventfds).
//!
//! A socket is one end of an `AF_UNIX` `SOCK_SEQPACKET` pair; the engine keeps the other. Packets
//! that the engine sends make the socket readable (tokens); packets that the application sends and
//! the engine leaves in the queue make it unwritable (filler). None of them carries anything.

use crate::slot::ends::{ApplicationEnd, EngineEnd};
use crate::sys;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of a filler packet: one is enough to make an end with the least `SO_SNDBUF` unwritable,
/// as the kernel calls it writable while a quarter of the buffer is used.
pub const FILLER_BYTES: usize = 1024;
impl EngineEnd for BorrowedFd<'_> {
    fn put_token(&self) {
        sys::send_packet(*self, &[1]);
    }

    fn finish(&self) {
        sys::shutdown_write(*self);
    }

    fn take_filler(&self) -> bool {
        sys::take_packet(*self)
    }
}

impl ApplicationEnd for BorrowedFd<'_> {
    fn take_token(&self) -> bool {
        sys::take_packet(*self)
    }

    fn fill(&self) {
        // Twice is enough; the bound is for an end whose buffer somebody has enlarged.
        for _ in 0..64 {
            if !sys::is_writable(*self) || !sys::send_packet(*self, &[0; FILLER_BYTES]) {
                return;
            }
        }
    }
}

/// An eventfd by which one side ends the other's sleep.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A new one. Errors: those of eventfd(2).
    pub fn new() -> io::Result<Self> {
        sys::eventfd().map(Self)
    }

    /// The one behind a descriptor that came with a message.
    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Another descriptor of the same bell.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Wakes who polls it.
    pub fn ring(&self) {
        sys::eventfd_add(self.0.as_fd());
    }

    /// Makes it silent again.
    pub fn clear(&self) {
        sys::eventfd_clear(self.0.as_fd());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
