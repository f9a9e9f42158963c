//! Letters to a home that takes none for a while: however much a peer says, few are written.

use super::lab::{Lab, POST, Pair, bytes};
use super::stack_support::{drain, receive_meta};
use braid_engine::socket::SubflowInfo;
use braid_engine::stack::WorkerId;
use braid_engine::storage::frame::Frame;

/// A client's subflow at its own home that leads to another worker of the server than that one's home.
fn to_another_worker(lab: &mut Lab) -> Option<(Pair, SubflowInfo)> {
    let pair = lab.connect(0);
    let home = WorkerId::new(pair.workers[1] as u8);
    let theirs = lab.stack(1, pair.workers[1]).subflows(pair.ends[1]);
    let mut ours = lab.stack(0, 0).subflows(pair.ends[0]).into_iter();
    let found = ours.find(|own| {
        let mut theirs = theirs.iter();
        let other = theirs.find(|other| other.path.remote == own.path.local);
        own.handle.worker() == WorkerId::FIRST
            && other.is_some_and(|other| other.handle.worker() != home)
    });
    found.map(|subflow| (pair, subflow))
}

/// What a peer says costs a letter to home each time, and home takes none.
#[test]
fn a_peer_that_says_the_same_over_and_over_does_not_fill_the_memory() {
    const TIMES: usize = 40_000;
    let mut lab = Lab::new(2, POST);
    let mut found = (0..20).filter_map(|_| to_another_worker(&mut lab));
    let (pair, subflow) = found.next().expect("ports are drawn");
    drop(found);
    let (now, end) = (lab.now(), pair.ends[0]);
    let client = lab.stack(0, 0);
    assert_eq!(client.set_backup(now, end, subflow.handle, true), Ok(true));
    let sent = drain(client, now);
    let [sent] = &sent[..] else {
        panic!("one segment, not {sent:?}")
    };
    let home = pair.workers[1];
    let server = lab.stack(1, 1 - home);
    for _ in 0..TIMES {
        server.receive(now, Frame::from(&sent.bytes[..]), receive_meta(sent));
    }
    let waiting = server.letters_waiting(WorkerId::new(home as u8));
    assert!((1_000..TIMES / 2).contains(&waiting), "{waiting} letters");
    let dropped = lab.counter(1, "ReassemblyRingFull");
    assert!(dropped as usize + waiting >= TIMES, "{dropped}, {waiting}");
    lab.send_all(pair, 0, &bytes(200_000));
    lab.send_all(pair, 1, &bytes(200_000));
}
