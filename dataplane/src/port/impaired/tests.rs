//! What a link that goes wrong does to frames, in the time of the host.

use std::num::NonZeroU8;
use std::time::Duration;

use braid_engine::stack::Steering;
use braid_engine::testing::link::Chance;

use super::*;
use crate::port::memory::{MemoryOptions, MemoryPort};

/// An IPv4 frame as far as the link looks at it.
fn frame(number: u8) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12] = 0x08;
    frame[20] = number;
    frame
}

fn pair(link: LinkConfig) -> (ImpairedPort<MemoryPort>, MemoryPort) {
    let (near, far) = MemoryPort::pair(MemoryOptions::default()).expect("a link in memory");
    let impairments = Impairments {
        link,
        middleboxes: Vec::new(),
        direction: Direction::Forth,
        seed: 7,
    };
    (ImpairedPort::new(near, &impairments, Clock::start()), far)
}

fn send(port: &mut impl Port, frame: &[u8]) {
    let room = port.reserve(frame.len()).expect("room");
    room.copy_from_slice(frame);
    port.commit(frame.len(), TransmitMeta::default());
    port.flush().expect("a flush");
}

fn received(port: &mut impl Port) -> Vec<Vec<u8>> {
    let mut pool = FramePool::new(2_048, 64);
    let mut burst = Burst::new();
    port.receive(PortId(0), &mut pool, &mut burst)
        .expect("a burst");
    burst
        .iter()
        .map(|received| received.frame.bytes().to_vec())
        .collect()
}

/// Flushes until nothing is on the way any more.
fn drain(near: &mut ImpairedPort<MemoryPort>, far: &mut MemoryPort) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while near.transmit_pending() {
        near.flush().expect("a flush");
        frames.extend(received(far));
    }
    frames.extend(received(far));
    frames
}

#[test]
fn a_frame_arrives_after_the_delay() {
    let delay = Duration::from_millis(20);
    let config = LinkConfig {
        delay,
        ..LinkConfig::default()
    };
    let (mut near, mut far) = pair(config);
    let start = std::time::Instant::now();
    send(&mut near, &frame(1));
    assert_eq!(received(&mut far), Vec::<Vec<u8>>::new());
    assert_eq!(drain(&mut near, &mut far), [frame(1)]);
    assert!(start.elapsed() >= delay);
}

#[test]
fn a_rate_spreads_frames_and_a_full_queue_drops_them() {
    let config = LinkConfig {
        delay: Duration::ZERO,
        rate: Some(6_000),
        queue: 120,
        ..LinkConfig::default()
    };
    let (mut near, mut far) = pair(config);
    let start = std::time::Instant::now();
    (0..10).for_each(|number| send(&mut near, &frame(number)));
    let dropped = near.link_counters().dropped;
    assert!(dropped >= 1, "ten frames fitted a queue of two");
    assert_eq!(drain(&mut near, &mut far).len() as u64, 10 - dropped);
    assert!(start.elapsed() >= Duration::from_millis(10) * (10 - dropped as u32));
}

#[test]
fn faults_strike_by_chance() {
    let config = LinkConfig {
        delay: Duration::ZERO,
        loss: Chance::percent(20),
        duplicate: Chance::percent(20),
        corrupt: Chance::percent(20),
        reorder: Chance::percent(20),
        reorder_delay: Duration::from_millis(5),
        ..LinkConfig::default()
    };
    let (mut near, mut far) = pair(config);
    let mut arrived = Vec::new();
    for number in 0..200 {
        send(&mut near, &frame(number));
        arrived.extend(received(&mut far));
    }
    arrived.extend(drain(&mut near, &mut far));
    let counters = near.link_counters();
    assert!((20..60).contains(&counters.lost), "{counters:?}");
    assert!(counters.delivered > 200 - counters.lost, "some came twice");
    assert!((20..80).contains(&counters.corrupted), "{counters:?}");
    let numbers: Vec<u8> = arrived.iter().map(|frame| frame[20]).collect();
    assert!(!numbers.is_sorted(), "some passed others");
}

#[test]
fn what_is_received_takes_its_time_too() {
    let delay = Duration::from_millis(20);
    let config = LinkConfig {
        delay,
        ..LinkConfig::default()
    };
    let (near, mut far) = pair(LinkConfig::default());
    let mut near = near.with_inbound(config, 7);
    let start = std::time::Instant::now();
    send(&mut far, &frame(1));
    assert_eq!(received(&mut near), Vec::<Vec<u8>>::new());
    assert!(
        near.flush_due(near.clock.now()).is_some(),
        "nobody wakes for it"
    );
    assert!(!near.transmit_pending());
    let mut frames = Vec::new();
    while frames.is_empty() && start.elapsed() < Duration::from_secs(5) {
        frames = received(&mut near);
    }
    assert_eq!(frames, [frame(1)]);
    assert!(start.elapsed() >= delay);
    assert_eq!(near.flush_due(near.clock.now()), None);
}

#[test]
fn offloads_are_not_passed_on() {
    let (near, far) = pair(LinkConfig::default());
    assert!(far.capabilities().segmentation);
    assert!(!near.capabilities().segmentation && !near.capabilities().checksum);
}

#[test]
fn the_queues_of_a_port_share_one_link() {
    let config = LinkConfig {
        delay: Duration::ZERO,
        rate: Some(6_000),
        queue: 120,
        ..LinkConfig::default()
    };
    let two = NonZeroU8::new(2).unwrap();
    let (options, alone) = (MemoryOptions::default(), Steering::ALONE);
    let (near, mut far) =
        MemoryPort::pair_of_queues(options, two, NonZeroU8::MIN, alone, alone).unwrap();
    let impairments = Impairments {
        link: config,
        middleboxes: Vec::new(),
        direction: Direction::Forth,
        seed: 7,
    };
    let mut near = ImpairedPort::queues(near, &impairments, Clock::start());
    for number in 0..10 {
        send(&mut near[usize::from(number) % 2], &frame(number));
    }
    let [first, second] = &mut near[..] else {
        panic!("two queues became {}", near.len());
    };
    assert_eq!(first.link_counters(), second.link_counters());
    let dropped = first.link_counters().dropped;
    assert!(dropped >= 1, "each queue had a link of its own");
    assert!(first.flush_due(first.clock.now()).is_some());
    // What the second sent leaves by the first too.
    assert_eq!(drain(first, &mut far[0]).len() as u64, 10 - dropped);
    assert_eq!(second.flush_due(second.clock.now()), None);
}
