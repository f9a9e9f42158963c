//! The way of a segment through a stack: receiving it, up to the connection's receive buffer, and sending
//! it, from the connection's send buffer. An element is a full segment of a burst, with its checksum.
//! Reading, writing and acknowledgments come between the measurements.

use braid_engine::socket::{ConnectOptions, SocketOptions};
use braid_engine::stack::ConnectionId;
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::hosts::{CLIENT, Hosts, SERVER, server};
use crate::instructions::Marked;

/// Segments of a burst.
const BURST: usize = 32;

/// What each end buffers, and what is written at once.
const BUFFER: usize = 1 << 20;

/// Times that the buffer is sent before anything is measured, which opens the congestion windows.
const WARM_UP: usize = 50;

/// A connection, and what its applications write and read.
struct Stream {
    hosts: Hosts,
    sending: ConnectionId,
    receiving: ConnectionId,
    bytes: Vec<u8>,
    into: Vec<u8>,
}

impl Stream {
    fn new(subflows: u8) -> Self {
        let mut hosts = Hosts::new(subflows);
        let connecting = ConnectOptions {
            socket: SocketOptions {
                send_buffer: Some(BUFFER as u32),
                ..SocketOptions::default()
            },
            ..ConnectOptions::to(server())
        };
        let sending = hosts.stacks[CLIENT].connect(hosts.now, connecting);
        hosts.exchange();
        let receiving = hosts.stacks[SERVER].accept(hosts.listener);
        let mut stream = Self {
            hosts,
            sending: sending.expect("there is a route"),
            receiving: receiving.expect("the handshake is done"),
            bytes: (0..BUFFER).map(|n| n as u8).collect(),
            into: vec![0; BUFFER],
        };
        for _ in 0..WARM_UP {
            stream.write();
            stream.hosts.exchange();
            stream.read();
        }
        let established = stream.hosts.stacks[CLIENT].subflows(stream.sending);
        assert_eq!(established.len(), usize::from(subflows));
        stream
    }

    /// Writes as much as there is room for.
    fn write(&mut self) {
        let Hosts { stacks, now, .. } = &mut self.hosts;
        // Where there is no room there is enough to send.
        let _ = stacks[CLIENT].send(*now, self.sending, &self.bytes);
    }

    fn read(&mut self) {
        let Hosts { stacks, now, .. } = &mut self.hosts;
        // Where nothing came nothing is read.
        let _ = stacks[SERVER].recv(*now, self.receiving, &mut self.into);
    }

    /// What was sent arrives, is read and acknowledged, and more is written.
    fn settle(&mut self) {
        self.hosts.receive(SERVER);
        self.read();
        self.hosts.transmit(SERVER, usize::MAX);
        self.hosts.receive(CLIENT);
        self.hosts.pass_time();
        self.write();
    }

    /// Sends a burst: a batch ends before a large segment that it would have to cut.
    fn transmit(&mut self) {
        let mut sent = 0;
        while sent < BURST {
            let before = sent;
            sent = self.hosts.transmit(CLIENT, BURST);
            assert!(sent > before, "the windows are open");
        }
    }
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "segment");
    for (over, subflows) in [("one subflow", 1), ("two subflows", 2)] {
        let segments = Throughput::Elements(BURST as u64);
        let stream = || Stream::new(subflows);
        group.time_prepared(
            format_args!("receive, {over}"),
            segments.clone(),
            stream,
            |stream| {
                stream.settle();
                stream.transmit();
            },
            |stream, ()| stream.hosts.receive(SERVER),
        );
        group.time_prepared(
            format_args!("transmit, {over}"),
            segments,
            stream,
            Stream::settle,
            |stream, ()| stream.transmit(),
        );
    }
}
