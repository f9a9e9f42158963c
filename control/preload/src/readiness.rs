//! select(2) as poll(2), over descriptors of both kinds, and C's times as durations.

use braid_socket::{Errno, calls};
use libc::{
    POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM, POLLWRBAND,
    POLLWRNORM, c_int, c_short, fd_set, pollfd, sigset_t, timespec, timeval,
};
use std::os::fd::RawFd;
use std::time::Duration;

/// What select(2) counts as readable, writable and exceptional (the kernel's POLLIN_SET and so on).
const READABLE: c_short = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
const WRITABLE: c_short = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
const EXCEPTIONAL: c_short = POLLPRI;
const BITS: usize = u64::BITS as usize;

/// Milliseconds as poll(2) and epoll_wait(2) take them; below zero: for ever.
pub(crate) fn milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// A time as ppoll(2) takes it. Errors: EINVAL.
pub(crate) fn time(time: &timespec) -> Result<Duration, Errno> {
    let nanos = u32::try_from(time.tv_nsec)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    match (u64::try_from(time.tv_sec), nanos) {
        (Ok(seconds), Some(nanos)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(Errno::new(libc::EINVAL)),
    }
}

/// A time as select(2) takes it; microseconds may be more than a second. Errors: EINVAL.
pub(crate) fn short_time(time: &timeval) -> Result<Duration, Errno> {
    match (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec)) {
        (Ok(seconds), Ok(micros)) => Ok(Duration::from_secs(seconds)
            .checked_add(Duration::from_micros(micros))
            .unwrap_or(Duration::MAX)),
        _ => Err(Errno::new(libc::EINVAL)),
    }
}

/// The three sets of a select(2), as words of 64 bits; empty: null.
#[derive(Debug)]
pub(crate) struct Sets<'a> {
    pub(crate) read: &'a mut [u64],
    pub(crate) write: &'a mut [u64],
    pub(crate) except: &'a mut [u64],
}

/// Words that hold the bits of `count` descriptors.
pub(crate) fn words(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0).div_ceil(BITS)
}

/// A set as words. Programs pass longer ones than `fd_set` has it, for descriptors above 1023.
///
/// # Safety
///
/// `set` is null, or valid for the bits of `count` descriptors, rounded up to whole words.
pub(crate) unsafe fn set<'a>(set: *mut fd_set, count: c_int) -> &'a mut [u64] {
    if set.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's promise; an `fd_set` is made of longs.
    unsafe { std::slice::from_raw_parts_mut(set.cast(), words(count)) }
}

fn has(set: &[u64], fd: usize) -> bool {
    set.get(fd / BITS)
        .is_some_and(|word| word & (1 << (fd % BITS)) != 0)
}

impl Sets<'_> {
    /// The descriptors below `count` in any set, with what is asked of them.
    pub(crate) fn entries(&self, count: c_int) -> Vec<pollfd> {
        let mut entries = Vec::new();
        for at in 0..words(count) {
            let word = |set: &[u64]| set.get(at).copied().unwrap_or(0);
            let mut any = word(self.read) | word(self.write) | word(self.except);
            while any != 0 {
                let fd = at * BITS + any.trailing_zeros() as usize;
                any &= any - 1;
                if fd >= usize::try_from(count).unwrap_or(0) {
                    break;
                }
                let mut events = 0;
                for (set, asks) in [
                    (&*self.read, READABLE),
                    (&*self.write, WRITABLE),
                    (&*self.except, EXCEPTIONAL),
                ] {
                    if has(set, fd) {
                        events |= asks & !(POLLHUP | POLLERR);
                    }
                }
                entries.push(pollfd {
                    fd: RawFd::try_from(fd).unwrap_or(-1),
                    events,
                    revents: 0,
                });
            }
        }
        entries
    }

    /// Leaves in the sets what is ready; how many bits that is.
    fn store(&mut self, entries: &[pollfd]) -> c_int {
        let mut found = 0;
        for (set, counts) in [
            (&mut *self.read, READABLE),
            (&mut *self.write, WRITABLE),
            (&mut *self.except, EXCEPTIONAL),
        ] {
            let before: Vec<u64> = set.to_vec();
            set.fill(0);
            for entry in entries {
                let fd = usize::try_from(entry.fd).unwrap_or(usize::MAX);
                if entry.revents & counts != 0
                    && has(&before, fd)
                    && let Some(word) = set.get_mut(fd / BITS)
                {
                    *word |= 1 << (fd % BITS);
                    found += 1;
                }
            }
        }
        found
    }
}

/// select(2) over entries that [`Sets::entries`] made. Errors: EBADF, EINTR; the sets then are as
/// they were.
pub(crate) fn select(
    sets: &mut Sets<'_>,
    entries: &mut [pollfd],
    timeout: Option<Duration>,
    mask: Option<&sigset_t>,
) -> Result<c_int, Errno> {
    calls::poll(entries, timeout, mask)?;
    if entries.iter().any(|entry| entry.revents & POLLNVAL != 0) {
        return Err(Errno::new(libc::EBADF));
    }
    Ok(sets.store(entries))
}
