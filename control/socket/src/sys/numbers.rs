//! Numbers of descriptors that a program did not ask for (getrlimit(2), RLIMIT_NOFILE).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Where descriptors of our own go at most, for the kernel's table grows to the highest.
const HIGHEST_BASE: RawFd = 16 << 10;
/// How many of them are told from the program's.
const OWN: RawFd = 64;

/// The first of them, once there is one.
static BASE: AtomicI32 = AtomicI32::new(RawFd::MAX);
/// Which of the [`OWN`] from there on.
static MOVED: AtomicU64 = AtomicU64::new(0);

/// Moves a descriptor that the program did not ask for to a number that it does not get: above its
/// soft limit, where the hard one allows. So its own numbers are what they would be without us, and it
/// may close all it knows of.
pub(crate) fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    let limit = limit();
    let soft = RawFd::try_from(limit.rlim_cur).unwrap_or(RawFd::MAX);
    let _ = BASE.compare_exchange(
        RawFd::MAX,
        soft.min(HIGHEST_BASE),
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    let base = BASE.load(Ordering::Relaxed);
    // SAFETY: no pointer is passed.
    let moved =
        with_spare_numbers(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, base) });
    if moved < 0 {
        return fd;
    }
    if let Some(bit) = own_bit(moved) {
        MOVED.fetch_or(bit, Ordering::Relaxed);
    }
    // SAFETY: the descriptor is new and nobody else's.
    unsafe { OwnedFd::from_raw_fd(moved) }
}

fn own_bit(fd: RawFd) -> Option<u64> {
    let at = fd.checked_sub(BASE.load(Ordering::Relaxed))?;
    (0..OWN).contains(&at).then(|| 1 << at)
}

/// The descriptor is about to be closed by ourselves.
pub(crate) fn give_back(fd: RawFd) {
    if let Some(bit) = own_bit(fd) {
        MOVED.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Whether a number is that of a descriptor of our own.
pub fn is_own(fd: RawFd) -> bool {
    own_bit(fd).is_some_and(|bit| MOVED.load(Ordering::Relaxed) & bit != 0)
}

/// Numbers of all of them, lowest first.
pub fn own() -> impl Iterator<Item = RawFd> {
    let (base, moved) = (BASE.load(Ordering::Relaxed), MOVED.load(Ordering::Relaxed));
    (0..OWN)
        .filter(move |at| moved & (1 << at) != 0)
        .map(move |at| base.saturating_add(at))
}

fn limit() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is live for the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit
}

/// Does `work` with a few more numbers than the program may have, if it may have them at all.
pub fn with_spare_numbers<T>(work: impl FnOnce() -> T) -> T {
    let before = limit();
    let raised = libc::rlimit {
        rlim_cur: before
            .rlim_cur
            .saturating_add(libc::rlim_t::from(OWN.unsigned_abs()))
            .min(before.rlim_max),
        ..before
    };
    // SAFETY: the limits are live for the calls.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
    let done = work();
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const before) };
    done
}
