//! A signal handler that sends on, and receives from, the socket its thread is busy with.

use crate::pair::{attach, me, open, small};
use braid_shm::ApplicationSlot;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

static SOCKET: OnceLock<(ApplicationSlot, OwnedFd)> = OnceLock::new();
static SENT: AtomicU64 = AtomicU64::new(0);
static RECEIVED: AtomicU64 = AtomicU64::new(0);

/// Sends a message of 16 `h`, or nothing if it does not fit; and takes one byte.
extern "C" fn handler(_signal: libc::c_int) {
    let Some((slot, end)) = SOCKET.get() else {
        return;
    };
    if slot.room().is_ok_and(|room| room >= 3000) {
        let count = slot.send(me(), &[b'h'; 16]).expect("honest words");
        assert_eq!(count, 16);
        SENT.fetch_add(16, Ordering::Relaxed);
    }
    let mut byte = [0];
    let count = slot
        .receive(me(), &mut byte, &end.as_fd())
        .expect("honest words");
    RECEIVED.fetch_add(count as u64, Ordering::Relaxed);
}

#[test]
fn messages_of_handlers_stand_between_those_of_their_thread_never_in_them() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 8);
    let end = pair.end.try_clone().expect("a descriptor");
    SOCKET
        .set((pair.application.clone(), end))
        .expect("set once");
    // SAFETY: all-zero is a valid sigaction; the handler has the signature that it needs.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(
            libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()),
            0
        );
    }
    let ended = AtomicBool::new(false);
    let (application, application_end) = (&pair.application, &pair.end);
    thread::scope(|scope| {
        let (identity, identities) = std::sync::mpsc::channel();
        let ended = &ended;
        let worker = scope.spawn(move || {
            // SAFETY: pthread_self takes nothing.
            identity
                .send(unsafe { libc::pthread_self() })
                .expect("a receiver");
            let mut bytes = [0; 100];
            while !ended.load(Ordering::Relaxed) {
                if application.room().is_ok_and(|room| room >= 3500) {
                    let count = application.send(me(), &[b'm'; 1000]).expect("honest words");
                    assert_eq!(count, 1000);
                    SENT.fetch_add(1000, Ordering::Relaxed);
                }
                let count = application
                    .receive(me(), &mut bytes, &application_end.as_fd())
                    .expect("honest words");
                RECEIVED.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
        let target = identities.recv().expect("the thread's identity");
        let mut taken = Vec::new();
        let mut written = 0;
        for round in 0..30_000 {
            if round % 3 == 0 {
                // SAFETY: the thread lives until `ended`.
                unsafe { libc::pthread_kill(target, libc::SIGUSR2) };
            }
            pair.engine.refresh_transmit().expect("honest words");
            let mut bytes = [0; 4096];
            let count = pair.engine.peek(0, &mut bytes);
            taken.extend_from_slice(&bytes[..count]);
            pair.engine.advance(count);
            pair.engine.refresh_receive().expect("honest words");
            written += pair.engine.write(&[1; 50]) as u64;
            pair.engine.publish(&pair.engine_end.as_fd());
        }
        ended.store(true, Ordering::Relaxed);
        worker.join().expect("no panic");
        pair.engine.refresh_transmit().expect("honest words");
        let mut bytes = [0; 4096];
        let count = pair.engine.peek(0, &mut bytes);
        taken.extend_from_slice(&bytes[..count]);
        pair.engine.advance(count);
        assert_eq!(taken.len() as u64, SENT.load(Ordering::Relaxed));
        let handlers = taken.iter().filter(|byte| **byte == b'h').count();
        assert!(handlers > 0, "no handler got in");
        for run in taken.chunk_by(|left, right| left == right) {
            let whole = if run[0] == b'h' { 16 } else { 1000 };
            assert_eq!(run.len() % whole, 0, "a message was cut");
        }
        let left = pair.application.unread().expect("honest words") as u64;
        assert_eq!(RECEIVED.load(Ordering::Relaxed) + left, written);
    });
}
