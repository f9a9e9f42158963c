//! Items pass once and in order, on a ring that is full, empty and wraps; what is left is dropped.

use crate::explore;
use crate::ring::{Consumer, Producer, ring};
use crate::sync::{Arc, AtomicUsize, Ordering};
use loom::thread;

/// An item whose drops are counted.
struct Item {
    number: usize,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn put(producer: &mut Producer<usize>, item: usize, batch: usize) {
    while let Err(refused) = producer.push(item) {
        assert_eq!(refused, item);
        // The consumer may have made room since.
        assert!(producer.free() == 0 || producer.has_room());
        producer.publish();
        thread::yield_now();
    }
    if (item + 1).is_multiple_of(batch) {
        producer.publish();
    }
}

fn take(consumer: &mut Consumer<usize>, count: usize) {
    for expected in 0..count {
        let item = loop {
            match consumer.pop() {
                Some(item) => break item,
                None => thread::yield_now(),
            }
        };
        assert_eq!(item, expected);
    }
}

/// `items` items in batches over a ring of `capacity`.
fn transfer(capacity: usize, items: usize, batch: usize) {
    let (mut producer, mut consumer) = ring(capacity);
    let sender = thread::spawn(move || {
        for item in 0..items {
            put(&mut producer, item, batch);
        }
        producer.publish();
    });
    take(&mut consumer, items);
    assert_eq!(consumer.pop(), None);
    sender.join().expect("no panic");
}

#[test]
fn a_ring_of_one_is_full_and_empty_by_turns() {
    explore(3, || transfer(1, 4, 1));
}

#[test]
fn a_ring_of_two_wraps_under_both_sides() {
    explore(2, || transfer(2, 4, 1));
}

#[test]
fn batches_that_do_not_fit_pass_in_pieces() {
    explore(2, || transfer(2, 6, 3));
}

#[test]
fn a_refused_item_is_given_back_and_the_others_stay() {
    explore(4, || {
        let (mut producer, mut consumer) = ring(2);
        let sender = thread::spawn(move || {
            let sent = (0..4)
                .take_while(|item| producer.push(*item).is_ok())
                .count();
            producer.publish();
            sent
        });
        let mut got: Vec<usize> = consumer.pop().into_iter().collect();
        let sent = sender.join().expect("no panic");
        got.extend(std::iter::from_fn(|| consumer.pop()));
        assert!(sent >= 2);
        assert_eq!(got, (0..sent).collect::<Vec<_>>());
    });
}

#[test]
fn what_is_left_is_dropped_once() {
    explore(4, || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (mut producer, mut consumer) = ring(4);
        let counter = Arc::clone(&dropped);
        let sender = thread::spawn(move || {
            for number in 0..3 {
                let dropped = Arc::clone(&counter);
                assert!(producer.push(Item { number, dropped }).is_ok());
                if number == 1 {
                    producer.publish();
                }
            }
        });
        let first = consumer.pop();
        assert!(first.is_none_or(|item| item.number == 0));
        drop(consumer);
        sender.join().expect("no panic");
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    });
}
