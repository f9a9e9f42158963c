//! The system calls of the crate: futex, eventfd, and one-packet reads and writes of the two ends
//! of a socket's descriptor.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` is `expected`, at most for `patience`. Returns early for no reason, too.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, patience: Duration) {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(patience.subsec_nanos() as i32),
    };
    // SAFETY: the word is aligned and mapped for the length of the borrow; the kernel only reads it.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            &raw const timeout,
            ptr::null::<u32>(),
            0u32,
        );
    }
}

/// Wakes up to `count` threads that sleep on `word`, in whatever process.
pub(crate) fn futex_wake(word: &AtomicU32, count: u32) {
    // SAFETY: as in `futex_wait`.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count);
    }
}

/// The kernel's id of the calling thread.
pub(crate) fn current_thread() -> u32 {
    // SAFETY: gettid takes nothing and cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(id).unwrap_or(0)
}

/// Whether no thread of this id runs any more. A zombie, which nobody has waited for, is dead too.
pub(crate) fn thread_is_dead(id: u32) -> bool {
    let Ok(signed) = libc::pid_t::try_from(id) else {
        return true;
    };
    if signed == 0 {
        return true;
    }
    // SAFETY: signal 0 is sent to nobody; only the check is made.
    let answer = unsafe { libc::syscall(libc::SYS_tkill, signed, 0) };
    if answer < 0 {
        return io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
    }
    matches!(thread_state(id), Some(b'Z' | b'X'))
}

/// The letter of a thread's state (proc(5)). By system calls alone: a signal handler may ask that has
/// interrupted an allocation.
fn thread_state(id: u32) -> Option<u8> {
    let mut path = [0u8; 32];
    // The last byte stays zero.
    let (_, mut text) = path.split_last_mut()?;
    write!(text, "/proc/{id}/stat").ok()?;
    // SAFETY: the path is live and ends with a zero.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return None;
    }
    let mut line = [0u8; 256];
    // SAFETY: the buffer is live and of that length; the descriptor is ours, and closed once.
    let length = unsafe {
        let length = libc::syscall(libc::SYS_read, fd, line.as_mut_ptr(), line.len());
        libc::syscall(libc::SYS_close, fd);
        length
    };
    let line = line.get(..usize::try_from(length).ok()?)?;
    // "pid (name) state ...": the name may hold anything, so the state is sought from behind it.
    let end = line.iter().rposition(|byte| *byte == b')')?;
    line.get(end.saturating_add(2)).copied()
}

fn cvt(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A new eventfd, closed at exec, that never blocks.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes no pointer.
    let fd = cvt(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds one to an eventfd.
pub(crate) fn eventfd_add(fd: BorrowedFd<'_>) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight bytes are read from a live array. A counter that is full wakes as well.
    unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Sets an eventfd back to zero.
pub(crate) fn eventfd_clear(fd: BorrowedFd<'_>) {
    let mut count = [0u8; 8];
    // SAFETY: eight bytes are written to a live array.
    unsafe { libc::read(fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

/// Sends one packet without waiting; whether it went.
pub(crate) fn send_packet(fd: BorrowedFd<'_>, packet: &[u8]) -> bool {
    let no_address = ptr::null::<libc::sockaddr>();
    // SAFETY: the packet is live for the call.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_sendto,
            fd.as_raw_fd(),
            packet.as_ptr(),
            packet.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            no_address,
            0,
        )
    };
    sent > 0
}

/// Takes one packet without waiting; whether there was one. What a closed end gives for ever, a packet
/// of no bytes, is none.
pub(crate) fn take_packet(fd: BorrowedFd<'_>) -> bool {
    let mut byte = [0u8; 1];
    let no_address = ptr::null_mut::<libc::sockaddr>();
    // SAFETY: one byte is written to a live array; the rest of the packet is dropped.
    let taken = unsafe {
        libc::syscall(
            libc::SYS_recvfrom,
            fd.as_raw_fd(),
            byte.as_mut_ptr(),
            1usize,
            libc::MSG_DONTWAIT,
            no_address,
            ptr::null_mut::<libc::socklen_t>(),
        )
    };
    taken > 0
}

/// Whether the descriptor takes a packet now.
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one live entry and a live time; without a mask its length is not looked at.
    let ready = unsafe {
        libc::syscall(
            libc::SYS_ppoll,
            &raw mut poll,
            1usize,
            &raw mut now,
            ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    // After a hang-up there is nothing to make unwritable.
    ready > 0 && poll.revents & libc::POLLOUT != 0 && poll.revents & libc::POLLHUP == 0
}

/// Tells the other end that no packet will come any more.
pub(crate) fn shutdown_write(fd: BorrowedFd<'_>) {
    // SAFETY: no pointer is passed. It fails where the other end is gone, and then nobody listens.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::thread;

    #[test]
    fn a_zombie_is_dead_and_a_sleeper_is_not() {
        assert!(!thread_is_dead(current_thread()));
        assert!(thread_is_dead(0));
        assert!(thread_is_dead(u32::MAX));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = child.id();
        assert!(!thread_is_dead(id));
        child.kill().unwrap();
        while thread_state(id) != Some(b'Z') {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(thread_is_dead(id));
        child.wait().unwrap();
        assert!(thread_is_dead(id));
    }
}
