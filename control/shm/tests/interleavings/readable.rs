//! Tokens, and the list in their place: nobody sleeps past bytes, and the descriptor does not stay
//! readable without them.

use crate::models::{READER, SECOND, Socket, explore};
use crate::slot::engine::EngineSide;
use loom::sync::Arc;
use loom::thread;

/// What must hold once all threads have ended, with somebody interested all the time.
fn assert_readable_iff_unread(socket: &Socket, engine: &mut EngineSide) {
    if socket.application().unread().expect("honest words") > 0 {
        assert!(
            socket.descriptor.is_readable(),
            "bytes, and the descriptor does not say so"
        );
    }
    // Packets that were still on their way are taken by the next call that finds nothing.
    let (_, kick) = socket.receive(READER, 16);
    if kick {
        engine
            .answer_kick(&socket.slot, socket.list(), &*socket.descriptor)
            .expect("honest words");
    }
    assert_eq!(
        socket.descriptor.tokens(),
        0,
        "no bytes, and the descriptor stays readable"
    );
}

#[test]
fn a_sleeper_is_woken() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        let sleeper = socket.clone();
        let application = thread::spawn(move || {
            sleeper.slot.readiness.watch();
            let sleeps = sleeper.application().unread().expect("honest words") == 0;
            if !sleeps {
                sleeper.receive(READER, 4);
                sleeper.slot.readiness.unwatch();
            }
            sleeps
        });
        socket.arrive(&mut engine, &[1]);
        if application.join().expect("no panic") {
            assert!(socket.descriptor.is_readable());
        }
        assert_readable_iff_unread(&socket, &mut engine);
    });
}

#[test]
fn a_sleeper_that_is_left_asleep_for_a_moment_is_woken() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        let sleeper = socket.clone();
        let application = thread::spawn(move || {
            sleeper.slot.readiness.watch();
            let sleeps = sleeper.application().unread().expect("honest words") == 0;
            if !sleeps {
                sleeper.receive(READER, 4);
                sleeper.slot.readiness.unwatch();
            }
            sleeps
        });
        socket.arrive_quietly(&mut engine, &[1]);
        if application.join().expect("no panic") {
            assert!(socket.descriptor.is_readable());
        }
        assert_readable_iff_unread(&socket, &mut engine);
    });
}

#[test]
fn half_a_ring_wakes_at_once() {
    explore(2, || {
        let (socket, mut engine) = Socket::new(4);
        socket.slot.readiness.watch();
        engine.refresh_receive(&socket.slot).expect("honest words");
        engine.write(&[1]);
        assert!(engine.publish_without_waking(&socket.slot, socket.list(), &*socket.descriptor));
        assert!(!socket.descriptor.is_readable());
        engine.write(&[2]);
        assert!(!engine.publish_without_waking(&socket.slot, socket.list(), &*socket.descriptor));
        assert!(socket.descriptor.is_readable());
    });
}

#[test]
fn a_reader_that_empties_the_ring_misses_nothing() {
    for edge in [false, true] {
        explore(4, move || {
            let (socket, mut engine) = Socket::new(4);
            socket.slot.readiness.watch_for_good(edge);
            socket.arrive(&mut engine, &[1]);
            let reader = socket.clone();
            let application = thread::spawn(move || reader.receive(READER, 1));
            socket.arrive(&mut engine, &[2]);
            let (got, _) = application.join().expect("no panic");
            assert_eq!(got, [1]);
            assert_readable_iff_unread(&socket, &mut engine);
        });
    }
}

#[test]
fn a_reader_of_all_there_is_misses_nothing() {
    explore(3, || {
        let (socket, mut engine) = Socket::new(4);
        socket.slot.readiness.watch_for_good(false);
        let reader = socket.clone();
        let application = thread::spawn(move || {
            reader.receive(READER, 4);
            reader.receive(READER, 4);
        });
        socket.arrive(&mut engine, &[1]);
        socket.arrive(&mut engine, &[2]);
        application.join().expect("no panic");
        assert_readable_iff_unread(&socket, &mut engine);
    });
}

#[test]
fn of_two_sleepers_none_is_forgotten() {
    explore(2, || {
        let (socket, mut engine) = Socket::new(4);
        let sleep_or_read = |socket: Socket, thread| {
            move || {
                socket.slot.readiness.watch();
                let sleeps = socket.application().unread().expect("honest words") == 0;
                if !sleeps {
                    socket.receive(thread, 1);
                    socket.slot.readiness.unwatch();
                }
                sleeps
            }
        };
        let first = thread::spawn(sleep_or_read(socket.clone(), READER));
        let second = thread::spawn(sleep_or_read(socket.clone(), SECOND));
        socket.arrive(&mut engine, &[1]);
        socket.arrive(&mut engine, &[2]);
        let asleep = [first, second]
            .map(|thread| thread.join().expect("no panic"))
            .contains(&true);
        let unread = socket.application().unread().expect("honest words");
        assert!(!asleep || unread == 0 || socket.descriptor.is_readable());
    });
}

/// A wait of who reads the list: whether it sleeps.
fn wait_by_list(socket: &Socket) -> bool {
    socket.ready.doorbell().awake();
    let mut noted = socket.ready.doorbell().take(|_| ());
    if !noted {
        noted = !socket.ready.doorbell().prepare_sleep() && socket.ready.doorbell().take(|_| ());
    }
    !noted
}

#[test]
fn who_reads_the_list_is_woken_by_a_token() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        socket.slot.readiness.list(false);
        let waiter = socket.clone();
        let application = thread::spawn(move || wait_by_list(&waiter));
        socket.arrive(&mut engine, &[1]);
        let sleeps = application.join().expect("no panic");
        assert!(!sleeps || socket.descriptor.is_readable());
        let (got, _) = socket.receive(READER, 4);
        assert_eq!(got, [1]);
        assert_eq!(socket.descriptor.tokens(), 0);
    });
}

#[test]
fn who_reads_the_list_is_told_of_what_others_are_left_asleep_for() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        socket.slot.readiness.list(false);
        let waiter = socket.clone();
        let application = thread::spawn(move || wait_by_list(&waiter));
        socket.arrive_quietly(&mut engine, &[1]);
        let sleeps = application.join().expect("no panic");
        assert!(!sleeps || socket.descriptor.is_readable());
    });
}

#[test]
fn of_two_sockets_on_the_list_none_is_passed_over() {
    explore(3, || {
        let (first, mut of_first) = Socket::new(4);
        let (mut second, mut of_second) = Socket::new(4);
        second.ready = Arc::clone(&first.ready);
        for socket in [&first, &second] {
            socket.slot.readiness.list(false);
        }
        let waiter = first.clone();
        let application = thread::spawn(move || wait_by_list(&waiter));
        first.arrive(&mut of_first, &[1]);
        second.arrive(&mut of_second, &[2]);
        let sleeps = application.join().expect("no panic");
        let tokens = first.descriptor.tokens() + second.descriptor.tokens();
        assert!(!sleeps || tokens > 0);
    });
}

#[test]
fn who_begins_to_read_the_list_hears_of_what_is_there() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        let waiter = socket.clone();
        let application = thread::spawn(move || {
            waiter.slot.readiness.list(true);
            let unread = waiter.application().unread().expect("honest words") > 0;
            !unread && wait_by_list(&waiter)
        });
        socket.arrive(&mut engine, &[1]);
        if application.join().expect("no panic") {
            assert!(socket.descriptor.is_readable());
        }
    });
}

#[test]
fn a_socket_that_is_taken_off_the_list_is_readable() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        socket.slot.readiness.list(false);
        let other = socket.clone();
        let application = thread::spawn(move || {
            other.slot.readiness.unlist();
            other.application().unread().expect("honest words") > 0
        });
        socket.arrive(&mut engine, &[1]);
        if application.join().expect("no panic") {
            engine
                .answer_kick(&socket.slot, socket.list(), &*socket.descriptor)
                .expect("honest words");
        }
        assert!(socket.descriptor.is_readable());
        assert_readable_iff_unread(&socket, &mut engine);
    });
}

#[test]
fn an_epoll_registration_hears_of_what_is_there() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(4);
        let other = socket.clone();
        let application = thread::spawn(move || other.slot.readiness.watch_for_good(true));
        socket.arrive(&mut engine, &[1]);
        application.join().expect("no panic");
        // The kick that goes with the registration.
        engine
            .answer_kick(&socket.slot, socket.list(), &*socket.descriptor)
            .expect("honest words");
        assert!(socket.descriptor.is_readable());
        assert_readable_iff_unread(&socket, &mut engine);
    });
}

#[test]
fn an_arrival_behind_unread_bytes_is_an_edge() {
    explore(3, || {
        let (socket, mut engine) = Socket::new(16);
        socket.slot.readiness.watch_for_good(true);
        for byte in 0..4 {
            let before = socket.descriptor.tokens();
            socket.arrive(&mut engine, &[byte]);
            assert_eq!(socket.descriptor.tokens(), before + 1);
        }
        // As many as are allowed: a partial read makes room for the next edge.
        for byte in 0..6 {
            socket.arrive(&mut engine, &[byte]);
        }
        let (_, kick) = socket.receive(READER, 1);
        assert!(kick);
        assert_eq!(socket.descriptor.tokens(), 0);
        engine
            .answer_kick(&socket.slot, socket.list(), &*socket.descriptor)
            .expect("honest words");
        assert_eq!(socket.descriptor.tokens(), 1);
    });
}

#[test]
fn a_stalled_engine_is_kicked_when_there_is_room() {
    explore(4, || {
        let (socket, mut engine) = Socket::new(2);
        socket.arrive(&mut engine, &[1, 2]);
        let reader = socket.clone();
        let application = thread::spawn(move || reader.receive(READER, 2).1);
        let stalls = engine.stall(&socket.slot).expect("honest words");
        let kicked = application.join().expect("no panic");
        assert!(
            kicked || !stalls,
            "the engine waits for a kick that never comes"
        );
    });
}

#[test]
fn who_reads_the_list_is_woken_again_after_another_has_read() {
    explore(1, || {
        let (first, mut of_first) = Socket::new(4);
        let (mut second, mut of_second) = Socket::new(4);
        second.ready = Arc::clone(&first.ready);
        for socket in [&first, &second] {
            socket.slot.readiness.list(false);
        }
        assert!(wait_by_list(&first), "nothing has come");
        first.arrive(&mut of_first, &[1]);
        // Another thread is faster than the one that is to wake, which finds nothing and sleeps on.
        first.receive(SECOND, 4);
        assert!(!first.descriptor.is_readable());
        second.arrive(&mut of_second, &[2]);
        assert!(second.descriptor.is_readable());
    });
}
