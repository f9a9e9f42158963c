//! Filler: nobody sleeps past room.

use crate::models::{READER, SECOND, Socket, explore};
use crate::slot::application::Done;
use crate::slot::engine::EngineSide;
use loom::thread;

/// A sender that finds the ring full: whether it kicks the engine.
fn send_or_block(socket: &Socket, thread: crate::lock::ThreadId, byte: u8) -> bool {
    let application = socket.application();
    let sent = application.send(thread, &[byte]).expect("honest words");
    if sent.bytes > 0 {
        return sent.kick;
    }
    let Done { bytes: room, kick } = application
        .block(thread, &*socket.descriptor)
        .expect("honest words");
    if room > 0 {
        application.send(thread, &[byte]).expect("honest words");
    }
    kick
}

/// Once all threads have ended and the kicks are answered: unwritable means half full at least.
fn assert_writable_when_there_is_room(socket: &Socket, engine: &mut EngineSide, kicked: bool) {
    if kicked {
        engine
            .answer_kick(&socket.slot, &*socket.descriptor)
            .expect("honest words");
    }
    let room = socket.application().room().expect("honest words");
    assert!(
        socket.descriptor.is_writable() || room < 2,
        "{room} bytes of room of 4, and the sender sleeps"
    );
    socket.take(engine, 4);
    assert!(socket.descriptor.is_writable());
}

#[test]
fn a_blocked_sender_is_woken() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        socket
            .application()
            .send(READER, &[0; 4])
            .expect("honest words");
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
        socket
            .application()
            .send(READER, &[0; 4])
            .expect("honest words");
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
