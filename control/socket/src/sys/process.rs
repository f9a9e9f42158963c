//! Signals and forks (signal(7), pthread_atfork(3)).

use super::check_length;
use crate::errno::Errno;
use std::mem;
use std::ptr;

/// While it lives, the thread gets no signal: what it does cannot be interrupted by a handler that
/// does the same.
#[derive(Debug)]
pub(crate) struct SignalsBlocked {
    before: libc::sigset_t,
}

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        // SAFETY: both sets are live; sigfillset initialises the one, pthread_sigmask the other.
        unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            let mut before: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
            Self { before }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: `before` was filled by the call in `new`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }
}

/// Writes to memory of this process at an address that was not looked at. Errors: EFAULT if it is not
/// good for writing all of them.
pub(crate) fn write_to_address(address: u64, bytes: &[u8]) -> Result<(), Errno> {
    if bytes.is_empty() {
        return Ok(());
    }
    let Ok(address) = usize::try_from(address) else {
        return Err(Errno::new(libc::EFAULT));
    };
    let from = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let to = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: bytes.len(),
    };
    // SAFETY: `from` is only read, and live. The kernel judges `to`; that the program wants it
    // overwritten is what it said by passing it, as to getsockopt(2).
    let written =
        unsafe { libc::process_vm_writev(libc::getpid(), &raw const from, 1, &raw const to, 1, 0) };
    if check_length(written)? == bytes.len() {
        Ok(())
    } else {
        Err(Errno::new(libc::EFAULT))
    }
}

/// Sends the calling thread SIGPIPE.
pub(crate) fn raise_sigpipe() {
    // SAFETY: no pointer is passed.
    unsafe { libc::raise(libc::SIGPIPE) };
}

/// Signals that a thread brings upon itself: they interrupt no wait.
const FAULTS: [libc::c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
];

/// Whether every handler of this process was installed with SA_RESTART: then the one that has just
/// run was, too.
pub(crate) fn every_handler_restarts() -> bool {
    let mut signals = (1..=libc::SIGRTMAX()).filter(|signal| !FAULTS.contains(signal));
    signals.all(|signal| {
        // SAFETY: all-zero is a valid sigaction; with no new action only the old one is written.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            libc::sigaction(signal, ptr::null(), &raw mut action) != 0
                || matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
                || action.sa_flags & libc::SA_RESTART != 0
        }
    })
}

/// Has fork(2) call these: before it, and after it in the parent and in the child.
pub(crate) fn at_fork(prepare: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) {
    // SAFETY: the functions live as long as the library, which is never unloaded: it has threads'
    // local storage. Only memory can be lacking; then forks are as unsafe as without it.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

/// Has exit(3) call this.
pub(crate) fn at_exit(leave: extern "C" fn()) {
    // SAFETY: as in `at_fork`. Where memory is lacking, sockets that are left open end as with a
    // program that is killed.
    unsafe { libc::atexit(leave) };
}
