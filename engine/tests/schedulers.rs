//! Schedulers between two stacks over links that differ, and every change of scheduler and
//! congestion controller while data flows.

use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::random::Random;
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError, SocketOptions};
use braid_engine::stack::{
    Capabilities, ConnectionId, InterfaceConfig, PortId, Stack, StackConfig,
};
use braid_engine::testing::application::Pattern;
use braid_engine::testing::link::LinkConfig;
use braid_engine::testing::network::{End, HostId, LinkId, Network};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

fn address(link: usize, host: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, link as u8, 1 + host as u8).into()
}

fn host(number: usize, links: usize, backups: bool) -> Stack {
    let mut stack = Stack::new(StackConfig::default(), [number as u8 + 1; 32]);
    let limits = Limits {
        subflows: 8,
        add_addr_accepted: 8,
    };
    stack.set_limits(Instant::ZERO, limits);
    for link in 0..links {
        let interface = InterfaceConfig {
            port: PortId(link as u16),
            name: format!("eth{link}"),
            mac: MacAddress([2, 0, 0, 0, link as u8, number as u8]),
            mtu: 1_500,
            addresses: vec![(address(link, number), 24)],
            gateways: Vec::new(),
            capabilities: Capabilities {
                checksum: false,
                segmentation: false,
                attach: false,
                max_frame: 1_514,
            },
        };
        stack.add_interface(interface).expect("sound");
        let mut flags = match number {
            0 => EndpointFlags::SUBFLOW | EndpointFlags::FULLMESH,
            _ => EndpointFlags::SIGNAL,
        };
        flags.set(EndpointFlags::BACKUP, backups && number == 0);
        if link > 0 {
            let endpoint = Endpoint {
                id: link as u8,
                address: address(link, number),
                port: None,
                flags,
            };
            stack.add_endpoint(Instant::ZERO, endpoint).expect("sound");
        }
    }
    stack
}

/// A connection between two hosts, with a subflow on each link, and two streams of bytes.
struct Lab {
    network: Network,
    hosts: [HostId; 2],
    links: Vec<LinkId>,
    ends: [ConnectionId; 2],
    written: [u64; 2],
    read: [u64; 2],
    /// When each side last read something, and the longest it went without.
    last_read: [Instant; 2],
    longest_gap: [Duration; 2],
}

impl Lab {
    /// `delays` are those of the links, one way, in milliseconds.
    fn new(delays: &[u64], rate: u64, socket: &SocketOptions, backups: bool) -> Self {
        let mut network = Network::new(Random::from_u64(11));
        let hosts = [0, 1].map(|number| network.add_host(host(number, delays.len(), backups)));
        let mut links = Vec::new();
        for (link, millis) in delays.iter().enumerate() {
            let port = PortId(link as u16);
            let config = LinkConfig {
                delay: Duration::from_millis(*millis),
                rate: Some(rate),
                ..LinkConfig::default()
            };
            links.push(network.add_link(
                hosts.map(|host| End { host, port }),
                [config; 2],
                Vec::new(),
            ));
        }
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 80);
        let options = ListenOptions {
            socket: socket.clone(),
            ..ListenOptions::default()
        };
        let listener = network.stack(hosts[1]).listen(any, options).expect("free");
        let options = ConnectOptions {
            socket: socket.clone(),
            ..ConnectOptions::to(SocketAddr::new(address(0, 1), 80))
        };
        let now = network.now();
        let client = network
            .stack(hosts[0])
            .connect(now, options)
            .expect("a route");
        network.transmit();
        let (mut accepted, mut spoken) = (None, false);
        let everywhere = |network: &Network, end| {
            let subflows = network.host(hosts[1]).subflows(end);
            subflows
                .iter()
                .filter(|subflow| subflow.established)
                .count()
                == delays.len()
        };
        while !accepted.is_some_and(|end| everywhere(&network, end)) {
            let next = network.next_event().expect("the handshakes go on");
            network.advance_to(next);
            accepted = accepted.or_else(|| network.stack(hosts[1]).accept(listener));
            if !spoken && let Some(server) = accepted {
                // A byte each way confirms MPTCP, which the joins wait for.
                let now = network.now();
                for (side, end) in [(0, client), (1, server)] {
                    let byte = [Pattern(side as u64).byte_at(0)];
                    let sent = network.stack(hosts[side]).send(now, end, &byte);
                    assert_eq!(sent, Ok(1));
                }
                network.transmit();
                spoken = true;
            }
            assert!(network.now() < Instant::from_millis(20_000), "no subflows");
        }
        let now = network.now();
        Self {
            network,
            hosts,
            links,
            ends: [client, accepted.expect("accepted")],
            written: [1; 2],
            read: [0; 2],
            last_read: [now; 2],
            longest_gap: [Duration::ZERO; 2],
        }
    }

    /// One turn of both programs: each writes up to `length` bytes in all and reads what is there.
    fn exchange(&mut self, length: [u64; 2]) {
        let now = self.network.now();
        let mut buffer = vec![0; 16_384];
        for (side, length) in length.into_iter().enumerate() {
            let (stack, end) = (self.network.stack(self.hosts[side]), self.ends[side]);
            while self.written[side] < length {
                let count = buffer.len().min((length - self.written[side]) as usize);
                let piece = &mut buffer[..count];
                Pattern(side as u64).fill(self.written[side], piece);
                match stack.send(now, end, piece) {
                    Ok(count) => self.written[side] += count as u64,
                    Err(SocketError::WouldBlock) => break,
                    Err(error) => panic!("send: {error}"),
                }
            }
            loop {
                match stack.recv(now, end, &mut buffer) {
                    Ok(0) => panic!("the stream ended"),
                    Ok(count) => {
                        let wrong =
                            Pattern(1 - side as u64).mismatch(self.read[side], &buffer[..count]);
                        assert_eq!(wrong, None, "a wrong byte");
                        self.read[side] += count as u64;
                        let gap = now.saturating_since(self.last_read[side]);
                        self.longest_gap[side] = self.longest_gap[side].max(gap);
                        self.last_read[side] = now;
                    }
                    Err(SocketError::WouldBlock) => break,
                    Err(error) => panic!("recv: {error}"),
                }
            }
        }
        self.network.transmit();
    }

    /// Goes on until each side has read what the other was to write, or for `limit`. True when all
    /// was read.
    fn run(&mut self, length: [u64; 2], limit: Duration) -> bool {
        let until = self.network.now() + limit;
        loop {
            self.exchange(length);
            if self.read[0] >= length[1] && self.read[1] >= length[0] {
                return true;
            }
            let Some(next) = self.network.next_event().filter(|next| *next <= until) else {
                return false;
            };
            self.network.advance_to(next);
        }
    }

    /// Payload bytes that each of a side's subflows was given.
    fn sent(&self, side: usize) -> Vec<u64> {
        let subflows = self
            .network
            .host(self.hosts[side])
            .subflows(self.ends[side]);
        subflows.iter().map(|subflow| subflow.bytes_sent).collect()
    }

    fn set(&mut self, side: usize, scheduler: Scheduler, kind: ControllerKind) {
        let (now, end) = (self.network.now(), self.ends[side]);
        let stack = self.network.stack(self.hosts[side]);
        stack.set_scheduler(now, end, scheduler).expect("alive");
        stack.set_congestion(now, end, kind).expect("alive");
    }
}

fn with(scheduler: Scheduler) -> SocketOptions {
    SocketOptions {
        scheduler: Some(scheduler),
        ..SocketOptions::default()
    }
}

/// A window that the slow path alone could fill.
fn small_window(scheduler: Scheduler) -> SocketOptions {
    SocketOptions {
        send_buffer: Some(64 * 1024),
        receive_buffer: Some(64 * 1024),
        ..with(scheduler)
    }
}

/// How long `length` bytes take from the client to the server.
fn time_of(scheduler: Scheduler, length: u64) -> Duration {
    let mut lab = Lab::new(&[5, 100], 4_000_000, &small_window(scheduler), false);
    let start = lab.network.now();
    assert!(
        lab.run([length, 0], Duration::from_secs(300)),
        "{scheduler}"
    );
    lab.network.now().saturating_since(start)
}

#[test]
fn blest_and_ecf_are_no_slower_than_minrtt_where_the_window_is_small() {
    for length in [200_000, 2_000_000] {
        let min_rtt = time_of(Scheduler::MinRtt, length);
        for scheduler in [Scheduler::Blest, Scheduler::Ecf] {
            let time = time_of(scheduler, length);
            assert!(
                time <= min_rtt.mul_f64(1.02),
                "{scheduler}: {time:?} after {min_rtt:?}"
            );
        }
    }
}

#[test]
fn every_scheduler_fills_paths_that_are_alike_but_for_those_that_keep_to_one() {
    for scheduler in Scheduler::ALL {
        let mut lab = Lab::new(&[10, 10], 1_000_000, &with(scheduler), false);
        assert!(
            lab.run([4_000_000, 0], Duration::from_secs(60)),
            "{scheduler}"
        );
        let sent = lab.sent(0);
        let least = sent.iter().min().expect("subflows");
        match scheduler {
            Scheduler::Primary => assert_eq!(*least, 0),
            Scheduler::Redundant => {}
            _ => assert!(*least > 1_000_000, "{scheduler}: {sent:?}"),
        }
    }
}

#[test]
fn redundant_data_survives_a_cut_without_a_gap() {
    for cut in [0, 1] {
        let mut lab = Lab::new(&[10, 12], 1_000_000, &with(Scheduler::Redundant), false);
        // A request each 10 ms, of 1,000 bytes.
        let start = lab.network.now();
        let mut is_cut = false;
        for turn in 1..300_u64 {
            let due = start + Duration::from_millis(10) * turn as u32;
            lab.run([turn * 1_000, 1], due.saturating_since(lab.network.now()));
            if lab.network.now() < due {
                lab.network.advance_to(due);
            }
            if turn == 100 {
                is_cut = true;
                lab.longest_gap = [Duration::ZERO; 2];
                lab.network.set_link(lab.links[cut], None, false);
            }
        }
        assert!(is_cut);
        let gap = lab.longest_gap[1];
        assert!(gap < Duration::from_millis(30), "link {cut}: {gap:?}");
        assert!(lab.read[1] > 290_000, "{:?}", lab.read);
    }
}

#[test]
fn redundant_copies_are_no_reinjections_and_are_bounded() {
    let mut lab = Lab::new(&[5, 50], 1_000_000, &with(Scheduler::Redundant), false);
    let length = 2_000_000;
    assert!(lab.run([length, 0], Duration::from_secs(60)));
    let seconds = lab.network.now().as_nanos() as f64 / 1e9;
    // The fast path alone would need 2 s: copies on the slow one do not hold it back.
    assert!(seconds < 3.0, "{seconds} s");
    let info = lab.network.host(lab.hosts[0]).connection_info(lab.ends[0]);
    assert_eq!(info.expect("alive").bytes_reinjected, 0);
    let sent = lab.sent(0);
    assert!(sent.iter().all(|sent| *sent <= length), "{sent:?}");
    // What was acknowledged before the slow path could carry it did not travel there.
    assert!(sent[0] > length * 9 / 10 && sent[1] < length, "{sent:?}");
}

#[test]
fn redundancy_is_the_number_of_copies_whatever_the_scheduler() {
    for scheduler in Scheduler::ALL {
        let mut lab = Lab::new(&[10, 10, 10], 1_000_000, &with(scheduler), false);
        let (now, end) = (lab.network.now(), lab.ends[0]);
        let stack = lab.network.stack(lab.hosts[0]);
        for copies in [0, 33] {
            let refused = stack.set_redundancy(now, end, copies);
            assert_eq!(refused, Err(SocketError::InvalidArgument));
        }
        stack.set_redundancy(now, end, 2).expect("alive");
        let mut total = 0;
        // Little at a time, so that every copy finds room.
        for turn in 1..=50 {
            assert!(
                lab.run([turn * 2_000, 0], Duration::from_secs(5)),
                "{scheduler}"
            );
            total = turn * 2_000;
        }
        let sent: u64 = lab.sent(0).iter().sum();
        assert!(
            (total * 19 / 10..=total * 21 / 10).contains(&sent),
            "{scheduler}: {sent} of {total}"
        );
    }
}

#[test]
fn primary_leaves_the_backup_alone_until_it_fails() {
    for carrier in [false, true] {
        let mut lab = Lab::new(&[10, 5], 1_000_000, &with(Scheduler::Primary), true);
        assert!(lab.run([1_000_000, 1_000_000], Duration::from_secs(30)));
        for side in 0..2 {
            assert_eq!(lab.sent(side)[1], 0);
        }
        lab.longest_gap = [Duration::ZERO; 2];
        lab.last_read = [lab.network.now(); 2];
        if carrier {
            lab.network.set_carrier(lab.links[0], false);
        } else {
            lab.network.set_link(lab.links[0], None, false);
        }
        assert!(lab.run([2_000_000, 2_000_000], Duration::from_secs(30)));
        let bound = if carrier { 100 } else { 1_500 };
        assert!(
            lab.longest_gap[1] < Duration::from_millis(bound),
            "{:?}",
            lab.longest_gap
        );
    }
}

#[test]
fn primary_keeps_to_one_of_two_regular_subflows() {
    let mut lab = Lab::new(&[10, 12], 1_000_000, &with(Scheduler::Primary), false);
    assert!(lab.run([1_000_000, 0], Duration::from_secs(30)));
    assert_eq!(lab.sent(0)[1], 0);
    lab.network.set_link(lab.links[0], None, false);
    assert!(lab.run([2_000_000, 0], Duration::from_secs(30)));
    assert!(lab.sent(0)[1] > 900_000, "{:?}", lab.sent(0));
}

#[test]
fn every_scheduler_and_controller_takes_over_from_every_other_under_way() {
    let mut lab = Lab::new(&[5, 30], 2_000_000, &small_window(Scheduler::MinRtt), false);
    let mut length = 0;
    for before in Scheduler::ALL {
        for after in Scheduler::ALL {
            for (number, kind) in ControllerKind::ALL.into_iter().enumerate() {
                let other = ControllerKind::ALL[(number + 1) % ControllerKind::ALL.len()];
                for (scheduler, kind) in [(before, kind), (after, other)] {
                    lab.set(0, scheduler, kind);
                    lab.set(1, scheduler, other);
                    length += 20_000;
                    lab.run([length, length], Duration::from_millis(7));
                }
            }
        }
    }
    assert!(
        lab.run([length, length], Duration::from_secs(60)),
        "{:?} of {length}",
        lab.read
    );
}

#[test]
fn a_setting_for_a_connection_that_is_gone_fails() {
    let mut lab = Lab::new(&[5], 2_000_000, &with(Scheduler::MinRtt), false);
    let (now, end) = (lab.network.now(), lab.ends[0]);
    let stack = lab.network.stack(lab.hosts[0]);
    stack.close(now, end);
    let gone = Err(SocketError::BadHandle);
    assert_eq!(stack.set_scheduler(now, end, Scheduler::Ecf), gone);
    assert_eq!(stack.set_congestion(now, end, ControllerKind::Olia), gone);
    assert_eq!(stack.set_redundancy(now, end, 2), gone);
}
