//! The engine over a port of any kind, against TCP of the kernel.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::Duration;

use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Worker};
use braid_engine::socket::{ConnectOptions, SocketError};
use braid_engine::stack::{InterfaceConfig, PortId, Stack, StackConfig};
use braid_engine::wire::ethernet::MacAddress;

/// Bytes that go one way.
const LENGTH: usize = 20_000_000;

fn pattern(at: usize) -> u8 {
    (at % 253) as u8
}

/// Sends a stream to a server of the kernel, which sends it back, and compares.
pub(crate) fn echo(port: AnyPort) {
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut back = stream.try_clone().unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        back.set_write_timeout(patience).unwrap();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                length => back.write_all(&buffer[..length]).unwrap(),
            }
        }
        back.shutdown(Shutdown::Write).unwrap();
    });
    transfer(port, remote);
    server.join().unwrap();
}

fn transfer(port: AnyPort, remote: SocketAddr) {
    let config = StackConfig {
        frame_capacity: POOL_FRAME_CAPACITY,
        frame_pool: 256,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, [7; 32]);
    let interface = InterfaceConfig {
        port: PortId(0),
        name: "link0".into(),
        mac: MacAddress([2, 0, 0, 0, 0, 2]),
        mtu: 1_500,
        addresses: vec![("10.9.0.2".parse().unwrap(), 24)],
        gateways: Vec::new(),
        capabilities: port.capabilities(),
    };
    stack.add_interface(interface).unwrap();
    let mut worker = Worker::new(
        stack,
        vec![port.into()],
        Clock::start(),
        IdlePolicy::default(),
    )
    .unwrap();
    let now = worker.now();
    let options = ConnectOptions {
        multipath: false,
        ..ConnectOptions::to(remote)
    };
    let connection = worker.engine_mut().connect(now, options).unwrap();
    let data: Vec<u8> = (0..LENGTH).map(pattern).collect();
    let (mut sent, mut received, mut finished) = (0, 0, false);
    let mut buffer = vec![0; 1 << 18];
    let deadline = now + Duration::from_secs(40);
    loop {
        let work = worker.step();
        let now = work.now;
        assert!(now < deadline, "sent {sent}, received {received}");
        let stack = worker.engine_mut();
        while stack.poll_event().is_some() {}
        if sent < LENGTH {
            match stack.send(now, connection, &data[sent..]) {
                Ok(length) => sent += length,
                Err(SocketError::WouldBlock | SocketError::NotConnected) => {}
                Err(error) => panic!("after {sent} bytes: {error}"),
            }
        } else if !finished {
            stack
                .shutdown(now, connection, braid_engine::socket::Shutdown::Write)
                .unwrap();
            finished = true;
        }
        match stack.recv(now, connection, &mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                for &byte in &buffer[..length] {
                    assert_eq!(byte, pattern(received), "at {received}");
                    received += 1;
                }
            }
            Err(SocketError::WouldBlock | SocketError::NotConnected) => {
                worker.rest(work, Some(deadline));
            }
            Err(error) => panic!("after {received} bytes: {error}"),
        }
    }
    assert_eq!((sent, received), (LENGTH, LENGTH));
    let took = worker.now().saturating_since(now);
    let counters = worker.ports().counters(PortId(0)).unwrap();
    eprintln!("{LENGTH} bytes each way in {took:?}: {counters:?}");
}
