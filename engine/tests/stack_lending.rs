//! Segments that are sent as they lie in the send buffer, over ports that hand frames over.

mod counting_allocator;
mod stack_support;

use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::socket::{ConnectOptions, ListenOptions};
use braid_engine::stack::{
    Capabilities, ConnectionId, PortId, Stack, StackConfig, TransmitBatch, TransmitMeta,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::{Duration, Instant};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ops::Range;
use counting_allocator::counted;
use stack_support::{OFFLOAD, PLAIN, Sent, Side, interface, pattern, receive_meta, v4};
use std::collections::VecDeque;
use std::sync::Arc;

const LINKS: u8 = 2;

/// A wire that hands frames over.
#[derive(Default)]
struct Wire {
    under_way: VecDeque<(Frame, PortId, TransmitMeta)>,
    spare: Vec<Frame>,
    reserved: Option<Frame>,
}

impl TransmitBatch for Wire {
    fn room(&self, _: PortId) -> usize {
        64
    }

    fn reserve(&mut self, _: PortId, length: usize) -> Option<&mut [u8]> {
        let frame = self.reserved.take().or_else(|| self.spare.pop());
        let frame = frame.unwrap_or_else(|| Frame::with_capacity(70_000));
        self.reserved.insert(frame).buffer_mut().get_mut(..length)
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        if let Some(mut frame) = self.reserved.take() {
            frame.set_filled(0..length);
            self.under_way.push_back((frame, port, meta));
        }
    }

    fn attach(
        &mut self,
        port: PortId,
        memory: Arc<[u8]>,
        filled: Range<usize>,
        meta: TransmitMeta,
    ) {
        if let Some(mut frame) = self.reserved.take() {
            frame.attach(memory, filled);
            self.under_way.push_back((frame, port, meta));
        }
    }
}

/// Two hosts, and a connection with a subflow on each link.
struct Pair {
    now: Instant,
    client: Stack,
    server: Stack,
    forth: Wire,
    back: Wire,
    sending: ConnectionId,
    receiving: ConnectionId,
    /// Every so many frames one is lost.
    loses: Option<usize>,
    frames: usize,
    allocations: u64,
}

impl Pair {
    fn new(capabilities: Capabilities) -> Self {
        let capabilities = Capabilities {
            attach: true,
            ..capabilities
        };
        let now = Instant::from_millis(1);
        let stack = |side| {
            let config = StackConfig {
                frame_capacity: 70_000,
                ..StackConfig::default()
            };
            let mut stack = Stack::new(config, [side as u8; 32]);
            for link in 0..LINKS {
                let interface = interface(side, link, capabilities);
                stack.add_interface(interface).unwrap();
            }
            let limits = Limits {
                subflows: LINKS,
                add_addr_accepted: LINKS,
            };
            stack.set_limits(now, limits);
            stack
        };
        let (mut client, mut server) = (stack(Side::Client), stack(Side::Server));
        let endpoint = Endpoint {
            id: 1,
            address: v4(Side::Client, 1),
            port: None,
            flags: EndpointFlags::SUBFLOW | EndpointFlags::FULLMESH,
        };
        client.add_endpoint(now, endpoint).unwrap();
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
        let listener = server.listen(any, ListenOptions::default()).unwrap();
        let remote = SocketAddr::new(v4(Side::Server, 0), 80);
        let sending = client.connect(now, ConnectOptions::to(remote)).unwrap();
        let mut pair = Self {
            now,
            client,
            server,
            forth: Wire::default(),
            back: Wire::default(),
            sending,
            receiving: sending,
            loses: None,
            frames: 0,
            allocations: 0,
        };
        pair.receiving = loop {
            pair.turn();
            if let Some(connection) = pair.server.accept(listener) {
                break connection;
            }
        };
        pair
    }

    /// Each host in turn receives what is there, and sends what is due.
    fn turn(&mut self) {
        self.now += Duration::from_micros(100);
        for side in [Side::Client, Side::Server] {
            let now = self.now;
            let (stack, incoming, outgoing) = match side {
                Side::Client => (&mut self.client, &mut self.back, &mut self.forth),
                Side::Server => (&mut self.server, &mut self.forth, &mut self.back),
            };
            while let Some((mut frame, port, meta)) = incoming.under_way.pop_front() {
                self.frames += 1;
                incoming.spare.push(stack.frame_pool().exchange(&mut frame));
                let bytes = Vec::new();
                let meta = receive_meta(&Sent { port, bytes, meta });
                let lost = self
                    .loses
                    .is_some_and(|every| self.frames.is_multiple_of(every));
                if lost {
                    stack.frame_pool().put(frame);
                } else {
                    let received = counted(|| stack.receive_burst(now, [(frame, meta)]));
                    self.allocations += received.1;
                }
            }
            self.allocations += counted(|| stack.advance(now)).1;
            self.allocations += counted(|| stack.transmit(now, outgoing)).1;
            while stack.poll_event().is_some() {}
        }
    }

    /// Moves bytes in writes of the lengths that `writes` names in turn, of which as many are read at once, and
    /// checks what arrives.
    fn transfer(&mut self, total: usize, writes: &[usize], reads: usize) {
        let bytes = pattern(total, 7);
        let (mut sent, mut received) = (0, Vec::with_capacity(total));
        let mut into = vec![0; reads];
        let mut writes = writes.iter().cycle();
        let mut quiet = 0;
        while received.len() < total {
            let write = writes.next().copied().unwrap_or_default();
            let next = &bytes[sent..total.min(sent + write)];
            if !next.is_empty() {
                let (result, count) = counted(|| self.client.send(self.now, self.sending, next));
                sent += result.unwrap_or_default();
                self.allocations += count;
            }
            self.turn();
            let (result, count) = counted(|| self.server.recv(self.now, self.receiving, &mut into));
            self.allocations += count;
            let came = result.unwrap_or_default();
            received.extend_from_slice(&into[..came]);
            quiet = if came == 0 { quiet + 1 } else { 0 };
            assert!(
                quiet < 100_000,
                "nothing comes after {} bytes",
                received.len()
            );
        }
        assert!(received == bytes, "what arrives is what was sent");
    }

    fn retransmissions(&self) -> u64 {
        let info = self.client.subflows(self.sending);
        let subflows = info.iter().map(|subflow| subflow.handle);
        let told = subflows.filter_map(|subflow| self.client.tcp_info(subflow));
        told.map(|info| info.retransmissions).sum()
    }

    fn counter(&self, name: &str) -> u64 {
        let counters = self.client.counters();
        counters.iter().find(|(other, _)| *other == name).unwrap().1
    }
}

#[test]
fn large_segments_are_lent_without_taking_memory() {
    let mut pair = Pair::new(OFFLOAD);
    pair.transfer(8 << 20, &[1 << 20], 1 << 20);
    let before = pair.counter("EngineSegmentsLent");
    pair.allocations = 0;
    pair.transfer(16 << 20, &[1 << 20], 1 << 20);
    let lent = pair.counter("EngineSegmentsLent") - before;
    assert!(lent >= 220, "{lent} of some 260 segments");
    assert_eq!(pair.allocations, 0);
}

#[test]
fn small_segments_are_copied() {
    let mut pair = Pair::new(PLAIN);
    pair.transfer(1 << 20, &[1 << 20], 1 << 20);
    assert_eq!(pair.counter("EngineSegmentsLent"), 0);
    let mut pair = Pair::new(OFFLOAD);
    pair.transfer(100_000, &[700], 1_000);
    assert_eq!(pair.counter("EngineSegmentsLent"), 0);
}

#[test]
fn what_is_lent_is_sent_again_when_it_is_lost() {
    let writes = [
        1, 200_000, 1_448, 64_080, 70, 30_000, 500_000, 3_999, 65_536,
    ];
    for loses in [3, 31, 37, 43] {
        let mut pair = Pair::new(OFFLOAD);
        pair.loses = Some(loses);
        pair.transfer(8 << 20, &writes, 100_000);
        let (lent, again) = (pair.counter("EngineSegmentsLent"), pair.retransmissions());
        assert!(again > 2, "{again} segments were sent again");
        println!("{lent} lent, {again} sent again, one of {loses} lost");
        // With every third lost the window holds fewer segments than a block.
        assert!(loses == 3 || lent > 5, "{lent} lent, one of {loses} lost");
    }
}

#[test]
fn a_reader_that_holds_what_was_lent_sees_no_change_of_it() {
    let mut pair = Pair::new(OFFLOAD);
    // What is read so slowly lies in the frames while the buffer is written to again.
    pair.transfer(2 << 20, &[1 << 20], 3_000);
    assert!(pair.counter("EngineSegmentsLent") > 10);
}
