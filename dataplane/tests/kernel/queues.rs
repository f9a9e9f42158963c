//! TAP and AF_PACKET with several queues: which of them a frame comes in at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU8;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::ports::{pattern, serve};
use crate::support::namespace::{self, ip};
use crate::support::peer::{OWN_TCP_PORT, PATIENCE, Peer};
use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::interface;
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{Burst, POOL_FRAME_CAPACITY, Port, PortCounters, PortError, Received};
use braid_engine::stack::{Capabilities, FlowHash, PortId, Steering, TransmitMeta};
use braid_engine::storage::flow_table::FourTuple;
use braid_engine::storage::frame::FramePool;
use braid_engine::wire::ethernet::MacAddress;

/// The Ethernet address of frames that the tests make, which no interface has.
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 9];

const LOCAL_PORT: u16 = 443;

fn count(queues: u8) -> NonZeroU8 {
    NonZeroU8::new(queues).unwrap()
}

fn steering(queues: u8) -> Steering {
    Steering::new(queues, FlowHash::Ports).unwrap()
}

/// A veth pair with so many queues on the one end, and the other end's name.
fn veth_queues(queues: u8) -> Vec<AfPacketPort> {
    ip("link add veth0 type veth peer name veth1");
    ip("link set veth1 up");
    ip("link set veth0 up");
    open_veth_queues(queues)
}

fn open_veth_queues(queues: u8) -> Vec<AfPacketPort> {
    let options = AfPacketOptions {
        receive_frames: 240,
        transmit_frames: 60,
        ..AfPacketOptions::default()
    };
    AfPacketPort::open_queues("veth0", options, count(queues), FlowHash::Ports).unwrap()
}

/// A frame of which only its queue matters, and where it belongs.
struct Probe {
    what: String,
    frame: Vec<u8>,
    queue: usize,
}

/// Headers of a TCP segment or of something else, each numbered by its last four bytes.
fn probes(queues: u8) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut add = |what: String, kind: u16, packet: Vec<u8>, queue: usize| {
        let mut frame = [&[0xff; 6][..], &STRANGER, &kind.to_be_bytes(), &packet].concat();
        frame.extend((probes.len() as u32).to_be_bytes());
        probes.push(Probe { what, frame, queue });
    };
    for number in 0..48_u16 {
        let remote_port = 40_000 + number * 2;
        let ports = [remote_port.to_be_bytes(), LOCAL_PORT.to_be_bytes()].concat();
        let queue = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            let flow = FourTuple {
                local: SocketAddr::new(address, LOCAL_PORT),
                remote: SocketAddr::new(address, remote_port),
            };
            steering(queues).worker_of(&flow).index()
        };
        let ipv4 = |protocol, fragment: u16, options: &[u8]| {
            let mut packet = vec![0x45 + (options.len() / 4) as u8, 0, 0, 60, 0, 0];
            packet.extend(fragment.to_be_bytes());
            packet.extend([64, protocol, 0, 0, 10, 8, 0, 2, 10, 8, 0, 1]);
            [&packet[..], options, &ports, &[0; 16]].concat()
        };
        let ipv6 = |next_header| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 24, next_header, 64];
            packet.extend([0xfd; 32]);
            [&packet[..], &ports, &[0; 16]].concat()
        };
        let wanted = [queue("10.8.0.1"), queue("fd00::1")];
        let name = |what: &str| format!("{what} {number}");
        add(name("TCP/IPv4"), 0x0800, ipv4(6, 0x4000, &[]), wanted[0]);
        add(
            name("with options"),
            0x0800,
            ipv4(6, 0, &[1; 12]),
            wanted[0],
        );
        add(name("TCP/IPv6"), 0x86dd, ipv6(6), wanted[1]);
        add(name("UDP/IPv4"), 0x0800, ipv4(17, 0, &[]), 0);
        add(name("UDP/IPv6"), 0x86dd, ipv6(17), 0);
        add(name("first fragment"), 0x0800, ipv4(6, 0x2000, &[]), 0);
        add(name("later fragment"), 0x0800, ipv4(6, 7, &[]), 0);
        add(name("fragment of IPv6"), 0x86dd, ipv6(44), 0);
        add(name("ARP"), 0x0806, ports.repeat(8), 0);
        add(name("too short"), 0x0800, vec![0x45; 9], 0);
    }
    probes
}

/// Sends every probe and compares where it comes in.
fn probe(queues: &mut [AfPacketPort], far: &mut Peer<AfPacketPort>) {
    let probes = probes(queues.len() as u8);
    let mut spread = BTreeSet::new();
    // No more at a time than the smallest ring holds.
    for (batch, group) in probes.chunks(60).enumerate() {
        for probe in group {
            far.send(&probe.frame, TransmitMeta::default());
        }
        let mut found: Vec<Vec<usize>> = vec![Vec::new(); group.len()];
        let deadline = Instant::now() + PATIENCE;
        while found.iter().any(Vec::is_empty) && Instant::now() < deadline {
            for (queue, port) in queues.iter_mut().enumerate() {
                for frame in received(port) {
                    let number = frame.last_chunk().map(|last| u32::from_be_bytes(*last));
                    if frame.get(6..12) == Some(&STRANGER) {
                        found[number.unwrap() as usize - batch * 60].push(queue);
                    }
                }
            }
        }
        for (probe, found) in group.iter().zip(found) {
            assert_eq!(found, [probe.queue], "{}: {:02x?}", probe.what, probe.frame);
            spread.insert(probe.queue);
        }
    }
    assert_eq!(spread.len(), queues.len(), "not every queue was probed");
}

fn received(port: &mut impl Port) -> Vec<Vec<u8>> {
    let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 64);
    let mut burst = Burst::new();
    port.receive(PortId(0), &mut pool, &mut burst).unwrap();
    let bytes = |received: &Received| received.frame.bytes().to_vec();
    burst.iter().map(bytes).collect()
}

fn far() -> Peer<AfPacketPort> {
    Peer::new(AfPacketPort::open("veth1", AfPacketOptions::default()).unwrap())
}

#[test]
fn af_packet_spreads_segments_by_their_ports() {
    namespace::run("queues::af_packet_spreads_segments_by_their_ports", || {
        let mut queues = veth_queues(2);
        let mut far = far();
        probe(&mut queues, &mut far);
        // The kernel numbers the queues anew when the interface has been down.
        ip("link set veth0 down");
        ip("link set veth0 up");
        probe(&mut queues, &mut far);
        drop(queues);
        for many in [3, 5] {
            probe(&mut open_veth_queues(many), &mut far);
        }
    });
}

#[test]
fn af_packet_groups_do_not_mix() {
    namespace::run("queues::af_packet_groups_do_not_mix", || {
        let mut queues = veth_queues(2);
        // Each has a group of its own, and so all frames.
        let mut others = open_veth_queues(3);
        let mut far = far();
        probe(&mut others, &mut far);
        for port in &mut queues {
            while !received(port).is_empty() {}
        }
        probe(&mut queues, &mut far);
    });
}

#[test]
fn af_packet_queues_go_on_when_one_is_closed() {
    namespace::run("queues::af_packet_queues_go_on_when_one_is_closed", || {
        let mut queues = veth_queues(3);
        let mut far = far();
        drop(queues.remove(1));
        for probe in &probes(3)[..60] {
            far.send(&probe.frame, TransmitMeta::default());
        }
        let mut found = 0;
        let deadline = Instant::now() + PATIENCE;
        while found < 60 && Instant::now() < deadline {
            let frames = queues.iter_mut().flat_map(received);
            let ours = frames.filter(|frame| frame.get(6..12) == Some(&STRANGER));
            found += ours.count();
        }
        assert_eq!(found, 60, "frames went to the queue that is closed");
    });
}

#[test]
fn af_packet_queues_do_not_hear_what_the_host_sends() {
    namespace::run(
        "queues::af_packet_queues_do_not_hear_what_the_host_sends",
        || {
            let mut queues = veth_queues(2);
            let mut far = far();
            ip("addr add 10.8.0.1/24 dev veth0");
            let MacAddress(own) = interface::ethernet_address("veth0").unwrap();
            let socket = UdpSocket::bind("10.8.0.1:0").unwrap();
            socket.send_to(b"who are you", "10.8.0.9:9").unwrap();
            let asked = far.receive(|received| {
                let bytes = received.frame.bytes();
                (bytes.get(6..14) == Some(&[&own[..], &[8, 6]].concat()[..])).then_some(())
            });
            assert!(asked.is_some(), "the host asked for no address");
            // Nor does one queue hear another.
            let mut frame = vec![0xff; 60];
            frame[6..12].copy_from_slice(&STRANGER);
            let room = queues[1].reserve(60).unwrap();
            room.copy_from_slice(&frame);
            queues[1].commit(60, TransmitMeta::default());
            queues[1].flush().unwrap();
            let crossed = far.receive(|received| {
                (received.frame.bytes().get(6..12) == Some(&STRANGER)).then_some(())
            });
            assert!(crossed.is_some(), "the frame of a queue did not leave");
            for port in &mut queues {
                for frame in received(port) {
                    let source = frame.get(6..12);
                    let outgoing = source == Some(&own) || source == Some(&STRANGER);
                    assert!(!outgoing, "heard {frame:02x?}");
                }
            }
        },
    );
}

/// All queues of a port as one: what is sent goes by the queue of the worker that its flow belongs to, and
/// what is received is noted.
struct Together<P> {
    queues: Vec<P>,
    reserved: Vec<u8>,
    /// The queues at which the segments for a local port came in, in order, and how many by each.
    arrivals: BTreeMap<u16, Vec<(usize, u64)>>,
}

impl<P: Port> Together<P> {
    fn of(queues: Vec<P>) -> Self {
        Self {
            queues,
            reserved: Vec::new(),
            arrivals: BTreeMap::new(),
        }
    }

    fn note(&mut self, queue: usize, frame: &[u8]) {
        if frame.get(12..14) != Some(&[8, 0]) || frame.get(23) != Some(&6) {
            return;
        }
        let remote_port = u16::from_be_bytes([frame[34], frame[35]]);
        let arrivals = self.arrivals.entry(remote_port).or_default();
        match arrivals.last_mut() {
            Some((last, count)) if *last == queue => *count += 1,
            _ => arrivals.push((queue, 1)),
        }
    }

    /// The queue for a segment that is sent; the first for all else.
    fn queue_of(&self, frame: &[u8]) -> usize {
        if frame.get(12..14) != Some(&[8, 0]) || frame.get(23) != Some(&6) {
            return 0;
        }
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        self.queue_of_ports(word(34), word(36))
    }

    fn queue_of_ports(&self, local: u16, remote: u16) -> usize {
        let flow = FourTuple {
            local: ([10, 9, 0, 2], local).into(),
            remote: ([10, 9, 0, 1], remote).into(),
        };
        steering(self.queues.len() as u8).worker_of(&flow).index()
    }
}

impl<P: Port> Port for Together<P> {
    fn capabilities(&self) -> Capabilities {
        self.queues[0].capabilities()
    }

    fn receive(
        &mut self,
        port: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        let start = burst.len();
        for queue in 0..self.queues.len() {
            let before = burst.len();
            self.queues[queue].receive(port, pool, burst)?;
            for at in before..burst.len() {
                let frame = burst[at].frame.bytes().to_vec();
                self.note(queue, &frame);
            }
        }
        Ok(burst.len() - start)
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        self.reserved = vec![0; length];
        Some(&mut self.reserved)
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        let queue = self.queue_of(&self.reserved);
        let room = self.queues[queue].reserve(length).expect("room");
        room.copy_from_slice(&self.reserved);
        self.queues[queue].commit(length, meta);
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.queues.iter_mut().try_for_each(Port::flush)
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.queues[0].poll_fd()
    }

    fn counters(&self) -> PortCounters {
        self.queues.iter().map(Port::counters).sum()
    }
}

/// Carries a transfer each of many flows, and sees on which queue each of them is. Of the first segments
/// of a flow, so many at most may come in elsewhere.
fn carry_flows(queues: Vec<impl Port>, strayed: u64) {
    let mut peer = Peer::new(Together::of(queues));
    peer.resolve();
    let request = pattern(60_000);
    let response = pattern(3_000_000);
    let mut used = BTreeSet::new();
    let mut largest = 0;
    for _ in 0..12 {
        let (tcp_port, server) = serve(request.clone(), response.clone());
        let (answered, segments) = peer.exchange(tcp_port, &request);
        server.join().unwrap();
        assert!(answered == response, "read something else than was sent");
        let queue = peer.port.queue_of_ports(OWN_TCP_PORT, tcp_port);
        let arrivals = &peer.port.arrivals[&tcp_port];
        let (found, first) = arrivals.split_last().unwrap();
        let elsewhere: u64 = first.iter().map(|(_, count)| count).sum();
        assert!(
            found.0 == queue && found.1 > 50 && elsewhere <= strayed,
            "{tcp_port} belongs to queue {queue}: {arrivals:?}"
        );
        used.insert(queue);
        let longest = segments.iter().map(|segment| segment.payload.len()).max();
        largest = largest.max(longest.unwrap());
    }
    assert_eq!(used.len(), peer.port.queues.len(), "a queue had no flow");
    assert!(largest > 4_000, "{largest} bytes at most");
    let counters = peer.port.counters();
    assert_eq!(counters.receive_dropped + counters.receive_malformed, 0);
}

#[test]
fn af_packet_queues_carry_flows_each_on_its_own() {
    namespace::run(
        "queues::af_packet_queues_carry_flows_each_on_its_own",
        || {
            let queues = veth_queues(2);
            ip("addr add 10.9.0.1/24 dev veth1");
            carry_flows(queues, 0);
        },
    );
}

#[test]
fn tap_queues_carry_flows_each_on_its_own() {
    namespace::run_with_tap("queues::tap_queues_carry_flows_each_on_its_own", || {
        let queues = TapPort::open_queues("tap0", true, count(2)).unwrap();
        ip("addr add 10.9.0.1/24 dev tap0");
        ip("link set tap0 up");
        // The kernel learns a flow's queue by what it is sent, and it has answered the SYN by then.
        carry_flows(queues, 10);
    });
}

#[test]
fn tap_takes_no_further_queue_than_it_was_made_for() {
    namespace::run_with_tap(
        "queues::tap_takes_no_further_queue_than_it_was_made_for",
        || {
            let _single = TapPort::open("tap0", true).unwrap();
            let error = TapPort::open_queues("tap0", true, count(2)).unwrap_err();
            assert!(
                matches!(&error, PortError::TapQueues { name } if name == "tap0"),
                "{error}"
            );
            let _queues = TapPort::open_queues("tap1", true, count(2)).unwrap();
            let error = TapPort::open("tap1", true).unwrap_err();
            assert!(
                matches!(&error, PortError::TapBusy { name } if name == "tap1"),
                "{error}"
            );
        },
    );
}

#[test]
fn queues_of_an_interface_that_is_deleted_all_say_so() {
    namespace::run_with_tap(
        "queues::queues_of_an_interface_that_is_deleted_all_say_so",
        || {
            let mut taps = TapPort::open_queues("tap0", true, count(2)).unwrap();
            let mut sockets = veth_queues(2);
            ip("link delete tap0");
            ip("link delete veth0");
            taps.iter_mut().for_each(expect_gone);
            sockets.iter_mut().for_each(expect_gone);
        },
    );
}

fn expect_gone(port: &mut impl Port) {
    let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 64);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        port.prepare_to_sleep();
        match port.receive(PortId(0), &mut pool, &mut Burst::new()) {
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => {
                assert!(matches!(error, PortError::Gone { .. }), "{error}");
                return;
            }
        }
    }
    panic!("the port still works");
}
