//! Packets of `AF_UNIX` `SOCK_SEQPACKET` sockets, with descriptors (unix(7), SCM_RIGHTS).

use super::{check, check_length};
use crate::errno::Errno;
use braid_shm::abi::MAX_MESSAGE_DESCRIPTORS;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Room for the control message of as many descriptors as there may be: a header of two words, and
/// two descriptors a word.
const CONTROL_WORDS: usize = 2 + MAX_MESSAGE_DESCRIPTORS.div_ceil(2);

/// The descriptors of a packet, in order.
pub(crate) type Descriptors = [Option<OwnedFd>; MAX_MESSAGE_DESCRIPTORS];

/// A connection to the engine that listens at `path`.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointer is passed.
    let fd = check(unsafe {
        libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)
    })?;
    // SAFETY: the descriptor is new and nobody else's.
    let connection = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    // The last byte stays zero.
    if bytes.len() >= address.sun_path.len() {
        return Err(Errno::new(libc::ENAMETOOLONG));
    }
    for (to, byte) in address.sun_path.iter_mut().zip(bytes) {
        *to = *byte as libc::c_char;
    }
    let length = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address is live and of that length.
    check(unsafe { libc::connect(fd, (&raw const address).cast(), length) })?;
    Ok(connection)
}

/// A header for one buffer and the control words. The two must outlive its use.
fn header(vector: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all-zero is a valid msghdr: no name, no buffers, no control data.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    message
}

/// Sends one packet, with a descriptor or without.
pub(crate) fn send(
    connection: BorrowedFd<'_>,
    packet: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut vector = libc::iovec {
        iov_base: packet.as_ptr().cast_mut().cast(),
        iov_len: packet.len(),
    };
    let mut message = header(&mut vector);
    if let Some(descriptor) = descriptor {
        let bytes = mem::size_of::<libc::c_int>() as u32;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE and CMSG_LEN compute; CMSG_FIRSTHDR points into `control`, which is
        // aligned and large enough for one header and one descriptor.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const message);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(bytes) as _;
            libc::CMSG_DATA(first)
                .cast::<libc::c_int>()
                .write_unaligned(descriptor.as_raw_fd());
        }
    }
    loop {
        // SAFETY: the message points to live buffers, which the kernel only reads.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_sendmsg,
                connection.as_raw_fd(),
                &raw const message,
                libc::MSG_NOSIGNAL,
            )
        };
        match check_length(sent as libc::ssize_t) {
            Err(errno) if errno.get() == libc::EINTR => {}
            other => return other.map(drop),
        }
    }
}

/// A packet that came.
#[derive(Debug)]
pub(crate) struct Received {
    /// Its bytes in the buffer; 0: the other end is closed.
    pub(crate) length: usize,
    /// Its descriptors, closed at exec.
    pub(crate) descriptors: Descriptors,
}

/// Takes one packet. `flags`: MSG_DONTWAIT, or 0 to wait as the descriptor does.
pub(crate) fn receive(
    connection: BorrowedFd<'_>,
    into: &mut [u8],
    flags: libc::c_int,
) -> Result<Received, Errno> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut vector = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let mut message = header(&mut vector);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control) as _;
    let flags = flags | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the message points to live buffers of the lengths it says.
    let length = check_length(unsafe {
        libc::syscall(
            libc::SYS_recvmsg,
            connection.as_raw_fd(),
            &raw mut message,
            flags,
        ) as libc::ssize_t
    })?;
    let mut descriptors = [const { None }; MAX_MESSAGE_DESCRIPTORS];
    let mut slots = descriptors.iter_mut();
    // SAFETY: the kernel has filled `control` with whole control messages and set its length; the
    // CMSG macros stay within it. Each descriptor in it is new and nobody else's.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const message);
        while !next.is_null() {
            if (*next).cmsg_level == libc::SOL_SOCKET && (*next).cmsg_type == libc::SCM_RIGHTS {
                let bytes = ((*next).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(next).cast::<libc::c_int>();
                for n in 0..bytes / mem::size_of::<libc::c_int>() {
                    let owned = OwnedFd::from_raw_fd(data.add(n).read_unaligned());
                    if let Some(slot) = slots.next() {
                        *slot = Some(owned);
                    }
                }
            }
            next = libc::CMSG_NXTHDR(&raw const message, next);
        }
    }
    Ok(Received {
        length,
        descriptors,
    })
}
