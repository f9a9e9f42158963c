//! The forms that an option can take and a configuration chooses between, as they stand on the
//! wire: numbers of 32 and 64 bits, and MP_FASTCLOSE on a RST and on an acknowledgment
//! (RFC 8684 sections 3.3 and 3.5).

mod stack_support;

use braid_engine::mptcp::connection::FastcloseForm;
use braid_engine::stack::{ConnectionId, StackConfig};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::{DataNumber, Dss, MptcpOption};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use core::cell::RefCell;
use core::net::SocketAddr;
use stack_support::raw::Seen;
use stack_support::{Network, PLAIN, Side, pattern, v4};
use std::rc::Rc;

type Heard = Rc<RefCell<Vec<(Side, TcpHeader)>>>;

/// A connection on two links over which both sides have sent, and every segment of it.
fn connected(client: StackConfig, server: StackConfig) -> (Network, ConnectionId, Heard) {
    let mut network = Network::with(client, server, 2, PLAIN);
    network.full_paths(2, false);
    network.listen();
    let heard = Heard::default();
    let notes = Rc::clone(&heard);
    network.filter = Box::new(move |side, sent| {
        let header = Seen::of(sent).tcp();
        notes
            .borrow_mut()
            .extend(header.map(|header| (side, header)));
        true
    });
    let (client, server) = network.establish(SocketAddr::new(v4(Side::Server, 0), 80));
    network.transfer((Side::Client, client), server, &pattern(1_000, 1));
    network.transfer((Side::Server, server), client, &pattern(1_000, 1));
    network.run_for(Duration::from_secs(1));
    // Before the peer's first number there was nothing to go by.
    heard.borrow_mut().clear();
    network.transfer((Side::Client, client), server, &pattern(300_000, 1));
    network.transfer((Side::Server, server), client, &pattern(300_000, 2));
    (network, client, heard)
}

fn dss_of(heard: &Heard, side: Side) -> Vec<Dss> {
    let heard = heard.borrow();
    let options = heard
        .iter()
        .filter(|(from, _)| *from == side)
        .flat_map(|(_, header)| header.options.mptcp.clone());
    options
        .filter_map(|option| match option {
            MptcpOption::Dss(dss) => Some(dss),
            _ => None,
        })
        .collect()
}

#[test]
fn a_number_of_64_bits_is_acknowledged_with_64_bits_and_one_of_32_with_32() {
    for client_long in [false, true] {
        for server_long in [false, true] {
            for checksum in [false, true] {
                let config = |long_data_sequence| StackConfig {
                    long_data_sequence,
                    checksum,
                    ..StackConfig::default()
                };
                let (_, _, heard) = connected(config(client_long), config(server_long));
                let ways = [
                    (Side::Client, client_long, server_long),
                    (Side::Server, server_long, client_long),
                ];
                for (side, own, peers) in ways {
                    let all = dss_of(&heard, side);
                    let mappings: Vec<_> = all.iter().filter_map(|dss| dss.mapping).collect();
                    assert!(mappings.len() > 20);
                    for mapping in mappings {
                        let is_long = matches!(mapping.data_sequence, DataNumber::Long(_));
                        assert_eq!(is_long, own, "{side:?}");
                        assert_eq!(mapping.checksum.is_some(), checksum);
                    }
                    let acks: Vec<_> = all.iter().filter_map(|dss| dss.data_ack).collect();
                    let long = |ack: &&DataNumber| matches!(ack, DataNumber::Long(_));
                    let longs = acks.iter().filter(long).count();
                    let expected = if peers { acks.len() } else { 0 };
                    assert_eq!(longs, expected, "{side:?} of {}", acks.len());
                }
            }
        }
    }
}

#[test]
fn an_abort_is_told_on_every_rst_or_on_one_acknowledgment_until_a_rst_answers() {
    for form in [FastcloseForm::Reset, FastcloseForm::Acknowledgment] {
        let config = || StackConfig {
            fastclose: form,
            ..StackConfig::default()
        };
        let (mut network, client, heard) = connected(config(), config());
        network.run_for(Duration::from_secs(1));
        heard.borrow_mut().clear();
        let now = network.now;
        network.client.stack.abort(now, client);
        network.run_for(Duration::from_secs(5));
        let heard = heard.borrow();
        let fastcloses: Vec<bool> = heard
            .iter()
            .filter(|(side, header)| {
                let fastclose =
                    |option: &MptcpOption| matches!(option, MptcpOption::Fastclose { .. });
                *side == Side::Client && header.options.mptcp.iter().any(fastclose)
            })
            .map(|(_, header)| header.flags.contains(TcpFlags::RST))
            .collect();
        let answered = heard
            .iter()
            .any(|(side, header)| *side == Side::Server && header.flags.contains(TcpFlags::RST));
        match form {
            FastcloseForm::Reset => assert_eq!(fastcloses, [true, true]),
            FastcloseForm::Acknowledgment => {
                assert_eq!(fastcloses, [false]);
                assert!(answered);
            }
        }
        for host in [&network.client, &network.server] {
            assert_eq!(host.stack.subflow_count(), 0, "{form:?}");
        }
        assert_eq!(network.client.stack.connection_count(), 0);
    }
}

#[test]
fn an_abort_on_an_acknowledgment_that_is_lost_goes_again() {
    let config = || StackConfig {
        fastclose: FastcloseForm::Acknowledgment,
        ..StackConfig::default()
    };
    let (mut network, client, _) = connected(config(), config());
    network.run_for(Duration::from_secs(1));
    let sent = Rc::new(RefCell::new(0));
    let count = Rc::clone(&sent);
    network.filter = Box::new(move |side, frame| {
        let options = Seen::of(frame).tcp().map(|header| header.options.mptcp);
        let fastclose = options
            .into_iter()
            .flatten()
            .any(|option| side == Side::Client && matches!(option, MptcpOption::Fastclose { .. }));
        *count.borrow_mut() += u32::from(fastclose);
        !fastclose || *count.borrow() > 2
    });
    let now = network.now;
    network.client.stack.abort(now, client);
    network.run_for(Duration::from_secs(20));
    assert_eq!(*sent.borrow(), 3);
    assert_eq!(network.client.stack.connection_count(), 0);
    assert_eq!(network.server.stack.subflow_count(), 0);
}
