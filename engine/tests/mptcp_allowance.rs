//! How much memory a peer can make a connection hold by data that has to wait: it knows the keys, has
//! all the subflows it may have, and sends what cannot be passed on (RFC 8684 section 3.3.1).

mod stack_support;

use braid_engine::mptcp::crypto::{KeyDigest, SenderKeys};
use braid_engine::mptcp::path_manager::{Limits, MAX_SUBFLOWS};
use braid_engine::sequence::SequenceNumber;
use braid_engine::socket::{ListenOptions, SocketError};
use braid_engine::stack::{ConnectionId, PortId, ReceiveMeta, StackConfig};
use braid_engine::storage::frame::Frame;
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{
    CapableFlags, DataNumber, Dss, DssMapping, Key, MptcpOption,
};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use stack_support::raw::{Bench, Seen, arp_reply, peer_segment, syn, third_ack};
use stack_support::{Side, mac, pattern, v4};

const PEER_KEY: Key = Key(0x1122_3344_5566_7788);
const PEER_NONCE: u32 = 0x0bad_cafe;

/// The receive buffer, and so the window.
const WINDOW: usize = 256 << 10;

/// The payload of a full segment.
const FULL: usize = 1_400;

/// What one frame of the pool takes while it waits.
const FRAME: usize = 2_048 + 128;

/// What all subflows may hold together, as ARCHITECTURE.md has it.
fn bound(subflows: usize) -> usize {
    4 * WINDOW + subflows * ((WINDOW / MAX_SUBFLOWS).max(8 << 10) + FRAME)
}

/// One subflow as the peer has it.
struct Subflow {
    port: u16,
    /// Sequence number of the first byte of the stream.
    first: SequenceNumber,
    /// What the peer acknowledges.
    next_expected: SequenceNumber,
    /// Bytes of the stream that were acknowledged in order.
    acknowledged: usize,
    /// Bytes that the newest SACK blocks name.
    sacked: usize,
}

struct Peer {
    bench: Bench,
    connection: ConnectionId,
    subflows: Vec<Subflow>,
    checksum: bool,
    /// The most that the stack held at any time.
    most: usize,
}

fn one(seen: &[Seen]) -> TcpHeader {
    let segments: Vec<TcpHeader> = seen.iter().filter_map(Seen::tcp).collect();
    let [header] = &segments[..] else {
        panic!("one segment, not {seen:?}")
    };
    header.clone()
}

/// The data sequence number of the byte at `offset` of the peer's stream.
fn peer_number(offset: usize) -> DataNumber {
    let initial = KeyDigest::from(PEER_KEY).initial_data_sequence_number;
    DataNumber::Long(initial + 1 + offset as u64)
}

fn scaled_syn(port: u16) -> TcpHeader {
    let mut header = syn(port, 100);
    header.options.window_scale = Some(7);
    header.options.sack_permitted = true;
    header
}

impl Subflow {
    fn after(ack: &TcpHeader) -> Self {
        Self {
            port: ack.source_port,
            first: ack.sequence,
            next_expected: ack.acknowledgment,
            acknowledged: 0,
            sacked: 0,
        }
    }
}

impl Peer {
    /// A peer with a connection of so many subflows.
    fn with(subflows: usize, config: StackConfig) -> Self {
        let checksum = config.checksum;
        let mut bench = Bench::new(config);
        let limits = Limits {
            subflows: 31,
            add_addr_accepted: 0,
        };
        bench.stack.set_limits(bench.now, limits);
        bench.introduce();
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
        let listener = bench.stack.listen(any, ListenOptions::default()).unwrap();
        let flags = CapableFlags::HMAC_SHA256;
        let mut first = scaled_syn(5_000);
        let offer = MptcpOption::CapableSyn { version: 1, flags };
        first.options.mptcp.push(offer);
        let syn_ack = one(&bench.give(&peer_segment(&first, b"")));
        let [MptcpOption::CapableSynAck { sender_key, .. }] = syn_ack.options.mptcp[..] else {
            panic!("no MP_CAPABLE in {syn_ack:?}")
        };
        let mut ack = third_ack(&syn_ack);
        ack.options.mptcp.push(MptcpOption::CapableAck {
            version: 1,
            flags,
            sender_key: PEER_KEY,
            receiver_key: sender_key,
            data: None,
        });
        bench.give(&peer_segment(&ack, b""));
        let connection = bench.stack.accept(listener);
        let mut peer = Self {
            bench,
            connection: connection.expect("the handshake is complete"),
            subflows: vec![Subflow::after(&ack)],
            checksum,
            most: 0,
        };
        for number in 1..subflows {
            peer.join(sender_key, 6_000 + number as u16);
        }
        assert_eq!(peer.bench.stack.subflows(peer.connection).len(), subflows);
        peer
    }

    fn join(&mut self, server_key: Key, port: u16) {
        let mut join = scaled_syn(port);
        join.options.mptcp.push(MptcpOption::JoinSyn {
            backup: false,
            address_id: 0,
            token: KeyDigest::from(server_key).token,
            nonce: PEER_NONCE,
        });
        let syn_ack = one(&self.bench.give(&peer_segment(&join, b"")));
        let [MptcpOption::JoinSynAck { nonce, .. }] = syn_ack.options.mptcp[..] else {
            panic!("no MP_JOIN in {syn_ack:?}")
        };
        let keys = SenderKeys {
            sender: PEER_KEY,
            receiver: server_key,
        };
        let hmac = keys.join(PEER_NONCE, nonce).full();
        let mut ack = third_ack(&syn_ack);
        ack.options.mptcp.push(MptcpOption::JoinAck { hmac });
        self.bench.give(&peer_segment(&ack, b""));
        self.subflows.push(Subflow::after(&ack));
    }

    /// Sends `bytes` of the connection's stream, whose first is at `data_offset`, as those at
    /// `offset` of the stream of a subflow, in a frame such as a port would have filled.
    fn send(&mut self, subflow: usize, offset: usize, data_offset: usize, bytes: &[u8]) {
        let mapping = DssMapping {
            data_sequence: peer_number(data_offset),
            subflow_offset: 1 + offset as u32,
            length: bytes.len() as u16,
            checksum: None,
        };
        self.send_mapped(subflow, offset, bytes, mapping);
    }

    /// The same with whatever mapping.
    fn send_mapped(&mut self, subflow: usize, offset: usize, bytes: &[u8], mapping: DssMapping) {
        let to = &self.subflows[subflow];
        let mut header = TcpHeader {
            source_port: to.port,
            destination_port: 80,
            sequence: to.first + offset as u32,
            acknowledgment: to.next_expected,
            flags: TcpFlags::ACK,
            window: u16::MAX,
            ..TcpHeader::default()
        };
        header.options.mptcp.push(MptcpOption::Dss(Dss {
            data_ack: None,
            mapping: Some(DssMapping {
                // Where checksums are in use it is a wrong one.
                checksum: self.checksum.then_some(0x0bad),
                ..mapping
            }),
            data_fin: false,
        }));
        let packet = peer_segment(&header, bytes);
        let mut frame = Frame::with_capacity(2_048);
        frame.buffer_mut()[..packet.len()].copy_from_slice(&packet);
        frame.set_filled(0..packet.len());
        let meta = ReceiveMeta {
            port: PortId(0),
            ..ReceiveMeta::default()
        };
        self.bench.stack.receive(self.bench.now, frame, meta);
        self.most = self.most.max(self.bench.stack.usage().received);
        self.hear();
    }

    /// Waits for an acknowledgment that was delayed.
    fn wait(&mut self) {
        self.bench.now += Duration::from_millis(100);
        self.bench.stack.advance(self.bench.now);
        self.hear();
    }

    /// Takes in what the stack sends.
    fn hear(&mut self) {
        let mut sent = self.bench.sent();
        if sent.iter().any(|seen| seen.arp().is_some()) {
            // It asks whether the peer is still there.
            let answer = arp_reply(mac(Side::Client, 0), v4(Side::Client, 0));
            sent.extend(self.bench.give(&answer));
        }
        for header in sent.iter().filter_map(Seen::tcp) {
            let to = |subflow: &&mut Subflow| subflow.port == header.destination_port;
            let Some(subflow) = self.subflows.iter_mut().find(to) else {
                continue;
            };
            let acknowledged = header.acknowledgment.offset_from(subflow.first);
            subflow.acknowledged = subflow.acknowledged.max(acknowledged as usize);
            let blocks = header.options.sack.iter();
            let sacked = blocks.map(|block| block.end.offset_from(block.start) as usize);
            subflow.sacked = sacked.sum();
        }
    }

    /// Sends again on a subflow whatever of its stream was not acknowledged, in order.
    fn send_rest(&mut self, subflow: usize, data_offset: usize, stream: &[u8]) {
        let mut rounds = 0;
        while self.subflows[subflow].acknowledged < stream.len() {
            let start = self.subflows[subflow].acknowledged;
            let end = (start + FULL).min(stream.len());
            self.send(subflow, start, data_offset + start, &stream[start..end]);
            self.wait();
            rounds += 1;
            assert!(rounds <= stream.len(), "no progress at {start}");
        }
    }

    fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut piece = vec![0; WINDOW];
        loop {
            let now = self.bench.now;
            match self.bench.stack.recv(now, self.connection, &mut piece) {
                Ok(count @ 1..) => all.extend_from_slice(&piece[..count]),
                Ok(0) | Err(SocketError::WouldBlock) => return all,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn config() -> StackConfig {
    StackConfig {
        receive_buffer: WINDOW as u32,
        ..StackConfig::default()
    }
}

/// Every subflow brings the whole stream but its first bytes, in pieces of `size` bytes every `step`.
fn flood(peer: &mut Peer, stream: &[u8], size: usize, step: usize) {
    for start in (FULL..stream.len() - size).step_by(step) {
        for subflow in 0..MAX_SUBFLOWS {
            peer.send(subflow, start, start, &stream[start..start + size]);
        }
    }
}

#[test]
fn all_subflows_together_hold_a_few_windows_and_the_stream_is_whole() {
    let stream = pattern(WINDOW, 3);
    // Full segments; small ones; single bytes with holes; the large with holes.
    for (size, step) in [(FULL, FULL), (100, 100), (1, 61), (900, 1_000)] {
        let mut peer = Peer::with(MAX_SUBFLOWS, config());
        flood(&mut peer, &stream, size, step);
        let most = peer.most;
        assert!(most <= bound(MAX_SUBFLOWS), "{size} every {step}: {most}");
        let sacked: usize = peer.subflows.iter().map(|subflow| subflow.sacked).sum();
        assert!(
            sacked <= most,
            "{size}: {sacked} bytes are promised to be held"
        );
        assert!(most > 3 * WINDOW, "{size} every {step}: only {most}");
        assert!(peer.bench.counter("TcpExtTCPOFODrop") > 0, "{size}");
        assert!(peer.read_all().is_empty());

        peer.send_rest(7, 0, &stream);
        assert!(peer.read_all() == stream, "{size} every {step}");
        for subflow in 0..MAX_SUBFLOWS {
            peer.send_rest(subflow, 0, &stream);
        }
        assert!(peer.most <= bound(MAX_SUBFLOWS), "{size} every {step}");
        assert_eq!(peer.bench.stack.usage().received, 0, "{size} every {step}");
    }
}

#[test]
fn what_one_subflow_gave_back_another_has() {
    let stream = pattern(WINDOW, 4);
    let mut peer = Peer::with(MAX_SUBFLOWS, config());
    for subflow in 0..MAX_SUBFLOWS {
        for start in (FULL..stream.len()).step_by(FULL) {
            let end = (start + FULL).min(stream.len());
            peer.send(subflow, start, start, &stream[start..end]);
        }
        peer.send(subflow, 0, 0, &stream[..FULL]);
        let acknowledged = peer.subflows[subflow].acknowledged;
        assert_eq!(acknowledged, stream.len(), "on subflow {subflow}");
    }
    assert_eq!(peer.bench.counter("TcpExtTCPOFODrop"), 0);
    assert!(peer.read_all() == stream);
}

#[test]
fn a_peer_that_heeds_the_window_is_never_refused() {
    // With one window more, as Linux sends it; on one of many subflows, on some, on all.
    let stream = pattern(2 * WINDOW, 5);
    for carriers in [2, 3, 8, MAX_SUBFLOWS] {
        let mut peer = Peer::with(MAX_SUBFLOWS, config());
        let part = stream.len().div_ceil(carriers);
        let parts: Vec<&[u8]> = stream.chunks(part).collect();
        for start in (FULL..part).step_by(FULL) {
            for (subflow, bytes) in parts.iter().enumerate() {
                let end = (start + FULL).min(bytes.len());
                if let Some(piece) = bytes.get(start..end) {
                    peer.send(subflow, start, subflow * part + start, piece);
                }
            }
        }
        assert_eq!(peer.bench.counter("TcpExtTCPOFODrop"), 0, "{carriers}");
        for (subflow, bytes) in parts.iter().enumerate() {
            peer.send(subflow, 0, subflow * part, &bytes[..FULL]);
            let acknowledged = peer.subflows[subflow].acknowledged;
            assert_eq!(acknowledged, bytes.len(), "{carriers}");
        }
        assert!(peer.read_all() == stream, "{carriers}");
        assert_eq!(peer.bench.stack.usage().received, 0, "{carriers}");
    }
}

#[test]
fn what_one_subflow_holds_ahead_of_need_is_not_missed_on_another() {
    // The same, but all of one subflow comes before anything of the next. In tenths of a window, of
    // which each subflow may have one under way.
    let stream = pattern(2 * WINDOW, 8);
    for tenths in [&[10, 10][..], &[10, 5, 5], &[8, 6, 6], &[2, 2, 6, 10]] {
        let mut peer = Peer::with(tenths.len(), config());
        let mut parts = Vec::new();
        let mut data_offset = 0;
        for part in tenths {
            let end = stream.len().min(data_offset + (part * WINDOW).div_ceil(10));
            parts.push((data_offset, &stream[data_offset..end]));
            data_offset = end;
        }
        for (subflow, (data_offset, bytes)) in parts.iter().enumerate() {
            for start in (FULL..bytes.len()).step_by(FULL) {
                let end = (start + FULL).min(bytes.len());
                peer.send(subflow, start, data_offset + start, &bytes[start..end]);
            }
        }
        let dropped = peer.bench.counter("TcpExtTCPOFODrop");
        assert_eq!(dropped, 0, "{tenths:?}");
        for (subflow, (data_offset, bytes)) in parts.iter().enumerate() {
            peer.send(subflow, 0, *data_offset, &bytes[..FULL]);
        }
        assert!(peer.read_all() == stream, "{tenths:?}");
    }
}

#[test]
fn what_waits_behind_a_failed_checksum_is_bounded_too() {
    let checksum = true;
    let mut peer = Peer::with(
        1,
        StackConfig {
            checksum,
            ..config()
        },
    );
    let stream = pattern(FULL, 6);
    for number in 0..4_000 {
        // The first fails; all wait for the peer's answer to MP_FAIL, which never comes.
        let start = number * FULL;
        peer.send(0, start, start, &stream);
    }
    assert_eq!(peer.bench.counter("MPTcpExtDataCsumErr"), 1);
    let mapping = 2 * usize::from(u16::MAX) + 3 * FRAME;
    assert!(peer.most <= bound(1) + mapping, "{} held", peer.most);
    assert!(peer.bench.counter("TcpExtTCPOFODrop") > 0);
    assert!(peer.subflows[0].acknowledged <= peer.most);
}

#[test]
fn a_mapping_that_comes_byte_by_byte_takes_its_length_and_no_frame_a_byte() {
    let checksum = true;
    let mut peer = Peer::with(
        1,
        StackConfig {
            checksum,
            ..config()
        },
    );
    let mapping = DssMapping {
        data_sequence: peer_number(0),
        subflow_offset: 1,
        length: 60_000,
        checksum: None,
    };
    for start in 0..20_000 {
        peer.send_mapped(0, start, b"x", mapping);
    }
    peer.wait();
    assert_eq!(peer.subflows[0].acknowledged, 20_000);
    assert!(peer.most >= 20_000, "all of it waits for the rest");
    assert!(peer.most <= 2 * 20_000 + 3 * FRAME, "{} held", peer.most);
}

#[test]
fn a_mapping_that_comes_byte_by_byte_out_of_order_takes_no_frame_a_byte_either() {
    const ROUND: usize = 500;
    let checksum = true;
    let mut peer = Peer::with(
        1,
        StackConfig {
            checksum,
            ..config()
        },
    );
    let mapping = DssMapping {
        data_sequence: peer_number(0),
        subflow_offset: 1,
        length: 60_000,
        checksum: None,
    };
    for round in (0..20_000).step_by(ROUND) {
        for start in (round + 1..round + ROUND).chain([round]) {
            peer.send_mapped(0, start, b"x", mapping);
        }
    }
    peer.wait();
    assert_eq!(peer.subflows[0].acknowledged, 20_000);
    let held_by_tcp = ROUND * Frame::memory_for(1);
    let most = peer.most;
    assert!(most <= 2 * 20_000 + held_by_tcp + 3 * FRAME, "{most} held");
}

#[test]
fn a_full_table_of_mappings_stops_nobody() {
    // More runs than a subflow keeps mappings of, each a byte long, then the stream in order.
    let stream = pattern(WINDOW, 7);
    let mut peer = Peer::with(1, config());
    for start in (FULL..stream.len()).step_by(50) {
        peer.send(0, start, start, &stream[start..=start]);
    }
    peer.send_rest(0, 0, &stream);
    assert!(peer.read_all() == stream);
}
