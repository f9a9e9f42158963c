//! Further subflows that a peer opens: who may join, what proves it, and what is refused
//! (RFC 8684 section 3.2).

mod stack_support;

use braid_engine::mptcp::crypto::{KeyDigest, SenderKeys};
use braid_engine::mptcp::path_manager::Limits;
use braid_engine::sequence::SequenceNumber;
use braid_engine::socket::ListenOptions;
use braid_engine::stack::{ConnectionId, StackConfig};
use braid_engine::wire::mptcp_option::{CapableFlags, Key, MptcpOption, ResetReason, Token};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use stack_support::raw::{
    Bench, Seen, arp_request, peer_segment, segment, stranger, syn, third_ack,
};
use stack_support::{Side, mac, v4};

const PEER_KEY: Key = Key(0x1122_3344_5566_7788);
const PEER_NONCE: u32 = 0x0bad_cafe;

/// A peer that has a connection with MPTCP to the stack.
struct Peer {
    bench: Bench,
    connection: ConnectionId,
    server_key: Key,
}

fn one(seen: &[Seen]) -> TcpHeader {
    let segments: Vec<TcpHeader> = seen.iter().filter_map(Seen::tcp).collect();
    let [header] = &segments[..] else {
        panic!("one segment, not {seen:?}")
    };
    header.clone()
}

impl Peer {
    fn connect(limits: Limits) -> Self {
        let mut bench = Bench::new(StackConfig::default());
        bench.stack.set_limits(bench.now, limits);
        bench.introduce();
        // The joins come from another address.
        bench.give(&arp_request(mac(Side::Client, 0), stranger(9)));
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
        let listener = bench.stack.listen(any, ListenOptions::default()).unwrap();
        let flags = CapableFlags::HMAC_SHA256;
        let mut first = syn(5_000, 100);
        first
            .options
            .mptcp
            .push(MptcpOption::CapableSyn { version: 1, flags });
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
        let connection = bench
            .stack
            .accept(listener)
            .expect("the handshake is complete");
        Self {
            bench,
            connection,
            server_key: sender_key,
        }
    }

    fn give(&mut self, header: &TcpHeader) -> Vec<Seen> {
        let bytes = segment(stranger(9), v4(Side::Server, 0), header, b"");
        self.bench.give(&bytes)
    }

    fn join_syn(&self, port: u16, token: Token) -> TcpHeader {
        let mut header = syn(6_000, 500);
        header.destination_port = port;
        header.options.mptcp.push(MptcpOption::JoinSyn {
            backup: false,
            address_id: 3,
            token,
            nonce: PEER_NONCE,
        });
        header
    }

    fn token(&self) -> Token {
        KeyDigest::from(self.server_key).token
    }

    /// The third ACK with the HMAC that proves knowledge of the keys.
    fn join_ack(&self, syn_ack: &TcpHeader) -> TcpHeader {
        let [MptcpOption::JoinSynAck { nonce, hmac, .. }] = syn_ack.options.mptcp[..] else {
            panic!("no MP_JOIN in {syn_ack:?}")
        };
        let theirs = SenderKeys {
            sender: self.server_key,
            receiver: PEER_KEY,
        };
        assert!(theirs.join(nonce, PEER_NONCE).verify_truncated(hmac));
        let ours = SenderKeys {
            sender: PEER_KEY,
            receiver: self.server_key,
        };
        let mut ack = third_ack(syn_ack);
        let hmac = ours.join(PEER_NONCE, nonce).full();
        ack.options.mptcp.push(MptcpOption::JoinAck { hmac });
        ack
    }

    fn subflows(&self) -> usize {
        self.bench.stack.subflows(self.connection).len()
    }
}

fn generous() -> Limits {
    Limits {
        subflows: 4,
        add_addr_accepted: 0,
    }
}

#[test]
fn a_join_finds_its_connection_by_the_token_whatever_the_port() {
    for port in [80, 12_345] {
        let mut peer = Peer::connect(generous());
        let syn_ack = one(&peer.give(&peer.join_syn(port, peer.token())));
        assert_eq!(syn_ack.flags, TcpFlags::SYN | TcpFlags::ACK);
        assert_eq!(
            peer.subflows(),
            1,
            "nothing is made before the HMAC is there"
        );
        let fourth = one(&peer.give(&peer.join_ack(&syn_ack)));
        assert_eq!(fourth.flags, TcpFlags::ACK);
        assert_eq!(peer.subflows(), 2);
    }
}

#[test]
fn a_wrong_or_missing_hmac_is_reset_and_leaves_nothing() {
    let wrong = |ack: &mut TcpHeader| {
        ack.options.mptcp[0] = MptcpOption::JoinAck { hmac: [7; 20] };
    };
    let missing = |ack: &mut TcpHeader| ack.options.mptcp.clear();
    for spoil in [wrong as fn(&mut TcpHeader), missing] {
        let mut peer = Peer::connect(generous());
        let syn_ack = one(&peer.give(&peer.join_syn(80, peer.token())));
        let mut ack = peer.join_ack(&syn_ack);
        spoil(&mut ack);
        let reset = one(&peer.give(&ack));
        assert!(reset.flags.contains(TcpFlags::RST));
        let reason = MptcpOption::Reset {
            transient: false,
            reason: ResetReason::MptcpError,
        };
        assert_eq!(reset.options.mptcp[..], [reason]);
        assert_eq!(peer.subflows(), 1);
        assert_eq!(peer.bench.stack.flow_counts().0, 0);
        assert_eq!(peer.bench.counter("MPTcpExtMPJoinAckHMacFailure"), 1);
    }
}

#[test]
fn a_token_of_nobody_is_reset() {
    let mut peer = Peer::connect(generous());
    let other = Token(peer.token().0 ^ 1);
    let reset = one(&peer.give(&peer.join_syn(80, other)));
    assert_eq!(reset.flags, TcpFlags::RST | TcpFlags::ACK);
    assert_eq!(
        (reset.sequence, reset.acknowledgment),
        (SequenceNumber(0), SequenceNumber(501))
    );
}

#[test]
fn a_join_past_the_limit_is_refused_with_a_reason() {
    let mut peer = Peer::connect(Limits {
        subflows: 0,
        add_addr_accepted: 0,
    });
    let reset = one(&peer.give(&peer.join_syn(80, peer.token())));
    assert!(reset.flags.contains(TcpFlags::RST));
    assert!(matches!(
        reset.options.mptcp[..],
        [MptcpOption::Reset { .. }]
    ));
    assert_eq!(peer.bench.counter("MPTcpExtMPJoinSynRejected"), 1);
    assert_eq!(peer.bench.stack.flow_counts().0, 0);
}

#[test]
fn the_limit_holds_for_joins_that_are_half_open_too() {
    let mut peer = Peer::connect(Limits {
        subflows: 1,
        add_addr_accepted: 0,
    });
    let mut half_open = Vec::new();
    for port in 0..3 {
        let mut join = peer.join_syn(80, peer.token());
        join.source_port += port;
        half_open.push(one(&peer.give(&join)));
    }
    for syn_ack in &half_open {
        let ack = peer.join_ack(syn_ack);
        peer.give(&ack);
    }
    assert_eq!(peer.subflows(), 2);
}

#[test]
fn a_join_to_a_connection_that_is_gone_is_reset() {
    let mut peer = Peer::connect(generous());
    let syn_ack = one(&peer.give(&peer.join_syn(80, peer.token())));
    let now = peer.bench.now;
    peer.bench.stack.abort(now, peer.connection);
    peer.bench.sent();
    let reset = one(&peer.give(&peer.join_ack(&syn_ack)));
    assert!(reset.flags.contains(TcpFlags::RST));
    assert_eq!(peer.bench.stack.subflow_count(), 0);
}
