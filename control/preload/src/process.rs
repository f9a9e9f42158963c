//! Whose process this is, and how it ends: what ends in order closes its connections, what is killed
//! resets them (the engine sees which by a mark in the shared memory).

use braid_socket::descriptor;
use std::sync::atomic::{AtomicI32, Ordering};

static PROCESS: AtomicI32 = AtomicI32::new(0);

fn current() -> i32 {
    // The system call itself: some C libraries remember the number over vfork.
    // SAFETY: no argument.
    unsafe { libc::syscall(libc::SYS_getpid) as i32 }
}

/// Notes that this is another process than before, with memory of its own.
pub(crate) fn note_fork() {
    PROCESS.store(current(), Ordering::Relaxed);
}

/// Whether the caller is a child that borrows its parent's memory (vfork(2)): it has descriptors of
/// its own, and what it does with them must not be written down, for the parent would read it.
pub(crate) fn borrows_memory() -> bool {
    let process = PROCESS.load(Ordering::Relaxed);
    process != 0 && process != current()
}

/// Says that the sockets which end now are closed, and not lost with their program.
pub(crate) fn mark_all_orderly() {
    if !borrows_memory() {
        descriptor::for_each(|_, socket| socket.slot().set_orderly(true));
    }
}

/// The same for those that an exec closes.
pub(crate) fn mark_closed_by_exec() {
    crate::epoll_sets::share_over_exec();
    if borrows_memory() {
        return;
    }
    descriptor::for_each(|fd, socket| {
        // SAFETY: no pointer is passed.
        let flags = unsafe { crate::real::fcntl(fd, libc::F_GETFD, 0) };
        if flags >= 0 && flags & libc::FD_CLOEXEC != 0 {
            socket.slot().set_orderly(true);
        }
    });
}
