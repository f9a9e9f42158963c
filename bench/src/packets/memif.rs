//! Two hosts of our engine in two processes, joined by net_memif: a stream from one to the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use braid_dataplane::port::dpdk::{DeviceOptions, DpdkPort};
use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Worker};
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError, SocketOptions};
use braid_engine::stack::{ConnectionId, InterfaceConfig, PortId, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;

use super::device::{self, Core};

/// What each end's buffer holds, and what its application gives or takes at once.
const BUFFER: usize = 1 << 20;

/// How long the stream runs before it is counted, and then for one figure.
const WARM_UP: Duration = Duration::from_millis(500);
const SAMPLE: Duration = Duration::from_secs(2);

/// How long each end waits for the other.
const PATIENCE: Duration = Duration::from_secs(20);

const RECEIVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PORT: u16 = 7;

/// Takes a stream: tells when it is ready for one, then its Gbit/s.
pub(super) fn receive(socket: &str) -> Result<(), String> {
    let mut host = Host::new("server", socket, RECEIVER, Core::Last)?;
    let options = ListenOptions {
        socket: buffers(),
        ..ListenOptions::default()
    };
    let stack = host.worker.engine_mut();
    let listener = stack.listen(SocketAddr::new(RECEIVER, PORT), options);
    let listener = listener.map_err(|error| error.to_string())?;
    println!("ready");
    let connection = host.until(|stack| stack.accept(listener))?;
    host.take(connection, WARM_UP)?;
    let start = Instant::now();
    let bytes = host.take(connection, SAMPLE)?;
    println!(
        "{}",
        bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9
    );
    Ok(())
}

/// Sends one until it is ended.
pub(super) fn send(socket: &str) -> Result<(), String> {
    let mut host = Host::new("client", socket, SENDER, Core::First)?;
    let now = host.worker.now();
    let options = ConnectOptions {
        socket: buffers(),
        ..ConnectOptions::to(SocketAddr::new(RECEIVER, PORT))
    };
    let connection = host.worker.engine_mut().connect(now, options);
    let connection = connection.map_err(|error| error.to_string())?;
    let bytes: Vec<u8> = (0..BUFFER).map(|number| number as u8).collect();
    loop {
        let now = host.worker.now();
        let sent = host.worker.engine_mut().send(now, connection, &bytes);
        unless_it_would_block(sent)?;
        host.turn();
    }
}

fn buffers() -> SocketOptions {
    SocketOptions {
        send_buffer: Some(BUFFER as u32),
        receive_buffer: Some(BUFFER as u32),
        ..SocketOptions::default()
    }
}

fn unless_it_would_block(done: Result<usize, SocketError>) -> Result<usize, String> {
    match done {
        Err(SocketError::WouldBlock | SocketError::NotConnected) => Ok(0),
        other => other.map_err(|error| error.to_string()),
    }
}

/// What is sent before both ends know each other is lost.
fn wait_for_link(port: &DpdkPort) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !port.link().up {
        if Instant::now() > deadline {
            return Err("the link over net_memif stays down".into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A host with one worker.
struct Host {
    worker: Worker<Stack>,
    into: Vec<u8>,
}

impl Host {
    fn new(role: &str, socket: &str, address: IpAddr, core: Core) -> Result<Self, String> {
        let arguments = format!("role={role},id=0,socket={socket},socket-abstract=no");
        let options = DeviceOptions {
            arguments: Some(arguments),
            ..DeviceOptions::new("net_memif0")
        };
        let port = device::open(options, core)?;
        if role == "client" {
            wait_for_link(&port)?;
        }
        let number = if core == Core::First { 1 } else { 2 };
        let config = StackConfig {
            frame_capacity: POOL_FRAME_CAPACITY,
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [number; 32]);
        let interface = InterfaceConfig {
            port: PortId(0),
            name: "memif".into(),
            mac: MacAddress([2, 0, 0, 0, 0, number]),
            mtu: 1_500,
            addresses: vec![(address, 24)],
            gateways: Vec::new(),
            capabilities: port.capabilities(),
        };
        stack
            .add_interface(interface)
            .map_err(|error| error.to_string())?;
        let seats = vec![AnyPort::from(port).into()];
        let worker = Worker::new(stack, seats, Clock::start(), IdlePolicy::Spin);
        Ok(Self {
            worker: worker.map_err(|error| error.to_string())?,
            into: vec![0; BUFFER],
        })
    }

    fn turn(&mut self) {
        let _ = self.worker.step();
        while self.worker.engine_mut().poll_event().is_some() {}
    }

    fn until<T>(&mut self, mut done: impl FnMut(&mut Stack) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.turn();
            if let Some(done) = done(self.worker.engine_mut()) {
                return Ok(done);
            }
        }
        Err("the other end of net_memif does not come".into())
    }

    /// Reads for so long; how many bytes.
    fn take(&mut self, connection: ConnectionId, time: Duration) -> Result<usize, String> {
        let (start, mut bytes) = (Instant::now(), 0);
        while start.elapsed() < time {
            self.turn();
            let now = self.worker.now();
            let stack = self.worker.engine_mut();
            bytes += unless_it_would_block(stack.recv(now, connection, &mut self.into))?;
        }
        Ok(bytes)
    }
}
