//! What a demonstration is to do, checked before anything begins.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use braid_engine::stack::{FlowHash, Steering};

use super::report::{Direction, Role, Task};
use crate::lab::link::Family;
use crate::peer::PeerProtocol;
use crate::stream::Stream;

/// How long nothing may move before a run is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Which pseudo-random stream is transferred.
const SEED: u64 = 8_684;

/// How the engine reaches Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// TAP devices.
    Tap,
    /// Packet sockets on veth pairs.
    AfPacket,
    /// Virtual devices of DPDK.
    #[cfg(feature = "dpdk")]
    Dpdk(VirtualDevices),
}

/// Virtual devices of DPDK, one a link.
#[cfg(feature = "dpdk")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualDevices {
    /// What drives them.
    pub driver: VirtualDriver,
    /// What each is told besides its interface.
    pub arguments: Option<String>,
}

/// A driver of DPDK whose devices reach this host's kernel.
#[cfg(feature = "dpdk")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum VirtualDriver {
    /// Makes a TAP device.
    Tap,
    /// Opens a packet socket on one end of a veth pair.
    AfPacket,
    /// Opens an XDP socket there.
    AfXdp,
}

#[cfg(feature = "dpdk")]
impl VirtualDriver {
    /// Its name with DPDK.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tap => "net_tap",
            Self::AfPacket => "net_af_packet",
            Self::AfXdp => "net_af_xdp",
        }
    }

    /// The argument by which a device is told how many queues it has, where it has but one otherwise.
    pub const fn queues(self) -> Option<&'static str> {
        match self {
            Self::Tap => None,
            Self::AfPacket => Some("qpairs"),
            Self::AfXdp => Some("queue_count"),
        }
    }
}

/// What concerns Linux as the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinuxPlan {
    /// How it is reached; TAP where that is allowed, otherwise packet sockets, when none is named.
    pub port: Option<PortKind>,
    /// What its sockets speak.
    pub protocol: PeerProtocol,
    /// A shell command to be run in its namespace once the links are up.
    pub setup: Option<String>,
}

impl Default for LinuxPlan {
    fn default() -> Self {
        Self {
            port: None,
            protocol: PeerProtocol::Multipath,
            setup: None,
        }
    }
}

/// How links in memory behave, each in either direction; by default they delay and lose nothing.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryLinks {
    /// How long a frame is under way, one way.
    pub delay: Duration,
    /// How many of a million frames are lost, by chance.
    pub loss: u32,
    /// Bits a second; without a bound when none is named.
    pub rate: Option<u64>,
}

/// Who is to be at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChoice {
    /// Linux; where that is impossible, a second engine, and the user is told why.
    LinuxIfAllowed,
    /// Linux or nothing.
    Linux(LinuxPlan),
    /// A second engine.
    Engine(MemoryLinks),
}

/// How the workers of an engine share its flows: by the hash of every port that a demonstration has.
pub(crate) fn steering(workers: NonZeroU8) -> Steering {
    Steering::new(workers.get(), FlowHash::default()).unwrap_or(Steering::ALONE)
}

/// A demonstration to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes in each run; at least 1.
    pub bytes: u64,
    /// Workers of each engine.
    pub workers: NonZeroU8,
    /// Links between the hosts; 1 to 8, as many as Linux can use for one connection.
    pub links: u8,
    /// Who is at the other end.
    pub peer: PeerChoice,
    /// What the engine is, one after the other.
    pub roles: Vec<Role>,
    /// The internet protocol.
    pub family: Family,
    /// Whether both sides ask for DSS checksums (RFC 8684, section 3.3).
    pub checksum: bool,
    /// Whether a link is cut in each run.
    pub cut: bool,
    /// Whether Linux is measured against itself too.
    pub baseline: bool,
    /// Where captures of the links go.
    pub capture: Option<PathBuf>,
    /// Whether progress bars are drawn on standard error.
    pub show_progress: bool,
}

impl Plan {
    /// The bytes of every run.
    pub(super) fn stream(&self) -> Stream {
        Stream::new(SEED, self.bytes)
    }

    /// The runs to be made, in order.
    pub fn tasks(&self) -> impl Iterator<Item = Task> {
        self.roles.iter().flat_map(|&role| {
            [Direction::Upload, Direction::Download]
                .into_iter()
                .map(move |direction| Task { role, direction })
        })
    }
}

/// The server's port of a run: each has its own, so that none meets the leavings of another.
pub(super) fn port_of(task: Task) -> u16 {
    match (task.role, task.direction) {
        (Role::Server, Direction::Upload) => 5_001,
        (Role::Server, Direction::Download) => 5_002,
        (Role::Client, Direction::Upload) => 5_003,
        (Role::Client, Direction::Download) => 5_004,
    }
}
