//! The lock: threads take turns, handlers append, the dead are stolen from.

use crate::lock::{Entry, ReservationLock, ThreadId};
use crate::models::{READER, SECOND, Socket, explore};
use crate::ring::byte::copy_in;
use crate::sync::{AtomicU64, DEAD_THREAD, Ordering, SharedBytes};
use loom::sync::Arc;
use loom::thread;

#[test]
fn threads_do_not_mix_their_bytes() {
    explore(3, || {
        let (socket, mut engine) = Socket::new(4);
        let senders = [(READER, *b"aa"), (SECOND, *b"bb")].map(|(thread, bytes)| {
            let sender = socket.clone();
            thread::spawn(move || sender.send(thread, &bytes).bytes)
        });
        let mut got = socket.take(&mut engine, 4);
        for sender in senders {
            assert_eq!(sender.join().expect("no panic"), 2);
        }
        got.extend(socket.take(&mut engine, 4));
        assert!(got == b"aabb" || got == b"bbaa", "{got:?}");
    });
}

/// A lock, its ring of eight bytes and its index, without a socket around them.
struct Bare {
    lock: ReservationLock,
    published: AtomicU64,
    bytes: SharedBytes,
}

impl Bare {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: ReservationLock::default(),
            published: AtomicU64::new(0),
            bytes: SharedBytes::holding(&[0; 8]),
        })
    }

    /// Appends `bytes`; `handler` interrupts before the copy.
    fn append(&self, thread: ThreadId, bytes: &[u8], handler: impl FnOnce()) {
        let guard = self.lock.enter(thread, &self.published);
        guard
            .claim(
                |_| Ok(bytes.len()),
                |start, _| {
                    handler();
                    copy_in(&self.bytes, start, bytes);
                },
            )
            .expect("honest words");
    }

    fn published(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.published.load(Ordering::Acquire) as usize];
        self.bytes.read(0, &mut bytes);
        bytes
    }
}

#[test]
fn a_handler_appends_behind_what_it_interrupts() {
    explore(3, || {
        let bare = Bare::new();
        let (first, second) = (Arc::clone(&bare), Arc::clone(&bare));
        let interrupted = thread::spawn(move || {
            first.append(READER, b"aa", || {
                first.append(READER, b"n", || first.append(READER, b"m", || ()));
            });
        });
        let other = thread::spawn(move || second.append(SECOND, b"bb", || ()));
        // Whatever is published is whole: no byte is a zero, nor half of a message.
        let seen = bare.published();
        assert!(
            [&b""[..], b"bb", b"aanm", b"aanmbb", b"bbaanm"].contains(&&seen[..]),
            "{seen:?}"
        );
        interrupted.join().expect("no panic");
        other.join().expect("no panic");
        let all = bare.published();
        assert!(all == b"aanmbb" || all == b"bbaanm", "{all:?}");
    });
}

#[test]
fn a_dead_owner_is_stolen_from_once() {
    explore(3, || {
        let bare = Bare::new();
        // It claims three bytes, has copied none, and stands still for ever: in the copy, `depth`
        // and `reserved` are as a kill leaves them.
        let dead = bare.lock.enter(ThreadId::new(DEAD_THREAD), &bare.published);
        dead.claim(|_| Ok(3), |_, _| steal(&bare))
            .expect("honest words");
        std::mem::forget(dead);
    });
}

fn steal(bare: &Arc<Bare>) {
    let threads = [(READER, *b"aa"), (SECOND, *b"bb")].map(|(thread, bytes)| {
        let bare = Arc::clone(bare);
        thread::spawn(move || {
            let guard = bare.lock.enter(thread, &bare.published);
            let stolen = guard.entry() == Entry::Stolen;
            guard
                .claim(|_| Ok(2), |start, _| copy_in(&bare.bytes, start, &bytes))
                .expect("honest words");
            stolen
        })
    });
    let stolen = threads.map(|thread| thread.join().expect("no panic"));
    assert_eq!(stolen.iter().filter(|stolen| **stolen).count(), 1);
    let all = bare.published();
    assert!(all == b"aabb" || all == b"bbaa", "{all:?}");
}
