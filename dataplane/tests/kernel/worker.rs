//! A worker over ports of the kernel.

use std::collections::VecDeque;
use std::time::Duration;

use crate::support::namespace::{self, ip};
use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{AnyPort, POOL_FRAME_CAPACITY, PortError};
use braid_dataplane::worker::{Clock, Engine, IdlePolicy, Seat, Work, Worker};
use braid_engine::stack::{
    PortId, ReceiveMeta, Stack, StackConfig, TransmitBatch, TransmitMeta, WorkerId,
};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::time::Instant;

/// Counts what comes in and sends what it is given.
struct Probe {
    pool: FramePool,
    received: [usize; 2],
    outgoing: VecDeque<(PortId, Vec<u8>)>,
    down: Vec<PortId>,
}

impl Engine for Probe {
    type Letter = ();

    fn frame_pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    fn receive_burst(
        &mut self,
        _now: Instant,
        frames: impl IntoIterator<Item = (Frame, ReceiveMeta)>,
    ) {
        for (frame, meta) in frames {
            self.received[usize::from(meta.port.0)] += 1;
            self.pool.put(frame);
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

    fn advance(&mut self, _now: Instant) {}

    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    fn is_due(&self, _now: Instant) -> bool {
        false
    }

    fn transmit(&mut self, _now: Instant, batch: &mut impl TransmitBatch) -> usize {
        let mut sent = 0;
        while let Some((port, frame)) = self.outgoing.front() {
            let Some(room) = batch.reserve(*port, frame.len()) else {
                break;
            };
            room.copy_from_slice(frame);
            batch.commit(*port, frame.len(), TransmitMeta::default());
            self.outgoing.pop_front();
            sent += 1;
        }
        sent
    }
}

fn probe() -> Probe {
    Probe {
        pool: FramePool::new(POOL_FRAME_CAPACITY, 64),
        received: [0; 2],
        outgoing: VecDeque::new(),
        down: Vec::new(),
    }
}

fn try_worker(ports: Vec<AnyPort>) -> Result<Worker<Probe>, PortError> {
    let seats = ports.into_iter().map(Seat::from).collect();
    Worker::new(probe(), seats, Clock::start(), IdlePolicy::default())
}

fn worker(ports: Vec<AnyPort>) -> Worker<Probe> {
    try_worker(ports).unwrap()
}

/// A veth pair of quiet interfaces, `name` and `name` with a "p" after it.
fn veth(name: &str) {
    ip(&format!("link add {name} type veth peer name {name}p"));
    for end in [name.to_string(), format!("{name}p")] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6"), "1").unwrap();
        ip(&format!("link set {end} up"));
    }
}

fn open(name: &str) -> AnyPort {
    AfPacketPort::open(name, AfPacketOptions::default())
        .unwrap()
        .into()
}

/// Frames of a test that fills a queue.
const FRAMES: usize = 30;

/// Steps until `done`, at most ten seconds; how often.
fn step_until(worker: &mut Worker<Probe>, done: impl Fn(&Worker<Probe>) -> bool) -> usize {
    let deadline = worker.now() + Duration::from_secs(10);
    let mut steps = 0;
    while !done(worker) {
        let work = worker.step();
        steps += 1;
        if !done(worker) {
            worker.rest(work, Some(deadline));
        }
        assert!(worker.now() < deadline, "waited in vain");
    }
    steps
}

const BROADCAST: [u8; 60] = [0xff; 60];

#[test]
fn an_interface_that_is_deleted_takes_no_other_with_it() {
    namespace::run(
        "worker::an_interface_that_is_deleted_takes_no_other_with_it",
        || {
            veth("one");
            veth("two");
            let mut worker = worker(vec![open("one"), open("two")]);
            let mut far = self::worker(vec![open("twop")]);
            ip("link delete one");
            step_until(&mut worker, |worker| !worker.engine().down.is_empty());
            assert_eq!(worker.engine().down, [PortId(0)]);
            let failure = worker
                .take_failure()
                .map(|(port, error)| (port, error.to_string()));
            let expected = "interface \"one\" is gone: create it again";
            assert_eq!(failure, Some((PortId(0), expected.to_string())));
            assert!(worker.take_failure().is_none());
            for port in [0, 1, 0, 1] {
                worker
                    .engine_mut()
                    .outgoing
                    .push_back((PortId(port), BROADCAST.to_vec()));
            }
            far.engine_mut()
                .outgoing
                .push_back((PortId(0), BROADCAST.to_vec()));
            assert_eq!(worker.step().transmitted, 4);
            assert_eq!(
                worker.ports().counters(PortId(0)).unwrap().transmit_dropped,
                2
            );
            step_until(&mut far, |far| far.engine().received[0] == 2);
            step_until(&mut worker, |worker| worker.engine().received[1] == 1);
        },
    );
}

#[test]
fn a_link_that_is_down_does_not_keep_the_worker_awake() {
    namespace::run_with_tap(
        "worker::a_link_that_is_down_does_not_keep_the_worker_awake",
        || {
            veth("one");
            let tap = TapPort::open("tap0", true).unwrap();
            ip("link set tap0 up");
            let mut worker = worker(vec![open("one"), tap.into()]);
            ip("link set one down");
            ip("link set tap0 down");
            for port in [0, 1] {
                worker
                    .engine_mut()
                    .outgoing
                    .push_back((PortId(port), BROADCAST.to_vec()));
            }
            // What came before the links went down, and the loss of what is sent after.
            let deadline = worker.now() + Duration::from_millis(100);
            while worker.now() < deadline {
                let work = worker.step();
                worker.rest(work, Some(deadline));
            }
            for port in [0, 1] {
                assert_eq!(
                    worker
                        .ports()
                        .counters(PortId(port))
                        .unwrap()
                        .transmit_dropped,
                    1
                );
            }
            let mut rests = 0;
            let deadline = worker.now() + Duration::from_millis(100);
            while worker.now() < deadline {
                assert!(worker.step().is_none());
                // Past the time that it polls in vain.
                std::thread::sleep(Duration::from_millis(1));
                worker.rest(Work::nothing(worker.now()), Some(deadline));
                rests += 1;
            }
            assert!(rests < 5, "{rests} rests in 100 ms");
            assert!(worker.engine().down.is_empty() && worker.take_failure().is_none());
        },
    );
}

/// Sends [`FRAMES`] of 20 ms each by a ring half as long, and an interface whose queue takes so many
/// bytes. How often the worker stepped meanwhile, and how long that took; `None` where that cannot
/// be tried.
fn send_slowly(queue: &str) -> Option<(usize, Duration)> {
    veth("one");
    if !namespace::shape("one", "600kbit", queue) {
        return None;
    }
    let options = AfPacketOptions {
        transmit_frames: FRAMES / 2,
        ..AfPacketOptions::default()
    };
    let port = AnyPort::from(AfPacketPort::open("one", options).unwrap());
    let idle = IdlePolicy::Sleep {
        after: Duration::ZERO,
    };
    let mut worker = Worker::new(probe(), vec![port.into()], Clock::start(), idle).unwrap();
    let mut far = self::worker(vec![open("onep")]);
    worker.engine_mut().outgoing = vec![(PortId(0), vec![0xff; 1_500]); FRAMES].into();
    let start = worker.now();
    let steps = step_until(&mut worker, |worker| {
        worker.engine().outgoing.is_empty() && !worker.ports().transmit_pending()
    });
    let elapsed = worker.now().saturating_since(start);
    step_until(&mut far, |far| far.engine().received[0] == FRAMES);
    Some((steps, elapsed))
}

#[test]
fn a_ring_whose_slots_are_all_under_way_lets_the_worker_sleep() {
    namespace::run(
        "worker::a_ring_whose_slots_are_all_under_way_lets_the_worker_sleep",
        || {
            let Some((steps, elapsed)) = send_slowly("4mb") else {
                return;
            };
            // Half of the frames have to wait for a slot.
            assert!(elapsed >= Duration::from_millis(200), "{elapsed:?}");
            assert!(steps <= 2 * FRAMES, "{steps} steps in {elapsed:?}");
        },
    );
}

#[test]
fn a_full_queue_of_the_interface_lets_the_worker_sleep() {
    namespace::run(
        "worker::a_full_queue_of_the_interface_lets_the_worker_sleep",
        || {
            let Some((steps, elapsed)) = send_slowly("6kb") else {
                return;
            };
            assert!(elapsed >= Duration::from_millis(200), "{elapsed:?}");
            // It looks for room once a millisecond, and when a frame of its own has left.
            let most = elapsed.as_millis() as usize + 2 * FRAMES;
            assert!(steps <= most, "{steps} steps in {elapsed:?}");
        },
    );
}

#[test]
fn too_many_ports_are_refused() {
    let ports = (0..65)
        .map(|_| MemoryPort::pair(MemoryOptions::default()).unwrap().0.into())
        .collect();
    let refused = try_worker(ports).err();
    assert!(
        matches!(
            refused,
            Some(PortError::TooMany {
                count: 65,
                limit: 64
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn a_pool_too_small_for_large_segments_is_refused() {
    let (port, _far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
    let stack = Stack::new(
        StackConfig {
            frame_capacity: 2_048,
            ..StackConfig::default()
        },
        [1; 32],
    );
    let seats = vec![AnyPort::from(port).into()];
    let refused = Worker::new(stack, seats, Clock::start(), IdlePolicy::Spin).err();
    assert!(
        matches!(
            refused,
            Some(PortError::SmallFrames {
                capacity: 2_048,
                ..
            })
        ),
        "{refused:?}"
    );
}
