//! Bytes both ways between threads that sleep by poll, and an engine that sleeps by its bell.

use crate::pair::{attach, me, open, poll, small, worker};
use braid_shm::ReadEnd;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BYTES: usize = 8 << 20;

fn byte(position: usize) -> u8 {
    (position.wrapping_mul(0x9e37_79b9) >> 13) as u8
}

/// An echo through 4 KiB rings: the engine gives back what it takes.
#[test]
fn every_byte_comes_back_in_order_and_nobody_oversleeps() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 42);
    let started = Instant::now();
    let sleeps = AtomicUsize::new(0);
    let (application, end) = (&pair.application, &pair.end);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sent = 0;
            while sent < BYTES {
                let piece: Vec<u8> = (sent..BYTES.min(sent + 1 + sent % 3000))
                    .map(byte)
                    .collect();
                let count = application.send(me(), &piece).expect("honest words");
                sent += count;
                if count == 0 && application.block(me(), &end.as_fd()) == Ok(0) {
                    sleeps.fetch_add(1, Ordering::Relaxed);
                    let ready = poll(end.as_fd(), libc::POLLOUT, 5000);
                    assert_ne!(ready, 0, "slept past room, {sent} bytes sent");
                }
            }
        });
        scope.spawn(|| {
            let mut got = 0;
            let mut bytes = [0; 2500];
            loop {
                let ended = application.read_end();
                let count = application
                    .receive(me(), &mut bytes, &end.as_fd())
                    .expect("honest words");
                for (n, found) in bytes[..count].iter().enumerate() {
                    assert_eq!(*found, byte(got + n), "at {}", got + n);
                }
                got += count;
                if count > 0 {
                    continue;
                }
                if ended == ReadEnd::Finished {
                    break;
                }
                let _watch = application.watch();
                if application.unread() == Ok(0) && application.read_end() == ReadEnd::Open {
                    sleeps.fetch_add(1, Ordering::Relaxed);
                    let ready = poll(end.as_fd(), libc::POLLIN, 5000);
                    assert_ne!(ready, 0, "slept past bytes, {got} bytes received");
                }
            }
            assert_eq!(got, BYTES);
        });
        let (engine, engine_end) = (&mut pair.engine, pair.engine_end.as_fd());
        let mut echoed = 0;
        let mut bytes = vec![0; 4096];
        let worker = worker(&attachment.engine);
        while echoed < BYTES {
            let kicked = worker.take_kicks(|slot| assert_eq!(slot, 42));
            if kicked {
                engine.answer_kick(&engine_end).expect("honest words");
            }
            engine.refresh_transmit().expect("honest words");
            let room = engine.refresh_receive().expect("honest words");
            let count = engine.peek(0, &mut bytes).min(room);
            assert_eq!(engine.write(&bytes[..count]), count);
            engine.advance(count);
            engine.publish(&engine_end);
            echoed += count;
            let waits = engine.transmit_available() == 0
                || engine.receive_room() == 0 && engine.stall().expect("honest words");
            if waits && echoed < BYTES && worker.prepare_sleep() {
                let ready = poll(worker.bell().as_fd(), libc::POLLIN, 5000);
                assert_ne!(
                    ready, 0,
                    "the engine slept past a kick, {echoed} bytes echoed"
                );
                worker.bell().clear();
                worker.awake();
            }
        }
        pair.handle.finish_receive(ReadEnd::Finished, &engine_end);
    });
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(
        sleeps.into_inner() > 0,
        "the rings are small: somebody must have slept"
    );
}
