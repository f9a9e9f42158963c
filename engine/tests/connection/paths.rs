//! Endpoints, announcements, joins and limits (RFC 8684 sections 3.2 and 3.4).

use crate::harness::{Home, LOCAL_KEY, REMOTE_KEY, handle, path};
use braid_engine::mptcp::connection::{
    ConnectionConfig, ConnectionEvent, JoinRefusal, OpenSubflow, Request, Role, SubflowPath,
};
use braid_engine::mptcp::crypto::SenderKeys;
use braid_engine::mptcp::message::{Establishment, SubflowEnd, ToHome, ToSubflow};
use braid_engine::mptcp::path_manager::{Endpoint, EndpointFlags, Limits};
use braid_engine::time::Duration;
use braid_engine::wire::mptcp_option::MptcpOption;
use core::net::IpAddr;

fn endpoint(id: u8, flags: EndpointFlags) -> Endpoint {
    Endpoint {
        id,
        address: [10, 0, id, 1].into(),
        port: None,
        flags,
    }
}

fn with_endpoints(role: Role, endpoints: &[Endpoint]) -> Home {
    let mut home = Home::opening(role, ConnectionConfig::default());
    for endpoint in endpoints {
        home.endpoints.add(*endpoint).expect("a good endpoint");
    }
    home.establish_capable(false);
    home
}

fn opened(home: &mut Home) -> Vec<OpenSubflow> {
    home.requests()
        .into_iter()
        .filter_map(|request| match request {
            Request::OpenSubflow(open) => Some(open),
            Request::Gone => None,
        })
        .collect()
}

/// The stack does what was asked for; the subflow gets the handle.
fn open(home: &mut Home, open: &OpenSubflow, n: u64) {
    let path = SubflowPath {
        local: (open.local.unwrap_or([10, 0, 9, 1].into()), 6000).into(),
        remote: open.remote,
        local_address_id: open.local_address_id,
        remote_address_id: open.remote_address_id,
        backup: open.backup,
    };
    home.connection
        .subflow_opened(open.attempt, handle(n), path);
}

fn add_addr(id: u8, address: [u8; 4], port: Option<u16>) -> MptcpOption {
    let address = IpAddr::from(address);
    let keys = SenderKeys {
        sender: REMOTE_KEY,
        receiver: LOCAL_KEY,
    };
    MptcpOption::AddAddress {
        address_id: id,
        address,
        port,
        hmac: Some(keys.add_address(id, address, port)),
    }
}

#[test]
fn a_client_opens_from_its_endpoints_once_confirmed() {
    let flags = EndpointFlags::SUBFLOW;
    let backup = flags | EndpointFlags::BACKUP;
    let mut home = with_endpoints(Role::Client, &[endpoint(1, flags), endpoint(2, backup)]);
    assert_eq!(opened(&mut home), [], "not before");
    home.deliver(0, ToHome::Confirmed);
    let opens = opened(&mut home);
    let shape: Vec<_> = opens
        .iter()
        .map(|open| (open.local, open.remote, open.local_address_id, open.backup))
        .collect();
    let remote = path(0).remote;
    assert_eq!(
        shape,
        [
            (Some([10, 0, 1, 1].into()), remote, 1, false),
            (Some([10, 0, 2, 1].into()), remote, 2, true)
        ]
    );
}

#[test]
fn a_server_opens_nothing_from_its_endpoints() {
    let mut home = with_endpoints(Role::Server, &[endpoint(1, EndpointFlags::SUBFLOW)]);
    home.deliver(0, ToHome::Confirmed);
    assert_eq!(opened(&mut home), []);
}

#[test]
fn limits_bound_the_subflows() {
    let flags = EndpointFlags::SUBFLOW;
    let mut home = with_endpoints(Role::Client, &[1, 2, 3].map(|id| endpoint(id, flags)));
    home.endpoints.limits.subflows = 2;
    home.deliver(0, ToHome::Confirmed);
    let opens = opened(&mut home);
    assert_eq!(opens.len(), 2);
    open(&mut home, &opens[0], 1);
    open(&mut home, &opens[1], 2);
    let limits = home.endpoints.limits;
    let refusal = home.connection.can_accept_join(&limits);
    assert_eq!(refusal, Err(JoinRefusal::TooMany));
    assert_eq!(
        home.connection.next_timeout(),
        None,
        "a full connection sleeps"
    );
}

#[test]
fn joins_are_refused_before_the_keys_are_known_and_after_the_close() {
    let limits = Limits::default();
    let home = Home::opening(Role::Server, ConnectionConfig::default());
    let refusal = home.connection.can_accept_join(&limits);
    assert_eq!(refusal, Err(JoinRefusal::NotMultipath));
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 1);
    assert!(home.connection.can_accept_join(&limits).is_ok());
    home.call(|connection, cx| connection.abort(cx));
    let refusal = home.connection.can_accept_join(&limits);
    assert_eq!(refusal, Err(JoinRefusal::Closing));
}

#[test]
fn a_lost_path_is_tried_again_with_backoff() {
    let mut home = with_endpoints(Role::Client, &[endpoint(1, EndpointFlags::SUBFLOW)]);
    home.deliver(0, ToHome::Confirmed);
    let mut waits = Vec::new();
    for n in 1..5 {
        let started = home.now;
        let mut opens = opened(&mut home);
        while opens.is_empty() {
            home.pass(Duration::from_millis(100));
            opens = opened(&mut home);
        }
        waits.push(home.now.saturating_since(started).as_secs());
        open(&mut home, &opens[0], n);
        home.end(n, SubflowEnd::TimedOut);
    }
    assert_eq!(waits, [0, 1, 2, 4]);
    home.call(|connection, cx| connection.link_up([10, 0, 1, 1].into(), cx));
    assert_eq!(opened(&mut home).len(), 1, "at once when the link returns");
}

#[test]
fn a_path_that_the_peer_forbids_is_not_tried_again() {
    use braid_engine::wire::mptcp_option::ResetReason;
    let mut home = with_endpoints(Role::Client, &[endpoint(1, EndpointFlags::SUBFLOW)]);
    home.deliver(0, ToHome::Confirmed);
    let opens = opened(&mut home);
    open(&mut home, &opens[0], 1);
    let reason = Some(ResetReason::AdministrativelyProhibited);
    home.end(
        1,
        SubflowEnd::ResetByPeer {
            reason,
            transient: false,
        },
    );
    home.pass(Duration::from_secs(600));
    assert_eq!(opened(&mut home), []);
}

#[test]
fn a_path_that_may_serve_again_is_tried_again_whoever_gave_it_up() {
    use braid_engine::wire::mptcp_option::ResetReason;
    let silent = ResetReason::UnacceptablePerformance;
    let ends = [
        SubflowEnd::ResetHere(Some(silent)),
        SubflowEnd::ResetByPeer {
            reason: Some(silent),
            transient: true,
        },
    ];
    for end in ends {
        let mut home = with_endpoints(Role::Client, &[endpoint(1, EndpointFlags::SUBFLOW)]);
        home.deliver(0, ToHome::Confirmed);
        let opens = opened(&mut home);
        open(&mut home, &opens[0], 1);
        home.end(1, end);
        home.pass(Duration::from_secs(2));
        assert_eq!(opened(&mut home).len(), 1, "{end:?}");
    }
}

#[test]
fn a_lost_path_that_the_peer_opened_is_left_to_the_peer() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 2);
    home.end(1, SubflowEnd::TimedOut);
    home.pass(Duration::from_secs(100));
    assert_eq!(opened(&mut home), [], "the port it came from listens not");
    home.end(0, SubflowEnd::TimedOut);
    home.pass(Duration::from_secs(2));
    let opens = opened(&mut home);
    assert_eq!(opens.len(), 1, "the first one is this side's");
}

#[test]
fn a_signal_endpoint_is_announced_until_echoed() {
    let flags = EndpointFlags::SIGNAL;
    let ported = Endpoint {
        port: Some(8080),
        ..endpoint(2, flags)
    };
    let mut home = with_endpoints(Role::Server, &[endpoint(1, flags), ported]);
    home.deliver(0, ToHome::Confirmed);
    let announced = |home: &mut Home| -> Vec<(u8, Option<u16>, Option<u64>)> {
        home.sent()
            .into_iter()
            .filter_map(|(_, message)| match message {
                ToSubflow::Signal(MptcpOption::AddAddress {
                    address_id,
                    port,
                    hmac,
                    ..
                }) => Some((address_id, port, hmac)),
                _ => None,
            })
            .collect()
    };
    let keys = SenderKeys {
        sender: LOCAL_KEY,
        receiver: REMOTE_KEY,
    };
    let first = keys.add_address(1, [10, 0, 1, 1].into(), None);
    let second = keys.add_address(2, [10, 0, 2, 1].into(), Some(8080));
    assert_eq!(announced(&mut home), [(1, None, Some(first))]);
    home.deliver(
        0,
        ToHome::Option(MptcpOption::AddAddress {
            address_id: 1,
            address: [10, 0, 1, 1].into(),
            port: None,
            hmac: None,
        }),
    );
    assert_eq!(
        announced(&mut home),
        [(2, Some(8080), Some(second))],
        "one address after the other"
    );
    home.pass(Duration::from_secs(60));
    let repeated = announced(&mut home);
    assert_eq!(
        repeated,
        [(2, Some(8080), Some(second)); 3],
        "three times, then silence"
    );
    assert_eq!(home.connection.next_timeout(), None);
}

#[test]
fn the_address_of_the_first_subflow_is_not_announced() {
    let first = Endpoint {
        address: path(0).local.ip(),
        ..endpoint(1, EndpointFlags::SIGNAL)
    };
    let mut home = with_endpoints(Role::Server, &[first]);
    home.deliver(0, ToHome::Confirmed);
    assert!(home.sent().is_empty());
}

#[test]
fn an_announced_address_is_echoed_and_joined() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 1);
    home.deliver(0, ToHome::Option(add_addr(3, [10, 0, 3, 2], None)));
    let sent = home.sent();
    assert!(
        matches!(
            sent[..],
            [(
                0,
                ToSubflow::Signal(MptcpOption::AddAddress {
                    address_id: 3,
                    hmac: None,
                    ..
                })
            )]
        ),
        "{sent:?}"
    );
    let opens = opened(&mut home);
    assert_eq!(opens.len(), 1);
    assert_eq!(opens[0].local, None, "the route selects it");
    assert_eq!(opens[0].remote, ([10, 0, 3, 2], 80).into());
    assert_eq!(opens[0].remote_address_id, 3);
    // Heard twice, joined once.
    open(&mut home, &opens[0], 1);
    home.deliver(0, ToHome::Option(add_addr(3, [10, 0, 3, 2], None)));
    assert_eq!(opened(&mut home), []);
    let address_ids = [3].into_iter().collect();
    home.deliver(
        0,
        ToHome::Option(MptcpOption::RemoveAddress { address_ids }),
    );
    let removed = ConnectionEvent::AddressRemoved { address_id: 3 };
    assert!(home.events().contains(&removed));
    assert_eq!(home.connection.info().add_addr_accepted, 0);
}

#[test]
fn a_full_mesh_joins_from_each_of_its_endpoints() {
    let flags = EndpointFlags::SUBFLOW | EndpointFlags::FULLMESH;
    let mut home = with_endpoints(Role::Client, &[endpoint(1, flags), endpoint(2, flags)]);
    home.deliver(0, ToHome::Confirmed);
    home.deliver(0, ToHome::Option(add_addr(3, [10, 0, 3, 2], Some(81))));
    let pairs: Vec<_> = opened(&mut home)
        .iter()
        .map(|open| {
            (
                open.local_address_id,
                open.remote_address_id,
                open.remote.port(),
            )
        })
        .collect();
    assert_eq!(pairs, [(1, 0, 80), (2, 0, 80), (1, 3, 81), (2, 3, 81)]);
}

#[test]
fn a_forged_announcement_is_dropped() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 1);
    let MptcpOption::AddAddress {
        address_id,
        address,
        port,
        hmac,
    } = add_addr(3, [10, 0, 3, 2], None)
    else {
        unreachable!("made above");
    };
    let hmac = hmac.map(|hmac| hmac ^ 1);
    let forged = MptcpOption::AddAddress {
        address_id,
        address,
        port,
        hmac,
    };
    home.deliver(0, ToHome::Option(forged));
    assert!(home.sent().is_empty());
    assert_eq!(opened(&mut home), []);
    assert_eq!(home.counters.add_addr_dropped, 1);
}

#[test]
fn announcements_past_the_limit_are_not_used() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 1);
    home.endpoints.limits.add_addr_accepted = 1;
    home.deliver(0, ToHome::Option(add_addr(3, [10, 0, 3, 2], None)));
    home.deliver(0, ToHome::Option(add_addr(4, [10, 0, 4, 2], None)));
    assert_eq!(opened(&mut home).len(), 1);
    assert_eq!(home.connection.info().add_addr_accepted, 1);
}

#[test]
fn a_removed_address_is_probed_and_kept_if_it_answers() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 3);
    let removed = |ids: &[u8]| {
        let address_ids = ids.iter().copied().collect();
        ToHome::Option(MptcpOption::RemoveAddress { address_ids })
    };
    home.deliver(0, removed(&[1, 2]));
    let sent = home.sent();
    assert!(
        matches!(sent[..], [(1, ToSubflow::Probe), (2, ToSubflow::Probe)]),
        "{sent:?}"
    );
    home.data_ack(1, 0, 1 << 20);
    // A timeout of the subflow's own is no answer.
    home.progress(2, |progress| progress.timeouts = 1);
    home.deliver(2, ToHome::Stalled);
    home.forget();
    home.pass(Duration::from_secs(5));
    let sent = home.sent();
    assert!(
        matches!(&sent[..], [(2, ToSubflow::Reset { .. })]),
        "{sent:?}"
    );
}

#[test]
fn a_lost_local_address_is_withdrawn() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 2);
    home.call(|connection, cx| connection.address_removed([10, 0, 1, 1].into(), cx));
    let sent = home.sent();
    let [
        (1, ToSubflow::Reset { .. }),
        (0, ToSubflow::Signal(MptcpOption::RemoveAddress { address_ids })),
    ] = &sent[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(address_ids[..], [1]);
}

#[test]
fn a_change_of_priority_is_told_to_the_peer() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 2);
    assert!(home.call(|connection, cx| connection.set_backup(handle(1), true, cx)));
    let sent = home.sent();
    assert!(
        matches!(
            sent[..],
            [
                (1, ToSubflow::SetBackup(true)),
                (1, ToSubflow::Signal(MptcpOption::Priority { backup: true }))
            ]
        ),
        "{sent:?}"
    );
    let info: Vec<_> = home.connection.subflows().map(|info| info.backup).collect();
    assert_eq!(info, [false, true]);
}

#[test]
fn a_join_under_way_when_the_connection_closes_is_reset() {
    let mut home = Home::established(Role::Server, ConnectionConfig::default(), 1);
    home.connection.join_accepted(handle(1), path(1));
    home.data_fin(0, 0);
    home.call(|connection, cx| connection.close(cx));
    home.data_ack(0, 1, 1 << 20);
    let reset = home
        .sent()
        .into_iter()
        .any(|(to, message)| to == 1 && matches!(message, ToSubflow::Reset { .. }));
    assert!(reset);
    let joined = Establishment::Joined {
        remote_address_id: 1,
        backup: false,
    };
    home.deliver(1, ToHome::Established(joined));
    home.end(1, SubflowEnd::ResetHere(None));
    home.end(0, SubflowEnd::Closed);
    assert!(home.requests().contains(&Request::Gone));
}

#[test]
fn nothing_is_opened_to_an_address_that_cannot_be_the_peers() {
    let mut home = Home::established(Role::Client, ConnectionConfig::default(), 1);
    let addresses = [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [10, 0, 0, 1],
    ];
    for (index, address) in addresses.into_iter().enumerate() {
        let id = index as u8 + 1;
        home.deliver(0, ToHome::Option(add_addr(id, address, None)));
    }
    home.deliver(0, ToHome::Option(add_addr(9, [10, 0, 9, 2], Some(0))));
    assert_eq!(opened(&mut home), []);
    assert_eq!(home.connection.info().add_addr_accepted, 0);
    assert_eq!(home.counters.add_addr_dropped, 6);
}
