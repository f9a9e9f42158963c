//! What Linux tells of a Multipath TCP socket: the options of level `SOL_MPTCP`
//! (include/uapi/linux/mptcp.h), there since Linux 5.16.
//!
//! The parsers are total: whatever bytes an answer has, they yield subflows or leave them out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;
const MPTCP_TCPINFO: libc::c_int = 2;
const MPTCP_SUBFLOW_ADDRS: libc::c_int = 3;

/// Bit of `mptcp_info.mptcpi_flags` set when the connection fell back to TCP.
const INFO_FLAG_FALLBACK: u32 = 1;

/// The part of `struct mptcp_info` that Linux has had from the first, and more.
const INFO_SIZE: usize = 64;
/// As many subflows as one answer can hold; a connection has at most 9.
const MAXIMUM_SUBFLOWS: usize = 16;
/// `struct mptcp_subflow_data`, which leads the per-subflow answers.
const DATA_HEADER: usize = 16;
/// Two `struct sockaddr_storage`: local, remote.
const ADDRESSES_SIZE: usize = 256;
/// The part of `struct tcp_info` up to and with `tcpi_bytes_retrans`.
const TCP_INFO_SIZE: usize = 216;

/// One subflow as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSubflow {
    /// The kernel's own address.
    pub local: SocketAddr,
    /// The other host's address.
    pub remote: SocketAddr,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// Smoothed round-trip time in microseconds.
    pub smoothed_rtt: u32,
    /// Segments sent again over the subflow's life.
    pub retransmissions: u32,
}

/// Whether the kernel answers questions about Multipath TCP sockets. The socket need not be
/// connected.
pub(super) fn probe(socket: &impl AsFd) -> io::Result<()> {
    option(socket, SOL_MPTCP, MPTCP_INFO, &mut [0; INFO_SIZE])
}

pub(super) fn fell_back(socket: &impl AsFd) -> io::Result<bool> {
    let mut info = [0; INFO_SIZE];
    match option(socket, SOL_MPTCP, MPTCP_INFO, &mut info) {
        Ok(()) => Ok(field_u32(&info, 8) & INFO_FLAG_FALLBACK != 0),
        // Asked of what is TCP by now, IPv4 gives the first answer and IPv6 the second.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT)
            ) =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn subflows(socket: &impl AsFd) -> io::Result<Vec<KernelSubflow>> {
    let addresses = per_subflow(socket, MPTCP_SUBFLOW_ADDRS, ADDRESSES_SIZE)?;
    let states = per_subflow(socket, MPTCP_TCPINFO, TCP_INFO_SIZE)?;
    Ok(parse_subflows(&addresses, &states))
}

/// Reads an option whose answer is a header and then one record of `size` bytes a subflow.
fn per_subflow(socket: &impl AsFd, name: libc::c_int, size: usize) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; DATA_HEADER + MAXIMUM_SUBFLOWS * size];
    answer[..4].copy_from_slice(&(DATA_HEADER as u32).to_ne_bytes());
    answer[12..16].copy_from_slice(&(size as u32).to_ne_bytes());
    option(socket, SOL_MPTCP, name, &mut answer)?;
    Ok(answer)
}

/// The subflows of which both answers tell; one whose addresses cannot be read is left out.
fn parse_subflows(addresses: &[u8], states: &[u8]) -> Vec<KernelSubflow> {
    records(addresses, ADDRESSES_SIZE)
        .zip(records(states, TCP_INFO_SIZE))
        .filter_map(|(addresses, state)| {
            Some(KernelSubflow {
                local: socket_address(addresses.get(..ADDRESSES_SIZE / 2)?)?,
                remote: socket_address(addresses.get(ADDRESSES_SIZE / 2..)?)?,
                smoothed_rtt: field_u32(state, 68),
                retransmissions: field_u32(state, 100),
                bytes_received: field_u64(state, 128),
                bytes_sent: field_u64(state, 200),
            })
        })
        .collect()
}

/// The records of `size` bytes behind the header of an answer: as many as the header states and
/// the answer holds.
fn records(answer: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let count = (field_u32(answer, 4) as usize).min(MAXIMUM_SUBFLOWS);
    answer
        .get(DATA_HEADER..)
        .unwrap_or_default()
        .chunks_exact(size)
        .take(count)
}

/// Reads a `struct sockaddr_storage`.
fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]);
    let port = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    let ip: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn field_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

fn field_u64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|field| field.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}

/// `getsockopt` into plain bytes. What the kernel leaves out of the buffer keeps its old value.
fn option(
    socket: &impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `buffer`, which is that long, and the
    // options used here hold no pointers. The descriptor is open for the duration of the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
