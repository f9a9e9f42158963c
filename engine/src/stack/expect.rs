//! What a burst of frames or of calls will use is asked for before it is taken, in stages: first the places of
//! all of its subflows and connections, then what lies behind each of them. With many connections
//! hardly any of it is in a cache, and waiting for one line after another takes several times as long as all
//! the work.

use super::Stack;
use super::connection::{ConnectionId, ConnectionKey};
use super::flow::Flow;
use super::subflow::{Home, SubflowAddress, SubflowKey};
use crate::storage::flow_table::FourTuple;
use crate::storage::prefetch::Prefetch;
use crate::wire::ethernet::EthernetHeader;
use arrayvec::ArrayVec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Of a burst at most so many are asked for: what is asked for must still be in the cache when it is used.
const AT_ONCE: usize = 64;

/// With fewer subflows most of what is used is in the last cache, and to ask for it costs more than it brings.
const CROWD: usize = 8_192;

type Subflows = ArrayVec<SubflowKey, AT_ONCE>;
type Connections = ArrayVec<ConnectionKey, AT_ONCE>;

/// The flow of a TCP segment whose headers are the usual ones, by a glance: the frame is not checked.
fn glance(frame: &[u8]) -> Option<FourTuple> {
    const TCP: u8 = 6;
    let packet = frame.get(EthernetHeader::LEN..)?;
    let (source, destination, ports) = match packet.first()? {
        0x45 if *packet.get(9)? == TCP => {
            let address = |at: usize| packet.get(at..)?.first_chunk::<4>().copied();
            let address = |at| Some(Ipv4Addr::from(address(at)?).into());
            (address(12)?, address(16)?, 20)
        }
        0x60..=0x6f if *packet.get(6)? == TCP => {
            let address = |at: usize| packet.get(at..)?.first_chunk::<16>().copied();
            let address = |at| Some(Ipv6Addr::from(address(at)?).into());
            (address(8)?, address(24)?, 40)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
    Some(FourTuple {
        local: SocketAddr::new(destination, port(ports + 2)?),
        remote: SocketAddr::new(source, port(ports)?),
    })
}

impl Stack {
    /// Has memory fetched by `prefetch` before it is used, where there are many connections.
    pub fn set_prefetch(&mut self, prefetch: Prefetch) {
        self.prefetch = Some(prefetch);
    }

    /// What fetches memory; `None` where it would be in a cache anyway.
    fn prefetch_for_a_crowd(&self) -> Option<Prefetch> {
        self.prefetch.filter(|_| self.subflows.len() > CROWD)
    }

    /// These frames are about to be received: has the memory fetched that they will use. Without it they are received
    /// in the same way.
    pub fn expect_frames<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) {
        let Some(prefetch) = self.prefetch_for_a_crowd() else {
            return;
        };
        let frames = frames.into_iter().take(AT_ONCE);
        let flows: ArrayVec<FourTuple, AT_ONCE> = frames.filter_map(glance).collect();
        // Looked up with nothing between, so that a processor waits for several at a time.
        let mut subflows = Subflows::new();
        for flow in &flows {
            if let Some(Flow::Subflow(key)) = self.flows.get(flow).copied()
                && subflows.last() != Some(&key)
            {
                subflows.push(key);
            }
        }
        for &key in &subflows {
            self.subflows.prefetch(key, prefetch);
        }
        let mut homes = Connections::new();
        self.prefetch_subflows(&subflows, prefetch, |key| {
            self.connections.prefetch(key, prefetch);
            homes.push(key);
        });
        self.prefetch_connections(&homes, prefetch);
        self.prefetch_parts(&subflows, &homes, prefetch);
    }

    /// These connections are about to be called: has the memory fetched that they will use. Without it the calls
    /// have the same results.
    pub fn expect_calls(&self, connections: impl IntoIterator<Item = ConnectionId>) {
        let Some(prefetch) = self.prefetch_for_a_crowd() else {
            return;
        };
        let connections = connections.into_iter().map(|id| id.0);
        let homes: Connections = connections.take(AT_ONCE).collect();
        for &key in &homes {
            self.connections.prefetch(key, prefetch);
        }
        self.prefetch_connections(&homes, prefetch);
        let mut subflows = Subflows::new();
        for slot in homes.iter().filter_map(|&key| self.connections.get(key)) {
            for handle in slot.connection.subflow_handles() {
                let SubflowAddress { worker, key } = SubflowAddress::of(handle);
                if worker == self.config.place.worker() && subflows.try_push(key).is_ok() {
                    self.subflows.prefetch(key, prefetch);
                }
            }
        }
        self.prefetch_subflows(&subflows, prefetch, |_| {});
        self.prefetch_parts(&subflows, &homes, prefetch);
    }

    fn prefetch_subflows(
        &self,
        subflows: &Subflows,
        prefetch: Prefetch,
        mut of: impl FnMut(ConnectionKey),
    ) {
        for slot in subflows.iter().filter_map(|&key| self.subflows.get(key)) {
            slot.subflow.prefetch(prefetch);
            if let Home::Here(connection) = slot.home {
                of(connection);
            }
        }
    }

    fn prefetch_connections(&self, homes: &Connections, prefetch: Prefetch) {
        for slot in homes.iter().filter_map(|&key| self.connections.get(key)) {
            slot.connection.prefetch(prefetch);
        }
    }

    fn prefetch_parts(&self, subflows: &Subflows, homes: &Connections, prefetch: Prefetch) {
        for slot in subflows.iter().filter_map(|&key| self.subflows.get(key)) {
            if let Some(subflow) = slot.subflow.whole() {
                subflow.prefetch(prefetch);
            }
        }
        for slot in homes.iter().filter_map(|&key| self.connections.get(key)) {
            slot.connection.prefetch_parts(prefetch);
        }
    }
}
