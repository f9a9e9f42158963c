//! What is changed while a subflow of another worker is on its way into being: the letters say how things
//! were before, and what comes of them is as though they had known.

use super::lab::{Lab, PORT, POST, Pair, bytes, v4};
use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::path_manager::Limits;
use braid_engine::socket::{SocketError, SubflowInfo};
use braid_engine::stack::{FlowHash, Steering};
use braid_engine::storage::flow_table::FourTuple;
use braid_engine::testing::host::PostConfig;
use braid_engine::time::Duration;
use core::net::SocketAddr;

/// Letters that take long enough for something to happen meanwhile.
const SLOW: PostConfig = PostConfig {
    delay: Duration::from_millis(200),
    ..POST
};

/// The client's home has ordered a subflow from the other worker, and does not know yet what came of it:
/// the address of the peer that it leads to.
fn until_ordered(lab: &mut Lab, pair: Pair) -> SocketAddr {
    let targets = [1, 2].map(|link| SocketAddr::new(v4(link, 2), PORT));
    for _ in 0..2_000 {
        let stack = lab.stack(0, pair.workers[0]);
        let subflows = stack.subflows(pair.ends[0]);
        let is_there = |target| subflows.iter().any(|subflow| subflow.path.remote == target);
        let ordered = targets
            .into_iter()
            .find(|&target| stack.leads_to(pair.ends[0], target) && !is_there(target));
        if let Some(target) = ordered {
            return target;
        }
        lab.run_for(Duration::from_millis(1));
    }
    panic!("nothing is ordered from the other worker");
}

/// The subflow to that address, when everything has come to rest.
fn settled(lab: &mut Lab, pair: Pair, target: SocketAddr) -> Option<SubflowInfo> {
    lab.run_for(Duration::from_secs(4));
    let subflows = lab.stack(0, pair.workers[0]).subflows(pair.ends[0]);
    let mut of_target = subflows
        .into_iter()
        .filter(|subflow| subflow.path.remote == target);
    of_target.next()
}

/// The identifier of the endpoint by which the client reaches an address.
fn endpoint_to(target: SocketAddr) -> u8 {
    let link = [1, 2].into_iter().find(|link| v4(*link, 2) == target.ip());
    link.expect("an address of a further link")
}

#[test]
fn a_subflow_from_an_endpoint_that_was_removed_does_not_come_about() {
    let mut lab = Lab::new(2, SLOW);
    let pair = lab.greet(0);
    let target = until_ordered(&mut lab, pair);
    let now = lab.now();
    for worker in 0..2 {
        let stack = lab.stack(0, worker);
        assert!(stack.remove_endpoint(now, endpoint_to(target)));
    }
    let left = settled(&mut lab, pair, target);
    assert!(left.is_none(), "{left:?}");
    lab.send_all(pair, 0, &bytes(100_000));
}

#[test]
fn a_subflow_from_an_endpoint_that_was_made_a_backup_is_one() {
    for backup in [true, false] {
        let mut lab = Lab::new(2, SLOW);
        let now = lab.now();
        for (worker, id) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
            let known = lab.stack(0, worker).set_endpoint_backup(now, id, !backup);
            assert!(known);
        }
        let pair = lab.greet(0);
        let target = until_ordered(&mut lab, pair);
        let now = lab.now();
        for worker in 0..2 {
            let stack = lab.stack(0, worker);
            assert!(stack.set_endpoint_backup(now, endpoint_to(target), backup));
        }
        let made = settled(&mut lab, pair, target).expect("it was opened");
        assert!(made.established);
        assert_eq!(made.path.backup, backup);
        // The peer has heard of it too.
        let theirs = lab.stack(1, pair.workers[1]).subflows(pair.ends[1]);
        let mut theirs = theirs.iter();
        let theirs = theirs.find(|subflow| subflow.path.local == target);
        assert_eq!(theirs.map(|subflow| subflow.backup), Some(backup));
    }
}

#[test]
fn a_subflow_from_an_address_that_the_application_gave_up_is_closed() {
    let mut lab = Lab::new(2, SLOW);
    let pair = lab.greet(0);
    let target = until_ordered(&mut lab, pair);
    let now = lab.now();
    let stack = lab.stack(0, pair.workers[0]);
    let first = [v4(0, 1)];
    stack
        .set_local_addresses(now, pair.ends[0], &first)
        .unwrap();
    let left = settled(&mut lab, pair, target);
    assert!(left.is_none(), "{left:?}");
    lab.send_all(pair, 0, &bytes(100_000));
}

#[test]
fn no_more_subflows_come_about_than_the_application_wants_by_then() {
    let mut lab = Lab::new(2, SLOW);
    let pair = lab.greet(0);
    let target = until_ordered(&mut lab, pair);
    let now = lab.now();
    let stack = lab.stack(0, pair.workers[0]);
    stack.set_max_subflows(now, pair.ends[0], 1).unwrap();
    settled(&mut lab, pair, target);
    let left = lab.stack(0, pair.workers[0]).subflows(pair.ends[0]);
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_subflow_has_the_settings_that_the_connection_has_by_then() {
    // On the client's side the subflow is ordered, on the server's the peer joins.
    for side in 0..2 {
        let mut lab = Lab::new(2, SLOW);
        let pair = lab.greet(0);
        until_ordered(&mut lab, pair);
        let (home, end) = (pair.workers[side], pair.ends[side]);
        if side == 1 {
            // Home has said how to answer, and the third ACK is still to come.
            let answered = (0..2_000).any(|_| {
                lab.run_for(Duration::from_millis(1));
                lab.stack(1, 1 - home).counters().stack.segments_sent > 0
            });
            assert!(answered && lab.stack(1, 1 - home).subflow_count() == 0);
        }
        let now = lab.now();
        let set = lab
            .stack(side, home)
            .set_congestion(now, end, ControllerKind::Reno);
        set.unwrap();
        lab.run_for(Duration::from_secs(4));
        let subflows = lab.stack(side, home).subflows(end);
        let away = subflows
            .iter()
            .filter(|subflow| subflow.handle.worker().index() != home);
        let controllers: Vec<_> = away
            .map(|subflow| {
                let stack = lab.stack(side, 1 - home);
                stack.tcp_info(subflow.handle).expect("its own").controller
            })
            .collect();
        assert!(!controllers.is_empty());
        let reno = |controller: &ControllerKind| *controller == ControllerKind::Reno;
        assert!(controllers.iter().all(reno), "side {side}: {controllers:?}");
    }
}

#[test]
fn an_application_cannot_order_more_subflows_than_there_may_be() {
    let mut lab = Lab::new(2, SLOW);
    let limits = Limits {
        subflows: 2,
        add_addr_accepted: 0,
    };
    let now = lab.now();
    for worker in 0..2 {
        // The path manager has nothing to open.
        let stack = lab.stack(0, worker);
        stack.set_limits(now, limits);
        assert!(stack.remove_endpoint(now, 1) && stack.remove_endpoint(now, 2));
    }
    let pair = lab.greet(0);
    lab.run_for(Duration::from_secs(1));
    let now = lab.now();
    let steering = Steering::new(2, FlowHash::Ports).unwrap();
    let remote = SocketAddr::new(v4(1, 2), PORT);
    let (home, end) = (pair.workers[0], pair.ends[0]);
    let elsewhere = (20_000..).map(|port| SocketAddr::new(v4(1, 1), port));
    let elsewhere = elsewhere.filter(|&local| {
        let worker = steering.worker_of(&FourTuple { local, remote });
        worker.index() != home
    });
    let stack = lab.stack(0, home);
    let mut add = |local| stack.add_subflow(now, end, Some(local), Some(remote), false);
    let mut locals = elsewhere.take(4);
    let outcomes: Vec<_> = locals.by_ref().take(3).map(&mut add).collect();
    assert_eq!(outcomes, [Ok(()), Ok(()), Err(SocketError::NoBuffers)]);
    lab.run_for(Duration::from_secs(4));
    // Those that came about have taken the places that were kept for them.
    let stack = lab.stack(0, home);
    assert_eq!(stack.subflows(end).len(), 3);
    let now = lab.now();
    let removed = lab.stack(0, home).remove_subflow(now, end, 1);
    assert_eq!(removed, Ok(()));
    lab.run_for(Duration::from_secs(4));
    let now = lab.now();
    let again = locals.next();
    let stack = lab.stack(0, home);
    assert_eq!(
        stack.add_subflow(now, end, again, Some(remote), false),
        Ok(())
    );
    lab.run_for(Duration::from_secs(4));
    assert_eq!(lab.stack(0, home).subflows(end).len(), 3);
}
