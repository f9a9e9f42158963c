//! What Linux tells of a Multipath TCP socket: the options of level `SOL_MPTCP`
//! (include/uapi/linux/mptcp.h) and `TCP_IS_MPTCP`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;
const MPTCP_TCPINFO: libc::c_int = 2;
const MPTCP_SUBFLOW_ADDRS: libc::c_int = 3;
const TCP_IS_MPTCP: libc::c_int = 43;

/// Bit of `mptcp_info.mptcpi_flags` set when the connection fell back to TCP.
const INFO_FLAG_FALLBACK: u32 = 1;

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

pub(super) fn fell_back(socket: &impl AsFd) -> io::Result<bool> {
    let mut is_multipath = [0; 4];
    option(socket, libc::IPPROTO_TCP, TCP_IS_MPTCP, &mut is_multipath)?;
    if u32::from_ne_bytes(is_multipath) == 0 {
        return Ok(true);
    }
    let mut info = [0; 64];
    option(socket, SOL_MPTCP, MPTCP_INFO, &mut info)?;
    Ok(field_u32(&info, 8) & INFO_FLAG_FALLBACK != 0)
}

pub(super) fn subflows(socket: &impl AsFd) -> io::Result<Vec<KernelSubflow>> {
    let addresses = per_subflow(socket, MPTCP_SUBFLOW_ADDRS, ADDRESSES_SIZE)?;
    let states = per_subflow(socket, MPTCP_TCPINFO, TCP_INFO_SIZE)?;
    Ok(addresses
        .iter()
        .zip(&states)
        .filter_map(|(addresses, state)| {
            Some(KernelSubflow {
                local: socket_address(addresses.get(..128)?)?,
                remote: socket_address(addresses.get(128..)?)?,
                smoothed_rtt: field_u32(state, 68),
                retransmissions: field_u32(state, 100),
                bytes_received: field_u64(state, 128),
                bytes_sent: field_u64(state, 200),
            })
        })
        .collect())
}

/// Reads an option whose answer is a header and then one record of `size` bytes a subflow.
fn per_subflow(socket: &impl AsFd, name: libc::c_int, size: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = vec![0; DATA_HEADER + MAXIMUM_SUBFLOWS * size];
    buffer[..4].copy_from_slice(&(DATA_HEADER as u32).to_ne_bytes());
    buffer[12..16].copy_from_slice(&(size as u32).to_ne_bytes());
    option(socket, SOL_MPTCP, name, &mut buffer)?;
    let count = (field_u32(&buffer, 4) as usize).min(MAXIMUM_SUBFLOWS);
    Ok(buffer[DATA_HEADER..]
        .chunks_exact(size)
        .take(count)
        .map(<[u8]>::to_vec)
        .collect())
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
