//! TAP and AF_PACKET: what passes to and from the kernel, whole and in time of trouble.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::namespace::{self, ip};
use crate::support::peer::{PATIENCE, PAYLOAD, Peer, segment_of};
use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::interface;
use braid_dataplane::port::tap::TapPort;
use braid_dataplane::port::{Burst, LARGEST_FRAME, POOL_FRAME_CAPACITY, Port, PortError};
use braid_engine::stack::{ChecksumOffload, PortId, ReceivedChecksum, Segmentation, TransmitMeta};
use braid_engine::storage::frame::FramePool;

pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 % 253) as u8).collect()
}

/// A TAP device with the kernel at 10.9.0.1.
fn tap() -> TapPort {
    let port = TapPort::open("tap0", true).unwrap();
    ip("addr add 10.9.0.1/24 dev tap0");
    ip("link set tap0 up");
    port
}

/// A veth pair: the kernel at 10.9.0.1 on one end, a packet socket on the other.
fn veth(options: AfPacketOptions) -> AfPacketPort {
    ip("link add veth0 type veth peer name veth1");
    ip("addr add 10.9.0.1/24 dev veth1");
    ip("link set veth1 up");
    ip("link set veth0 up");
    AfPacketPort::open("veth0", options).unwrap()
}

/// A server that expects `request` and sends `response` back.
pub(crate) fn serve(request: Vec<u8>, response: Vec<u8>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("10.9.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = vec![0; request.len()];
        stream.read_exact(&mut received).unwrap();
        assert!(
            received == request,
            "the kernel read something else than was sent"
        );
        stream.write_all(&response).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    (port, server)
}

/// Large segments with partial checksums pass in both directions.
fn exchange_large_segments(port: impl Port) {
    let mut peer = Peer::new(port);
    peer.resolve();
    let request = pattern(60_000);
    let response = pattern(200_001);
    let (tcp_port, server) = serve(request.clone(), response.clone());
    let (received, segments) = peer.exchange(tcp_port, &request);
    server.join().unwrap();
    assert!(
        received == response,
        "read something else than the kernel sent"
    );
    let largest = segments
        .iter()
        .max_by_key(|segment| segment.payload.len())
        .unwrap();
    assert!(
        largest.payload.len() > 4_000,
        "{} bytes at most",
        largest.payload.len()
    );
    assert_eq!(
        largest.segment_size,
        Some(536),
        "the MSS of a SYN without the option"
    );
    assert_eq!(largest.checksum, ReceivedChecksum::Partial);
}

#[test]
fn tap_answers_arp_and_echo() {
    namespace::run_with_tap("ports::tap_answers_arp_and_echo", || {
        let mut peer = Peer::new(tap());
        let address = peer.port.kernel_ethernet_address().unwrap();
        assert_eq!(address, interface::ethernet_address("tap0").unwrap());
        assert_eq!(interface::mtu("tap0").unwrap(), 1_500);
        assert_eq!(peer.resolve(), address);
        assert_eq!(peer.echo(&pattern(1_000)), Some(pattern(1_000)));
    });
}

#[test]
fn tap_carries_large_segments_both_ways() {
    namespace::run_with_tap("ports::tap_carries_large_segments_both_ways", || {
        exchange_large_segments(tap());
    });
}

#[test]
fn tap_without_offload_gets_finished_frames() {
    namespace::run_with_tap("ports::tap_without_offload_gets_finished_frames", || {
        let port = TapPort::open("tap0", false).unwrap();
        ip("addr add 10.9.0.1/24 dev tap0");
        ip("link set tap0 up");
        assert!(!port.capabilities().checksum && !port.capabilities().segmentation);
        let mut peer = Peer::new(port);
        peer.resolve();
        let (tcp_port, server) = serve(pattern(1_000), pattern(50_000));
        let (received, segments) = peer.exchange(tcp_port, &pattern(1_000));
        server.join().unwrap();
        assert!(received == pattern(50_000));
        for segment in segments {
            assert_eq!(segment.segment_size, None);
            assert_ne!(segment.checksum, ReceivedChecksum::Partial);
            assert!(segment.payload.len() <= 1_460);
        }
    });
}

#[test]
fn tap_that_is_down_loses_frames_and_works_again_when_up() {
    namespace::run_with_tap(
        "ports::tap_that_is_down_loses_frames_and_works_again_when_up",
        || {
            let mut peer = Peer::new(tap());
            peer.resolve();
            ip("link set tap0 down");
            for _ in 0..100 {
                peer.send(&pattern(60), TransmitMeta::default());
            }
            assert_eq!(peer.port.counters().transmit_dropped, 100);
            ip("link set tap0 up");
            peer.resolve();
            assert_eq!(peer.echo(b"back"), Some(b"back".to_vec()));
        },
    );
}

#[test]
fn tap_that_is_deleted_says_so() {
    namespace::run_with_tap("ports::tap_that_is_deleted_says_so", || {
        let mut port = tap();
        ip("link delete tap0");
        let error = receive_until_error(&mut port);
        assert!(
            matches!(&error, PortError::Gone { name } if name == "tap0"),
            "{error}"
        );
    });
}

#[test]
fn tap_passes_from_hand_to_hand_as_a_descriptor() {
    namespace::run_with_tap(
        "ports::tap_passes_from_hand_to_hand_as_a_descriptor",
        || {
            let port = TapPort::from_fd(tap().into_fd(), true).unwrap();
            assert_eq!(port.name(), "tap0");
            let mut peer = Peer::new(port);
            peer.resolve();
            assert_eq!(peer.echo(b"again"), Some(b"again".to_vec()));
            let other = OwnedFd::from(File::open("/dev/null").unwrap());
            let error = TapPort::from_fd(other, true).unwrap_err();
            assert!(matches!(error, PortError::Unsupported { .. }), "{error}");
        },
    );
}

#[test]
fn tap_in_use_is_told_apart() {
    namespace::run_with_tap("ports::tap_in_use_is_told_apart", || {
        let _port = tap();
        let error = TapPort::open("tap0", true).unwrap_err();
        assert!(
            matches!(&error, PortError::TapBusy { name } if name == "tap0"),
            "{error}"
        );
    });
}

#[test]
fn ports_without_permission_name_the_capability() {
    namespace::run_with(
        &["-U"],
        "ports::ports_without_permission_name_the_capability",
        || {
            match TapPort::open("braid-tap9", true).unwrap_err() {
                // The driver's node is closed to whoever runs the test, or missing.
                PortError::TunForbidden | PortError::TunMissing => {}
                error => {
                    let text = error.to_string();
                    assert!(
                        text.contains("CAP_NET_ADMIN") && text.contains("unshare -Urn"),
                        "{text}"
                    );
                }
            }
            let links = std::fs::read_dir("/sys/class/net").unwrap();
            for link in links.flatten() {
                let name = link.file_name().into_string().unwrap();
                match AfPacketPort::open(&name, AfPacketOptions::default()) {
                    Err(PortError::NotEthernet { .. }) => {}
                    Err(error @ PortError::NotPermitted { .. }) => {
                        assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
            }
        },
    );
}

#[test]
fn af_packet_answers_arp_and_echo() {
    namespace::run("ports::af_packet_answers_arp_and_echo", || {
        let mut peer = Peer::new(veth(AfPacketOptions::default()));
        assert_eq!(
            peer.resolve(),
            interface::ethernet_address("veth1").unwrap()
        );
        assert_eq!(peer.echo(&pattern(1_000)), Some(pattern(1_000)));
        let own = peer.port.counters();
        assert_eq!(own.transmitted_frames, 2, "the port does not hear itself");
    });
}

#[test]
fn af_packet_carries_large_segments_both_ways() {
    namespace::run("ports::af_packet_carries_large_segments_both_ways", || {
        exchange_large_segments(veth(AfPacketOptions::default()));
    });
}

#[test]
fn af_packet_past_the_queueing_discipline_carries_the_same() {
    namespace::run(
        "ports::af_packet_past_the_queueing_discipline_carries_the_same",
        || {
            let options = AfPacketOptions {
                bypass_queueing: true,
                ..AfPacketOptions::default()
            };
            exchange_large_segments(veth(options));
        },
    );
}

#[test]
fn af_packet_passes_64_kib_whole_between_two_ports() {
    namespace::run(
        "ports::af_packet_passes_64_kib_whole_between_two_ports",
        || {
            let near = veth(AfPacketOptions::default());
            let far = AfPacketPort::open("veth1", AfPacketOptions::default()).unwrap();
            let (mut near, mut far) = (Peer::new(near), Peer::new(far));
            // Many times round both rings, with the largest frame.
            let payload = pattern(LARGEST_FRAME - PAYLOAD);
            for round in 0..1_000 {
                let (from, to) = if round % 2 == 0 {
                    (&mut near, &mut far)
                } else {
                    (&mut far, &mut near)
                };
                let frame = from.segment(9, 16, round, 0, &payload);
                let segmentation = Segmentation {
                    ipv6: false,
                    header_length: PAYLOAD as u16,
                    segment_size: 1_448,
                };
                let checksum = ChecksumOffload::Partial {
                    start: 34,
                    offset: 16,
                };
                from.send(
                    &frame,
                    TransmitMeta {
                        checksum,
                        segmentation: Some(segmentation),
                    },
                );
                let whole = to.receive(|received| {
                    let segment = segment_of(received)?;
                    (segment.sequence == round && segment.payload.len() > 60_000)
                        .then(|| (received.frame.bytes() == frame, segment))
                });
                let (same, segment) = whole.unwrap_or_else(|| panic!("nothing in round {round}"));
                assert!(same, "round {round}");
                assert_eq!(segment.acknowledgment, 0);
                assert_eq!(segment.segment_size, Some(1_448));
                assert_eq!(segment.checksum, ReceivedChecksum::Partial);
            }
        },
    );
}

#[test]
fn af_packet_that_is_down_loses_frames_and_works_again_when_up() {
    namespace::run(
        "ports::af_packet_that_is_down_loses_frames_and_works_again_when_up",
        || {
            let mut peer = Peer::new(veth(AfPacketOptions::default()));
            peer.resolve();
            ip("link set veth0 down");
            for _ in 0..1_000 {
                peer.send(&pattern(60), TransmitMeta::default());
            }
            assert_eq!(peer.port.counters().transmit_dropped, 1_000);
            peer.drain();
            assert!(
                peer.port.prepare_to_sleep(),
                "a link that is down gives nothing to do"
            );
            ip("link set veth0 up");
            peer.resolve();
            assert_eq!(peer.echo(b"back"), Some(b"back".to_vec()));
        },
    );
}

#[test]
fn af_packet_whose_interface_is_deleted_says_so() {
    namespace::run(
        "ports::af_packet_whose_interface_is_deleted_says_so",
        || {
            let mut port = veth(AfPacketOptions::default());
            ip("link delete veth0");
            port.prepare_to_sleep();
            let error = receive_until_error(&mut port);
            assert!(
                matches!(&error, PortError::Gone { name } if name == "veth0"),
                "{error}"
            );
        },
    );
}

#[test]
fn af_packet_ring_that_overflows_counts_what_it_lost() {
    namespace::run(
        "ports::af_packet_ring_that_overflows_counts_what_it_lost",
        || {
            let options = AfPacketOptions {
                receive_frames: 15,
                ..AfPacketOptions::default()
            };
            let near = veth(options);
            let mut far =
                Peer::new(AfPacketPort::open("veth1", AfPacketOptions::default()).unwrap());
            for _ in 0..100 {
                far.send(&far.segment(9, 16, 0, 0, &[]), TransmitMeta::default());
            }
            let mut near = near;
            let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 64);
            let mut received = 0;
            let deadline = Instant::now() + PATIENCE;
            while received + near.counters().receive_dropped < 100 && Instant::now() < deadline {
                let mut burst = Burst::new();
                near.receive(PortId(0), &mut pool, &mut burst).unwrap();
                received += burst.len() as u64;
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(near.counters().receive_dropped > 0);
            assert!(received >= 15, "{received}");
        },
    );
}

fn receive_until_error(port: &mut impl Port) -> PortError {
    let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 64);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let mut burst = Burst::new();
        if let Err(error) = port.receive(PortId(0), &mut pool, &mut burst) {
            assert!(port.flush().is_err(), "a port that is gone takes no frames");
            return error;
        }
    }
    panic!("the port still works");
}
