//! With real threads: order, no loss, drops, sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Bell, exchanges, mailbox};

/// Rings by unparking.
#[derive(Clone)]
struct Unpark(thread::Thread);

impl Bell for Unpark {
    fn ring(&self) {
        self.0.unpark();
    }
}

/// Nobody sleeps.
struct Mute;

impl Bell for Mute {
    fn ring(&self) {
        panic!("rung for a consumer that was awake");
    }
}

/// An item with an owner, so that a lost or doubled one shows.
struct Item {
    producer: usize,
    number: usize,
    alive: Arc<AtomicUsize>,
}

impl Item {
    fn new(producer: usize, number: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            producer,
            number,
            alive: Arc::clone(alive),
        }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Producers of batches of random lengths against a consumer that sleeps whenever it may.
fn storm(producers: usize, capacity: usize, items: usize) {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut inbox, outboxes) = mailbox(Unpark(thread::current()), producers, capacity);
    let threads: Vec<_> = outboxes
        .into_iter()
        .enumerate()
        .map(|(producer, mut outbox)| {
            let alive = Arc::clone(&alive);
            thread::spawn(move || {
                for number in 0..items {
                    let mut item = Item::new(producer, number, &alive);
                    while let Err(refused) = outbox.send(item) {
                        item = refused;
                        thread::yield_now();
                    }
                    if number * 7 % 11 < 4 {
                        outbox.flush();
                    }
                }
                outbox.flush();
            })
        })
        .collect();
    let mut expected = vec![0; producers];
    while expected.iter().sum::<usize>() < producers * items {
        match inbox.receive() {
            Some(item) => {
                assert_eq!(item.number, expected[item.producer]);
                expected[item.producer] += 1;
            }
            None => {
                if inbox.prepare_to_sleep() {
                    thread::park();
                }
                inbox.awake();
            }
        }
    }
    assert!(inbox.receive().is_none());
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn every_item_arrives_once_and_in_order() {
    for producers in 1..=4 {
        for capacity in [1, 2, 16, 1024] {
            storm(producers, capacity, 20_000);
        }
    }
}

#[test]
fn a_full_ring_gives_the_item_back_and_has_room_again() {
    let (mut inbox, mut outboxes) = mailbox(Mute, 1, 4);
    for number in 0..4 {
        assert_eq!(outboxes[0].send(number), Ok(()));
    }
    assert_eq!(inbox.receive(), None, "not flushed yet");
    assert_eq!(outboxes[0].send(4), Err(4));
    assert_eq!(inbox.receive(), Some(0), "a refusal flushes");
    assert_eq!(inbox.receive(), Some(1));
    assert_eq!(outboxes[0].send(4), Ok(()));
    outboxes[0].flush();
    let rest: Vec<_> = std::iter::from_fn(|| inbox.receive()).collect();
    assert_eq!(rest, [2, 3, 4]);
}

#[test]
fn a_busy_producer_does_not_starve_another() {
    let (mut inbox, mut outboxes) = mailbox(Mute, 2, 256);
    for number in 0..256 {
        assert_eq!(outboxes[0].send((0, number)), Ok(()));
    }
    assert_eq!(outboxes[1].send((1, 0)), Ok(()));
    for outbox in &mut outboxes {
        outbox.flush();
    }
    let before = std::iter::from_fn(|| inbox.receive())
        .take_while(|(producer, _)| *producer == 0)
        .count();
    assert!(before <= 32, "{before}");
    assert_eq!(std::iter::from_fn(|| inbox.receive()).count(), 256 - before);
}

#[test]
fn items_outlive_their_producer_and_are_dropped_with_the_consumer() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (mut inbox, mut outboxes) = mailbox(Mute, 1, 8);
    for number in 0..5 {
        assert!(outboxes[0].send(Item::new(0, number, &alive)).is_ok());
    }
    drop(outboxes);
    assert_eq!(inbox.receive().map(|item| item.number), Some(0));
    assert_eq!(inbox.receive().map(|item| item.number), Some(1));
    assert_eq!(alive.load(Ordering::Relaxed), 3);
    drop(inbox);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn workers_reach_each_other_and_not_themselves() {
    let mut exchanges = exchanges(vec![Mute, Mute, Mute], 4);
    for (from, exchange) in exchanges.iter_mut().enumerate() {
        for to in 0..3 {
            let sent = exchange.send(to, (from, to));
            assert_eq!(sent.is_ok(), from != to);
        }
        assert_eq!(exchange.send(3, (from, 3)), Err((from, 3)));
        exchange.flush();
    }
    for (worker, exchange) in exchanges.iter_mut().enumerate() {
        let mut came: Vec<_> = std::iter::from_fn(|| exchange.receive()).collect();
        came.sort_unstable();
        let expected: Vec<_> = (0..3)
            .filter(|from| *from != worker)
            .map(|from| (from, worker))
            .collect();
        assert_eq!(came, expected);
    }
}

#[test]
fn a_worker_alone_has_nobody_to_hear_from() {
    let mut exchanges = exchanges::<(), _>(vec![Mute], 4);
    assert_eq!(exchanges[0].receive(), None);
    assert!(exchanges[0].prepare_to_sleep());
    assert_eq!(exchanges[0].send(0, ()), Err(()));
}
