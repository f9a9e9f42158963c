//! Linux's options at SOL_MPTCP, in the layouts of linux/mptcp.h: MPTCP_INFO, MPTCP_TCPINFO,
//! MPTCP_SUBFLOW_ADDRS and MPTCP_FULL_INFO.
//!
//! As Linux has it they are EOPNOTSUPP on regular TCP, after fallback too; and what a program of an
//! older or newer header asks for, it gets as far as both know it. The arrays of MPTCP_FULL_INFO
//! stand where the program says, which only its own side can reach: here they follow the struct
//! (`FULL_INFO_BYTES`) one after the other, and the socket library puts them there.

use std::time::Duration;

use braid_engine::socket::SubflowInfo;
use braid_engine::time::Instant;
use braid_shm::abi::{
    MPTCP_FULL_INFO, MPTCP_INFO, MPTCP_SUBFLOW_ADDRS, MPTCP_TCPINFO, Plain, SocketAddressStorage,
};

use super::Outcome;
use super::snapshot::Snapshot;
use crate::server::control::Control;
use crate::server::host::WorkerGone;
use crate::server::options::tcp_info;
use crate::server::table::Key;

/// Bytes of `struct mptcp_info`, to `mptcpi_last_ack_recv`.
const INFO_BYTES: usize = 96;
/// Bytes of `struct mptcp_subflow_data`.
const SUBFLOW_DATA_BYTES: usize = 16;
/// Bytes of `struct mptcp_subflow_addrs`.
const ADDRESSES_BYTES: usize = 256;
/// Bytes of `struct mptcp_subflow_info`: an id of 32 bits, then addresses at a multiple of 8.
const SUBFLOW_INFO_BYTES: usize = 8 + ADDRESSES_BYTES;
/// Bytes of `struct mptcp_full_info` before its `struct mptcp_info`.
const FULL_HEADER_BYTES: usize = 40;
/// Bytes of `struct mptcp_full_info`.
const FULL_INFO_BYTES: usize = FULL_HEADER_BYTES + INFO_BYTES;

/// `MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED`.
const REMOTE_KEY_RECEIVED: u32 = 2;

/// An option at SOL_MPTCP.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::server::options) enum Linux {
    Info,
    TcpInfo,
    SubflowAddresses,
    FullInfo,
}

impl Linux {
    pub(super) fn of(name: i32) -> Option<Self> {
        Some(match name {
            MPTCP_INFO => Self::Info,
            MPTCP_TCPINFO => Self::TcpInfo,
            MPTCP_SUBFLOW_ADDRS => Self::SubflowAddresses,
            MPTCP_FULL_INFO => Self::FullInfo,
            _ => return None,
        })
    }

    fn encode(self, of: &Snapshot, argument: &[u8], capacity: usize) -> Result<Vec<u8>, i32> {
        // What of the caller's buffer did not come along is zero.
        match self {
            Self::Info => {
                let mut bytes = info(of);
                bytes.truncate(capacity);
                Ok(bytes)
            }
            Self::TcpInfo => per_subflow(of, argument, capacity, tcp_info::LENGTH, |subflow| {
                tcp_info_of(subflow, of.now)
            }),
            Self::SubflowAddresses => {
                per_subflow(of, argument, capacity, ADDRESSES_BYTES, addresses)
            }
            Self::FullInfo => full_info(of, argument, capacity),
        }
    }
}

impl Control {
    pub(super) fn get_linux(
        &self,
        key: Key,
        option: Linux,
        argument: &[u8],
        capacity: usize,
    ) -> Result<Outcome, WorkerGone> {
        Ok(self.snapshot(key)?.and_then(|snapshot| {
            if snapshot.info.fallback.is_some() {
                return Err(libc::EOPNOTSUPP);
            }
            let bytes = option.encode(&snapshot, argument, capacity)?;
            Ok((0, bytes))
        }))
    }
}

/// `struct mptcp_info`.
fn info(of: &Snapshot) -> Vec<u8> {
    let Snapshot {
        info,
        subflows,
        settings,
        limits,
        endpoints,
        now,
    } = of;
    let opened_here = || {
        subflows
            .iter()
            .filter(|subflow| !subflow.initial && !subflow.opened_by_peer)
    };
    // Linux counts the subflows beyond the first.
    let further = subflows.iter().filter(|subflow| !subflow.initial).count();
    let mut record = Record::of(INFO_BYTES);
    for (offset, number) in [
        (0, byte(further)),
        (1, info.add_addr_signaled),
        (2, info.add_addr_accepted),
        (3, settings.max_subflows.saturating_sub(1)),
        (4, byte(endpoints.signal)),
        (5, limits.add_addr_accepted),
        (40, byte(opened_here().count())),
        (41, byte(endpoints.subflow)),
        (42, info.checksum.into()),
        (80, byte(subflows.len())),
        (82, byte(endpoints.fullmesh)),
    ] {
        record.put(offset, &number);
    }
    let flags = if info.remote_token.is_some() {
        REMOTE_KEY_RECEIVED
    } else {
        0
    };
    let ago = |then: Option<Instant>| then.map_or(0, |then| millis(now.saturating_since(then)));
    for (offset, number) in [
        (8, flags),
        (12, info.local_token.0),
        (44, u32::try_from(info.data_timeouts).unwrap_or(u32::MAX)),
        (84, ago(info.last_data_sent)),
        (88, ago(info.last_data_received)),
        (92, ago(info.last_acknowledgment)),
    ] {
        record.put(offset, &number);
    }
    for (offset, number) in [
        (16, info.write_sequence.0),
        (24, info.unacknowledged_sequence.0),
        (32, info.next_sequence.0),
        (48, info.bytes_reinjected),
        (56, info.bytes_written),
        (64, info.bytes_received),
        (72, info.bytes_acknowledged),
    ] {
        record.put(offset, &number);
    }
    record.0
}

/// `struct mptcp_subflow_data` and an array of records, one for each subflow.
fn per_subflow(
    of: &Snapshot,
    argument: &[u8],
    capacity: usize,
    record_bytes: usize,
    record: impl Fn(&SubflowInfo) -> Vec<u8>,
) -> Result<Vec<u8>, i32> {
    if capacity < SUBFLOW_DATA_BYTES {
        return Err(libc::EINVAL);
    }
    let [data_bytes, subflows, kernel_bytes, user_bytes] = words(argument).map(as_size);
    if !(SUBFLOW_DATA_BYTES..=capacity).contains(&data_bytes) || subflows != 0 || kernel_bytes != 0
    {
        return Err(libc::EINVAL);
    }
    let user_bytes = user_bytes.min(record_bytes);
    let fit = (capacity - data_bytes)
        .checked_div(user_bytes)
        .unwrap_or_default();
    // What a program of a newer header has behind the part that is known stays as it is.
    let mut bytes = argument.to_vec();
    bytes.resize(data_bytes, 0);
    let mut header = Record(bytes);
    for (offset, number) in [(4, of.subflows.len()), (8, record_bytes), (12, user_bytes)] {
        header.put(offset, &u32::try_from(number).unwrap_or(u32::MAX));
    }
    let mut bytes = header.0;
    for subflow in of.subflows.iter().take(fit) {
        bytes.extend(record(subflow).into_iter().take(user_bytes));
    }
    Ok(bytes)
}

/// `struct mptcp_full_info`, then as many `struct mptcp_subflow_info` as the program has room for,
/// then as many `struct tcp_info`, each of the size that it says.
fn full_info(of: &Snapshot, argument: &[u8], capacity: usize) -> Result<Vec<u8>, i32> {
    if capacity < FULL_HEADER_BYTES {
        return Err(libc::EINVAL);
    }
    let [
        kernel_tcp,
        user_tcp,
        kernel_subflow,
        user_subflow,
        subflows,
        most,
    ] = words(argument).map(as_size);
    if kernel_tcp != 0 || kernel_subflow != 0 || subflows != 0 {
        return Err(libc::EINVAL);
    }
    if [user_tcp, user_subflow]
        .iter()
        .any(|&size| i32::try_from(size).is_err())
    {
        return Err(libc::EINVAL);
    }
    let user_tcp = user_tcp.min(tcp_info::LENGTH);
    let user_subflow = user_subflow.min(SUBFLOW_INFO_BYTES);
    let mut full = Record::of(FULL_INFO_BYTES);
    for (to, from) in full.0.iter_mut().zip(argument).take(FULL_HEADER_BYTES) {
        *to = *from;
    }
    for (offset, number) in [
        (0, tcp_info::LENGTH),
        (4, user_tcp),
        (8, SUBFLOW_INFO_BYTES),
        (12, user_subflow),
        (16, of.subflows.len()),
    ] {
        full.put(offset, &u32::try_from(number).unwrap_or(u32::MAX));
    }
    let mut bytes = full.0;
    bytes.truncate(FULL_HEADER_BYTES);
    bytes.extend(info(of));
    for subflow in of.subflows.iter().take(most) {
        let mut one = Record::of(8);
        one.put(0, &subflow.id);
        one.0.extend(addresses(subflow));
        bytes.extend(one.0.into_iter().take(user_subflow));
    }
    for subflow in of.subflows.iter().take(most) {
        bytes.extend(tcp_info_of(subflow, of.now).into_iter().take(user_tcp));
    }
    Ok(bytes)
}

/// `struct mptcp_subflow_addrs`.
fn addresses(subflow: &SubflowInfo) -> Vec<u8> {
    let ends = [subflow.path.local, subflow.path.remote];
    let storages = ends.map(|end| SocketAddressStorage::new(end).0);
    storages.concat()
}

/// `struct tcp_info`.
fn tcp_info_of(subflow: &SubflowInfo, now: Instant) -> Vec<u8> {
    subflow.tcp.map_or_else(
        || tcp_info::of_state(tcp_info::CLOSE),
        |tcp| tcp_info::encode(&tcp, now),
    )
}

/// A struct that is filled in.
struct Record(Vec<u8>);

impl Record {
    fn of(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }

    fn put(&mut self, offset: usize, number: &impl Plain) {
        number.write(self.0.get_mut(offset..).unwrap_or_default());
    }
}

/// The first words of what the caller's buffer holds; what is missing is zero.
fn words<const N: usize>(argument: &[u8]) -> [u32; N] {
    Plain::read(argument)
}

fn as_size(word: u32) -> usize {
    word as usize
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
