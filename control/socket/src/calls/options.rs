//! getsockopt(2) and setsockopt(2): options of this side of the shared memory are answered here, all
//! others by the engine.

use super::{full_info, of};
use crate::descriptor::OpenSocket;
use crate::errno::Errno;
use braid_shm::abi::{MPTCP_FULL_INFO, Operation, Plain, SOL_MPTCP};
use braid_shm::{Linger, SlotFlags, SlotState};
use libc::{
    SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_LINGER, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDLOWAT,
    SO_SNDTIMEO, SO_TYPE, SOL_SOCKET,
};
use std::os::fd::RawFd;
use std::time::Duration;

/// Linux's numbers of the options whose time has 64 bits everywhere.
const SO_RCVTIMEO_NEW: i32 = 66;
const SO_SNDTIMEO_NEW: i32 = 67;

/// Sets an option. Errors: ENOPROTOOPT if there is none of that name; EINVAL for a value of the wrong
/// size or range, or one that can only be read; EISCONN where it is too late; EDOM for a time that is
/// none.
pub fn set_option(fd: RawFd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let (socket, fd) = of(fd)?;
    if level == SOL_SOCKET && set_own(&socket, name, value)? {
        return Ok(());
    }
    socket
        .call(fd, Operation::SetOption { level, name }, value)
        .map(drop)
}

/// Reads an option into `value`, which some options look at first; bytes of the option that are in it.
/// Errors: as [`set_option`].
pub fn get_option(fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
    let (socket, fd) = of(fd)?;
    if level == SOL_SOCKET
        && let Some(found) = own(&socket, fd, name)
    {
        return Ok(copy(&found, value));
    }
    if (level, name) == (SOL_MPTCP, MPTCP_FULL_INFO) {
        return full_info::get(&socket, fd, value);
    }
    let capacity = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let operation = Operation::GetOption {
        level,
        name,
        capacity,
    };
    let most = value.len().min(braid_shm::thread_block::ARGUMENT_BYTES);
    let argument = value.get(..most).unwrap_or_default().to_vec();
    let answer = socket.call(fd, operation, &argument)?;
    Ok(copy(&answer.data, value))
}

pub(super) fn copy(from: &[u8], into: &mut [u8]) -> usize {
    for (to, byte) in into.iter_mut().zip(from) {
        *to = *byte;
    }
    from.len().min(into.len())
}

/// What options of this side hold.
enum Own {
    Int(i32),
    Pair(i32, i32),
    Time(Option<Duration>),
}

impl Own {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Int(value) => value.to_ne_bytes().to_vec(),
            Self::Pair(first, second) => [first.to_ne_bytes(), second.to_ne_bytes()].concat(),
            Self::Time(time) => {
                let time = time.unwrap_or_default();
                let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
                let micros = i64::from(time.subsec_micros());
                [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat()
            }
        }
    }
}

fn own(socket: &OpenSocket, fd: std::os::fd::BorrowedFd<'_>, name: i32) -> Option<Vec<u8>> {
    let slot = socket.slot();
    let found = match name {
        SO_ERROR => Own::Int(match slot.take_error() {
            Some(errno) => errno,
            None if socket.look_for_death(fd) => libc::ECONNRESET,
            None => 0,
        }),
        SO_TYPE => Own::Int(libc::SOCK_STREAM),
        SO_DOMAIN => Own::Int(domain(slot.flags())),
        SO_ACCEPTCONN => Own::Int((slot.state() == SlotState::Listening).into()),
        SO_LINGER => match slot.linger() {
            Linger::Off => Own::Pair(0, 0),
            Linger::For(time) => Own::Pair(1, i32::try_from(time.as_secs()).unwrap_or(i32::MAX)),
        },
        SO_RCVLOWAT => Own::Int(i32::try_from(slot.receive_low_water()).unwrap_or(i32::MAX)),
        SO_SNDLOWAT => Own::Int(1),
        SO_RCVTIMEO | SO_RCVTIMEO_NEW => Own::Time(slot.receive_timeout()),
        SO_SNDTIMEO | SO_SNDTIMEO_NEW => Own::Time(slot.send_timeout()),
        _ => return None,
    };
    Some(found.bytes())
}

fn domain(flags: SlotFlags) -> i32 {
    if flags.contains(SlotFlags::MULTIPATH) {
        i32::from(braid_shm::abi::AF_MULTIPATH)
    } else if flags.contains(SlotFlags::IPV6) {
        libc::AF_INET6
    } else {
        libc::AF_INET
    }
}

/// Whether the option is one of this side.
fn set_own(socket: &OpenSocket, name: i32, value: &[u8]) -> Result<bool, Errno> {
    let slot = socket.slot();
    match name {
        SO_LINGER => {
            let [on, seconds] = parse::<[i32; 2]>(value)?;
            slot.set_linger(if on == 0 {
                Linger::Off
            } else {
                let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                Linger::For(Duration::from_secs(seconds.min(u64::from(u32::MAX - 1))))
            });
        }
        SO_RCVLOWAT => {
            // Linux: 0 counts as 1, less than that as the most there is.
            let bytes = parse::<i32>(value)?;
            slot.set_receive_low_water(u32::try_from(bytes).unwrap_or(i32::MAX as u32));
        }
        SO_RCVTIMEO | SO_RCVTIMEO_NEW => slot.set_receive_timeout(time(value)?),
        SO_SNDTIMEO | SO_SNDTIMEO_NEW => slot.set_send_timeout(time(value)?),
        SO_ERROR | SO_TYPE | SO_DOMAIN | SO_ACCEPTCONN | SO_SNDLOWAT => {
            return Err(Errno::new(libc::ENOPROTOOPT));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn parse<T: Plain>(value: &[u8]) -> Result<T, Errno> {
    if value.len() < T::BYTES {
        return Err(Errno::new(libc::EINVAL));
    }
    Ok(T::read(value))
}

/// A struct timeval; zero is no timeout.
fn time(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let [seconds, micros] = parse::<[i64; 2]>(value)?;
    let micros = u32::try_from(micros)
        .ok()
        .filter(|micros| *micros < 1_000_000)
        .ok_or(Errno::new(libc::EDOM))?;
    // Linux: a negative time is over at once.
    let time = match u64::try_from(seconds) {
        Ok(seconds) => Duration::new(seconds, micros * 1000),
        Err(_) => Duration::from_nanos(1),
    };
    Ok(Some(time).filter(|time| !time.is_zero()))
}
