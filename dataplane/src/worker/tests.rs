//! A worker between memory links and engines too simple to be wrong.

use std::time::Duration as StdDuration;

use braid_engine::stack::{ReceiveMeta, TransmitBatch, TransmitMeta, WorkerId};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::time::Duration;

use super::*;
use crate::port::memory::{MemoryOptions, MemoryPort};
use crate::port::{AnyPort, BURST, POOL_FRAME_CAPACITY};

/// Sends every frame back by the port it came from.
struct Mirror {
    pool: FramePool,
    waiting: VecDeque<(Frame, PortId)>,
    timer: Option<Instant>,
    fired: usize,
    down: Vec<PortId>,
    received_at: Vec<Instant>,
}

impl Mirror {
    fn new() -> Self {
        Self {
            pool: FramePool::new(POOL_FRAME_CAPACITY, 64),
            waiting: VecDeque::new(),
            timer: None,
            fired: 0,
            down: Vec::new(),
            received_at: Vec::new(),
        }
    }
}

impl Engine for Mirror {
    type Letter = ();

    fn frame_pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        frames: impl IntoIterator<Item = (Frame, ReceiveMeta)>,
    ) {
        for (frame, meta) in frames {
            self.received_at.push(now);
            self.waiting.push_back((frame, meta.port));
        }
    }

    fn deliver(&mut self, _now: Instant, (): ()) {}

    fn poll_letter(&mut self, _to: WorkerId) -> Option<()> {
        None
    }

    fn refuse_letter(&mut self, _to: WorkerId, (): ()) {}

    fn letters_waiting(&self) -> bool {
        false
    }

    fn set_link(&mut self, _now: Instant, port: PortId, up: bool) {
        assert!(!up);
        self.down.push(port);
    }

    fn advance(&mut self, now: Instant) {
        assert!(
            self.timer.is_some_and(|due| due <= now),
            "advanced before the timer was due"
        );
        self.timer = None;
        self.fired += 1;
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.timer
    }

    fn is_due(&self, now: Instant) -> bool {
        self.timer.is_some_and(|due| due <= now)
    }

    fn transmit(&mut self, _now: Instant, batch: &mut impl TransmitBatch) -> usize {
        let mut sent = 0;
        while let Some((frame, port)) = self.waiting.front() {
            let bytes = frame.bytes();
            let Some(room) = batch.reserve(*port, bytes.len()) else {
                break;
            };
            room.copy_from_slice(bytes);
            batch.commit(*port, bytes.len(), TransmitMeta::default());
            sent += 1;
            if let Some((frame, _)) = self.waiting.pop_front() {
                self.pool.put(frame);
            }
        }
        sent
    }
}

fn worker(links: usize, queue: usize) -> (Worker<Mirror>, Vec<MemoryPort>) {
    let options = MemoryOptions {
        queue,
        ..MemoryOptions::default()
    };
    let (near, far): (Vec<_>, Vec<_>) = (0..links)
        .map(|_| MemoryPort::pair(options).unwrap())
        .unzip();
    let ports = near
        .into_iter()
        .map(|port| AnyPort::from(port).into())
        .collect();
    let idle = IdlePolicy::Sleep {
        after: StdDuration::ZERO,
    };
    (
        Worker::new(Mirror::new(), ports, Clock::start(), idle).unwrap(),
        far,
    )
}

fn send(port: &mut MemoryPort, byte: u8) {
    port.reserve(60).unwrap().fill(byte);
    port.commit(60, TransmitMeta::default());
    port.flush().unwrap();
}

fn receive(port: &mut MemoryPort) -> Vec<u8> {
    let mut burst = Burst::new();
    let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 64);
    port.receive(PortId(0), &mut pool, &mut burst).unwrap();
    burst
        .iter()
        .map(|received| received.frame.bytes()[0])
        .collect()
}

#[test]
fn frames_pass_by_the_port_they_belong_to() {
    let (mut worker, mut far) = worker(3, 64);
    for (i, port) in (0..).zip(&mut far) {
        send(port, i);
    }
    let before = worker.now();
    let work = worker.step();
    assert!(work.now >= before);
    assert_eq!((work.received, work.transmitted), (3, 3));
    assert_eq!(worker.engine().received_at, [work.now; 3]);
    for (i, port) in (0..).zip(&mut far) {
        assert_eq!(receive(port), [i]);
    }
    assert!(worker.step().is_none());
}

#[test]
fn who_is_served_amid_a_step_sees_what_came_in_and_answers_with_what_goes_out() {
    let (mut worker, mut far) = worker(1, 64);
    send(&mut far[0], 7);
    let mut seen = None;
    let work = worker.step_serving(|now, engine| {
        seen = Some((now, engine.waiting.len()));
        for (frame, _) in &mut engine.waiting {
            frame.bytes_mut().fill(8);
        }
    });
    assert_eq!(seen, Some((work.now, 1)));
    assert_eq!((work.received, work.transmitted), (1, 1));
    assert_eq!(receive(&mut far[0]), [8]);
}

#[test]
fn a_step_is_bounded_and_the_next_carries_on() {
    let (mut worker, mut far) = worker(3, 256);
    for port in &mut far {
        for i in 0..100 {
            send(port, i);
        }
    }
    let first = worker.step();
    assert_eq!(
        (first.received, first.transmitted),
        (3 * BURST, TRANSMIT_BUDGET)
    );
    let mut transmitted = first.transmitted;
    while transmitted < 300 {
        let work = worker.step();
        assert!(work.received <= 3 * BURST && work.transmitted <= TRANSMIT_BUDGET);
        assert!(work.transmitted > 0, "stuck at {transmitted}");
        worker.rest(work, None);
        transmitted += work.transmitted;
    }
    assert_eq!(
        worker
            .ports()
            .counters(PortId(2))
            .unwrap()
            .transmitted_frames,
        100
    );
}

#[test]
fn timers_fire_when_due_and_a_sleep_ends_by_then() {
    let (mut worker, _far) = worker(1, 4);
    let start = worker.now();
    let due = start + Duration::from_millis(30);
    worker.engine_mut().timer = Some(due);
    while worker.engine().fired == 0 {
        let work = worker.step();
        worker.rest(work, None);
        assert!(worker.now().saturating_since(start) < Duration::from_secs(10));
    }
    assert!(worker.now() >= due);
}

/// Rests without a deadline of its own; fails when the rest lasts to the one set here.
fn rest_until_woken(worker: &mut Worker<Mirror>) {
    let deadline = worker.now() + Duration::from_secs(20);
    worker.rest(Work::nothing(worker.now()), Some(deadline));
    assert!(worker.now() < deadline, "nothing ended the sleep");
}

#[test]
fn a_frame_ends_a_sleep() {
    let (mut worker, mut far) = worker(2, 4);
    let mut port = far.remove(1);
    let sender = std::thread::spawn(move || {
        std::thread::sleep(StdDuration::from_millis(20));
        send(&mut port, 9);
        port
    });
    rest_until_woken(&mut worker);
    assert_eq!(worker.step().received, 1);
    assert_eq!(receive(&mut sender.join().unwrap()), [9]);
}

#[test]
fn a_waker_ends_one_sleep() {
    let (mut worker, _far) = worker(1, 4);
    let waker = worker.waker();
    let other = std::thread::spawn(move || {
        std::thread::sleep(StdDuration::from_millis(20));
        waker.wake();
    });
    rest_until_woken(&mut worker);
    other.join().unwrap();
    let deadline = worker.now() + Duration::from_millis(20);
    worker.rest(Work::nothing(worker.now()), Some(deadline));
    assert!(worker.now() >= deadline, "the bell rings on");
}

#[test]
fn a_full_port_delays_and_does_not_stop_what_is_to_be_sent() {
    let (mut worker, mut far) = worker(1, 2);
    for i in 0..2 {
        send(&mut far[0], i);
    }
    let _ = worker.step();
    for i in 2..4 {
        send(&mut far[0], i);
    }
    let work = worker.step();
    assert_eq!((work.received, work.transmitted), (2, 0));
    assert_eq!(receive(&mut far[0]), [0, 1]);
    rest_until_woken(&mut worker);
    assert_eq!(worker.step().transmitted, 2);
    assert_eq!(receive(&mut far[0]), [2, 3]);
}

#[test]
fn room_at_a_full_port_ends_a_sleep() {
    let (mut worker, mut far) = worker(1, 2);
    let mut port = far.remove(0);
    for i in 0..2 {
        send(&mut port, i);
    }
    let _ = worker.step();
    for i in 2..4 {
        send(&mut port, i);
    }
    assert_eq!(worker.step().transmitted, 0);
    // The frames that came meanwhile are taken: nothing but room can end the sleep.
    let start = worker.now();
    let receiver = std::thread::spawn(move || {
        std::thread::sleep(StdDuration::from_millis(20));
        let received = receive(&mut port);
        (port, received)
    });
    rest_until_woken(&mut worker);
    assert!(worker.now() >= start + Duration::from_millis(20));
    let (mut port, received) = receiver.join().unwrap();
    assert_eq!(received, [0, 1]);
    assert_eq!(worker.step().transmitted, 2);
    assert_eq!(receive(&mut port), [2, 3]);
}

/// A worker is built in one thread and run in another.
#[test]
fn a_worker_can_move_to_its_thread() {
    fn movable<T: Send>(value: T) -> T {
        value
    }
    let (worker, _far) = worker(1, 4);
    let mut worker = movable(worker);
    assert!(worker.step().is_none());
}
