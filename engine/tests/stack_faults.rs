//! Connections over links with faults, and stacks under frames that make no sense.

mod stack_support;

use braid_engine::random::Random;
use braid_engine::socket::Shutdown;
use braid_engine::stack::{
    ConnectionId, Event, PortId, ReceiveMeta, ReceivedChecksum, StackConfig,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::Duration;
use core::net::SocketAddr;
use stack_support::{Host, Network, OFFLOAD, PLAIN, Sent, Side, pattern, v4, v6};
use std::cell::RefCell;
use std::rc::Rc;

/// What one seed stands for.
struct Case {
    links: u8,
    ipv6: bool,
    checksum: bool,
    multipath: bool,
    late_messages: bool,
    /// Of a thousand frames.
    loss: u64,
}

impl Case {
    fn draw(random: &mut Random) -> Self {
        Self {
            links: 1 + random.below(4) as u8,
            ipv6: random.below(2) == 1,
            checksum: random.below(3) == 0,
            multipath: random.below(5) > 0,
            late_messages: random.below(3) == 0,
            loss: random.below(60),
        }
    }

    fn network(&self, random: &mut Random) -> Network {
        let delay = (Duration::from_micros(5), Duration::from_millis(2));
        let config = || StackConfig {
            multipath: self.multipath,
            checksum: self.checksum,
            message_delay: self.late_messages.then_some(delay),
            send_buffer: 256 << 10,
            receive_buffer: 256 << 10,
            ..StackConfig::default()
        };
        let capabilities = if random.below(2) == 0 { PLAIN } else { OFFLOAD };
        let mut network = Network::with(config(), config(), self.links, capabilities);
        network.full_paths(self.links, self.ipv6);
        network.listen();
        let loss = self.loss;
        let mut random = random.fork("loss");
        // Neighbours give up after three questions, which is not what this is about.
        network.filter = Box::new(move |_, sent| !is_segment(sent) || random.below(1_000) >= loss);
        network
    }

    fn remote(&self) -> SocketAddr {
        let address = if self.ipv6 { v6 } else { v4 };
        SocketAddr::new(address(Side::Server, 0), 80)
    }
}

fn is_segment(sent: &Sent) -> bool {
    let protocol = match sent.bytes.get(12..14) {
        Some([0x08, 0x00]) => sent.bytes.get(23),
        Some([0x86, 0xdd]) => sent.bytes.get(20),
        _ => None,
    };
    protocol == Some(&6)
}

fn finish(host: &mut Host, now: braid_engine::time::Instant, connection: ConnectionId) {
    host.stack
        .shutdown(now, connection, Shutdown::Write)
        .expect("the handle is good");
}

#[test]
fn every_byte_arrives_whatever_the_links_lose() {
    for seed in 0..150 {
        eprintln!("seed {seed}");
        let mut random = Random::from_u64(seed);
        let case = Case::draw(&mut random);
        let mut network = case.network(&mut random);
        let (client, server) = network.establish(case.remote());
        let bytes = pattern(20_000 + random.below(300_000) as usize, seed as u32);
        network.transfer((Side::Client, client), server, &bytes);
        network.transfer((Side::Server, server), client, &bytes);
        let now = network.now;
        finish(&mut network.client, now, client);
        network.run_until(Duration::from_secs(120), |network| {
            network.server.saw(&Event::PeerFinished(server))
        });
        let now = network.now;
        finish(&mut network.server, now, server);
        network.run_until(Duration::from_secs(120), |network| {
            network.client.closed(client).is_some() && network.server.closed(server).is_some()
        });
        assert_eq!(network.client.closed(client), Some(Ok(())));
        assert_eq!(network.server.closed(server), Some(Ok(())));
        let now = network.now;
        network.client.stack.close(now, client);
        network.server.stack.close(now, server);
        network.run_for(Duration::from_secs(300));
        for host in [&network.client, &network.server] {
            assert_eq!(host.stack.connection_count(), 0);
            assert_eq!(host.stack.subflow_count(), 0);
            assert_eq!(host.stack.flow_counts(), (0, 0));
            assert_eq!(host.counter("EnginePayloadMissing"), 0);
        }
    }
}

/// Changes some bytes, with a liking for the headers.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let span = if random.below(4) == 0 {
            bytes.len()
        } else {
            bytes.len().min(110)
        };
        let place = random.below(span as u64) as usize;
        match random.below(4) {
            0 => bytes.truncate(place.max(15)),
            1 => bytes[place] ^= 1 << random.below(8),
            _ => bytes[place] = random.next_u32() as u8,
        }
    }
}

#[test]
fn mutated_frames_neither_panic_nor_pass_the_bounds() {
    for seed in 0..60 {
        eprintln!("seed {seed}");
        let mut random = Random::from_u64(1_000 + seed);
        let case = Case::draw(&mut random);
        let mut network = case.network(&mut random);
        let taken = Rc::new(RefCell::new(Vec::new()));
        let tap = Rc::clone(&taken);
        network.filter = Box::new(move |side, sent| {
            tap.borrow_mut().push((side, sent.clone()));
            true
        });
        let (client, server) = network.establish(case.remote());
        let bytes = pattern(30_000, 1);
        for turn in 0..200 {
            let now = network.now;
            // Whatever the calls say: a mutated frame may have ended the connection.
            let _ = network
                .client
                .stack
                .send(now, client, &bytes[..random.below(3_000) as usize]);
            let _ = network
                .server
                .stack
                .send(now, server, &bytes[..random.below(3_000) as usize]);
            let _ = network.client.stack.recv(now, client, &mut [0; 4_000]);
            let _ = network.server.stack.recv(now, server, &mut [0; 4_000]);
            if turn == 150 {
                network.client.stack.close(now, client);
            }
            network.run_for(Duration::from_millis(7));
            let frames = core::mem::take(&mut *taken.borrow_mut());
            for (from, sent) in frames {
                let mut bytes = sent.bytes.clone();
                mutate(&mut bytes, &mut random);
                let meta = ReceiveMeta {
                    port: PortId(sent.port.0),
                    checksum: ReceivedChecksum::Verified,
                    segment_size: None,
                };
                let to = match from {
                    Side::Client => &mut network.server,
                    Side::Server => &mut network.client,
                };
                to.stack.receive(network.now, Frame::from(&bytes[..]), meta);
            }
        }
        for host in [&network.client, &network.server] {
            assert!(host.stack.connection_count() <= 50);
            assert!(host.stack.neighbor_count() <= 1_024);
        }
    }
}
