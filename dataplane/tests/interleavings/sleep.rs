//! No sleep is entered past an item, and one bell is enough for it.

use crate::explore;
use crate::mailbox::{Bell, mailbox};
use crate::sync::{Arc, AtomicU32, Ordering};
use loom::thread;

/// The eventfd.
#[derive(Clone)]
struct Counter(Arc<AtomicU32>);

impl Counter {
    fn new() -> Self {
        Self(Arc::new(AtomicU32::new(0)))
    }

    fn rung(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Bell for Counter {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// `producers` producers of one item each, and a consumer that takes what there is and sleeps.
fn doze(producers: usize) {
    let bell = Counter::new();
    let (mut inbox, outboxes) = mailbox(bell.clone(), producers, 2);
    let threads: Vec<_> = outboxes
        .into_iter()
        .enumerate()
        .map(|(producer, mut outbox)| {
            thread::spawn(move || {
                assert_eq!(outbox.send(producer), Ok(()));
                outbox.flush();
            })
        })
        .collect();
    let mut got = Vec::new();
    got.extend(inbox.receive());
    let sleeps = inbox.prepare_to_sleep();
    let before_the_wake = if sleeps { got.len() } else { producers };
    if !sleeps {
        got.extend(inbox.receive());
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    if before_the_wake < producers {
        assert_eq!(bell.rung(), 1, "woken, and once");
    }
    assert!(bell.rung() <= 1);
    inbox.awake();
    got.extend(std::iter::from_fn(|| inbox.receive()));
    got.sort_unstable();
    assert_eq!(got, (0..producers).collect::<Vec<_>>());
}

#[test]
fn an_item_is_seen_before_the_sleep_or_rings() {
    explore(5, || doze(1));
}

#[test]
fn of_two_producers_one_rings() {
    explore(2, || doze(2));
}
/// The eventfd and the poll(2) on it: blocks without spinning, so that loom reports a consumer that
/// nobody wakes as a deadlock.
#[derive(Clone)]
struct Blocking(Arc<(loom::sync::Mutex<bool>, loom::sync::Condvar)>);

impl Blocking {
    fn sleep(&self) {
        let mut rung = self.0.0.lock().expect("no panic");
        while !*rung {
            rung = self.0.1.wait(rung).expect("no panic");
        }
        *rung = false;
    }
}

impl Bell for Blocking {
    fn ring(&self) {
        *self.0.0.lock().expect("no panic") = true;
        self.0.1.notify_one();
    }
}

#[test]
fn a_second_sleep_is_ended_too() {
    explore(3, || {
        let bell = Blocking(Arc::new((
            loom::sync::Mutex::new(false),
            loom::sync::Condvar::new(),
        )));
        let (mut inbox, mut outboxes) = mailbox(bell.clone(), 1, 2);
        let mut outbox = outboxes.pop().expect("one producer");
        let sender = thread::spawn(move || {
            for item in 0..2 {
                assert_eq!(outbox.send(item), Ok(()));
                outbox.flush();
            }
        });
        let mut expected = 0;
        while expected < 2 {
            match inbox.receive() {
                Some(item) => {
                    assert_eq!(item, expected);
                    expected += 1;
                }
                None => {
                    if inbox.prepare_to_sleep() {
                        bell.sleep();
                    }
                    inbox.awake();
                }
            }
        }
        sender.join().expect("no panic");
    });
}
