//! Listeners under pressure: half-open connections, SYN cookies, accept queues, TIME-WAIT, and
//! segments that belong to nobody.

mod stack_support;

use braid_engine::sequence::SequenceNumber;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError};
use braid_engine::stack::{StackConfig, SynCookies};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::MptcpOption;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use stack_support::raw::{Bench, Seen, peer_segment, syn, third_ack};
use stack_support::{Network, PLAIN, Side, pattern, v4, v6};

fn listening(config: StackConfig, backlog: usize) -> (Bench, braid_engine::stack::ListenerId) {
    let mut bench = Bench::new(config);
    bench.introduce();
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
    let options = ListenOptions {
        backlog,
        ..ListenOptions::default()
    };
    let listener = bench.stack.listen(address, options).unwrap();
    (bench, listener)
}

fn segments(seen: &[Seen]) -> Vec<TcpHeader> {
    seen.iter().filter_map(Seen::tcp).collect()
}

fn one(seen: &[Seen]) -> TcpHeader {
    let [header] = &segments(seen)[..] else {
        panic!("one segment, not {seen:?}")
    };
    header.clone()
}

#[test]
fn a_syn_ack_is_repeated_and_then_given_up() {
    let config = StackConfig {
        syn_ack_retries: 2,
        ..StackConfig::default()
    };
    let (mut bench, _) = listening(config, 8);
    let first = one(&bench.give(&peer_segment(&syn(5_000, 100), b"")));
    assert_eq!(first.flags, TcpFlags::SYN | TcpFlags::ACK);
    assert_eq!(first.acknowledgment, SequenceNumber(101));
    for wait in [1, 2] {
        bench.now += Duration::from_secs(wait);
        bench.stack.advance(bench.now);
        assert_eq!(one(&bench.sent()), first);
    }
    bench.now += Duration::from_secs(4);
    bench.stack.advance(bench.now);
    assert!(segments(&bench.sent()).is_empty());
    assert_eq!(bench.stack.flow_counts(), (0, 0));
    assert_eq!(bench.counter("TcpExtTCPTimeouts"), 1);
}

#[test]
fn a_repeated_syn_gets_the_same_answer_and_a_reset_ends_it() {
    let (mut bench, _) = listening(StackConfig::default(), 8);
    let first = one(&bench.give(&peer_segment(&syn(5_000, 100), b"")));
    let again = one(&bench.give(&peer_segment(&syn(5_000, 100), b"")));
    assert_eq!(first, again);
    let reset = |sequence| TcpHeader {
        sequence: SequenceNumber(sequence),
        flags: TcpFlags::RST,
        ..syn(5_000, 0)
    };
    bench.give(&peer_segment(&reset(150), b""));
    assert_eq!(
        bench.stack.flow_counts().0,
        1,
        "a guessed RST changes nothing"
    );
    bench.give(&peer_segment(&reset(101), b""));
    assert_eq!(bench.stack.flow_counts().0, 0);
}

#[test]
fn an_acknowledgment_of_something_never_sent_is_reset() {
    let (mut bench, listener) = listening(StackConfig::default(), 8);
    let syn_ack = one(&bench.give(&peer_segment(&syn(5_000, 100), b"")));
    let mut wrong = third_ack(&syn_ack);
    wrong.acknowledgment += 7;
    let reset = one(&bench.give(&peer_segment(&wrong, b"")));
    assert_eq!(
        (reset.flags, reset.sequence),
        (TcpFlags::RST, wrong.acknowledgment)
    );
    assert!(bench.stack.accept(listener).is_none());
    bench.give(&peer_segment(&third_ack(&syn_ack), b""));
    assert!(bench.stack.accept(listener).is_some());
}

#[test]
fn the_accept_queue_is_bounded_and_room_lets_the_next_in() {
    let (mut bench, listener) = listening(StackConfig::default(), 2);
    let mut third_acks = Vec::new();
    for port in 0..4 {
        let syn_ack = one(&bench.give(&peer_segment(&syn(6_000 + port, 100), b"")));
        third_acks.push(third_ack(&syn_ack));
    }
    for ack in &third_acks {
        bench.give(&peer_segment(ack, b""));
    }
    assert_eq!(bench.counter("TcpExtListenOverflows"), 2);
    assert!(segments(&bench.give(&peer_segment(&syn(7_000, 100), b""))).is_empty());
    assert!(bench.stack.accept(listener).is_some());
    assert!(bench.stack.accept(listener).is_some());
    assert!(bench.stack.accept(listener).is_none());
    bench.give(&peer_segment(&third_acks[2], b""));
    assert!(
        bench.stack.accept(listener).is_some(),
        "a repeated third ACK finds room"
    );
}

#[test]
fn past_the_queue_cookies_let_plain_connections_in() {
    let config = StackConfig {
        syn_queue: 4,
        ..StackConfig::default()
    };
    let (mut bench, listener) = listening(config, 64);
    for port in 0..50 {
        let syn_ack = one(&bench.give(&peer_segment(&syn(6_000 + port, 100), b"")));
        assert_eq!(syn_ack.flags, TcpFlags::SYN | TcpFlags::ACK);
    }
    assert_eq!(bench.stack.flow_counts().0, 4);
    assert_eq!(bench.counter("TcpExtSyncookiesSent"), 46);
    let syn_ack = one(&bench.give(&peer_segment(&syn(8_000, 100), b"")));
    bench.give(&peer_segment(&third_ack(&syn_ack), b"with data"));
    let connection = bench
        .stack
        .accept(listener)
        .expect("the cookie was genuine");
    let mut buffer = [0; 32];
    assert_eq!(bench.stack.recv(bench.now, connection, &mut buffer), Ok(9));
    let mut forged = third_ack(&syn_ack);
    forged.source_port = 8_001;
    let reset = one(&bench.give(&peer_segment(&forged, b"")));
    assert!(reset.flags.contains(TcpFlags::RST));
    assert_eq!(bench.counter("TcpExtSyncookiesFailed"), 1);
}

#[test]
fn a_full_queue_without_cookies_drops() {
    let config = StackConfig {
        syn_queue: 4,
        syn_cookies: SynCookies::Never,
        ..StackConfig::default()
    };
    let (mut bench, _) = listening(config, 64);
    for port in 0..50 {
        bench.give(&peer_segment(&syn(6_000 + port, 100), b""));
    }
    assert_eq!(bench.counter("TcpExtTCPReqQFullDrop"), 46);
}

#[test]
fn cookies_carry_multipath_too() {
    for address in [v4, v6] {
        let server = StackConfig {
            syn_cookies: SynCookies::Always,
            ..StackConfig::default()
        };
        let mut network = Network::with(StackConfig::default(), server, 2, PLAIN);
        network.full_paths(2, address(Side::Server, 0).is_ipv6());
        network.listen();
        let remote = SocketAddr::new(address(Side::Server, 0), 80);
        let (client, server) = network.establish(remote);
        assert_eq!(network.server.counter("TcpExtSyncookiesRecv"), 1);
        network.transfer((Side::Client, client), server, b"hello");
        let bytes = pattern(300_000, 5);
        network.transfer((Side::Server, server), client, &bytes);
        network.transfer((Side::Client, client), server, &bytes);
        let info = network.server.stack.connection_info(server).unwrap();
        assert_eq!(info.fallback, None);
        network.run_until(Duration::from_secs(5), |network| {
            network.server.stack.subflows(server).len() == 2
        });
    }
}

#[test]
fn cookies_survive_a_lost_third_ack() {
    let server = StackConfig {
        syn_cookies: SynCookies::Always,
        ..StackConfig::default()
    };
    let mut network = Network::with(StackConfig::default(), server, 1, PLAIN);
    network.listen();
    let mut acks = 0;
    network.filter = Box::new(move |side, sent| {
        let is_third = side == Side::Client
            && sent.bytes.len() > 60
            && stack_support::raw::Seen::of(sent)
                .tcp()
                .is_some_and(|header| {
                    let capable = |option: &MptcpOption| {
                        matches!(option, MptcpOption::CapableAck { data: None, .. })
                    };
                    header.options.mptcp.iter().any(capable)
                });
        acks += usize::from(is_third);
        !is_third || acks > 1
    });
    let client = network.connect(SocketAddr::new(v4(Side::Server, 0), 80));
    network
        .client
        .stack
        .send(network.now, client, b"first data")
        .unwrap();
    let listener = network.server.listener.unwrap();
    let mut accepted = None;
    network.run_until(Duration::from_secs(5), |network| {
        accepted = accepted.or_else(|| network.server.stack.accept(listener));
        accepted.is_some_and(|server| network.server.stack.readable(server) == 10)
    });
    let info = network
        .server
        .stack
        .connection_info(accepted.unwrap())
        .unwrap();
    assert_eq!(info.fallback, None, "the data carried MP_CAPABLE");
}

#[test]
fn resets_answer_what_belongs_to_nobody_within_a_limit() {
    let config = StackConfig {
        resets_per_second: 5,
        ..StackConfig::default()
    };
    let (mut bench, _) = listening(config, 8);
    let stray = TcpHeader {
        acknowledgment: SequenceNumber(77),
        flags: TcpFlags::ACK,
        destination_port: 9_999,
        ..syn(5_000, 100)
    };
    let reset = one(&bench.give(&peer_segment(&stray, b"abc")));
    assert_eq!(
        (reset.flags, reset.sequence),
        (TcpFlags::RST, SequenceNumber(77))
    );
    let without_ack = TcpHeader {
        flags: TcpFlags::FIN,
        ..stray.clone()
    };
    let reset = one(&bench.give(&peer_segment(&without_ack, b"abc")));
    assert_eq!(reset.flags, TcpFlags::RST | TcpFlags::ACK);
    assert_eq!(
        (reset.sequence, reset.acknowledgment),
        (SequenceNumber(0), SequenceNumber(104))
    );
    let of_reset = TcpHeader {
        flags: TcpFlags::RST,
        ..stray.clone()
    };
    assert!(bench.give(&peer_segment(&of_reset, b"")).is_empty());
    let more: usize = (0..20)
        .map(|_| segments(&bench.give(&peer_segment(&stray, b""))).len())
        .sum();
    assert_eq!(more, 3);
    assert_eq!(bench.counter("TcpExtOutRstsLimited"), 17);
}

#[test]
fn a_join_with_an_unknown_token_is_reset_with_a_reason() {
    let (mut bench, _) = listening(StackConfig::default(), 8);
    let mut join = syn(5_000, 100);
    join.options.mptcp.push(MptcpOption::JoinSyn {
        backup: false,
        address_id: 1,
        token: braid_engine::wire::mptcp_option::Token(0xdead_beef),
        nonce: 7,
    });
    let reset = one(&bench.give(&peer_segment(&join, b"")));
    assert!(reset.flags.contains(TcpFlags::RST));
    assert!(matches!(
        reset.options.mptcp[..],
        [MptcpOption::Reset { .. }]
    ));
    assert_eq!(bench.counter("MPTcpExtMPJoinNoTokenFound"), 1);
}

#[test]
fn closing_a_listener_refuses_what_was_half_open_and_aborts_what_waited() {
    let (mut bench, listener) = listening(StackConfig::default(), 8);
    let waiting = one(&bench.give(&peer_segment(&syn(5_000, 100), b"")));
    bench.give(&peer_segment(&third_ack(&waiting), b""));
    let half_open = one(&bench.give(&peer_segment(&syn(5_001, 100), b"")));
    bench.stack.close_listener(bench.now, listener);
    let reset = one(&bench.sent());
    assert!(reset.flags.contains(TcpFlags::RST));
    let reset = one(&bench.give(&peer_segment(&third_ack(&half_open), b"")));
    assert!(reset.flags.contains(TcpFlags::RST));
    assert_eq!(bench.stack.connection_count(), 0);
    assert_eq!(bench.stack.flow_counts().0, 0);
}

#[test]
fn bounds_on_connections_are_kept() {
    let config = StackConfig {
        max_connections: 3,
        max_subflows: 3,
        ..StackConfig::default()
    };
    let mut network = Network::with(config, StackConfig::default(), 1, PLAIN);
    network.listen();
    let remote = SocketAddr::new(v4(Side::Server, 0), 80);
    for _ in 0..3 {
        network.establish(remote);
    }
    let now = network.now;
    let refused = network
        .client
        .stack
        .connect(now, ConnectOptions::to(remote));
    assert_eq!(refused, Err(SocketError::NoBuffers));
}
