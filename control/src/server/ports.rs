//! The ports of the configuration, opened: a queue for each worker, where a port can have so many.

use std::fmt;
use std::num::NonZeroU8;

use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{AnyPort, Port, PortError, interface};
use braid_dataplane::worker::{Clock, Seat};
use braid_engine::stack::{Capabilities, FlowHash, PortId, Stack, WorkerId};
use braid_engine::wire::ethernet::MacAddress;

use super::cores::Pipelines;
use super::start::{StartError, random_seed};
use crate::config::{Config, PortConfig, PortKind};

/// Frames that wait at each queue of a packet socket, at least: two bursts.
const LEAST_FRAMES: usize = 120;

/// A port that is open.
#[derive(Debug)]
pub struct OpenPort {
    /// Its queues, one at least: the first is the first worker's and so on. Workers beyond hand their
    /// frames to those that have one.
    pub queues: Vec<AnyPort>,
    /// The link address that it has where the configuration names none.
    pub mac: MacAddress,
}

impl OpenPort {
    /// A port with a single queue.
    pub fn single(queue: impl Into<AnyPort>, mac: MacAddress) -> Self {
        Self {
            queues: vec![queue.into()],
            mac,
        }
    }

    /// What all its queues take over from the engine.
    pub(crate) fn capabilities(&self) -> Option<Capabilities> {
        self.queues.first().map(AnyPort::capabilities)
    }
}

/// Whether frames can pass by a device of which the kernel tells nothing.
pub struct LinkProbe(Box<dyn Fn() -> bool + Send>);

impl LinkProbe {
    /// Asks by `up`, which takes a moment at most.
    pub fn new(up: impl Fn() -> bool + Send + 'static) -> Self {
        Self(Box::new(up))
    }

    pub(super) fn is_up(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for LinkProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkProbe")
    }
}

/// The ports of the configuration, opened.
#[derive(Debug)]
pub struct OpenPorts {
    /// In the order of the configuration.
    pub ports: Vec<OpenPort>,
    /// How they spread what they receive over their queues, and so flows over workers.
    pub hash: FlowHash,
    /// Which of them have an interface of the network namespace that the engine is started in, and
    /// its index: their links are watched.
    pub interfaces: Vec<(PortId, u32)>,
    /// Which of the others have a link of which no kernel tells: they are asked now and then.
    pub probes: Vec<(PortId, LinkProbe)>,
    /// What runs the workers, if not threads of their own.
    pub pipelines: Option<Pipelines>,
    /// The clock of the engine and of links that go wrong.
    pub clock: Clock,
}

pub(super) fn open_ports(config: &Config) -> Result<OpenPorts, StartError> {
    #[cfg(feature = "dpdk")]
    let mut devices = super::dpdk::Devices::start(config)?;
    #[cfg(feature = "dpdk")]
    let hash = devices.hash(config.ports.len()).unwrap_or_default();
    #[cfg(not(feature = "dpdk"))]
    let hash = FlowHash::default();
    let mut open = |port: &PortConfig| {
        #[cfg(feature = "dpdk")]
        if let PortKind::Dpdk(device) = &port.kind {
            return Ok(devices.take(device)?);
        }
        open_port(port, config.workers, hash).map_err(|source| StartError::Port {
            name: port.name.clone(),
            source,
        })
    };
    let ports = config
        .ports
        .iter()
        .map(&mut open)
        .collect::<Result<_, StartError>>()?;
    let index = |(number, port): (u16, &PortConfig)| {
        let index = interface::index(port.kind.kernel_interface()?);
        let index = index.map_err(|source| StartError::Port {
            name: port.name.clone(),
            source,
        });
        Some(index.map(|index| (PortId(number), index)))
    };
    #[cfg(feature = "dpdk")]
    let (probes, pipelines) = (devices.probes(config), devices.pipelines());
    #[cfg(not(feature = "dpdk"))]
    let (probes, pipelines) = (Vec::new(), None);
    Ok(OpenPorts {
        ports,
        hash,
        probes,
        pipelines,
        interfaces: (0..)
            .zip(&config.ports)
            .filter_map(index)
            .collect::<Result<_, StartError>>()?,
        clock: Clock::start(),
    })
}

/// Opens a port of the kernel's.
///
/// # Errors
///
/// Those of the port; and a device of DPDK is opened once and for all, when the engine starts.
pub(super) fn open_port(
    port: &PortConfig,
    queues: NonZeroU8,
    hash: FlowHash,
) -> Result<OpenPort, PortError> {
    match &port.kind {
        PortKind::AfPacket(name) => open_packet_sockets(name, port.offload, queues, hash),
        PortKind::Tap(name) => open_tap(name, port.offload, queues),
        #[cfg(feature = "dpdk")]
        PortKind::Dpdk(device) => Err(PortError::Gone {
            name: device.device.clone(),
        }),
    }
}

fn open_packet_sockets(
    interface: &str,
    offload: bool,
    queues: NonZeroU8,
    hash: FlowHash,
) -> Result<OpenPort, PortError> {
    let usual = AfPacketOptions::default();
    // Several queues share the memory of one, which is never swapped.
    let of_queue = |frames: usize| (frames / usize::from(queues.get())).max(LEAST_FRAMES);
    let options = AfPacketOptions {
        offload,
        receive_frames: of_queue(usual.receive_frames),
        transmit_frames: of_queue(usual.transmit_frames),
        ..usual
    };
    let opened = AfPacketPort::open_queues(interface, options, queues, hash)?;
    Ok(OpenPort {
        queues: opened.into_iter().map(AnyPort::from).collect(),
        mac: interface::ethernet_address(interface)?,
    })
}

fn open_tap(name: &str, offload: bool, queues: NonZeroU8) -> Result<OpenPort, PortError> {
    let opened = match TapPort::open_queues(name, offload, queues) {
        // A device that was made for a single queue is used with one.
        Err(PortError::TapQueues { .. }) => vec![TapPort::open(name, offload)?],
        opened => opened?,
    };
    let drawn = random_seed().unwrap_or_default();
    let [a, b, c, d, e, ..] = drawn;
    Ok(OpenPort {
        queues: opened.into_iter().map(AnyPort::from).collect(),
        // Locally administered, so that no manufacturer's address is taken.
        mac: MacAddress([2, a, b, c, d, e]),
    })
}

/// Hands the queues of all ports out: the seats of each of `stacks`, which are those of the workers in
/// their order, each of which is told who has the queues that it lacks.
pub(crate) fn hand_out(ports: Vec<OpenPort>, stacks: &mut [Stack]) -> Vec<Vec<Seat>> {
    let mut seats: Vec<Vec<Seat>> = stacks.iter().map(|_| Vec::new()).collect();
    for (number, port) in (0..).map(PortId).zip(ports) {
        let Some(capabilities) = port.capabilities() else {
            continue;
        };
        let count = port.queues.len();
        let mut queues = port.queues.into_iter();
        for (worker, (seats, stack)) in seats.iter_mut().zip(&mut *stacks).enumerate() {
            seats.push(match queues.next() {
                Some(queue) => Seat::Here(queue),
                None => {
                    let driver = u8::try_from(worker % count).unwrap_or_default();
                    stack.set_port_worker(number, WorkerId::new(driver));
                    Seat::Elsewhere(capabilities)
                }
            });
        }
    }
    seats
}
