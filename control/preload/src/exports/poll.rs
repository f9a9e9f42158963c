//! poll(2), ppoll(2), select(2), pselect(2).

use super::is_ours;
use crate::epoll_sets;
use crate::outcome::{answer, aside};
use crate::readiness::{self, Sets};
use crate::real;
use braid_socket::{Errno, calls};
use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};
use std::slice;
use std::time::{Duration, Instant};

/// The kernel judges the epoll sets among them.
fn share_sets(entries: &[pollfd]) {
    aside(|| epoll_sets::share(entries.iter().map(|entry| entry.fd)));
}

/// The entries, if one is a socket of the engine.
///
/// # Safety
///
/// `start` points to `count` entries, or is null.
unsafe fn with_ours<'a>(start: *mut pollfd, count: nfds_t) -> Option<&'a mut [pollfd]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller's promise.
    let entries = unsafe { slice::from_raw_parts_mut(start, usize::try_from(count).ok()?) };
    share_sets(entries);
    entries
        .iter()
        .any(|entry| is_ours(entry.fd))
        .then_some(entries)
}

fn wait(
    entries: &mut [pollfd],
    timeout: Option<Duration>,
    mask: Option<&sigset_t>,
) -> Result<c_int, Errno> {
    let found = calls::poll(entries, timeout, mask)?;
    Ok(c_int::try_from(found).unwrap_or(c_int::MAX))
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn poll(start: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match with_ours(start, count) {
            Some(entries) => answer(|| wait(entries, readiness::milliseconds(timeout), None)),
            None => real::poll(start, count, timeout),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __poll_chk(
    start: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    size: size_t,
) -> c_int {
    // SAFETY: the caller's promise; too many entries are left to the C library, which ends the
    // program.
    unsafe {
        if size / size_of::<pollfd>() < usize::try_from(count).unwrap_or(usize::MAX) {
            return real::__poll_chk(start, count, timeout, size);
        }
        poll(start, count, timeout)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn ppoll(
    start: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match with_ours(start, count) {
            Some(entries) => answer(|| {
                let timeout = timeout.as_ref().map(readiness::time).transpose()?;
                wait(entries, timeout, mask.as_ref())
            }),
            None => real::ppoll(start, count, timeout, mask),
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn __ppoll_chk(
    start: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    size: size_t,
) -> c_int {
    // SAFETY: as above.
    unsafe {
        if size / size_of::<pollfd>() < usize::try_from(count).unwrap_or(usize::MAX) {
            return real::__ppoll_chk(start, count, timeout, mask, size);
        }
        ppoll(start, count, timeout, mask)
    }
}

/// The sets, and their entries if one is a socket of the engine.
///
/// # Safety
///
/// As [`readiness::set`].
unsafe fn sets_with_ours<'a>(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
) -> Option<(Sets<'a>, Vec<pollfd>)> {
    // SAFETY: the caller's promise.
    let sets = unsafe {
        Sets {
            read: readiness::set(read, count),
            write: readiness::set(write, count),
            except: readiness::set(except, count),
        }
    };
    let entries = sets.entries(count);
    share_sets(&entries);
    entries
        .iter()
        .any(|entry| is_ours(entry.fd))
        .then_some((sets, entries))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn select(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let Some((mut sets, mut entries)) = sets_with_ours(count, read, write, except) else {
            return real::select(count, read, write, except, timeout);
        };
        answer(|| {
            let start = Instant::now();
            let time = timeout.as_ref().map(readiness::short_time).transpose()?;
            let found = readiness::select(&mut sets, &mut entries, time, None);
            // Linux says how much of the time is left.
            if let (Some(timeout), Some(time)) = (timeout.as_mut(), time) {
                let left = time.saturating_sub(start.elapsed());
                timeout.tv_sec = libc::time_t::try_from(left.as_secs()).unwrap_or(0);
                timeout.tv_usec = libc::suseconds_t::from(left.subsec_micros() as i32);
            }
            found
        })
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn pselect(
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let Some((mut sets, mut entries)) = sets_with_ours(count, read, write, except) else {
            return real::pselect(count, read, write, except, timeout, mask);
        };
        answer(|| {
            let timeout = timeout.as_ref().map(readiness::time).transpose()?;
            readiness::select(&mut sets, &mut entries, timeout, mask.as_ref())
        })
    }
}
