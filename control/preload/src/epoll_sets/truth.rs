//! What is so of a socket of the engine, by its own words, where the kernel does not know or is told
//! later.

use braid_shm::SlotState;
use braid_socket::{calls, descriptor};
use libc::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLRDHUP, EPOLLRDNORM};
use std::os::fd::RawFd;

/// What a token says.
const READABLE: u32 = (EPOLLIN | EPOLLRDNORM) as u32;
/// What is said of a connection that is over.
const ENDS: u32 = (EPOLLERR | EPOLLHUP | EPOLLRDHUP) as u32;

/// Whether a descriptor's events are those of its words. A listener's are the kernel's.
pub(super) fn is_stream(fd: RawFd) -> bool {
    descriptor::find(fd).is_some_and(|socket| socket.slot().state() != SlotState::Listening)
}

/// Its events.
pub(super) fn events(fd: RawFd) -> u32 {
    if !is_stream(fd) {
        return 0;
    }
    // The bits of poll and epoll are the same.
    calls::readiness(fd).map_or(0, |found| u32::from(found as u16))
}

/// EPOLLERR and EPOLLHUP of a socket, of which the kernel has told `events`.
pub(super) fn unknown_to_kernel(fd: RawFd, events: u32) -> u32 {
    let Some(socket) = descriptor::find(fd) else {
        return 0;
    };
    if events & EPOLLHUP as u32 != 0 {
        // The kernel says it of nothing but the end of the engine.
        socket.note_hang_up();
        return EPOLLERR as u32;
    }
    self::events(fd) & (EPOLLERR | EPOLLHUP) as u32
}

/// `events` without readability, if that was for nothing: by the token of bytes that were read
/// meanwhile.
pub(super) fn without_stale_token(fd: RawFd, events: u32) -> u32 {
    let readable = events & READABLE != 0 && events & ENDS == 0;
    if readable && calls::take_back(fd).unwrap_or(false) {
        events & !READABLE
    } else {
        events
    }
}
