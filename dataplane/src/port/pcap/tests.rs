//! A tee before one end of a memory link: the link works as before and the file tells all.

use std::num::NonZeroU8;

use braid_engine::stack::{Segmentation, Steering};

use super::super::POOL_FRAME_CAPACITY;
use super::super::memory::{MemoryOptions, MemoryPort};
use super::*;

/// An Ethernet, IPv4 and TCP header and `payload` bytes, with the checksum of IPv4 filled in and
/// that of TCP left partial.
fn partial_segment(payload: usize) -> Vec<u8> {
    let length = 20 + payload;
    let mut frame = vec![0; 34 + length];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&u16::try_from(20 + length).unwrap().to_be_bytes());
    frame[22] = 64;
    frame[23] = 6;
    frame[26..30].copy_from_slice(&[10, 0, 0, 1]);
    frame[30..34].copy_from_slice(&[10, 0, 0, 2]);
    complete_checksum(&mut frame[14..34], 0, 10);
    frame[34..38].copy_from_slice(&[0x1f, 0x90, 0x9c, 0x40]);
    frame[46] = 0x50;
    frame[47] = 0x10;
    for (i, byte) in frame[54..].iter_mut().enumerate() {
        *byte = (i % 251) as u8;
    }
    let mut pseudo_header = 0x0a00 + 1 + 0x0a00 + 2 + 6 + length as u32;
    pseudo_header = (pseudo_header & 0xffff) + (pseudo_header >> 16);
    frame[50..52].copy_from_slice(&(pseudo_header as u16).to_be_bytes());
    frame
}

fn send(port: &mut impl Port, frame: &[u8], meta: TransmitMeta) {
    port.reserve(frame.len()).unwrap().copy_from_slice(frame);
    port.commit(frame.len(), meta);
    port.flush().unwrap();
}

fn receive(port: &mut impl Port) -> Vec<Vec<u8>> {
    let mut burst = Burst::new();
    let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 4);
    port.receive(PortId(0), &mut pool, &mut burst).unwrap();
    burst
        .iter()
        .map(|received| received.frame.bytes().to_vec())
        .collect()
}

const OFFLOADED: TransmitMeta = TransmitMeta {
    checksum: ChecksumOffload::Partial {
        start: 34,
        offset: 16,
    },
    segmentation: Some(Segmentation {
        ipv6: false,
        header_length: 54,
        segment_size: 1_460,
    }),
};

#[test]
fn the_link_is_unchanged_and_the_capture_is_complete() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    let (near, mut far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
    let mut near = capture.tee(near, "near").unwrap();
    let frame = partial_segment(60_000);
    send(&mut near, &frame, OFFLOADED);
    assert_eq!(
        receive(&mut far),
        vec![frame.clone()],
        "the port gets the checksum as it was"
    );
    send(&mut far, &frame, OFFLOADED);
    assert_eq!(
        receive(&mut near),
        vec![frame.clone()],
        "so does the engine"
    );
    assert_eq!(capture.finish().unwrap(), 2);
    let file = std::fs::read(file.path()).unwrap();
    let mut completed = frame;
    complete_checksum(&mut completed, 34, 16);
    let copies = file
        .windows(completed.len())
        .filter(|window| *window == completed)
        .count();
    assert_eq!(copies, 2, "both copies in the file have their checksum");
}

#[test]
fn tshark_finds_no_fault() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    let (near, mut far) = MemoryPort::pair(MemoryOptions::default()).unwrap();
    let mut near = capture.tee(near, "near").unwrap();
    send(&mut near, &partial_segment(60_000), OFFLOADED);
    send(&mut far, &partial_segment(1_000), OFFLOADED);
    assert_eq!(receive(&mut near).len(), 1);
    drop(near);
    let (near, _far) = MemoryPort::pair_of_queues(
        MemoryOptions::default(),
        NonZeroU8::new(2).unwrap(),
        NonZeroU8::MIN,
        Steering::ALONE,
        Steering::ALONE,
    )
    .unwrap();
    for (length, mut queue) in (5..).zip(capture.tee_queues(near, "wide").unwrap()) {
        send(&mut queue, &partial_segment(length), OFFLOADED);
    }
    capture.finish().unwrap();
    let output = std::process::Command::new("tshark")
        .args(["-o", "tcp.check_checksum:TRUE", "-T", "fields"])
        .args([
            "-e",
            "frame.interface_name",
            "-e",
            "tcp.len",
            "-e",
            "tcp.checksum.status",
        ])
        .arg("-r")
        .arg(file.path())
        .output();
    let Ok(output) = output else {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !ci,
            "tshark_finds_no_fault cannot run here: tshark is not installed"
        );
        eprintln!("skipped tshark_finds_no_fault: tshark is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    // Status 1 is "good".
    assert_eq!(
        lines,
        [
            "near\t60000\t1",
            "near\t1000\t1",
            "wide\t5\t1",
            "wide\t6\t1"
        ],
        "{output:?}"
    );
}

#[test]
fn only_whole_tcp_headers_are_found() {
    let frame = partial_segment(10);
    assert_eq!(tcp_header(&frame), Some(34));
    for length in 0..24 {
        assert_eq!(tcp_header(&frame[..length]), None);
    }
    let mut udp = frame;
    udp[23] = 17;
    assert_eq!(tcp_header(&udp), None);
}

#[test]
fn a_directory_that_does_not_exist_is_named() {
    let error = Capture::create("/nonexistent-braid/link0.pcapng").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/nonexistent-braid/link0.pcapng"),
        "{error}"
    );
}

proptest::proptest! {
    #[test]
    fn no_frame_makes_the_search_for_a_checksum_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
        kind in proptest::sample::select(vec![[8, 0], [0x86, 0xdd], [8, 6]]),
        offset: u16,
    ) {
        let mut bytes = bytes;
        if let Some(field) = bytes.get_mut(12..14) {
            field.copy_from_slice(&kind);
        }
        let start = tcp_header(&bytes);
        proptest::prop_assert!(start.is_none_or(|start| usize::from(start) <= bytes.len()));
        complete_checksum(&mut bytes, start.unwrap_or(offset), offset);
    }
}
