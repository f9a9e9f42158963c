//! Bytes through a ring: whole, in order, without a race on any of them.

use crate::models::{READER, Socket, explore};
use crate::ring::entry::{ENTRY_BYTES, EntryRing, RING_ENTRIES};
use loom::sync::Arc;
use loom::thread;

#[test]
fn bytes_to_the_engine_arrive_in_order() {
    explore(3, || {
        let (socket, mut engine) = Socket::new(2);
        let sender = socket.clone();
        let application = thread::spawn(move || {
            let mut sent = 0;
            for _ in 0..3 {
                let rest = &[1, 2, 3][sent..];
                sent += sender.send(READER, rest).bytes;
            }
            sent
        });
        let mut got = socket.take(&mut engine, 2);
        got.extend(socket.take(&mut engine, 2));
        let sent = application.join().expect("no panic");
        got.extend(socket.take(&mut engine, 4));
        assert_eq!(got, [1, 2, 3][..sent]);
        assert!(sent >= 2);
    });
}

#[test]
fn bytes_to_the_application_arrive_in_order() {
    explore(3, || {
        let (socket, mut engine) = Socket::new(2);
        let receiver = socket.clone();
        let application = thread::spawn(move || {
            let mut got = receiver.receive(READER, 1).0;
            got.extend(receiver.receive(READER, 2).0);
            got
        });
        let mut sent = socket.arrive(&mut engine, &[1, 2]);
        sent += socket.arrive(&mut engine, &[1, 2, 3][sent..]);
        let mut got = application.join().expect("no panic");
        got.extend(socket.receive(READER, 4).0);
        assert_eq!(got, [1, 2, 3][..sent]);
    });
}

#[test]
fn an_entry_is_seen_whole_or_not_at_all() {
    explore(2, || {
        let ring = Arc::new(EntryRing::default());
        let producer = Arc::clone(&ring);
        let pushed = thread::spawn(move || {
            let mut tail = 0;
            let entries = [[1; ENTRY_BYTES], [2; ENTRY_BYTES]];
            entries.map(|entry| producer.push(&mut tail, &entry).expect("honest words"))
        });
        let mut head = 0;
        let mut got = Vec::new();
        for _ in 0..2 {
            got.extend(ring.pop(&mut head).expect("honest words"));
        }
        assert_eq!(pushed.join().expect("no panic"), [true; 2]);
        while let Some(entry) = ring.pop(&mut head).expect("honest words") {
            got.push(entry);
        }
        assert_eq!(got, [[1; ENTRY_BYTES], [2; ENTRY_BYTES]]);
    });
}

#[test]
fn a_full_ring_of_entries_takes_no_more() {
    explore(1, || {
        let ring = EntryRing::default();
        let (mut tail, mut head) = (0, 0);
        for _ in 0..RING_ENTRIES {
            assert_eq!(ring.push(&mut tail, &[7; ENTRY_BYTES]), Ok(true));
        }
        assert_eq!(ring.push(&mut tail, &[8; ENTRY_BYTES]), Ok(false));
        assert_eq!(ring.pop(&mut head), Ok(Some([7; ENTRY_BYTES])));
        assert_eq!(ring.push(&mut tail, &[8; ENTRY_BYTES]), Ok(true));
    });
}

/// Between its two loads others may send, and the engine take, more than a ring.
#[test]
fn room_is_asked_for_while_others_send() {
    explore(2, || {
        let (socket, mut engine) = Socket::new(2);
        let asking = socket.clone();
        let application = thread::spawn(move || asking.application().room());
        socket.send(READER, &[1]);
        socket.take(&mut engine, 1);
        let room = application.join().expect("no panic").expect("no violation");
        assert!((1..=2).contains(&room));
    });
}

#[test]
fn bytes_are_asked_for_while_others_read() {
    explore(2, || {
        let (socket, mut engine) = Socket::new(2);
        socket.arrive(&mut engine, &[1, 2]);
        let asking = socket.clone();
        let application = thread::spawn(move || asking.application().unread());
        socket.receive(READER, 2);
        socket.arrive(&mut engine, &[3]);
        let unread = application.join().expect("no panic").expect("no violation");
        assert!(unread <= 2);
    });
}
