//! mptcp-rs as the client of our server: it has no server's role, so our stack is at the other end.
//! It takes and gives IP packets, which are put into frames of a memory port here.

use std::net::IpAddr;
use std::time;

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{Burst, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::Worker;
use braid_engine::socket::{ListenOptions, SocketOptions};
use braid_engine::stack::{ConnectionId, PortId, Stack, StackConfig, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::wire::EmitError;
use braid_engine::wire::arp::{ArpOperation, ArpPacket};
use braid_engine::wire::ethernet::{EtherType, EthernetHeader, MacAddress};
use mptcp_rs::{ConnectConfig, ConnectionHandle, Endpoint, Instant};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{BUFFER, Hosts, TRANSFER};
use crate::memory_links::{address, anywhere, host, mac, server, some, text, turn};

/// How long nothing may move before a transfer is given up: longer than its first retransmission takes.
const PATIENCE: time::Duration = time::Duration::from_secs(5);

/// A frame that fills an MTU of 1,500.
const FULL_FRAME: usize = 1_514;

const CLIENT: u8 = 1;
const SERVER: u8 = 2;

/// The client with its end of the link.
struct Client {
    endpoint: Endpoint<ChaCha20Rng>,
    connection: ConnectionHandle,
    port: MemoryPort,
    pool: FramePool,
    burst: Burst,
    start: time::Instant,
}

impl Client {
    fn connect(mut port: MemoryPort) -> Result<Self, String> {
        tell_address(&mut port, ArpOperation::Request)?;
        let start = time::Instant::now();
        let mut endpoint = Endpoint::new(ChaCha20Rng::from_seed([CLIENT; 32]));
        let config = ConnectConfig::default();
        let connection =
            endpoint.connect_mptcp(Instant::from_nanos(0), address(0, CLIENT), server(), config);
        Ok(Self {
            connection: connection.map_err(|error| format!("mptcp-rs: {error:?}"))?,
            endpoint,
            port,
            pool: FramePool::new(POOL_FRAME_CAPACITY, 64),
            burst: Burst::new(),
            start,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let connection = self.endpoint.connection(self.connection);
        let connection = connection.ok_or("mptcp-rs has ended the connection")?;
        let written = connection.write(bytes);
        written.map_err(|error| format!("mptcp-rs: {error:?}"))
    }

    /// Takes what has come, and sends what there is to send.
    fn turn(&mut self) -> Result<(), String> {
        let elapsed = self.start.elapsed().as_nanos();
        let now = Instant::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let received = self
            .port
            .receive(PortId(0), &mut self.pool, &mut self.burst);
        received.map_err(text)?;
        for received in self.burst.drain(..) {
            let frame = received.frame.bytes();
            if let Ok((header, payload)) = EthernetHeader::parse(frame) {
                match header.ether_type {
                    EtherType::Ipv4 => {
                        let packet = frame.get(payload..).unwrap_or_default();
                        self.endpoint.handle_packet(now, packet);
                    }
                    EtherType::Arp => tell_address(&mut self.port, ArpOperation::Reply)?,
                    _ => {}
                }
            }
            self.pool.put(received.frame);
        }
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(room) = self.port.reserve(FULL_FRAME) {
            let header = header(EtherType::Ipv4, mac(0, SERVER)).emit(room);
            let start = header.map_err(text)?;
            let Some(length) = self.endpoint.poll_transmit(now, &mut room[start..]) else {
                break;
            };
            self.port.commit(start + length, TransmitMeta::default());
        }
        self.port.flush().map_err(text)?;
        while self.endpoint.poll_event().is_some() {}
        Ok(())
    }
}

fn header(ether_type: EtherType, destination: MacAddress) -> EthernetHeader {
    EthernetHeader {
        destination,
        source: mac(0, CLIENT),
        ether_type,
    }
}

/// Tells the client's address, asking for the server's or answering it: mptcp-rs speaks IP only.
fn tell_address(port: &mut MemoryPort, operation: ArpOperation) -> Result<(), String> {
    let (IpAddr::V4(sender), IpAddr::V4(target)) = (address(0, CLIENT), address(0, SERVER)) else {
        return Err("the links have addresses of IPv4".into());
    };
    let (target_mac, destination) = match operation {
        ArpOperation::Request => (MacAddress([0; 6]), MacAddress([0xff; 6])),
        ArpOperation::Reply => (mac(0, SERVER), mac(0, SERVER)),
    };
    let packet = ArpPacket {
        operation,
        sender_mac: mac(0, CLIENT),
        sender_address: sender,
        target_mac,
        target_address: target,
    };
    let emit = |room: &mut [u8]| -> Result<usize, EmitError> {
        let start = header(EtherType::Arp, destination).emit(room)?;
        Ok(start + packet.emit(&mut room[start..])?)
    };
    let room = port.reserve(FULL_FRAME).ok_or("the port has no room")?;
    let length = emit(room).map_err(text)?;
    port.commit(length, TransmitMeta::default());
    port.flush().map_err(text)
}

/// The client, our server, and a connection over one link.
pub struct Pair {
    client: Client,
    server: Worker<Stack>,
    receiving: ConnectionId,
    bytes: Vec<u8>,
    into: Vec<u8>,
}

impl Pair {
    /// Both, and a connection of Multipath TCP.
    ///
    /// # Errors
    ///
    /// When there is none after a while.
    pub fn new() -> Result<Self, String> {
        let options = MemoryOptions {
            checksum: false,
            segmentation: false,
            ..MemoryOptions::default()
        };
        let (near, far) = MemoryPort::pair(options).map_err(text)?;
        let mut server = host(SERVER, vec![far], &StackConfig::default())?;
        let socket = SocketOptions {
            receive_buffer: Some(BUFFER as u32),
            ..SocketOptions::default()
        };
        let listening = ListenOptions {
            socket,
            ..ListenOptions::default()
        };
        let listener = server.engine_mut().listen(anywhere(), listening);
        let listener = listener.map_err(text)?;
        let mut client = Client::connect(near)?;
        let begun = time::Instant::now();
        while begun.elapsed() < PATIENCE {
            client.turn()?;
            turn(&mut server);
            if let Some(receiving) = server.engine_mut().accept(listener) {
                let mut pair = Self {
                    client,
                    server,
                    receiving,
                    bytes: (0..BUFFER).map(|n| n as u8).collect(),
                    into: vec![0; BUFFER],
                };
                pair.transfer()?;
                let settings = pair.server.engine().connection_settings(receiving);
                return match settings.is_some_and(|settings| settings.multipath) {
                    true => Ok(pair),
                    false => Err("mptcp-rs has fallen back to TCP".into()),
                };
            }
        }
        Err("no connection of mptcp-rs came to be".into())
    }
}

impl Hosts for Pair {
    fn transfer(&mut self) -> Result<(), String> {
        let (mut sent, mut received, mut last) = (0, 0, time::Instant::now());
        while received < TRANSFER {
            let before = received;
            if sent < TRANSFER {
                let rest = &self.bytes[..BUFFER.min(TRANSFER - sent)];
                sent += self.client.write(rest)?;
            }
            self.client.turn()?;
            turn(&mut self.server);
            let now = self.server.now();
            let stack = self.server.engine_mut();
            received += some(stack.recv(now, self.receiving, &mut self.into))?;
            if received > before {
                last = time::Instant::now();
            } else if last.elapsed() > PATIENCE {
                return Err(format!("nothing moves after {received} bytes"));
            }
        }
        Ok(())
    }
}
