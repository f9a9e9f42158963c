//! The engine that is flooded, in this process: a worker with the flooded link, and a connection over
//! another.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use braid_dataplane::port::dpdk::DeviceOptions;
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::worker::Worker;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketOptions};
use braid_engine::stack::{ConnectionId, PortId, Stack};
use braid_engine::wire::ethernet::MacAddress;
use serde::Serialize;

use super::{FLOODED, PORT, Scenario, Station, Way, host, packets};
use crate::memory_links::{some, text, turn};
use crate::packets::device::{self, Core};
use crate::packets::testpmd::Testpmd;

/// How long each figure takes.
const SAMPLE: Duration = Duration::from_secs(2);

/// How long the source may take to begin.
const PATIENCE: Duration = Duration::from_secs(15);

/// Seconds that the source runs: its start, and a sample.
const FLOOD: u32 = 6;

/// What each end's buffer holds.
const BUFFER: usize = 1 << 20;

/// The link of the connection that was there before, and the flooded one.
const LINKS: [PortId; 2] = [PortId(0), PortId(1)];

const CLIENT: Station = Station {
    mac: MacAddress([2, 0, 0, 0, 0, 1]),
    address: Ipv4Addr::new(10, 0, 0, 1),
};
const SERVER: Station = Station {
    mac: MacAddress([2, 0, 0, 0, 0, 2]),
    address: Ipv4Addr::new(10, 0, 0, 2),
};

/// What came of a scenario.
#[derive(Copy, Clone, PartialEq, Debug, Serialize)]
pub struct Outcome {
    /// Which.
    pub scenario: Scenario,
    /// How its packets came.
    pub way: Way,
    /// Million packets each second that the engine took in from the flooded link.
    pub million_packets_per_second: f64,
    /// Gbit/s of the connection without a flood, before and after.
    pub goodput_alone: [f64; 2],
    /// Gbit/s of the connection meanwhile.
    pub goodput_meanwhile: f64,
    /// That by the mean of those without a flood.
    pub ratio: f64,
}

/// Floods an engine.
///
/// # Errors
///
/// What is missing here, or went wrong.
pub fn flood(scenario: Scenario, way: Way) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let file = folder.path().join("packets.pcap");
    packets::write(&file, &packets::of(scenario)?)?;
    let before = alone()?;
    let meanwhile = match way {
        Way::NetMemif => by_testpmd(&file, &folder.path().join("memif"))?,
        Way::NetPcap => by_file(&file)?,
    };
    let after = alone()?;
    Ok(Outcome {
        scenario,
        way,
        million_packets_per_second: meanwhile.packets / 1e6,
        goodput_alone: [before, after],
        goodput_meanwhile: meanwhile.goodput,
        ratio: meanwhile.goodput * 2.0 / (before + after),
    })
}

/// Gbit/s of the connection while nothing comes from the other link.
fn alone() -> Result<f64, String> {
    let (silent, _nobody) = MemoryPort::pair(MemoryOptions::default()).map_err(text)?;
    let mut target = Target::new(silent.into())?;
    target.run(SAMPLE / 4)?;
    Ok(target.run(SAMPLE)?.goodput)
}

fn by_testpmd(file: &Path, socket: &Path) -> Result<Sample, String> {
    let testpmd = Testpmd::find()?;
    let options = DeviceOptions {
        arguments: Some(format!(
            "role=server,id=0,socket={},socket-abstract=no",
            socket.display()
        )),
        ..DeviceOptions::new("net_memif0")
    };
    let mut target = Target::new(device::open(options, Core::Last)?.into())?;
    let source = testpmd.replay(file, socket, FLOOD)?;
    target.until_flooded()?;
    let sample = target.run(SAMPLE)?;
    source.end();
    Ok(sample)
}

fn by_file(file: &Path) -> Result<Sample, String> {
    let options = DeviceOptions {
        arguments: Some(format!("rx_pcap={},infinite_rx=1", file.display())),
        ..DeviceOptions::new("net_pcap0")
    };
    let mut target = Target::new(device::open(options, Core::Last)?.into())?;
    target.until_flooded()?;
    target.run(SAMPLE)
}

/// What passed in a sample, a second.
struct Sample {
    /// Gbit/s.
    goodput: f64,
    /// From the flooded link.
    packets: f64,
}

struct Target {
    client: Worker<Stack>,
    server: Worker<Stack>,
    sending: ConnectionId,
    receiving: ConnectionId,
    bytes: Vec<u8>,
    into: Vec<u8>,
}

impl Target {
    fn new(flooded: braid_dataplane::port::AnyPort) -> Result<Self, String> {
        let link = MemoryOptions {
            checksum: false,
            segmentation: false,
            ..MemoryOptions::default()
        };
        let (near, far) = MemoryPort::pair(link).map_err(text)?;
        let mut client = host(1, vec![(CLIENT, near.into())])?;
        let mut server = host(2, vec![(SERVER, far.into()), (FLOODED, flooded)])?;
        let socket = SocketOptions {
            send_buffer: Some(BUFFER as u32),
            receive_buffer: Some(BUFFER as u32),
            ..SocketOptions::default()
        };
        let listening = ListenOptions {
            socket: socket.clone(),
            ..ListenOptions::default()
        };
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        let listener = server.engine_mut().listen(anywhere, listening);
        let listener = listener.map_err(text)?;
        let options = ConnectOptions {
            socket,
            ..ConnectOptions::to(SocketAddr::new(SERVER.address.into(), PORT))
        };
        let now = client.now();
        let sending = client.engine_mut().connect(now, options).map_err(text)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            turn(&mut client);
            turn(&mut server);
            if let Some(receiving) = server.engine_mut().accept(listener) {
                return Ok(Self {
                    client,
                    server,
                    sending,
                    receiving,
                    bytes: vec![0x5a; BUFFER],
                    into: vec![0; BUFFER],
                });
            }
        }
        Err("no connection came to be".into())
    }

    /// Frames that came from the flooded link so far.
    fn packets(&self) -> u64 {
        let counters = self.server.ports().counters(LINKS[1]);
        counters.unwrap_or_default().received_frames
    }

    fn until_flooded(&mut self) -> Result<(), String> {
        let (deadline, before) = (Instant::now() + PATIENCE, self.packets());
        while self.packets() == before {
            if Instant::now() > deadline {
                return Err("no packet comes from the flooded link".into());
            }
            self.run(Duration::from_millis(10))?;
        }
        // The source has found its stride.
        self.run(Duration::from_millis(500))?;
        Ok(())
    }

    fn run(&mut self, time: Duration) -> Result<Sample, String> {
        let (start, before, mut bytes) = (Instant::now(), self.packets(), 0);
        while start.elapsed() < time {
            let now = self.client.now();
            let stack = self.client.engine_mut();
            some(stack.send(now, self.sending, &self.bytes))?;
            turn(&mut self.client);
            turn(&mut self.server);
            let now = self.server.now();
            let stack = self.server.engine_mut();
            bytes += some(stack.recv(now, self.receiving, &mut self.into))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(Sample {
            goodput: bytes as f64 * 8.0 / seconds / 1e9,
            packets: (self.packets() - before) as f64 / seconds,
        })
    }
}
