//! What an attacker on the link or off the path can do to a stack with well-formed frames: to
//! flows in TIME-WAIT, to the neighbour cache, to half-open and established connections.

mod stack_support;

use braid_engine::sequence::SequenceNumber;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::StackConfig;
use braid_engine::time::Duration;
use braid_engine::wire::ethernet::MacAddress;
use braid_engine::wire::icmp::{Echo, EchoDirection, IcmpErrorKind, UnreachableReason};
use braid_engine::wire::icmpv4;
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use core::net::{IpAddr, SocketAddr};
use stack_support::raw::{Bench, arp_reply, arp_request, ip_frame, peer_segment, stranger, syn};
use stack_support::raw_peer::{Peer, segments};
use stack_support::{Side, mac, v4};

/// A flow that the stack closed first and that is in TIME-WAIT.
fn in_time_wait() -> Peer {
    let mut peer = Peer::connected(StackConfig::default());
    let now = peer.bench.now;
    peer.bench.stack.close(now, peer.connection);
    let fin = peer.one_sent();
    assert!(fin.flags.contains(TcpFlags::FIN));
    peer.next_expected = fin.sequence + 1;
    assert!(peer.give(TcpFlags::ACK | TcpFlags::FIN, b"").len() == 1);
    peer.next += 1;
    assert_eq!(peer.bench.stack.flow_counts(), (0, 1));
    peer
}

#[test]
fn repeated_fins_take_one_record_of_time_wait_and_no_more() {
    let mut peer = in_time_wait();
    peer.next = peer.next - 1;
    for _ in 0..100 {
        let answers = peer.give(TcpFlags::ACK | TcpFlags::FIN, b"");
        assert_eq!(answers.len(), 1, "a lost acknowledgment is repeated");
    }
    assert_eq!(peer.bench.stack.flow_counts(), (0, 1));
    peer.pass(Duration::from_secs(59));
    peer.give(TcpFlags::ACK | TcpFlags::FIN, b"");
    peer.pass(Duration::from_secs(59));
    assert_eq!(
        peer.bench.stack.flow_counts(),
        (0, 1),
        "the FIN of a peer that missed the acknowledgment begins TIME-WAIT again"
    );
    peer.pass(Duration::from_secs(61));
    assert_eq!(peer.bench.stack.flow_counts(), (0, 0));
}

#[test]
fn a_fin_from_outside_the_window_does_not_prolong_time_wait() {
    let mut peer = in_time_wait();
    peer.pass(Duration::from_secs(59));
    peer.next += 0x4000_0000;
    peer.give(TcpFlags::ACK | TcpFlags::FIN, b"");
    peer.pass(Duration::from_secs(2));
    assert_eq!(peer.bench.stack.flow_counts(), (0, 0));
}

#[test]
fn time_wait_answers_what_is_out_of_the_window_within_a_limit() {
    let mut peer = in_time_wait();
    peer.next += 5_000;
    let answers: usize = (0..1_000)
        .map(|_| peer.give(TcpFlags::ACK, b"").len())
        .sum();
    assert!((1..=8).contains(&answers), "{answers} answers");
    peer.pass(Duration::from_secs(2));
    assert_eq!(peer.give(TcpFlags::ACK, b"").len(), 1, "and later again");
}

#[test]
fn a_syn_that_nobody_takes_does_not_end_time_wait() {
    let mut peer = in_time_wait();
    let listener = peer.listener;
    peer.bench.stack.close_listener(peer.bench.now, listener);
    peer.next += 100_000;
    let answers = peer.give(TcpFlags::SYN, b"");
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].flags, TcpFlags::ACK);
    assert_eq!(peer.bench.stack.flow_counts(), (0, 1));
}

#[test]
fn resets_do_not_assassinate_time_wait() {
    let mut peer = in_time_wait();
    assert!(peer.give(TcpFlags::RST, b"").is_empty());
    assert!(peer.give(TcpFlags::RST | TcpFlags::ACK, b"").is_empty());
    assert_eq!(peer.bench.stack.flow_counts(), (0, 1));
}

fn echo_request(from: IpAddr, payload: usize) -> Vec<u8> {
    let bytes = vec![7; payload];
    let echo = Echo {
        direction: EchoDirection::Request,
        identifier: 1,
        sequence: 1,
        payload: &bytes,
    };
    let mut message = vec![0; echo.len()];
    icmpv4::emit_echo(&echo, &mut message).expect("there is room");
    ip_frame(from, v4(Side::Server, 0), Protocol::Icmpv4, &message)
}

#[test]
fn neighbours_that_answer_do_not_fill_the_cache_for_others() {
    let config = StackConfig {
        neighbors: 16,
        echo_replies_per_second: 100_000,
        ..StackConfig::default()
    };
    let mut bench = Bench::new(config);
    let attacker = MacAddress([2, 6, 6, 6, 6, 6]);
    for number in 10..100 {
        // One host under many addresses has itself asked for and answers each question.
        bench.give(&echo_request(stranger(number), 8));
        bench.give(&arp_reply(attacker, stranger(number)));
    }
    let remote = SocketAddr::new(v4(Side::Client, 0), 80);
    let now = bench.now;
    let connection = bench.stack.connect(now, ConnectOptions::to(remote));
    assert!(connection.is_ok());
    let asked: Vec<_> = bench.sent().iter().filter_map(|seen| seen.arp()).collect();
    assert_eq!(asked.len(), 1, "the cache has room for a host of our own");
    let sent = bench.give(&arp_reply(mac(Side::Client, 0), v4(Side::Client, 0)));
    assert_eq!(segments(&sent).len(), 1, "the SYN goes");
    for number in 100..200 {
        bench.give(&echo_request(stranger(number), 8));
        bench.give(&arp_reply(attacker, stranger(number)));
    }
    bench.now += Duration::from_secs(1);
    bench.stack.advance(bench.now);
    let sent = bench.sent();
    assert_eq!(segments(&sent).len(), 1, "the repeated SYN goes at once");
    assert_eq!(sent[0].ethernet.destination, mac(Side::Client, 0));
    assert!(bench.stack.neighbor_count() <= 16);
}

#[test]
fn a_flood_from_silent_neighbours_leaves_no_packet_waiting_for_ever() {
    let config = StackConfig {
        neighbors: 4,
        neighbor_queue: 8,
        ..StackConfig::default()
    };
    let mut bench = Bench::new(config);
    for number in 10..200 {
        bench.give(&echo_request(stranger(number), 8));
    }
    bench.now += Duration::from_secs(10);
    bench.stack.advance(bench.now);
    bench.sent();
    bench.give(&echo_request(v4(Side::Client, 0), 8));
    let sent = bench.give(&arp_reply(mac(Side::Client, 0), v4(Side::Client, 0)));
    assert_eq!(sent.len(), 1, "the reply waited for its neighbour");
}

#[test]
fn neighbours_of_long_ago_make_room() {
    let config = StackConfig {
        neighbors: 4,
        ..StackConfig::default()
    };
    let mut bench = Bench::new(config);
    for round in 0..10 {
        let address = stranger(10 + round);
        let now = bench.now;
        let remote = SocketAddr::new(address, 80);
        assert!(bench.stack.connect(now, ConnectOptions::to(remote)).is_ok());
        let asked = bench.sent().iter().filter_map(|seen| seen.arp()).count();
        assert_eq!(asked, 1, "round {round}");
        let sent = bench.give(&arp_reply(MacAddress([2, 0, 0, 0, 7, 7]), address));
        let syn = segments(&sent).remove(0);
        let reset = TcpHeader {
            source_port: 80,
            destination_port: syn.source_port,
            acknowledgment: syn.sequence + 1,
            flags: TcpFlags::RST | TcpFlags::ACK,
            ..TcpHeader::default()
        };
        bench.give(&stack_support::raw::segment(
            address,
            v4(Side::Server, 0),
            &reset,
            b"",
        ));
        bench.now += Duration::from_secs(60);
        bench.stack.advance(bench.now);
        bench.sent();
    }
}

#[test]
fn an_echo_too_long_for_the_link_is_not_answered_and_holds_up_nothing() {
    let config = StackConfig {
        control_queue: 4,
        ..StackConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.introduce();
    for _ in 0..8 {
        let mut batch = stack_support::Batch::new(usize::MAX);
        batch.longest = 1_514;
        let meta = braid_engine::stack::ReceiveMeta::default();
        let frame = echo_request(v4(Side::Client, 0), 4_000);
        let frame = braid_engine::storage::frame::Frame::from(&frame[..]);
        bench.stack.receive(bench.now, frame, meta);
        bench.stack.transmit(bench.now, &mut batch);
        assert!(batch.frames.is_empty());
    }
    let replies = bench.give(&arp_request(mac(Side::Client, 0), v4(Side::Client, 0)));
    assert_eq!(replies.len(), 1, "the queue is free for others");
}

#[test]
fn a_connection_reset_before_it_is_accepted_says_so() {
    let mut peer = Peer::waiting(StackConfig::default());
    peer.give(TcpFlags::RST, b"");
    let listener = peer.listener;
    if let Some(connection) = peer.bench.stack.accept(listener) {
        let now = peer.bench.now;
        let read = peer.bench.stack.recv(now, connection, &mut [0; 8]);
        assert_eq!(read, Err(SocketError::ConnectionReset));
        peer.bench.stack.close(now, connection);
    }
    peer.bench.sent();
    assert_eq!(peer.bench.stack.connection_count(), 0);
    assert_eq!(peer.bench.stack.subflow_count(), 0);
}

#[test]
fn a_window_that_shrinks_to_nothing_for_hours_ends_no_connection_that_answers() {
    let mut peer = Peer::connected(StackConfig::default());
    let now = peer.bench.now;
    let connection = peer.connection;
    peer.bench.stack.send(now, connection, &[1; 8_000]).unwrap();
    let first = peer.sent();
    assert!(first.len() >= 2);
    let taken = 1_000;
    peer.next_expected += taken;
    peer.window = 0;
    peer.give(TcpFlags::ACK, b"");
    let mut answers = 0;
    let until = now + Duration::from_secs(4 * 3_600);
    while peer.bench.now < until {
        let next = peer.bench.stack.poll_timeout().expect("a timer runs");
        peer.bench.now = peer.bench.now.max(next);
        peer.bench.stack.advance(peer.bench.now);
        for segment in peer.sent() {
            assert!(!segment.flags.contains(TcpFlags::RST));
            answers += 1;
            peer.give(TcpFlags::ACK, b"");
        }
    }
    assert!((20..2_000).contains(&answers), "{answers} probes");
    peer.window = 65_535;
    let sent = peer.give(TcpFlags::ACK, b"");
    let all: usize = core::iter::once(sent.len())
        .chain((0..20).map(|_| {
            peer.pass(Duration::from_secs(30));
            peer.sent().len()
        }))
        .sum();
    assert!(all > 0, "the open window is used");
    let info = peer.bench.stack.connection_info(connection);
    assert!(info.is_some());
}

#[test]
fn contradictory_data_out_of_order_gives_one_stream() {
    let mut peer = Peer::connected(StackConfig::default());
    // Later copies of the same bytes say something else; whichever is taken, each position is
    // delivered once and nothing is out of place.
    let pieces: [(u32, &[u8]); 6] = [
        (4, b"EFGH"),
        (2, b"cdefgh"),
        (6, b"ghijkl"),
        (10, b"KL"),
        (1, b"BCDEFGHIJKLM"),
        (0, b"aZ"),
    ];
    let base = peer.next;
    for (offset, bytes) in pieces {
        peer.next = base + offset;
        peer.give(TcpFlags::ACK | TcpFlags::PSH, bytes);
    }
    let mut buffer = [0; 64];
    let now = peer.bench.now;
    let count = peer.bench.stack.recv(now, peer.connection, &mut buffer);
    let count = count.expect("the hole is filled");
    let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
    assert_eq!(text.to_ascii_lowercase().len(), 13);
    for (place, letter) in text.to_ascii_lowercase().bytes().enumerate() {
        let honest = b'a' + place as u8;
        assert!(letter == honest || place == 1, "{text}");
    }
}

#[test]
fn data_past_the_window_is_not_taken_and_the_window_edge_is() {
    let config = StackConfig {
        receive_buffer: 16_384,
        ..StackConfig::default()
    };
    let mut peer = Peer::connected(config);
    let base = peer.next;
    let bytes = [9; 1_000];
    for step in 0..20 {
        peer.next = base + step * 1_000;
        peer.give(TcpFlags::ACK, &bytes);
    }
    let readable = peer.bench.stack.readable(peer.connection);
    assert!((15_000..=16_384).contains(&readable), "{readable}");
    // An acknowledgment from the edge of the closed window is processed.
    let now = peer.bench.now;
    let connection = peer.connection;
    peer.bench.stack.send(now, connection, b"question").unwrap();
    let sent = peer.sent();
    assert_eq!(sent.len(), 1);
    peer.next = sent[0].acknowledgment;
    peer.next_expected += 8;
    peer.give(TcpFlags::ACK, b"");
    peer.pass(Duration::from_secs(30));
    assert!(
        peer.sent()
            .iter()
            .all(|seen| seen.sequence == peer.next_expected),
        "nothing is sent again"
    );
}

#[test]
fn any_well_formed_segment_in_any_state_is_survived_across_the_wrap() {
    use braid_engine::random::Random;
    for seed in 0..400 {
        let mut random = Random::from_u64(seed);
        let irs = if random.below(2) == 0 {
            u32::MAX - random.below(3_000) as u32
        } else {
            random.next_u32()
        };
        let mut peer = Peer::waiting_from(StackConfig::default(), irs);
        peer.accept();
        for _ in 0..60 {
            let now = peer.bench.now;
            match random.below(12) {
                0 => {
                    let _ = peer.bench.stack.send(now, peer.connection, &[3; 3_000]);
                }
                1 => {
                    let _ = peer.bench.stack.recv(now, peer.connection, &mut [0; 2_000]);
                }
                2 if random.below(6) == 0 => peer.bench.stack.close(now, peer.connection),
                3 if random.below(20) == 0 => peer.bench.stack.abort(now, peer.connection),
                4 => peer.pass(Duration::from_millis(random.below(3_000))),
                _ => {}
            }
            for seen in peer.sent() {
                if seen.flags.contains(TcpFlags::ACK) && random.below(3) > 0 {
                    peer.next = seen.acknowledgment;
                    peer.next_expected = seen.sequence;
                }
            }
            let near = |random: &mut Random, place: SequenceNumber| {
                let distance = match random.below(4) {
                    0 => 0,
                    1 => random.below(70_000) as u32,
                    2 => (random.below(70_000) as u32).wrapping_neg(),
                    _ => random.next_u32() >> random.below(32),
                };
                place + distance
            };
            let mut header = peer.header(TcpFlags::from_bits_truncate(random.next_u32() as u8));
            header.sequence = near(&mut random, peer.next);
            header.acknowledgment = near(&mut random, peer.next_expected);
            header.window = random.next_u32() as u16;
            let length = [0, 0, 1, 536, 1_400][random.below(5) as usize];
            peer.bench
                .give(&stack_support::raw::peer_segment(&header, &vec![5; length]));
        }
        peer.bench.stack.abort(peer.bench.now, peer.connection);
        // A random SYN may have opened the flow anew.
        peer.bench
            .stack
            .close_listener(peer.bench.now, peer.listener);
        for _ in 0..300 {
            peer.sent();
            peer.pass(Duration::from_secs(1));
        }
        assert_eq!(peer.bench.stack.subflow_count(), 0, "seed {seed}");
        assert_eq!(peer.bench.stack.flow_counts(), (0, 0), "seed {seed}");
    }
}

/// The error of a router about the segment with this header, which the stack sent.
fn icmp_error(kind: IcmpErrorKind, segment: &TcpHeader) -> Vec<u8> {
    let quoted =
        stack_support::raw::segment(v4(Side::Server, 0), v4(Side::Client, 0), segment, b"");
    let mut message = vec![0; 1_000];
    let length = icmpv4::emit_error(kind, &quoted[14..], &mut message).expect("there is room");
    ip_frame(
        stranger(77),
        v4(Side::Server, 0),
        Protocol::Icmpv4,
        &message[..length],
    )
}

#[test]
fn icmp_that_quotes_no_segment_in_flight_changes_nothing() {
    let mut peer = Peer::connected(StackConfig::default());
    let now = peer.bench.now;
    let connection = peer.connection;
    peer.bench.stack.send(now, connection, &[1; 1_000]).unwrap();
    let mut guessed = peer.one_sent();
    for distance in [1_000_u32, 1_000_000, 0x8000_0000, u32::MAX] {
        guessed.sequence = peer.next_expected + distance;
        for kind in [
            IcmpErrorKind::PacketTooBig { mtu: 600 },
            IcmpErrorKind::PacketTooBig { mtu: 0 },
            IcmpErrorKind::Unreachable(UnreachableReason::Port),
            IcmpErrorKind::Unreachable(UnreachableReason::Host),
        ] {
            assert!(segments(&peer.bench.give(&icmp_error(kind, &guessed))).is_empty());
        }
    }
    peer.next_expected += 1_000;
    peer.give(TcpFlags::ACK, b"");
    peer.bench.stack.send(now, connection, &[1; 4_380]).unwrap();
    let sent = peer.sent();
    assert_eq!(sent.len(), 3, "segments are as large as before");
}

#[test]
fn a_hard_error_about_the_syn_ack_ends_the_half_open_connection() {
    let mut bench = Bench::new(StackConfig::default());
    bench.introduce();
    let address = SocketAddr::new(v4(Side::Server, 0), 80);
    let listening = bench.stack.listen(address, ListenOptions::default());
    assert!(listening.is_ok());
    let answers = segments(&bench.give(&peer_segment(&syn(5_000, 100), b"")));
    let mut quoted = answers[0].clone();
    let hard = IcmpErrorKind::Unreachable(UnreachableReason::Port);
    quoted.sequence += 1;
    bench.give(&icmp_error(hard, &quoted));
    assert_eq!(bench.stack.flow_counts(), (1, 0), "a guess");
    quoted.sequence = answers[0].sequence;
    let soft = IcmpErrorKind::Unreachable(UnreachableReason::Host);
    bench.give(&icmp_error(soft, &quoted));
    assert_eq!(bench.stack.flow_counts(), (1, 0), "it may pass");
    bench.give(&icmp_error(hard, &quoted));
    assert_eq!(bench.stack.flow_counts(), (0, 0));
}
