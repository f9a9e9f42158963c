//! Each mechanism of TCP as a peer sees it who writes frames by hand, reached through the calls of
//! [`braid_engine::stack::Stack`] alone.

mod stack_support;

use braid_engine::socket::{ConnectOptions, ListenOptions, Shutdown, SocketError, SocketOptions};
use braid_engine::stack::{Event, StackConfig};
use braid_engine::tcp::Keepalive;
use braid_engine::time::Duration;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use braid_engine::wire::tcp_option::Timestamps;
use core::net::SocketAddr;
use stack_support::raw::{Bench, peer_segment, syn};
use stack_support::raw_peer::{Peer, segments};
use stack_support::{Network, Side, v4, v6};

fn connected_with(socket: SocketOptions, header: &TcpHeader) -> Peer {
    let options = ListenOptions {
        socket,
        ..ListenOptions::default()
    };
    let mut peer = Peer::waiting_after(StackConfig::default(), header, &options);
    peer.accept();
    peer
}

fn plain_syn() -> TcpHeader {
    syn(5_000, 100)
}

/// The peer's timestamps are at 1,000.
fn connected_with_timestamps() -> Peer {
    let mut header = plain_syn();
    header.options.timestamps = Some(Timestamps {
        value: 1_000,
        echo: 0,
    });
    connected_with(SocketOptions::default(), &header)
}

fn closed(peer: &mut Peer) -> Option<Result<(), SocketError>> {
    let mut found = None;
    while let Some(event) = peer.bench.stack.poll_event() {
        if let Event::Closed(_, result) = event {
            found = Some(result);
        }
    }
    found
}

/// Lets time pass in steps and gathers what is sent.
fn watch(peer: &mut Peer, steps: u32, step: Duration) -> Vec<TcpHeader> {
    let mut seen = Vec::new();
    for _ in 0..steps {
        seen.extend(peer.sent());
        peer.pass(step);
    }
    seen.extend(peer.sent());
    seen
}

#[test]
fn keepalive_probes_a_silent_peer_and_gives_up() {
    let socket = SocketOptions {
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(2),
            count: 3,
        }),
        ..SocketOptions::default()
    };
    let mut peer = connected_with(socket, &plain_syn());
    let probes = watch(&mut peer, 11, Duration::from_secs(1));
    assert_eq!(probes.len(), 1);
    assert_eq!(probes[0].sequence, peer.next_expected - 1);
    peer.give(TcpFlags::ACK, b"");
    let probes = watch(&mut peer, 20, Duration::from_secs(1));
    let resets = probes
        .iter()
        .filter(|seen| seen.flags.contains(TcpFlags::RST))
        .count();
    assert_eq!((probes.len() - resets, resets), (3, 1));
    assert_eq!(closed(&mut peer), Some(Err(SocketError::TimedOut)));
}

#[test]
fn the_user_timeout_ends_what_stays_unacknowledged() {
    let socket = SocketOptions {
        user_timeout: Some(Duration::from_secs(5)),
        ..SocketOptions::default()
    };
    let mut peer = connected_with(socket, &plain_syn());
    peer.application_sends(b"hello");
    watch(&mut peer, 4, Duration::from_secs(1));
    assert_eq!(closed(&mut peer), None);
    watch(&mut peer, 3, Duration::from_secs(1));
    assert_eq!(closed(&mut peer), Some(Err(SocketError::TimedOut)));
}

#[test]
fn a_closed_window_is_probed_and_opens_again() {
    let mut peer = Peer::connected(StackConfig::default());
    peer.window = 0;
    peer.give(TcpFlags::ACK, b"");
    peer.application_sends(b"hello");
    let probes = watch(&mut peer, 70, Duration::from_millis(100));
    assert!((3..=8).contains(&probes.len()), "{} probes", probes.len());
    assert!(
        probes
            .iter()
            .all(|seen| seen.sequence == peer.next_expected - 1)
    );
    peer.window = 100;
    let sent = peer.give(TcpFlags::ACK, b"");
    assert_eq!(sent[0].sequence, peer.next_expected);
}

#[test]
fn nagle_and_cork_hold_small_segments_as_long_as_they_are_set() {
    let mut peer = Peer::connected(StackConfig::default());
    let (now, connection) = (peer.bench.now, peer.connection);
    peer.application_sends(b"a");
    assert_eq!(peer.sent().len(), 1);
    peer.application_sends(b"b");
    assert!(peer.sent().is_empty(), "Nagle");
    peer.bench.stack.set_nodelay(now, connection, true).unwrap();
    assert_eq!(peer.sent().len(), 1, "TCP_NODELAY");
    peer.next_expected += 2;
    peer.give(TcpFlags::ACK, b"");
    peer.bench.stack.set_cork(now, connection, true).unwrap();
    peer.application_sends(b"c");
    assert!(peer.sent().is_empty(), "TCP_CORK");
    peer.bench.stack.set_cork(now, connection, false).unwrap();
    assert_eq!(peer.sent().len(), 1);
}

#[test]
fn what_waits_for_more_goes_by_the_next_write_or_with_time() {
    let mut peer = Peer::connected(StackConfig::default());
    let connection = peer.connection;
    let set_more = |peer: &mut Peer, more| {
        let now = peer.bench.now;
        peer.bench.stack.set_more(now, connection, more).unwrap();
    };
    set_more(&mut peer, true);
    peer.application_sends(b"a");
    peer.pass(Duration::from_millis(100));
    assert!(peer.sent().is_empty(), "MSG_MORE");
    set_more(&mut peer, false);
    peer.application_sends(b"b");
    assert!(!peer.sent().is_empty(), "the write without it");
    peer.next_expected += 2;
    peer.give(TcpFlags::ACK, b"");
    for cork in [false, true] {
        if cork {
            let now = peer.bench.now;
            peer.bench.stack.set_cork(now, connection, true).unwrap();
        } else {
            set_more(&mut peer, true);
        }
        peer.application_sends(b"c");
        peer.pass(Duration::from_millis(150));
        assert!(peer.sent().is_empty(), "cork {cork}");
        peer.pass(Duration::from_millis(400));
        assert_eq!(peer.sent().len(), 1, "forgotten, cork {cork}");
        peer.next_expected += 1;
        peer.give(TcpFlags::ACK, b"");
    }
}

#[test]
fn a_lone_segment_is_acknowledged_late_and_two_at_once() {
    let mut peer = Peer::connected(StackConfig::default());
    let data = [1; 1_000];
    for _ in 0..16 {
        peer.give(TcpFlags::ACK, &data);
        peer.next += 1_000;
    }
    assert!(peer.give(TcpFlags::ACK, &data).is_empty());
    peer.next += 1_000;
    peer.pass(Duration::from_millis(30));
    assert!(peer.sent().is_empty());
    peer.pass(Duration::from_millis(20));
    assert_eq!(peer.one_sent().acknowledgment, peer.next);
    assert!(peer.give(TcpFlags::ACK, &data).is_empty());
    peer.next += 1_000;
    assert_eq!(peer.give(TcpFlags::ACK, &data).len(), 1);
}

#[test]
fn old_timestamps_and_missing_ones_carry_no_data() {
    let mut peer = connected_with_timestamps();
    let stamped = |peer: &mut Peer, value, data: &[u8]| {
        let mut header = peer.header(TcpFlags::ACK);
        header.options.timestamps = Some(Timestamps { value, echo: 0 });
        segments(&peer.bench.give(&peer_segment(&header, data)))
    };
    let answer = stamped(&mut peer, 1_001, b"good");
    peer.next += 4;
    assert_eq!(answer[0].acknowledgment, peer.next);
    assert_eq!(answer[0].options.timestamps.unwrap().echo, 1_001);
    let answer = stamped(&mut peer, 900, b"evil");
    assert_eq!(answer[0].acknowledgment, peer.next, "PAWS");
    assert!(peer.give(TcpFlags::ACK, b"bare").is_empty());
    assert_eq!(peer.bench.stack.readable(peer.connection), 4);
}

#[test]
fn a_segment_that_acknowledges_the_impossible_sets_no_timestamp() {
    let mut peer = connected_with_timestamps();
    let mut forged = peer.header(TcpFlags::ACK);
    forged.acknowledgment += 1_000_000;
    forged.options.timestamps = Some(Timestamps {
        value: 1_000_000_000,
        echo: 0,
    });
    peer.bench.give(&peer_segment(&forged, b"evil"));
    let mut honest = peer.header(TcpFlags::ACK);
    honest.options.timestamps = Some(Timestamps {
        value: 1_001,
        echo: 0,
    });
    peer.bench.give(&peer_segment(&honest, b"good"));
    let mut buffer = [0; 8];
    let now = peer.bench.now;
    let read = peer.bench.stack.recv(now, peer.connection, &mut buffer);
    assert_eq!((read, &buffer[..4]), (Ok(4), &b"good"[..]));
}

#[test]
fn resets_and_syns_that_are_guessed_are_challenged_and_no_more_than_so_often() {
    let mut peer = Peer::connected(StackConfig::default());
    peer.next += 1_000;
    let mut challenges = 0;
    for flags in [TcpFlags::RST, TcpFlags::SYN, TcpFlags::SYN | TcpFlags::ACK] {
        for _ in 0..100 {
            let answers = peer.give(flags, b"");
            assert!(answers.iter().all(|seen| seen.flags == TcpFlags::ACK));
            challenges += answers.len();
        }
    }
    assert!((1..=10).contains(&challenges), "{challenges}");
    assert_eq!(closed(&mut peer), None);
    peer.next = peer.next - 1_000;
    peer.give(TcpFlags::RST, b"");
    assert_eq!(closed(&mut peer), Some(Err(SocketError::ConnectionReset)));
    let now = peer.bench.now;
    let read = peer.bench.stack.recv(now, peer.connection, &mut [0; 4]);
    assert_eq!(read, Err(SocketError::ConnectionReset));
    let written = peer.bench.stack.send(now, peer.connection, b"x");
    assert!(written.is_err());
}

#[test]
fn what_the_syn_offers_is_taken_up() {
    let mut header = plain_syn();
    header.flags |= TcpFlags::ECE | TcpFlags::CWR;
    header.options.window_scale = Some(3);
    header.options.sack_permitted = true;
    header.window = 1_000;
    let mut bench = Bench::new(StackConfig::default());
    bench.introduce();
    let address = SocketAddr::new(v4(Side::Server, 0), 80);
    bench
        .stack
        .listen(address, ListenOptions::default())
        .unwrap();
    let answers = segments(&bench.give(&peer_segment(&header, b"")));
    assert!(answers[0].flags.contains(TcpFlags::ECE), "ECN is accepted");
    assert!(answers[0].options.window_scale.is_some());
    assert!(answers[0].options.sack_permitted);
    assert_eq!(answers[0].options.maximum_segment_size, Some(1_460));

    let mut peer = connected_with(SocketOptions::default(), &header);
    let base = peer.next;
    peer.window = 1_000;
    peer.next = base + 100;
    let answer = peer.give(TcpFlags::ACK, &[1; 50]);
    let block = answer[0].options.sack[0];
    assert_eq!((block.start, block.end), (base + 100, base + 150));
    // A field of 1,000 is a window of 8,000 bytes.
    peer.application_sends(&[2; 20_000]);
    let sent = peer.sent();
    let farthest = sent
        .iter()
        .map(|seen| seen.sequence - peer.next_expected)
        .max();
    assert!((4_000..8_000).contains(&farthest.unwrap()), "{farthest:?}");
}

#[test]
fn a_tiny_mss_does_not_make_segments_tiny() {
    let mut header = plain_syn();
    header.options.maximum_segment_size = Some(1);
    let mut peer = connected_with(SocketOptions::default(), &header);
    peer.application_sends(&[2; 5_000]);
    let sent = peer.sent();
    assert!(!sent.is_empty());
    for pair in sent.windows(2) {
        assert!(pair[1].sequence - pair[0].sequence >= 64);
    }
}

#[test]
fn initial_sequence_numbers_move_with_time_and_differ_by_flow() {
    let mut bench = Bench::new(StackConfig::default());
    bench.introduce();
    let address = SocketAddr::new(v4(Side::Server, 0), 80);
    bench
        .stack
        .listen(address, ListenOptions::default())
        .unwrap();
    let initial = |bench: &mut Bench, port| {
        let answers = segments(&bench.give(&peer_segment(&syn(port, 100), b"")));
        let reset = TcpHeader {
            sequence: answers[0].acknowledgment,
            flags: TcpFlags::RST,
            ..syn(port, 0)
        };
        bench.give(&peer_segment(&reset, b""));
        answers[0].sequence
    };
    let first = initial(&mut bench, 5_000);
    assert_ne!(first, initial(&mut bench, 5_001));
    bench.now += Duration::from_secs(1);
    assert_eq!(initial(&mut bench, 5_000) - first, 250_000);
}

#[test]
fn both_open_at_once() {
    let mut network = Network::new(1);
    let (client_end, server_end) = (
        SocketAddr::new(v4(Side::Client, 0), 4_000),
        SocketAddr::new(v4(Side::Server, 0), 4_001),
    );
    let open = |local, remote| ConnectOptions {
        local: Some(local),
        multipath: false,
        ..ConnectOptions::to(remote)
    };
    let now = network.now;
    let client = network
        .client
        .stack
        .connect(now, open(client_end, server_end));
    let server = network
        .server
        .stack
        .connect(now, open(server_end, client_end));
    let (client, server) = (client.unwrap(), server.unwrap());
    network.run_until(Duration::from_secs(10), |network| {
        network.client.saw(&Event::Connected(client))
            && network.server.saw(&Event::Connected(server))
    });
    network.transfer((Side::Client, client), server, b"there");
    network.transfer((Side::Server, server), client, b"and back");
}

#[test]
fn half_a_connection_goes_on_after_the_other_half_has_ended() {
    let mut peer = Peer::connected(StackConfig::default());
    let (now, connection) = (peer.bench.now, peer.connection);
    peer.give(TcpFlags::ACK | TcpFlags::FIN, b"last");
    peer.next += 5;
    let mut buffer = [0; 8];
    assert_eq!(peer.bench.stack.recv(now, connection, &mut buffer), Ok(4));
    for _ in 0..2 {
        assert_eq!(peer.bench.stack.recv(now, connection, &mut buffer), Ok(0));
    }
    peer.application_sends(b"more");
    let sent = peer.sent();
    assert!(sent.iter().any(|seen| seen.sequence == peer.next_expected));
    peer.bench
        .stack
        .shutdown(now, connection, Shutdown::Write)
        .unwrap();
    assert_eq!(
        peer.bench.stack.send(now, connection, b"x"),
        Err(SocketError::BrokenPipe)
    );
    let fin = peer.one_sent();
    assert!(fin.flags.contains(TcpFlags::FIN));
    peer.next_expected = fin.sequence + 1;
    peer.give(TcpFlags::ACK, b"");
    assert_eq!(closed(&mut peer), Some(Ok(())));
    assert_eq!(peer.bench.stack.flow_counts(), (0, 0), "it closed last");
}

#[test]
fn closing_with_unread_data_resets() {
    let mut peer = Peer::connected(StackConfig::default());
    peer.give(TcpFlags::ACK, b"unread");
    let (now, connection) = (peer.bench.now, peer.connection);
    peer.bench.stack.close(now, connection);
    let sent = peer.one_sent();
    assert!(sent.flags.contains(TcpFlags::RST));
    assert_eq!(peer.bench.stack.subflow_count(), 0);
}

#[test]
fn data_for_a_closed_socket_is_reset() {
    let mut peer = Peer::connected(StackConfig::default());
    let (now, connection) = (peer.bench.now, peer.connection);
    peer.bench.stack.close(now, connection);
    let fin = peer.one_sent();
    assert!(fin.flags.contains(TcpFlags::FIN));
    peer.next_expected = fin.sequence + 1;
    let answers = peer.give(TcpFlags::ACK, b"for nobody");
    assert!(
        answers
            .iter()
            .any(|seen| seen.flags.contains(TcpFlags::RST)),
        "RFC 1122 section 4.2.2.13: {answers:?}"
    );
}

#[test]
fn a_path_that_swallows_large_segments_is_found_without_icmp() {
    let mut network = Network::new(1);
    network.listen();
    let (client, server) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
    network.filter = Box::new(|_, sent| sent.bytes.len() <= 14 + 1_100);
    let bytes = stack_support::pattern(50_000, 1);
    network.transfer((Side::Client, client), server, &bytes);
}

#[test]
fn the_right_edge_of_the_window_never_moves_left() {
    let options = ListenOptions {
        socket: SocketOptions {
            receive_buffer: Some(32_768),
            ..SocketOptions::default()
        },
        ..ListenOptions::default()
    };
    let mut peer = Peer::waiting_after(StackConfig::default(), &plain_syn(), &options);
    peer.accept();
    let (start, connection) = (peer.next, peer.connection);
    let mut edge = 0;
    let mut buffer = vec![0; 700];
    for turn in 0_u32..400 {
        let fits = usize::try_from(edge - (peer.next - start)).map_or(1, |room| room.max(1));
        let length = [1, 536, 1_460][turn as usize % 3].min(fits);
        let mut answers = peer.give(TcpFlags::ACK, &vec![3; length]);
        let now = peer.bench.now;
        if turn % 2 == 0 {
            // How much is there does not matter.
            let _ = peer.bench.stack.recv(now, connection, &mut buffer);
        }
        peer.pass(Duration::from_millis(50));
        answers.extend(peer.sent());
        for answer in answers {
            let told = (answer.acknowledgment - start) + i32::from(answer.window);
            assert!(told >= edge, "turn {turn}: {told} after {edge}");
            edge = told;
            peer.next = answer.acknowledgment;
        }
    }
    assert!(edge > 65_536, "the window moved on: {edge}");
}

#[test]
fn a_segment_behind_extension_headers_is_taken_and_one_that_must_be_understood_is_not() {
    use braid_engine::wire::ip::Protocol;
    use stack_support::raw::{ip_frame, segment};
    let (source, destination) = (v6(Side::Client, 0), v6(Side::Server, 0));
    let answered = |options: [u8; 8]| {
        let mut bench = Bench::new(StackConfig::default());
        let address = SocketAddr::new(destination, 80);
        bench
            .stack
            .listen(address, ListenOptions::default())
            .unwrap();
        let plain = segment(source, destination, &syn(5_000, 100), b"");
        let mut payload = options.to_vec();
        payload.extend_from_slice(&plain[14 + 40..]);
        let frame = ip_frame(source, destination, Protocol::from_number(60), &payload);
        bench.give(&frame);
        bench.stack.flow_counts().0
    };
    assert_eq!(answered([6, 0, 1, 4, 0, 0, 0, 0]), 1, "padding");
    assert_eq!(
        answered([6, 0, 0xc5, 4, 0, 0, 0, 0]),
        0,
        "an unknown option"
    );
    assert_eq!(
        answered([6, 9, 1, 4, 0, 0, 0, 0]),
        0,
        "longer than the frame"
    );
    assert_eq!(answered([44, 0, 1, 4, 0, 0, 0, 0]), 0, "a fragment");
}
