//! Frames that cross a link: whole, in order, to the queue they belong to.

use braid_engine::stack::Segmentation;

use super::*;

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
