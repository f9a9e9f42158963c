//! Filler: nobody sleeps past room.

use crate::lock::ThreadId;
use crate::models::{READER, SECOND, Socket, explore};
use crate::slot::application::Done;
use crate::slot::engine::EngineSide;
use crate::slot::unsent::Splitting;
use loom::thread;

fn block(socket: &Socket, thread: ThreadId) -> Done {
    socket
        .application()
        .block(thread, &*socket.descriptor)
        .expect("honest words")
}

/// A sender that finds the ring full: whether it kicks the engine.
fn send_or_block(socket: &Socket, thread: ThreadId, byte: u8) -> bool {
    let sent = socket.send(thread, &[byte]);
    if sent.bytes > 0 {
        return sent.kick;
    }
    let Done { bytes: room, kick } = block(socket, thread);
    if room > 0 {
        socket.send(thread, &[byte]);
    }
    kick
}

/// Once all threads have ended and the kicks are answered: unwritable means half full at least.
fn assert_writable_when_there_is_room(socket: &Socket, engine: &mut EngineSide, kicked: bool) {
    assert_writable_when_there_is_room_after(socket, engine, kicked, &mut Vec::new());
}

/// The same; what the engine takes out goes into `got`.
fn assert_writable_when_there_is_room_after(
    socket: &Socket,
    engine: &mut EngineSide,
    kicked: bool,
    got: &mut Vec<u8>,
) {
    if kicked {
        engine
            .answer_kick(&socket.slot, socket.list(), &*socket.descriptor)
            .expect("honest words");
    }
    let room = socket.application().room().expect("honest words");
    assert!(
        socket.descriptor.is_writable() || room < 2,
        "{room} bytes of room of 4, and the sender sleeps"
    );
    got.extend(socket.take(engine, 4));
    assert!(socket.descriptor.is_writable());
}

#[test]
fn a_blocked_sender_is_woken() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        socket.send(READER, &[0; 4]);
        let sender = socket.clone();
        let application = thread::spawn(move || send_or_block(&sender, READER, 1));
        socket.take(&mut engine, 2);
        let kicked = application.join().expect("no panic");
        assert_writable_when_there_is_room(&socket, &mut engine, kicked);
    });
}

#[test]
fn two_blocked_senders_are_woken() {
    explore(3, || {
        let (socket, mut engine) = Socket::new(4);
        socket.send(READER, &[0; 4]);
        let senders = [READER, SECOND].map(|thread| {
            let sender = socket.clone();
            thread::spawn(move || send_or_block(&sender, thread, 1))
        });
        socket.take(&mut engine, 3);
        let kicked = senders
            .map(|thread| thread.join().expect("no panic"))
            .contains(&true);
        assert_writable_when_there_is_room(&socket, &mut engine, kicked);
    });
}

/// A blocking sender of a record: whether it sleeps, and whether it kicks the engine.
fn send_record_or_sleep(socket: &Socket, thread: ThreadId, record: &[u8]) -> (bool, bool) {
    let sent = socket.send_as(thread, record, Splitting::OnlyLong);
    if sent.bytes > 0 {
        assert_eq!(sent.bytes, record.len(), "a part of a short record");
        return (false, sent.kick);
    }
    let kick = block(socket, thread).kick;
    let application = socket.application();
    if !application.has_room_for(record.len(), Splitting::OnlyLong) {
        return (true, kick);
    }
    // What it may find taken by another sender, it waits for again: not here.
    let sent = socket.send_as(thread, record, Splitting::OnlyLong);
    assert!(sent.bytes == 0 || sent.bytes == record.len());
    (sent.bytes == 0, kick | sent.kick)
}

#[test]
fn a_sender_that_waits_for_room_for_all_it_has_is_woken() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        socket.send(READER, &[0; 3]);
        let sender = socket.clone();
        let application = thread::spawn(move || send_record_or_sleep(&sender, READER, &[1, 2]));
        socket.take(&mut engine, 1);
        socket.take(&mut engine, 1);
        let (sleeps, kicked) = application.join().expect("no panic");
        assert_writable_when_there_is_room(&socket, &mut engine, kicked);
        assert!(
            sleeps || socket.application().room() == Ok(4),
            "all was taken"
        );
    });
}

#[test]
fn records_of_senders_that_wait_stay_whole() {
    explore(2, || {
        let (socket, mut engine) = Socket::new(4);
        socket.send(READER, &[0; 3]);
        let senders = [(READER, [1, 1]), (SECOND, [2, 2])].map(|(thread, record)| {
            let sender = socket.clone();
            thread::spawn(move || send_record_or_sleep(&sender, thread, &record))
        });
        let mut got = socket.take(&mut engine, 2);
        let mut kicked = false;
        for sender in senders {
            kicked |= sender.join().expect("no panic").1;
        }
        assert_writable_when_there_is_room_after(&socket, &mut engine, kicked, &mut got);
        let records = got.get(3..).expect("the first bytes");
        assert!(
            records
                .chunks(2)
                .all(|record| record == [1, 1] || record == [2, 2]),
            "{got:?}"
        );
    });
}

#[test]
fn a_connection_that_completes_wakes_who_waits_for_it() {
    explore(4, || {
        let (socket, _engine) = Socket::new(4);
        // connect() blocks before it tells the engine, so what completes it comes after.
        socket
            .application()
            .block(READER, &*socket.descriptor)
            .expect("honest words");
        assert!(!socket.descriptor.is_writable());
        let engine = socket.clone();
        let completes = thread::spawn(move || engine.slot.writability.unblock(&*engine.descriptor));
        completes.join().expect("no panic");
        assert!(socket.descriptor.is_writable());
    });
}
