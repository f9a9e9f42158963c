//! The subflows of a connection: TCP_MP_SUBFLOWS (REQ3, REQ4 of the draft) and RFC 6897's
//! TCP_MULTIPATH_SUBFLOWS list them, TCP_MP_ADD_SUBFLOW, TCP_MP_REMOVE_SUBFLOW (REQ9) and
//! TCP_MP_PRIORITY (REQ11) change one.

use braid_dataplane::application::errno;
use braid_engine::socket::{SocketError, SubflowInfo, SubflowPriority};
use braid_engine::tcp::State as TcpState;
use braid_shm::abi::options::{tcp_mp_subflow, tcp_mp_subflows_header};
use braid_shm::abi::{
    SocketAddressStorage, TCP_MP_SUBFLOW_BACKUP, TCP_MP_SUBFLOW_INITIAL, TCP_MP_SUBFLOW_JOINED,
    TCP_MP_SUBFLOW_PREFERRED, TCP_MP_SUBFLOW_STALE,
};

use super::parse::{self, NewSubflow};
use super::snapshot::is_over;
use super::{DONE, Outcome};
use crate::server::control::Control;
use crate::server::host::WorkerGone;
use crate::server::options::tcp_info;
use crate::server::table::Key;

/// Parts in a share of the connection's traffic.
const WHOLE: u128 = 10_000;

/// A list of subflows.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::server::options) enum Listing {
    /// TCP_MP_SUBFLOWS: a header, and an entry with all there is to tell of each.
    Full,
    /// TCP_MULTIPATH_SUBFLOWS: the addresses of both ends of each.
    Pairs,
}

/// What is done to a subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::server::options) enum Order {
    /// TCP_MP_ADD_SUBFLOW.
    Add,
    /// TCP_MP_REMOVE_SUBFLOW.
    Remove,
    /// TCP_MP_PRIORITY.
    Rank,
}

impl Control {
    pub(super) fn list_subflows(
        &self,
        key: Key,
        listing: Listing,
        capacity: usize,
    ) -> Result<Outcome, WorkerGone> {
        let snapshot = self.snapshot(key)?;
        Ok(snapshot.and_then(|snapshot| {
            let bytes = match listing {
                Listing::Full => full(&snapshot.subflows, capacity),
                Listing::Pairs => pairs(&snapshot.subflows, capacity),
            };
            bytes.map(|bytes| (0, bytes))
        }))
    }

    pub(super) fn order(
        &mut self,
        key: Key,
        order: Order,
        bytes: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        let parsed = match order {
            Order::Add => parse::new_subflow(bytes).map(Parsed::Add),
            Order::Remove => parse::subflow_id(bytes).map(Parsed::Remove),
            Order::Rank => parse::rank(bytes).map(|(id, priority)| Parsed::Rank(id, priority)),
        };
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(errno) => return Ok(Err(errno)),
        };
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let Some(connection) = socket.connection() else {
            return Ok(Err(libc::ENOTCONN));
        };
        let told = self.hosts.call_home(connection, move |turn, connection| {
            let (now, stack) = (turn.now, &mut *turn.stack);
            if is_over(stack, connection) {
                return Err(SocketError::BadHandle);
            }
            match parsed {
                Parsed::Add(new) => {
                    stack.add_subflow(now, connection, new.local, new.remote, new.backup)
                }
                Parsed::Remove(id) => stack.remove_subflow(now, connection, id),
                Parsed::Rank(id, priority) => stack.set_priority(now, connection, id, priority),
            }
        })?;
        Ok(match told {
            Ok(()) => DONE,
            // It is over.
            Err(SocketError::BadHandle) => Err(libc::EINVAL),
            Err(error) => Err(errno(error)),
        })
    }
}

/// An order with its value.
enum Parsed {
    Add(NewSubflow),
    Remove(u32),
    Rank(u32, SubflowPriority),
}

/// The header and as many entries as fit; EINVAL where not even the header does.
fn full(subflows: &[SubflowInfo], capacity: usize) -> Result<Vec<u8>, i32> {
    let room = capacity
        .checked_sub(tcp_mp_subflows_header::BYTES)
        .ok_or(libc::EINVAL)?;
    let copied = subflows.len().min(room / tcp_mp_subflow::BYTES);
    let header = tcp_mp_subflows_header {
        header_size: tcp_mp_subflows_header::BYTES as u32,
        entry_size: tcp_mp_subflow::BYTES as u32,
        total: count(subflows.len()),
        copied: count(copied),
    };
    let sum = |bytes: fn(&SubflowInfo) -> u64| subflows.iter().map(bytes).map(u128::from).sum();
    let (sent, received) = (sum(|one| one.bytes_sent), sum(|one| one.bytes_received));
    let mut bytes = header.to_bytes().to_vec();
    for subflow in subflows.iter().take(copied) {
        bytes.extend_from_slice(&entry(subflow, sent, received).to_bytes());
    }
    Ok(bytes)
}

fn entry(subflow: &SubflowInfo, sent: u128, received: u128) -> tcp_mp_subflow {
    let state = subflow.tcp.map_or(
        if subflow.established {
            TcpState::Established
        } else {
            TcpState::SynSent
        },
        |tcp| tcp.state,
    );
    let flags = [
        (subflow.initial, TCP_MP_SUBFLOW_INITIAL),
        (subflow.backup, TCP_MP_SUBFLOW_BACKUP),
        (subflow.established, TCP_MP_SUBFLOW_JOINED),
        (subflow.stale, TCP_MP_SUBFLOW_STALE),
        (
            subflow.priority == SubflowPriority::Preferred,
            TCP_MP_SUBFLOW_PREFERRED,
        ),
    ];
    tcp_mp_subflow {
        id: subflow.id,
        state: tcp_info::state(state).into(),
        flags: flags
            .iter()
            .filter(|(set, _)| *set)
            .fold(0, |all, (_, flag)| all | flag),
        share_tx: share(subflow.bytes_sent, sent),
        share_rx: share(subflow.bytes_received, received),
        srtt_us: subflow
            .smoothed_rtt
            .map_or(0, |rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
        cwnd: subflow.congestion_window,
        reserved: 0,
        bytes_sent: subflow.bytes_sent,
        bytes_received: subflow.bytes_received,
        retransmissions: subflow.retransmissions,
        local: SocketAddressStorage::new(subflow.path.local),
        remote: SocketAddressStorage::new(subflow.path.remote),
    }
}

/// A part of a sum in parts per 10,000; 0 of nothing.
fn share(part: u64, sum: u128) -> u32 {
    (u128::from(part) * WHOLE)
        .checked_div(sum)
        .and_then(|share| u32::try_from(share).ok())
        .unwrap_or(0)
}

/// As many pairs as fit; EINVAL where not one does.
fn pairs(subflows: &[SubflowInfo], capacity: usize) -> Result<Vec<u8>, i32> {
    let mut bytes = Vec::new();
    for subflow in subflows {
        let pair = [subflow.path.local, subflow.path.remote].map(SocketAddressStorage::new);
        let pair = pair.iter().flat_map(|one| one.0);
        bytes.extend(pair);
    }
    let entry = 2 * SocketAddressStorage::default().0.len();
    if capacity < entry {
        return Err(libc::EINVAL);
    }
    bytes.truncate(capacity / entry * entry);
    Ok(bytes)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_parts_of_the_sum() {
        assert_eq!(share(0, 0), 0);
        assert_eq!(share(1, 3), 3_333);
        assert_eq!(share(u64::MAX, u128::from(u64::MAX)), 10_000);
    }
}
