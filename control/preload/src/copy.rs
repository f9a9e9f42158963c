//! sendfile(2) and splice(2) where a socket of the engine is one side: its bytes lie in shared memory,
//! which the kernel cannot move them to or from.

use crate::outcome::check_length;
use crate::real;
use braid_socket::{Errno, calls, descriptor};
use libc::{POLLIN, POLLOUT, off_t, pollfd};
use std::os::fd::RawFd;

/// Bytes moved in one go.
const PIECE: usize = 64 << 10;

/// Where the bytes of a file come from.
#[derive(Debug)]
pub(crate) enum Offset<'a> {
    /// The file's own position, which moves on.
    Position,
    /// This one, which moves on instead.
    Given(&'a mut off_t),
}

/// sendfile(2): `count` bytes of the file `from` into the socket `to`; how many went.
pub(crate) fn send_file(
    to: RawFd,
    from: RawFd,
    mut offset: Offset<'_>,
    count: usize,
) -> Result<usize, Errno> {
    let mut buffer = vec![0; PIECE.min(count)];
    let mut sent = 0;
    while sent < count {
        let wanted = buffer.len().min(count - sent);
        let read = match read_file(from, &offset, buffer.get_mut(..wanted).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => read,
            Err(errno) if sent == 0 => return Err(errno),
            Err(_) => break,
        };
        let outcome = calls::send_one(to, buffer.get(..read).unwrap_or_default(), 0);
        let went = *outcome.as_ref().unwrap_or(&0);
        sent += went;
        match &mut offset {
            Offset::Given(offset) => **offset += off_t::try_from(went).unwrap_or(0),
            Offset::Position => {
                let back = off_t::try_from(read - went).unwrap_or(0);
                if back > 0 {
                    // SAFETY: no pointer is passed. A file that cannot seek is a pipe, whose
                    // sendfile the kernel does not do either.
                    unsafe { libc::lseek(from, -back, libc::SEEK_CUR) };
                }
            }
        }
        match outcome {
            Err(errno) if sent == 0 => return Err(errno),
            Ok(went) if went == read => {}
            _ => break,
        }
    }
    Ok(sent)
}

fn read_file(from: RawFd, offset: &Offset<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is live and of the length it is said to have.
    check_length(unsafe {
        match offset {
            Offset::Given(offset) => {
                libc::pread(from, into.as_mut_ptr().cast(), into.len(), **offset)
            }
            Offset::Position => real::read(from, into.as_mut_ptr().cast(), into.len()),
        }
    })
}

fn wait_for(fd: RawFd, events: libc::c_short) -> Result<(), Errno> {
    let mut entries = [pollfd {
        fd,
        events,
        revents: 0,
    }];
    calls::poll(&mut entries, None, None).map(drop)
}

/// splice(2) out of a pipe into the socket `to`; 0: the pipe has ended. `wait`: for the pipe; for room
/// the socket waits unless it is non-blocking.
pub(crate) fn splice_in(to: RawFd, pipe: RawFd, count: usize, wait: bool) -> Result<usize, Errno> {
    let mut buffer = vec![0; PIECE.min(count)];
    loop {
        let socket = descriptor::find(to).ok_or(Errno::new(libc::EBADF))?;
        // What is taken out of the pipe must go: no more than there is room for.
        let room = socket.slot().room()?;
        let nonblocking = socket.slot().nonblocking();
        drop(socket);
        if room == 0 {
            if nonblocking {
                return Err(Errno::new(libc::EAGAIN));
            }
            wait_for(to, POLLOUT)?;
            continue;
        }
        if !wait && !is_ready(pipe, POLLIN)? {
            return Err(Errno::new(libc::EAGAIN));
        }
        let most = buffer.len().min(room);
        // SAFETY: the buffer is live and of that length.
        let read = check_length(unsafe { real::read(pipe, buffer.as_mut_ptr().cast(), most) })?;
        if read == 0 {
            return Ok(0);
        }
        return calls::send_one(to, buffer.get(..read).unwrap_or_default(), 0);
    }
}

/// splice(2) out of the socket `from` into a pipe; 0: the peer has sent its last. `wait`: for the pipe;
/// for bytes the socket waits unless it is non-blocking.
pub(crate) fn splice_out(
    pipe: RawFd,
    from: RawFd,
    count: usize,
    wait: bool,
) -> Result<usize, Errno> {
    let mut buffer = vec![0; PIECE.min(count)];
    // First a look, so that what the pipe does not take stays in the socket.
    let seen = calls::receive_one(from, &mut buffer, libc::MSG_PEEK)?;
    if seen == 0 {
        return Ok(0);
    }
    if !wait && !is_ready(pipe, POLLOUT)? {
        return Err(Errno::new(libc::EAGAIN));
    }
    let bytes = buffer.get(..seen).unwrap_or_default();
    // SAFETY: the bytes are live.
    let written = check_length(unsafe { real::write(pipe, bytes.as_ptr().cast(), bytes.len()) })?;
    let taken = buffer.get_mut(..written).unwrap_or_default();
    calls::receive_one(from, taken, libc::MSG_DONTWAIT)?;
    Ok(written)
}

fn is_ready(pipe: RawFd, events: libc::c_short) -> Result<bool, Errno> {
    let mut entries = [pollfd {
        fd: pipe,
        events,
        revents: 0,
    }];
    Ok(calls::poll(&mut entries, Some(std::time::Duration::ZERO), None)? > 0)
}
