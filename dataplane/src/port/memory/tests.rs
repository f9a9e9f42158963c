//! Frames that cross a link: whole, in order, to the queue they belong to.

use braid_engine::stack::{FlowHash, Segmentation};
use braid_engine::storage::frame::PoolId;

use crate::port::virtio::complete_checksum;

use super::*;

/// A TCP segment from 10.0.0.`remote` to 10.0.0.9, as far as its ports.
fn segment(remote: u8, remote_port: u16, local_port: u16) -> Vec<u8> {
    let mut frame = vec![0; 54];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[17] = 40;
    frame[22..24].copy_from_slice(&[64, 6]);
    frame[26..30].copy_from_slice(&[10, 0, 0, remote]);
    frame[30..34].copy_from_slice(&[10, 0, 0, 9]);
    complete_checksum(&mut frame[14..34], 0, 10);
    frame[34..36].copy_from_slice(&remote_port.to_be_bytes());
    frame[36..38].copy_from_slice(&local_port.to_be_bytes());
    frame
}

fn send(port: &mut MemoryPort, frame: &[u8]) {
    let room = port.reserve(frame.len()).expect("room");
    room.copy_from_slice(frame);
    port.commit(frame.len(), TransmitMeta::default());
    port.flush().unwrap();
}

fn queues(near: u8, far: u8, workers: u8) -> (Vec<MemoryPort>, Vec<MemoryPort>) {
    let count = |queues| NonZeroU8::new(queues).unwrap();
    let steering = Steering::new(workers, FlowHash::Ports).unwrap();
    let options = MemoryOptions::default();
    MemoryPort::pair_of_queues(options, count(near), count(far), Steering::ALONE, steering).unwrap()
}

fn receive(port: &mut MemoryPort) -> Vec<Received> {
    let mut burst = Burst::new();
    port.receive(
        PortId(7),
        &mut FramePool::new(POOL_FRAME_CAPACITY, 8),
        &mut burst,
    )
    .unwrap();
    burst.into_iter().collect()
}

#[test]
fn a_large_segment_crosses_with_its_offloads() {
    let (mut near, mut far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
    let room = near.reserve(65_000).unwrap();
    room.fill(0xab);
    let segmentation = Segmentation {
        ipv6: false,
        header_length: 66,
        segment_size: 1_448,
    };
    near.commit(
        65_000,
        TransmitMeta {
            checksum: ChecksumOffload::Partial {
                start: 34,
                offset: 16,
            },
            segmentation: Some(segmentation),
        },
    );
    near.flush().unwrap();
    let received = receive(&mut far);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].frame.bytes(), vec![0xab; 65_000]);
    assert_eq!(
        received[0].meta,
        ReceiveMeta {
            port: PortId(7),
            checksum: ReceivedChecksum::Partial,
            segment_size: Some(1_448),
        }
    );
    assert!(
        receive(&mut near).is_empty(),
        "a frame does not come back to its sender"
    );
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_the_peer_has_read() {
    let options = MemoryOptions {
        queue: 2,
        ..MemoryOptions::default()
    };
    let (mut near, mut far) = MemoryPort::pair(options).unwrap();
    for byte in 0..2 {
        near.reserve(60).unwrap()[0] = byte;
        near.commit(60, TransmitMeta::default());
    }
    near.flush().unwrap();
    assert!(near.reserve(60).is_none());
    assert_eq!(near.counters().transmit_full, 1);
    let order: Vec<u8> = receive(&mut far)
        .iter()
        .map(|r| r.frame.bytes()[0])
        .collect();
    assert_eq!(order, [0, 1]);
    assert!(near.reserve(60).is_some());
}

#[test]
fn without_segmentation_no_frame_exceeds_the_stated_size() {
    let options = MemoryOptions {
        segmentation: false,
        checksum: false,
        ..MemoryOptions::default()
    };
    let (mut near, _far) = MemoryPort::pair(options).unwrap();
    assert!(!near.capabilities().checksum && !near.capabilities().segmentation);
    assert!(near.reserve(1_515).is_none());
    assert!(near.reserve(1_514).is_some());
}

#[test]
fn only_what_was_committed_arrives() {
    let (mut near, mut far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
    near.reserve(100).unwrap().fill(1);
    near.reserve(1_000).unwrap().fill(2);
    near.commit(40, TransmitMeta::default());
    near.commit(40, TransmitMeta::default());
    assert!(receive(&mut far).is_empty(), "it was not flushed");
    near.flush().unwrap();
    let received = receive(&mut far);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].frame.bytes(), [2; 40]);
}

#[test]
fn a_sleeping_receiver_in_another_thread_is_woken_for_every_frame() {
    const FRAMES: u32 = 20_000;
    let options = MemoryOptions {
        queue: 4,
        ..MemoryOptions::default()
    };
    let (mut near, mut far) = MemoryPort::pair(options).unwrap();
    let receiver = std::thread::spawn(move || {
        let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 8);
        let mut burst = Burst::new();
        let mut next = 0;
        while next < FRAMES {
            if far.prepare_to_sleep() {
                let woken = crate::sys::poll::readable(
                    [far.poll_fd()],
                    Some(std::time::Duration::from_secs(20)),
                );
                assert!(woken.unwrap(), "slept through frame {next}");
            }
            far.receive(PortId(0), &mut pool, &mut burst).unwrap();
            for received in burst.drain(..) {
                assert_eq!(received.frame.bytes(), next.to_be_bytes());
                next += 1;
                pool.put(received.frame);
            }
        }
    });
    let mut next = 0;
    while next < FRAMES {
        match near.reserve(4) {
            Some(room) => room.copy_from_slice(&u32::to_be_bytes(next)),
            None => {
                std::thread::yield_now();
                continue;
            }
        }
        near.commit(4, TransmitMeta::default());
        near.flush().unwrap();
        next += 1;
    }
    receiver.join().unwrap();
}

#[test]
fn a_segment_comes_in_at_the_queue_of_its_worker() {
    let (mut near, mut far) = queues(2, 3, 3);
    let steering = Steering::new(3, FlowHash::Ports).unwrap();
    let mut seen = [0; 3];
    for number in 0..100 {
        let (remote_port, local_port) = (40_000 + number, 443 - number % 2);
        let frame = segment(number as u8, remote_port, local_port);
        send(&mut near[usize::from(number) % 2], &frame);
        let flow = FourTuple {
            local: ([10, 0, 0, 9], local_port).into(),
            remote: ([10, 0, 0, number as u8], remote_port).into(),
        };
        let expected = steering.worker_of(&flow).index();
        for (queue, port) in far.iter_mut().enumerate() {
            let received = receive(port);
            assert_eq!(received.len(), usize::from(queue == expected), "{flow:?}");
            seen[queue] += received.len();
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn what_no_queue_is_meant_for_comes_in_at_the_first() {
    let (mut near, mut far) = queues(1, 2, 4);
    // For the worker that has no queue, a datagram, a fragment, an ARP request, and no header.
    let steering = Steering::new(4, FlowHash::Ports).unwrap();
    let of_worker = |worker| {
        (1_024..).find(|port| {
            let flow = FourTuple {
                local: ([10, 0, 0, 9], 443).into(),
                remote: ([10, 0, 0, 1], *port).into(),
            };
            steering.worker_of(&flow).number() == worker
        })
    };
    let second = segment(1, of_worker(1).unwrap(), 443);
    let changed = |at: usize, to: u8| {
        let mut frame = second.clone();
        frame[at] = to;
        frame[24..26].fill(0);
        complete_checksum(&mut frame[14..34], 0, 10);
        frame
    };
    let others = [
        segment(1, of_worker(3).unwrap(), 443),
        changed(23, 17),
        changed(20, 0x20),
        changed(21, 1),
        changed(13, 6),
        vec![0; 3],
    ];
    for frame in &others {
        send(&mut near[0], frame);
    }
    send(&mut near[0], &second);
    let bytes = |port: &mut MemoryPort| -> Vec<Vec<u8>> {
        let received = receive(port);
        received.iter().map(|r| r.frame.bytes().to_vec()).collect()
    };
    assert_eq!(bytes(&mut far[0]), others);
    assert_eq!(bytes(&mut far[1]), [second]);
}

#[test]
fn a_queue_that_nobody_reads_holds_up_its_senders_until_somebody_does() {
    let one = NonZeroU8::MIN;
    let two = NonZeroU8::new(2).unwrap();
    let steering = Steering::new(2, FlowHash::Ports).unwrap();
    let options = MemoryOptions {
        queue: 2,
        ..MemoryOptions::default()
    };
    let (mut near, mut far) =
        MemoryPort::pair_of_queues(options, two, one, Steering::ALONE, steering).unwrap();
    for _ in 0..2 {
        send(&mut near[0], &[1; 60]);
    }
    assert!(near[0].reserve(60).is_none());
    assert!(near[0].prepare_to_sleep(), "there is no room to go on");
    send(&mut near[1], &[2; 60]);
    assert_eq!(receive(&mut far[0]).len(), 3);
    let woken = crate::sys::poll::readable([near[0].poll_fd()], None);
    assert!(woken.unwrap(), "nobody told of the room");
    assert!(near[0].reserve(60).is_some());
}

#[test]
fn what_was_meant_for_a_queue_that_is_closed_comes_in_at_another() {
    let (mut near, mut far) = queues(1, 3, 3);
    let closed = far.remove(0);
    drop(closed);
    for number in 0..100 {
        send(&mut near[0], &segment(1, 40_000 + number, 443));
    }
    send(&mut near[0], &[0; 60]);
    let mut received: Vec<Received> = Vec::new();
    for port in &mut far {
        received.extend((0..3).flat_map(|_| receive(port)));
    }
    assert_eq!(received.len(), 101);
    // And what nobody takes holds up nobody.
    drop(far);
    for _ in 0..2 * MemoryOptions::default().queue {
        send(&mut near[0], &[0; 60]);
    }
    assert!(near[0].room() > 0);
    assert!(near[0].counters().transmit_dropped > 0);
}

#[test]
fn no_lane_starves_another() {
    let two = NonZeroU8::new(2).unwrap();
    let (options, alone) = (MemoryOptions::default(), Steering::ALONE);
    for (busy, other) in [(0, 1), (1, 0)] {
        let (mut near, mut far) =
            MemoryPort::pair_of_queues(options, two, NonZeroU8::MIN, alone, alone).unwrap();
        send(&mut near[other], &[1; 60]);
        for _ in 0..3 * crate::port::BURST {
            send(&mut near[busy], &[2; 60]);
        }
        let bursts = [receive(&mut far[0]), receive(&mut far[0])];
        let found = bursts.iter().flatten().any(|r| r.frame.bytes()[0] == 1);
        assert!(found, "lane {busy} had both bursts");
    }
}

/// The sender builds in whatever frame came back last, from whichever queue.
#[test]
fn frames_belong_to_the_worker_that_received_them_last() {
    let (mut near, mut far) = queues(1, 2, 2);
    let mut pools =
        [0, 1].map(|worker| FramePool::new(POOL_FRAME_CAPACITY, 64).named(PoolId(worker)));
    let mut received = [0, 0];
    for remote_port in 1_000..1_200 {
        send(&mut near[0], &segment(1, remote_port, 80));
        for ((port, pool), received) in far.iter_mut().zip(&mut pools).zip(&mut received) {
            let mut burst = Burst::new();
            *received += port.receive(PortId(7), pool, &mut burst).unwrap();
            burst
                .drain(..)
                .for_each(|received| pool.put(received.frame));
            assert!(pool.take_stranger().is_none(), "{remote_port}");
        }
    }
    assert!(received.iter().all(|frames| *frames > 50), "{received:?}");
}
