//! The bounds and defaults of a stack. Every queue and table of the engine has its bound here.

use super::steering::Place;
use crate::congestion::ControllerKind;
use crate::mptcp::connection::FastcloseForm;
use crate::mptcp::path_manager::PathManagement;
use crate::mptcp::scheduler::Scheduler;
use crate::socket::Profile;
use crate::time::Duration;
use core::net::IpAddr;
use core::ops::RangeInclusive;

/// The largest window that TCP can announce (RFC 7323 section 2.3), and so the largest buffer.
pub const MAX_BUFFER: u32 = 1 << 30;

/// When a listener answers with SYN cookies (RFC 4987 section 3.6).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum SynCookies {
    /// Once its queue of half-open connections is full.
    #[default]
    WhenFull,
    /// On every SYN.
    Always,
    /// Never: what does not fit the queue is dropped.
    Never,
}

/// What becomes of a connection whose application asks for a small buffer, which may suit one path and
/// not several (draft-scharf-mptcp-api section 4.3).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SmallBuffer {
    /// A buffer below so many bytes is made as large as that.
    Raise(u32),
    /// A connection with a buffer below so many bytes is regular TCP. A buffer that becomes small
    /// later keeps its multipath.
    DisableMultipath(u32),
}

impl Default for SmallBuffer {
    fn default() -> Self {
        Self::Raise(MIN_BUFFER)
    }
}

/// What a stack may hold and how it behaves.
#[derive(Clone, PartialEq, Debug)]
pub struct StackConfig {
    /// Which worker of its host the stack is of.
    pub place: Place,
    /// Further subflows that this side opens go to the host's workers in turn, counted from the home
    /// of their connection; otherwise all stay at home.
    pub spread_subflows: bool,
    /// MPTCP at all; `false` makes every connection regular TCP.
    pub multipath: bool,
    /// Ask for DSS checksums (RFC 8684 section 3.3).
    pub checksum: bool,
    /// Send data sequence numbers with all 64 bits. With 32 each segment is 4 bytes shorter, but a
    /// mapping that comes very late at a high rate can be taken for another.
    pub long_data_sequence: bool,
    /// How an application's abort is told to a peer with MPTCP (RFC 8684 section 3.5).
    pub fastclose: FastcloseForm,
    /// Connections at a time, those in the accept queues among them.
    pub max_connections: usize,
    /// Subflows at a time, of all connections; at most 16,777,216.
    pub max_subflows: usize,
    /// Listeners at a time.
    pub max_listeners: usize,
    /// Half-open connections of all listeners.
    pub syn_queue: usize,
    /// Upper bound of each listener's backlog.
    pub accept_queue: usize,
    /// What happens to SYNs that find the queue full.
    pub syn_cookies: SynCookies,
    /// How often a SYN/ACK is sent again before the half-open connection is given up.
    pub syn_ack_retries: u8,
    /// Entries of the neighbour cache, over all interfaces.
    pub neighbors: usize,
    /// Packets of the stack's own (not data of connections) that wait for a neighbour.
    pub neighbor_queue: usize,
    /// Flows in TIME-WAIT.
    pub time_wait: usize,
    /// How long a flow stays in TIME-WAIT: twice the maximum segment lifetime.
    pub time_wait_duration: Duration,
    /// Packets of the stack's own that wait for room on a port.
    pub control_queue: usize,
    /// Events that wait to be polled, besides one of each kind for each connection.
    pub event_queue: usize,
    /// Default send buffer of a connection in bytes.
    pub send_buffer: u32,
    /// Default receive buffer of a connection in bytes.
    pub receive_buffer: u32,
    /// Default congestion controller.
    pub congestion: ControllerKind,
    /// Default profile.
    pub profile: Profile,
    /// Default use of endpoints.
    pub path_management: PathManagement,
    /// The loss of the first subflow ends the connection (draft-scharf-mptcp-api section 4.2).
    pub fate_sharing: bool,
    /// TCP_NODELAY makes a connection without a profile of its own one of
    /// [`Profile::LatencyOverflow`] (draft-scharf-mptcp-api section 4.3).
    pub nodelay_selects_latency: bool,
    /// What becomes of connections with small buffers.
    pub small_buffer: SmallBuffer,
    /// Default scheduler of connections without a profile of their own; `None` takes that of the
    /// default profile.
    pub scheduler: Option<Scheduler>,
    /// Bytes of each frame of the pool that ports fill and reassembly holds.
    pub frame_capacity: usize,
    /// Free frames that the pool keeps; while there are connections, as many as were under way at the
    /// same time if that is more.
    pub frame_pool: usize,
    /// Ports for outgoing connections.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// Time to live and hop limit of outgoing packets.
    pub hop_limit: u8,
    /// ICMP echo replies a second.
    pub echo_replies_per_second: u32,
    /// RST segments a second to segments that belong to no flow.
    pub resets_per_second: u32,
    /// How long nothing happens on a subflow before the memory that only transfers need is given back.
    pub rest_after: Duration,
    /// How long an acknowledgment waits for data to go with, or for more to acknowledge (RFC 9293 section 3.8.6.3).
    pub delayed_ack: Duration,
    /// Testing: each message between a subflow and its home is delayed by a random time between
    /// the two, in order per subflow and direction, as it may be when they are on two cores.
    pub message_delay: Option<(Duration, Duration)>,
}

impl Default for StackConfig {
    /// What suits a server with some thousand connections.
    fn default() -> Self {
        Self {
            place: Place::default(),
            spread_subflows: true,
            multipath: true,
            checksum: false,
            long_data_sequence: true,
            fastclose: FastcloseForm::default(),
            max_connections: 16_384,
            max_subflows: 65_536,
            max_listeners: 256,
            syn_queue: 4_096,
            accept_queue: 4_096,
            syn_cookies: SynCookies::WhenFull,
            syn_ack_retries: 5,
            neighbors: 1_024,
            neighbor_queue: 64,
            time_wait: 16_384,
            time_wait_duration: Duration::from_secs(60),
            control_queue: 1_024,
            event_queue: 1_024,
            send_buffer: 4 << 20,
            receive_buffer: 4 << 20,
            congestion: ControllerKind::Cubic,
            profile: Profile::default(),
            path_management: PathManagement::default(),
            fate_sharing: false,
            nodelay_selects_latency: false,
            small_buffer: SmallBuffer::default(),
            scheduler: None,
            frame_capacity: 2_048,
            frame_pool: 4_096,
            ephemeral_ports: 32_768..=60_999,
            hop_limit: 64,
            echo_replies_per_second: 1_000,
            resets_per_second: 1_000,
            rest_after: Duration::from_secs(5),
            delayed_ack: Duration::from_millis(40),
            message_delay: None,
        }
    }
}

impl StackConfig {
    /// Says what contradicts itself and what mends it. [`crate::stack::Stack::new`] takes any
    /// configuration and raises what is below its least meaningful value.
    ///
    /// # Errors
    ///
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("max_connections", self.max_connections),
            ("max_subflows", self.max_subflows),
            ("max_listeners", self.max_listeners),
            ("syn_queue", self.syn_queue),
            ("accept_queue", self.accept_queue),
            ("neighbors", self.neighbors),
            ("control_queue", self.control_queue),
            ("event_queue", self.event_queue),
        ];
        if let Some((name, _)) = bounds.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero { name });
        }
        if self.max_subflows < self.max_connections {
            return Err(ConfigError::FewerSubflowsThanConnections {
                subflows: self.max_subflows,
                connections: self.max_connections,
            });
        }
        let buffers = [
            ("send_buffer", self.send_buffer),
            ("receive_buffer", self.receive_buffer),
        ];
        for (name, bytes) in buffers {
            if !(MIN_BUFFER..=MAX_BUFFER).contains(&bytes) {
                return Err(ConfigError::Buffer { name, bytes });
            }
        }
        if self.ephemeral_ports.is_empty() || *self.ephemeral_ports.start() == 0 {
            return Err(ConfigError::EphemeralPorts {
                first: *self.ephemeral_ports.start(),
                last: *self.ephemeral_ports.end(),
            });
        }
        if self.hop_limit == 0 {
            return Err(ConfigError::Zero { name: "hop_limit" });
        }
        match self.message_delay {
            Some((least, most)) if least > most => Err(ConfigError::MessageDelay { least, most }),
            _ => Ok(()),
        }
    }
}

/// The smallest buffer: a few segments.
pub(super) const MIN_BUFFER: u32 = 8 << 10;

/// What is wrong with a configuration, and what mends it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// A bound of zero.
    #[error("{name} is 0, which leaves room for nothing: set it to at least 1")]
    Zero {
        /// Name of the bound.
        name: &'static str,
    },
    /// Each connection needs at least one subflow.
    #[error(
        "max_subflows is {subflows}, less than max_connections ({connections}): \
         each connection needs at least one subflow, so raise max_subflows"
    )]
    FewerSubflowsThanConnections {
        /// The bound on subflows.
        subflows: usize,
        /// The bound on connections.
        connections: usize,
    },
    /// A buffer that no connection could use.
    #[error("{name} is {bytes} bytes: choose between 8192 bytes and 1 GiB")]
    Buffer {
        /// Name of the buffer.
        name: &'static str,
        /// Its size in bytes.
        bytes: u32,
    },
    /// An empty range of ports.
    #[error("ephemeral_ports is {first} to {last}, which is no range of ports from 1 on")]
    EphemeralPorts {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// A shortest delay above the longest.
    #[error("message_delay is {least:?} to {most:?}: the first must not exceed the second")]
    MessageDelay {
        /// Shortest delay.
        least: Duration,
        /// Longest delay.
        most: Duration,
    },
    /// Two interfaces with one port.
    #[error("port {port} has an interface already: give interface {name} a port of its own")]
    PortTaken {
        /// The port.
        port: u16,
        /// Name of the second interface.
        name: String,
    },
    /// Not the address of a single interface.
    #[error("interface {name}: its MAC address is a group address or zero; use a unicast one")]
    MacAddress {
        /// Name of the interface.
        name: String,
    },
    /// Below the minimum of the protocol.
    #[error(
        "interface {name}: an MTU of {mtu} bytes is too small; \
         IPv4 needs at least 576 bytes, IPv6 1280"
    )]
    Mtu {
        /// Name of the interface.
        name: String,
        /// The MTU in bytes.
        mtu: u16,
    },
    /// The port cannot carry the frames of the MTU.
    #[error(
        "interface {name}: an MTU of {mtu} bytes needs frames of {needed} bytes, but its port \
         carries at most {max_frame}: lower the MTU"
    )]
    FrameSize {
        /// Name of the interface.
        name: String,
        /// The MTU in bytes.
        mtu: u16,
        /// MTU and Ethernet header.
        needed: usize,
        /// The largest frame of the port.
        max_frame: usize,
    },
    /// Not an address that a host can have.
    #[error(
        "interface {name}: {address}/{prefix} is no unicast address with a valid prefix length"
    )]
    Address {
        /// Name of the interface.
        name: String,
        /// The address.
        address: IpAddr,
        /// The prefix length.
        prefix: u8,
    },
    /// An address given to two interfaces.
    #[error("interface {name}: {address} belongs to another interface already")]
    AddressTaken {
        /// Name of the second interface.
        name: String,
        /// The address.
        address: IpAddr,
    },
    /// A gateway that cannot be reached.
    #[error(
        "interface {name}: gateway {gateway} is on none of its prefixes; \
         add an address of the gateway's network"
    )]
    Gateway {
        /// Name of the interface.
        name: String,
        /// The gateway.
        gateway: IpAddr,
    },
    /// No such interface.
    #[error("port {port} has no interface: add one first")]
    NoInterface {
        /// The port.
        port: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_holds_together() {
        assert_eq!(StackConfig::default().check(), Ok(()));
    }

    #[test]
    fn contradictions_are_named_with_their_fix() {
        let text = |config: StackConfig| config.check().unwrap_err().to_string();
        let default = StackConfig::default;
        assert_eq!(
            text(StackConfig {
                syn_queue: 0,
                ..default()
            }),
            "syn_queue is 0, which leaves room for nothing: set it to at least 1"
        );
        assert_eq!(
            text(StackConfig {
                max_subflows: 5,
                max_connections: 6,
                ..default()
            }),
            "max_subflows is 5, less than max_connections (6): \
             each connection needs at least one subflow, so raise max_subflows"
        );
        assert_eq!(
            text(StackConfig {
                send_buffer: 1,
                ..default()
            }),
            "send_buffer is 1 bytes: choose between 8192 bytes and 1 GiB"
        );
        let backwards = StackConfig {
            ephemeral_ports: RangeInclusive::new(9, 1),
            ..default()
        };
        assert_eq!(
            text(backwards),
            "ephemeral_ports is 9 to 1, which is no range of ports from 1 on"
        );
        let (least, most) = (Duration::from_millis(2), Duration::from_millis(1));
        assert_eq!(
            text(StackConfig {
                message_delay: Some((least, most)),
                ..default()
            }),
            "message_delay is 2ms to 1ms: the first must not exceed the second"
        );
    }
}
