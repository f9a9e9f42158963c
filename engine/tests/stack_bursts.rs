//! Frames that come in together, and segments that leave as several frames: what follows one another
//! goes through TCP as one, and nobody sees a difference but in the counters.

mod stack_support;

use braid_engine::stack::{PortId, ReceiveMeta, StackConfig, TransmitBatch, TransmitMeta};
use braid_engine::storage::frame::Frame;
use braid_engine::time::Duration;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use stack_support::raw::{Seen, arp_reply, peer_segment};
use stack_support::raw_peer::Peer;
use stack_support::{Batch, Side, mac, pattern, v4};

const SEGMENT: usize = 1_000;

/// Frames with room for many segments.
fn config() -> StackConfig {
    StackConfig {
        frame_capacity: 65_664,
        ..StackConfig::default()
    }
}

/// A segment of the peer's stream that begins `offset` bytes from here.
fn segment(
    peer: &Peer,
    offset: usize,
    data: &[u8],
    change: impl FnOnce(&mut TcpHeader),
) -> Vec<u8> {
    let mut header = peer.header(TcpFlags::ACK);
    header.sequence += offset as u32;
    change(&mut header);
    peer_segment(&header, data)
}

fn burst(peer: &mut Peer, frames: &[Vec<u8>]) {
    let meta = ReceiveMeta {
        port: PortId(0),
        ..ReceiveMeta::default()
    };
    let frames = frames.iter().map(|bytes| (Frame::from(&bytes[..]), meta));
    peer.bench.stack.receive_burst(peer.bench.now, frames);
}

fn read(peer: &mut Peer) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    let stack = &mut peer.bench.stack;
    let count = stack.recv(peer.bench.now, peer.connection, &mut bytes);
    bytes.truncate(count.unwrap_or(0));
    bytes
}

/// Ten segments in a row; each has been changed by `change`.
fn ten(peer: &Peer, bytes: &[u8], change: impl Fn(usize, &mut TcpHeader)) -> Vec<Vec<u8>> {
    let pieces = bytes.chunks(SEGMENT).enumerate();
    pieces
        .map(|(n, data)| segment(peer, n * SEGMENT, data, |header| change(n, header)))
        .collect()
}

#[test]
fn segments_that_follow_one_another_are_taken_as_one() {
    for capacity in [2_048, 4_096, 65_664] {
        let mut peer = Peer::connected(StackConfig {
            frame_capacity: capacity,
            ..StackConfig::default()
        });
        let bytes = pattern(10 * SEGMENT - 300, 1);
        let frames = ten(&peer, &bytes, |_, _| {});
        burst(&mut peer, &frames);
        assert!(read(&mut peer) == bytes);
        assert_eq!(
            peer.bench.counter("TcpInSegs"),
            12,
            "with those of the handshake"
        );
        let coalesced = peer.bench.counter("EngineSegmentsCoalesced");
        let expected = match capacity {
            65_664 => 9,
            // What does not fit begins anew.
            4_096 => 7,
            _ => 1,
        };
        assert_eq!(coalesced, expected, "frames of {capacity} bytes");
        let answer = peer.one_sent();
        assert_eq!(answer.acknowledgment, peer.next + bytes.len() as u32);
    }
}

#[test]
fn what_differs_from_the_one_before_begins_anew() {
    type Change = fn(&mut TcpHeader);
    let changes: [(&str, Change, u64); 4] = [
        ("window", |header| header.window -= 1, 8),
        ("options", |header| header.options.window_scale = Some(3), 7),
        ("push", |header| header.flags |= TcpFlags::PSH, 8),
        (
            "urgent pointer's flag",
            |header| header.flags |= TcpFlags::URG,
            7,
        ),
    ];
    for (what, change, expected) in changes {
        let mut peer = Peer::connected(config());
        let bytes = pattern(10 * SEGMENT, 2);
        let frames = ten(&peer, &bytes, |n, header| match (n, what) {
            // A window holds from there on.
            (5.., "window") | (5, _) => change(header),
            _ => {}
        });
        burst(&mut peer, &frames);
        assert!(read(&mut peer) == bytes, "{what}");
        assert_eq!(
            peer.bench.counter("EngineSegmentsCoalesced"),
            expected,
            "{what}"
        );
    }
}

#[test]
fn a_corrupt_segment_among_them_is_dropped_and_asked_for_again() {
    for corrupt in [0, 4, 9] {
        let mut peer = Peer::connected(config());
        let bytes = pattern(10 * SEGMENT, 3);
        let mut frames = ten(&peer, &bytes, |_, _| {});
        let whole = frames[corrupt].clone();
        *frames[corrupt].last_mut().unwrap() ^= 0x10;
        burst(&mut peer, &frames);
        assert_eq!(
            peer.bench.counter("TcpInCsumErrors"),
            1,
            "segment {corrupt}"
        );
        let in_order = corrupt * SEGMENT;
        assert!(read(&mut peer) == bytes[..in_order]);
        let answers = peer.sent();
        assert_eq!(
            answers.last().unwrap().acknowledgment,
            peer.next + in_order as u32
        );
        burst(&mut peer, &[whole]);
        assert!(read(&mut peer) == bytes[in_order..], "segment {corrupt}");
    }
}

/// Where fields lie in a frame with Ethernet's header and IPv4's.
const IP_CLASS: usize = 15;
const IP_TOTAL_LENGTH: usize = 16;
const IP_IDENTIFICATION: usize = 18;
const IP_TTL: usize = 22;
const IP_CHECKSUM: usize = 24;

/// Changes a byte of the IPv4 header and what its checksum must be then (RFC 1624).
fn set(frame: &mut [u8], at: usize, value: u8) {
    frame[at] = value;
    frame[IP_CHECKSUM..IP_CHECKSUM + 2].fill(0);
    let sum = braid_engine::wire::checksum::Sum::of(&frame[14..34]).finish();
    frame[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn of_the_ip_header_only_length_and_identification_may_differ() {
    type Change = fn(&mut Vec<u8>);
    // How many join, what comes out, and what is counted.
    let changes: [(&str, Change, u64, usize, &str); 7] = [
        (
            "identification",
            |f| set(f, IP_IDENTIFICATION, 7),
            9,
            10,
            "",
        ),
        ("padding", |f| f.extend([0xee; 9]), 9, 10, ""),
        ("hop limit", |f| set(f, IP_TTL, 9), 7, 10, ""),
        ("congestion", |f| set(f, IP_CLASS, 3), 7, 10, ""),
        ("checksum", |f| f[IP_CHECKSUM] ^= 1, 4, 5, "IpInHdrErrors"),
        (
            "length beyond the frame",
            |f| set(f, IP_TOTAL_LENGTH, 0x20),
            4,
            5,
            "IpInHdrErrors",
        ),
        ("other address", |f| set(f, 29, 99), 4, 5, "TcpInCsumErrors"),
    ];
    for (what, change, joined, whole, counted) in changes {
        let mut peer = Peer::connected(config());
        let bytes = pattern(10 * SEGMENT, 6);
        let mut frames = ten(&peer, &bytes, |_, _| {});
        change(&mut frames[5]);
        burst(&mut peer, &frames);
        assert!(read(&mut peer) == bytes[..whole * SEGMENT], "{what}");
        let coalesced = peer.bench.counter("EngineSegmentsCoalesced");
        assert!(coalesced >= joined, "{what}: {coalesced} joined");
        if whole == 10 {
            assert_eq!(coalesced, joined, "{what}");
        } else {
            assert!(peer.bench.counter(counted) > 0, "{what}");
        }
    }
}

#[test]
fn segments_out_of_order_or_twice_do_no_harm() {
    let mut peer = Peer::connected(config());
    let bytes = pattern(10 * SEGMENT, 4);
    let frames = ten(&peer, &bytes, |_, _| {});
    let order = [0, 1, 1, 4, 5, 2, 3, 9, 6, 7, 8, 0];
    let shuffled: Vec<_> = order.iter().map(|&n| frames[n].clone()).collect();
    burst(&mut peer, &shuffled);
    assert!(read(&mut peer) == bytes);
}

#[test]
fn two_flows_in_one_burst_stay_apart() {
    let mut peer = Peer::connected(config());
    let bytes = pattern(10 * SEGMENT, 5);
    let frames = ten(&peer, &bytes, |n, header| {
        // Of a flow that nobody knows: answered with a reset, and not taken for the other's.
        if n % 2 == 1 {
            header.source_port += 1;
        }
    });
    burst(&mut peer, &frames);
    assert!(read(&mut peer) == bytes[..SEGMENT]);
    assert_eq!(peer.bench.counter("EngineSegmentsCoalesced"), 0);
    assert!(peer.bench.counter("TcpOutRsts") > 0);
}

/// A batch that says how many frames it takes, and does not always keep its word.
struct Wire {
    batch: Batch,
    promised: usize,
}

impl TransmitBatch for Wire {
    fn room(&self, _: PortId) -> usize {
        self.promised
    }

    fn reserve(&mut self, port: PortId, length: usize) -> Option<&mut [u8]> {
        self.batch.reserve(port, length)
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        self.batch.commit(port, length, meta);
    }
}

/// Sends `bytes` in a batch of `room` frames that promised `promised`; the segments, in order.
fn send(peer: &mut Peer, bytes: &[u8], room: usize, promised: usize) -> Vec<(TcpHeader, Vec<u8>)> {
    peer.application_sends(bytes);
    let mut wire = Wire {
        batch: Batch::new(room),
        promised,
    };
    peer.bench.stack.transmit(peer.bench.now, &mut wire);
    let frames = wire.batch.frames.iter();
    frames
        .filter_map(|sent| {
            assert!(
                sent.bytes.len() <= 1_514,
                "no frame is longer than the link takes"
            );
            let seen = Seen::of(sent);
            let header = seen.tcp()?;
            let data = seen.payload[header.header_len()..].to_vec();
            Some((header, data))
        })
        .collect()
}

#[test]
fn a_large_segment_leaves_in_as_many_frames_as_there_is_room_for() {
    for promised in [1, 2, 5, 64] {
        let mut peer = Peer::connected(config());
        let bytes = pattern(12_345, 6);
        let segments = send(&mut peer, &bytes, usize::MAX, promised);
        let first = segments[0].0.sequence;
        let mut sent = Vec::new();
        for (header, data) in &segments {
            assert_eq!(header.sequence, first + sent.len() as u32);
            let last = sent.len() + data.len() == bytes.len();
            assert_eq!(
                header.flags.contains(TcpFlags::PSH),
                last,
                "{promised} promised"
            );
            sent.extend_from_slice(data);
        }
        assert!(sent == bytes, "{promised} promised");
        assert_eq!(peer.bench.counter("EngineSegmentsRefused"), 0);
    }
}

#[test]
fn frames_that_were_promised_and_then_refused_are_sent_again() {
    let mut peer = Peer::connected(config());
    let bytes = pattern(8_000, 7);
    let mut segments = send(&mut peer, &bytes, 2, 64);
    assert_eq!(segments.len(), 2);
    assert!(peer.bench.counter("EngineSegmentsRefused") > 0);
    let mut sent = Vec::new();
    for _ in 0..40 {
        for (header, data) in segments {
            if header.sequence == peer.next_expected {
                peer.next_expected += data.len() as u32;
                sent.extend_from_slice(&data);
            }
        }
        // The stack also asks whether its neighbour is still there.
        let present = arp_reply(mac(Side::Client, 0), v4(Side::Client, 0));
        let acknowledgment = peer_segment(&peer.header(TcpFlags::ACK), b"");
        burst(&mut peer, &[present, acknowledgment]);
        peer.pass(Duration::from_secs(1));
        segments = send(&mut peer, b"", usize::MAX, 64);
    }
    assert!(sent == bytes, "{} of {} bytes", sent.len(), bytes.len());
}
