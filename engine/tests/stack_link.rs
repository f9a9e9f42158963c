//! What happens on the link: address resolution, echoes, their limits, and frames that are not for
//! this host or make no sense.

mod stack_support;

use braid_engine::stack::{Event, StackConfig};
use braid_engine::time::Duration;
use braid_engine::wire::arp::{ArpOperation, ArpPacket};
use braid_engine::wire::checksum::PseudoHeader;
use braid_engine::wire::ethernet::{EtherType, MacAddress};
use braid_engine::wire::icmp::{Echo, EchoDirection};
use braid_engine::wire::icmpv4::{self, Icmpv4};
use braid_engine::wire::icmpv6::{self, Icmpv6};
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::neighbour_discovery::NeighbourMessage;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use stack_support::raw::{
    Bench, arp_frame, arp_request, both_families, ip_frame, ip_frame_with, peer_segment, stranger,
    syn,
};
use stack_support::{Network, Side, mac, v4, v6};

fn bench() -> Bench {
    Bench::new(StackConfig::default())
}

fn echo_request(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let echo = Echo {
        direction: EchoDirection::Request,
        identifier: 77,
        sequence: 3,
        payload,
    };
    let mut bytes = vec![0; echo.len()];
    if source.is_ipv4() {
        icmpv4::emit_echo(&echo, &mut bytes).unwrap();
        ip_frame(source, destination, Protocol::Icmpv4, &bytes)
    } else {
        let pseudo = PseudoHeader::new(source, destination, Protocol::Icmpv6).unwrap();
        icmpv6::emit_echo(&echo, &pseudo, &mut bytes).unwrap();
        ip_frame(source, destination, Protocol::Icmpv6, &bytes)
    }
}

fn solicitation(source: Ipv6Addr, target: Ipv6Addr, hop_limit: u8) -> Vec<u8> {
    let message = NeighbourMessage::Solicitation {
        target,
        source_link_address: (!source.is_unspecified()).then_some(mac(Side::Client, 0)),
    };
    let (source, target) = (IpAddr::V6(source), IpAddr::V6(target));
    let pseudo = PseudoHeader::new(source, target, Protocol::Icmpv6).unwrap();
    let mut bytes = vec![0; message.len()];
    message.emit(&pseudo, &mut bytes).unwrap();
    ip_frame_with(source, target, Protocol::Icmpv6, &bytes, hop_limit)
}

fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => panic!("IPv6 was asked for"),
    }
}

#[test]
fn answers_arp_for_its_own_address_only() {
    let mut bench = bench();
    let peer = mac(Side::Client, 0);
    let replies = bench.give(&arp_request(peer, v4(Side::Client, 0)));
    let [reply] = &replies[..] else {
        panic!("one reply, not {replies:?}")
    };
    let arp = reply.arp().unwrap();
    assert_eq!(
        (arp.operation, arp.sender_mac),
        (ArpOperation::Reply, mac(Side::Server, 0))
    );
    assert_eq!((reply.ethernet.destination, arp.target_mac), (peer, peer));
    let other = ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: peer,
        sender_address: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: MacAddress::default(),
        target_address: Ipv4Addr::new(10, 0, 0, 3),
    };
    assert!(
        bench
            .give(&arp_frame(peer, MacAddress::BROADCAST, &other))
            .is_empty()
    );
}

#[test]
fn answers_solicitations_that_crossed_no_router() {
    let mut bench = bench();
    let (own, peer) = (as_v6(v6(Side::Server, 0)), as_v6(v6(Side::Client, 0)));
    let replies = bench.give(&solicitation(peer, own, 255));
    let [reply] = &replies[..] else {
        panic!("one reply, not {replies:?}")
    };
    let ip = reply.ip.unwrap();
    assert_eq!((ip.destination(), ip.hop_limit()), (IpAddr::V6(peer), 255));
    let expected = NeighbourMessage::Advertisement {
        router: false,
        solicited: true,
        overrides: true,
        target: own,
        target_link_address: Some(mac(Side::Server, 0)),
    };
    match Icmpv6::parse(&reply.payload, &ip.pseudo_header()) {
        Ok(Icmpv6::Neighbour(message)) => assert_eq!(message, expected),
        other => panic!("an advertisement, not {other:?}"),
    }
    assert!(bench.give(&solicitation(peer, own, 254)).is_empty());
    assert_eq!(bench.counter("NeighborInErrors"), 1);
    // Duplicate address detection is answered to all nodes.
    let replies = bench.give(&solicitation(Ipv6Addr::UNSPECIFIED, own, 255));
    let all_nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    assert_eq!(replies[0].ip.unwrap().destination(), IpAddr::V6(all_nodes));
}

#[test]
fn echoes_come_back_with_their_payload() {
    let payload: Vec<u8> = (0..251).collect();
    for (peer, own) in both_families() {
        let mut bench = bench();
        bench.introduce();
        let (peer_v6, own_v6) = (as_v6(v6(Side::Client, 0)), as_v6(v6(Side::Server, 0)));
        bench.give(&solicitation(peer_v6, own_v6, 255));
        let replies = bench.give(&echo_request(peer, own, &payload));
        let reply = replies
            .iter()
            .find(|seen| seen.ip.is_some_and(|ip| ip.hop_limit() == 64));
        let reply = reply.unwrap_or_else(|| panic!("no echo reply in {replies:?}"));
        let ip = reply.ip.unwrap();
        assert_eq!((ip.source(), ip.destination()), (own, peer));
        assert_eq!(reply.ethernet.destination, mac(Side::Client, 0));
        let echo = if peer.is_ipv4() {
            match Icmpv4::parse(&reply.payload) {
                Ok(Icmpv4::Echo(echo)) => echo,
                other => panic!("an echo, not {other:?}"),
            }
        } else {
            match Icmpv6::parse(&reply.payload, &ip.pseudo_header()) {
                Ok(Icmpv6::Echo(echo)) => echo,
                other => panic!("an echo, not {other:?}"),
            }
        };
        let expected = Echo {
            direction: EchoDirection::Reply,
            identifier: 77,
            sequence: 3,
            payload: &payload,
        };
        assert_eq!(echo, expected);
    }
}

#[test]
fn echo_replies_are_limited() {
    let config = StackConfig {
        echo_replies_per_second: 10,
        ..StackConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.introduce();
    let request = echo_request(v4(Side::Client, 0), v4(Side::Server, 0), b"flood");
    let is_reply = |seen: &stack_support::raw::Seen| {
        seen.ip.is_some_and(|ip| ip.protocol() == Protocol::Icmpv4)
    };
    let mut replies = 0;
    for _ in 0..1_000 {
        replies += bench
            .give(&request)
            .iter()
            .filter(|seen| is_reply(seen))
            .count();
    }
    assert_eq!(replies, 10);
    assert_eq!(bench.counter("IcmpOutRateLimitHost"), 990);
    bench.now += Duration::from_secs(1);
    assert!(bench.give(&request).iter().any(is_reply));
}

#[test]
fn both_families_are_resolved_before_the_first_segment() {
    for address in [v4, v6] {
        let mut network = Network::new(1);
        network.listen();
        network.establish(SocketAddr::new(address(Side::Server, 0), 80));
        let resolved = network.now;
        // SYN, SYN/ACK and third ACK take 15 ms, the question and its answer 10 more.
        assert_eq!(resolved.as_millis(), 1_000 + 25);
        assert_eq!(network.client.stack.neighbor_count(), 1);
        assert_eq!(network.server.stack.neighbor_count(), 1);
    }
}

#[test]
fn a_neighbour_that_does_not_answer_is_no_route_to_host() {
    let mut network = Network::new(1);
    network.filter = Box::new(|side, _| side == Side::Client);
    let client = network.connect(SocketAddr::new(v4(Side::Server, 0), 80));
    network.run_until(Duration::from_secs(10), |network| {
        network.client.closed(client).is_some()
    });
    let expected = Err(braid_engine::socket::SocketError::HostUnreachable);
    assert!(network.client.saw(&Event::Closed(client, expected)));
}

#[test]
fn a_connect_outlasts_a_neighbour_that_comes_up_late() {
    let mut network = Network::new(1);
    network.listen();
    network.filter = Box::new(|side, _| side == Side::Client);
    let client = network.connect(SocketAddr::new(v4(Side::Server, 0), 80));
    network.run_for(Duration::from_secs(5));
    network.filter = Box::new(|_, _| true);
    network.run_until(Duration::from_secs(40), |network| {
        network.client.saw(&Event::Connected(client))
    });
}

#[test]
fn a_connect_goes_on_when_its_link_comes_back() {
    for before in [Duration::from_millis(2), Duration::from_secs(2)] {
        let mut network = Network::new(1);
        network.listen();
        network.filter = Box::new(|side, _| side == Side::Client);
        let client = network.connect(SocketAddr::new(v4(Side::Server, 0), 80));
        // The question to the neighbour is under way when the link goes.
        network.run_for(before);
        network.set_link(0, false);
        network.run_for(Duration::from_secs(10));
        assert_eq!(network.client.closed(client), None);
        network.filter = Box::new(|_, _| true);
        network.set_link(0, true);
        network.run_until(Duration::from_secs(20), |network| {
            network.client.saw(&Event::Connected(client))
        });
    }
}

#[test]
fn a_flood_of_addresses_does_not_displace_the_peer() {
    let config = StackConfig {
        neighbors: 16,
        ..StackConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.introduce();
    // The stack has sent to the peer: the entry is in use.
    let request = echo_request(v4(Side::Client, 0), v4(Side::Server, 0), b"hello");
    let sent = bench.give(&request);
    assert!(sent.iter().any(|seen| seen.ip.is_some()));
    for number in 3..250 {
        let claimed = MacAddress([2, 6, 6, 6, 6, number as u8]);
        bench.give(&arp_request(claimed, stranger(number)));
    }
    assert_eq!(bench.stack.neighbor_count(), 16);
    let sent = bench.give(&request);
    assert!(
        sent.iter()
            .any(|seen| seen.ip.is_some() && seen.ethernet.destination == mac(Side::Client, 0)),
        "the reply goes where it went before: {sent:?}"
    );
}

#[test]
fn foreign_frames_fragments_and_martians_are_dropped_and_counted() {
    let mut bench = bench();
    bench.introduce();
    let (peer, own) = (v4(Side::Client, 0), v4(Side::Server, 0));
    let good = echo_request(peer, own, b"x");

    let mut to_other = good.clone();
    to_other[5] ^= 0x40;
    assert!(bench.give(&to_other).is_empty());
    assert_eq!(bench.counter("LinkInOtherHost"), 1);

    assert!(
        bench
            .give(&echo_request(peer, stranger(99), b"x"))
            .is_empty()
    );
    assert_eq!(bench.counter("IpInAddrErrors"), 1);

    for source in [
        [10, 0, 0, 255],
        [224, 0, 0, 1],
        [127, 0, 0, 1],
        [10, 0, 0, 2],
        [0, 0, 0, 0],
    ] {
        assert!(
            bench
                .give(&echo_request(source.into(), own, b"x"))
                .is_empty()
        );
    }
    assert_eq!(bench.counter("IpExtInMartians"), 5);

    let mut fragment = good.clone();
    fragment[14 + 6] = 0x20;
    let sum = braid_engine::wire::checksum::Sum::of(&{
        let mut header = fragment[14..34].to_vec();
        header[10..12].fill(0);
        header
    });
    fragment[24..26].copy_from_slice(&sum.finish().to_be_bytes());
    assert!(bench.give(&fragment).is_empty());
    assert_eq!(bench.counter("IpReasmFails"), 1);

    let mut corrupt = good;
    corrupt[14 + 8] ^= 1;
    assert!(bench.give(&corrupt).is_empty());
    assert_eq!(bench.counter("IpInHdrErrors"), 1);

    let mut segment = peer_segment(&syn(5_000, 1), b"");
    let last = segment.len() - 1;
    segment[last] ^= 1;
    assert!(bench.give(&segment).is_empty());
    assert_eq!(bench.counter("TcpInCsumErrors"), 1);

    assert!(bench.give(&[0; 9]).is_empty());
    assert_eq!(bench.counter("LinkInErrors"), 1);
}

#[test]
fn a_packet_of_the_stack_waits_for_its_neighbour() {
    let mut bench = bench();
    let (peer, own) = (v4(Side::Client, 0), v4(Side::Server, 0));
    for _ in 0..5 {
        let sent = bench.give(&echo_request(peer, own, b"x"));
        assert!(
            sent.iter()
                .all(|seen| seen.ethernet.ether_type == EtherType::Arp)
        );
    }
    let IpAddr::V4(target_address) = own else {
        panic!("IPv4")
    };
    let IpAddr::V4(sender_address) = peer else {
        panic!("IPv4")
    };
    let answer = ArpPacket {
        operation: ArpOperation::Reply,
        sender_mac: mac(Side::Client, 0),
        sender_address,
        target_mac: mac(Side::Server, 0),
        target_address,
    };
    let sent = bench.give(&arp_frame(
        mac(Side::Client, 0),
        mac(Side::Server, 0),
        &answer,
    ));
    assert_eq!(sent.len(), 3, "three of the five replies waited");
    assert_eq!(bench.counter("IpOutControlQueueFull"), 2);
}
