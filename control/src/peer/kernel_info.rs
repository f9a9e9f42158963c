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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// An answer that states `count` records and holds `records`.
    fn answer(count: u32, records: &[u8]) -> Vec<u8> {
        let mut answer = vec![0; DATA_HEADER];
        answer[4..8].copy_from_slice(&count.to_ne_bytes());
        answer.extend_from_slice(records);
        answer
    }

    /// A `struct sockaddr_storage` of `address`.
    fn storage(address: SocketAddr) -> Vec<u8> {
        let mut bytes = match address.ip() {
            IpAddr::V4(_) => (libc::AF_INET as u16).to_ne_bytes().to_vec(),
            IpAddr::V6(_) => (libc::AF_INET6 as u16).to_ne_bytes().to_vec(),
        };
        bytes.extend(address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            // The flow label comes first.
            IpAddr::V6(ip) => bytes.extend([0xee; 4].into_iter().chain(ip.octets())),
        }
        bytes.resize(ADDRESSES_SIZE / 2, 0);
        bytes
    }

    /// The part of a `struct tcp_info` that is read, each field at the offset Linux gives it.
    fn state(rtt: u32, retransmissions: u32, received: u64, sent: u64) -> Vec<u8> {
        let mut bytes = vec![0xee; TCP_INFO_SIZE];
        bytes[68..72].copy_from_slice(&rtt.to_ne_bytes());
        bytes[100..104].copy_from_slice(&retransmissions.to_ne_bytes());
        bytes[128..136].copy_from_slice(&received.to_ne_bytes());
        bytes[200..208].copy_from_slice(&sent.to_ne_bytes());
        bytes
    }

    fn endpoints(local: &str, remote: &str) -> Vec<u8> {
        [local, remote]
            .map(|text| storage(text.parse().unwrap()))
            .concat()
    }

    #[test]
    fn subflows_of_both_families_are_read() {
        let addresses = [
            endpoints("10.0.0.1:5001", "10.0.0.2:40000"),
            endpoints("[fd00::1]:1", "[fd00::2]:65535"),
        ];
        let states = [state(7, 1, 1 << 40, 3), state(u32::MAX, 0, 0, u64::MAX)];
        let read = parse_subflows(
            &answer(2, &addresses.concat()),
            &answer(2, &states.concat()),
        );
        let expected = |local: &str, remote: &str, fields: (u32, u32, u64, u64)| KernelSubflow {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            smoothed_rtt: fields.0,
            retransmissions: fields.1,
            bytes_received: fields.2,
            bytes_sent: fields.3,
        };
        assert_eq!(
            read,
            [
                expected("10.0.0.1:5001", "10.0.0.2:40000", (7, 1, 1 << 40, 3)),
                expected("[fd00::1]:1", "[fd00::2]:65535", (u32::MAX, 0, 0, u64::MAX)),
            ]
        );
    }

    #[test]
    fn a_subflow_of_an_unknown_family_is_left_out() {
        let mut unknown = endpoints("10.0.0.1:1", "10.0.0.2:2");
        unknown[..2].copy_from_slice(&u16::MAX.to_ne_bytes());
        let known = endpoints("10.0.0.3:3", "10.0.0.4:4");
        let states = [state(1, 1, 1, 1), state(2, 2, 2, 2)].concat();
        let read = parse_subflows(&answer(2, &[unknown, known].concat()), &answer(2, &states));
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].smoothed_rtt, 2, "the state is that of the other");
    }

    #[test]
    fn an_answer_that_ends_early_yields_whole_records_only() {
        let addresses = endpoints("10.0.0.1:1", "10.0.0.2:2").repeat(3);
        let states = state(1, 1, 1, 1).repeat(3);
        for (length, count) in [(0, 0), (1, 0), (2 * ADDRESSES_SIZE - 1, 1), (600, 2)] {
            let addresses = answer(u32::MAX, &addresses[..length]);
            let read = parse_subflows(&addresses, &answer(3, &states));
            assert_eq!(read.len(), count, "{length} bytes");
        }
        assert!(parse_subflows(&[], &[]).is_empty());
        assert!(parse_subflows(&[0xff; DATA_HEADER - 1], &answer(3, &states)).is_empty());
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_yields_more_than_it_holds(
            stated in prop_oneof![0..20u32, any::<u32>()],
            addresses in vec(any::<u8>(), 0..6_000),
            // Families that are known, so that more than the family is looked at.
            families in vec(prop_oneof![Just(libc::AF_INET), Just(libc::AF_INET6)], 40),
            states in vec(any::<u8>(), 0..6_000),
        ) {
            let mut addresses = addresses;
            for (storage, family) in addresses.chunks_exact_mut(ADDRESSES_SIZE / 2).zip(families) {
                storage[..2].copy_from_slice(&(family as u16).to_ne_bytes());
            }
            let held = (addresses.len() / ADDRESSES_SIZE).min(states.len() / TCP_INFO_SIZE);
            let read = parse_subflows(&answer(stated, &addresses), &answer(u32::MAX, &states));
            prop_assert_eq!(
                read.len(),
                held.min(stated as usize).min(MAXIMUM_SUBFLOWS)
            );
        }

        #[test]
        fn bytes_without_any_order_panic_nowhere(
            addresses in vec(any::<u8>(), 0..600),
            states in vec(any::<u8>(), 0..600),
            at in 0..700usize,
        ) {
            let _ = parse_subflows(&addresses, &states);
            let _ = socket_address(&addresses);
            let _ = (field_u32(&states, at), field_u64(&states, at));
        }
    }
}
