//! What a stack tells of its connections, listeners and interfaces: for the sockets and for whoever
//! watches. Everything comes in an order that depends on the calls alone.

use super::Stack;
use super::batch::PortId;
use super::connection::{ConnectionId, ConnectionSlot, ListenerId};
use super::subflow::SubflowAddress;
use crate::congestion::ControllerKind;
use crate::mptcp::connection::SubflowHandle;
use crate::mptcp::info::{ConnectionInfo, SubflowInfo};
use crate::mptcp::path_manager::PathManagement;
use crate::mptcp::scheduler::Scheduler;
use crate::socket::Profile;
use crate::tcp::{Keepalive, TcpInfo};
use crate::time::Duration;
use crate::wire::ethernet::MacAddress;
use core::net::{IpAddr, SocketAddr};

/// The settings that are in effect on a connection, whoever chose them.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectionSettings {
    /// MPTCP is in use; `false` in the handshake, with regular TCP, and after fallback.
    pub multipath: bool,
    /// The connection stays on one path because it was bound to an address or a device.
    pub single_path: bool,
    /// What it is to be good at.
    pub profile: Profile,
    /// Which subflow carries the next bytes.
    pub scheduler: Scheduler,
    /// On how many subflows each byte goes out.
    pub redundancy: u8,
    /// The congestion controller.
    pub congestion: ControllerKind,
    /// Which endpoints it makes use of.
    pub path_management: PathManagement,
    /// Subflows at a time; the stack's limits may allow fewer.
    pub max_subflows: u8,
    /// The local addresses it may use; empty for all.
    pub local_addresses: Vec<IpAddr>,
    /// Send buffer in bytes.
    pub send_buffer: u32,
    /// Receive buffer in bytes.
    pub receive_buffer: u32,
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// TCP_CORK.
    pub cork: bool,
    /// SO_KEEPALIVE with its times; `None` is off.
    pub keepalive: Option<Keepalive>,
    /// TCP_USER_TIMEOUT.
    pub user_timeout: Option<Duration>,
    /// Time to live and hop limit of its packets.
    pub hop_limit: u8,
    /// Type of service and traffic class of its packets.
    pub traffic_class: u8,
    /// SO_BINDTODEVICE.
    pub device: Option<PortId>,
}

/// A listener as a user sees it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct ListenerInfo {
    /// Names it.
    pub id: ListenerId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Peers that ask for MPTCP get it, if the stack allows.
    pub multipath: bool,
    /// The only port that it listens on, if there is one.
    pub device: Option<PortId>,
    /// How many connections may wait to be accepted.
    pub backlog: usize,
    /// How many do.
    pub waiting: usize,
}

/// An interface as a user sees it.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct InterfaceInfo<'a> {
    /// Its port.
    pub port: PortId,
    /// Its name.
    pub name: &'a str,
    /// Its link address.
    pub mac: MacAddress,
    /// The largest IP packet in bytes.
    pub mtu: u16,
    /// Its addresses with the lengths of their prefixes.
    pub addresses: &'a [(IpAddr, u8)],
    /// Routers to everywhere else.
    pub gateways: &'a [IpAddr],
    /// The link is up.
    pub up: bool,
}

impl Stack {
    /// The state of a connection.
    pub fn connection_info(&self, connection: ConnectionId) -> Option<ConnectionInfo> {
        self.live(connection).map(|slot| slot.connection.info())
    }

    /// The subflows of a connection, in the order of their appearance.
    pub fn subflows(&self, connection: ConnectionId) -> Vec<SubflowInfo> {
        self.live(connection)
            .map_or_else(Vec::new, |slot| slot.connection.subflows().collect())
    }

    /// How many bytes can be read now.
    pub fn readable(&self, connection: ConnectionId) -> usize {
        self.live(connection)
            .map_or(0, |slot| slot.connection.readable())
    }

    /// How many bytes can be written now.
    pub fn writable(&self, connection: ConnectionId) -> usize {
        self.live(connection)
            .map_or(0, |slot| slot.connection.writable())
    }

    /// Bytes that were written and that the peer has not acknowledged, at data level; and of these
    /// those that no subflow has been given yet.
    pub fn send_queue(&self, connection: ConnectionId) -> (u64, u64) {
        self.live(connection)
            .map_or((0, 0), |slot| slot.connection.send_queue())
    }

    /// The address of this side: that of the first subflow, for the connection's life.
    pub fn local_address(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.live(connection).map(|slot| slot.flow().local)
    }

    /// The address of the peer: that of the first subflow, for the connection's life.
    pub fn remote_address(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.live(connection).map(|slot| slot.flow().remote)
    }

    /// The connection and its subflows at one moment, with the TCP of each subflow of this worker.
    pub fn snapshot(&self, connection: ConnectionId) -> Option<(ConnectionInfo, Vec<SubflowInfo>)> {
        let slot = self.live(connection)?;
        let subflows = slot.connection.subflows().map(|info| SubflowInfo {
            tcp: self.tcp_info(info.handle),
            ..info
        });
        Some((slot.connection.info(), subflows.collect()))
    }

    /// The TCP of a subflow of this worker; `None` for one of another
    /// ([`SubflowHandle::worker`]), whose stack is to be asked.
    pub fn tcp_info(&self, subflow: SubflowHandle) -> Option<TcpInfo> {
        let address = SubflowAddress::of(subflow);
        let here = address.worker == self.config.place.worker();
        let slot = self.subflows.get(address.key).filter(|_| here)?;
        Some(slot.subflow.tcp_info())
    }

    /// Whether a subflow of the connection leads to this address of the peer, or another worker is
    /// about to open one.
    pub fn leads_to(&self, connection: ConnectionId, remote: SocketAddr) -> bool {
        self.live(connection).is_some_and(|slot| {
            let mut subflows = slot.connection.subflows();
            subflows.any(|subflow| subflow.path.remote == remote)
                || slot.orders.iter().any(|order| order.remote == remote)
        })
    }

    /// The settings in effect on a connection.
    pub fn connection_settings(&self, connection: ConnectionId) -> Option<ConnectionSettings> {
        self.live(connection).map(|slot| self.settings_of(slot))
    }

    fn settings_of(&self, slot: &ConnectionSlot) -> ConnectionSettings {
        let (home, options) = (&slot.connection, &slot.options);
        ConnectionSettings {
            multipath: home.uses_multipath(),
            single_path: slot.single_path,
            profile: home.profile(),
            scheduler: home.scheduler(),
            redundancy: home.redundancy(),
            congestion: options.congestion.unwrap_or(self.config.congestion),
            path_management: home.path_management(),
            max_subflows: home.max_subflows(),
            local_addresses: home.local_addresses().to_vec(),
            send_buffer: u32::try_from(home.send_buffer_size()).unwrap_or(u32::MAX),
            receive_buffer: u32::try_from(home.receive_buffer_size()).unwrap_or(u32::MAX),
            nodelay: options.nodelay,
            cork: options.cork,
            keepalive: options.keepalive,
            user_timeout: options.user_timeout,
            hop_limit: options.hop_limit.unwrap_or(self.config.hop_limit),
            traffic_class: options.traffic_class,
            device: options.device,
        }
    }

    /// The local addresses that a connection may use; empty when it may use all.
    pub fn local_addresses(&self, connection: ConnectionId) -> Vec<IpAddr> {
        self.live(connection)
            .map_or_else(Vec::new, |slot| slot.connection.local_addresses().to_vec())
    }

    /// Every connection that an application has or will accept.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.connections
            .iter()
            .filter(|(_, slot)| !slot.closed)
            .map(|(key, _)| ConnectionId(key))
    }

    /// Every listener.
    pub fn listeners(&self) -> impl Iterator<Item = ListenerInfo> + '_ {
        self.listeners.iter().map(|(key, listener)| {
            let (backlog, waiting) = listener.queue();
            ListenerInfo {
                id: ListenerId(key),
                address: listener.address,
                multipath: listener.options.multipath && self.config.multipath,
                device: listener.options.socket.device,
                backlog,
                waiting,
            }
        })
    }

    /// Every interface, in the order in which they were added.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceInfo<'_>> + '_ {
        self.interfaces.iter().map(|interface| InterfaceInfo {
            port: interface.config.port,
            name: &interface.config.name,
            mac: interface.config.mac,
            mtu: interface.config.mtu,
            addresses: &interface.config.addresses,
            gateways: &interface.config.gateways,
            up: interface.up,
        })
    }
}
