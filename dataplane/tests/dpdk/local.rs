//! Devices that reach nothing but this process, or a file.

use std::fs;
use std::time::{Duration, Instant};

use braid_dataplane::port::dpdk::{
    DeviceOptions, Dpdk, DpdkError, DpdkPort, EXAMPLE_KEY, EalOptions, Spread,
};
use braid_dataplane::port::{BURST, Burst, Port};
use braid_engine::stack::{PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;

use crate::namespace;
use crate::{
    PATIENCE, device, eal, numbered, pool, queues, receive, run_as_root, send, start, start_one,
};

#[test]
fn a_ring_brings_back_every_frame_in_order_even_when_it_was_full() {
    namespace::run(
        "local::a_ring_brings_back_every_frame_in_order_even_when_it_was_full",
        || {
            let mut port = start_one(device("net_ring0", ""));
            let mut pool = pool();
            let mut sent = 0;
            while send(&mut port, &numbered(sent, 60 + sent as usize % 1_400)) {
                sent += 1;
                assert!(sent < 100_000, "a ring without end");
            }
            assert!(sent > 500, "{sent} frames");
            assert!(port.transmit_pending());
            assert_eq!(port.counters().transmit_full, 1);
            let frames = receive(&mut port, &mut pool, sent as usize);
            for (number, frame) in (0..).zip(&frames) {
                assert_eq!(*frame, numbered(number, 60 + number as usize % 1_400));
            }
            assert!(!port.transmit_pending());
            let counters = port.counters();
            assert_eq!(counters.received_frames, u64::from(sent));
            assert_eq!(counters.transmitted_frames, u64::from(sent));
            assert_eq!(counters.transmitted_bytes, counters.received_bytes);
            assert_eq!(
                (counters.receive_dropped, counters.transmit_dropped),
                (0, 0)
            );
            // Buffers come back: far more frames pass than there are buffers.
            for round in 0..1_000 {
                for at in 0..BURST as u32 {
                    assert!(send(&mut port, &numbered(round * 32 + at, 1_514)));
                }
                receive(&mut port, &mut pool, BURST);
            }
            assert!(port.reserve(1_515).is_none(), "longer than the MTU allows");
        },
    );
}

#[test]
fn a_port_takes_as_many_frames_as_it_says_there_is_room_for() {
    namespace::run(
        "local::a_port_takes_as_many_frames_as_it_says_there_is_room_for",
        || {
            let mut port = start_one(device("net_ring0", ""));
            let mut pool = pool();
            // The first frame has the port take its buffers.
            assert!(send(&mut port, &numbered(0, 60)));
            receive(&mut port, &mut pool, 1);
            for _ in 0..100 {
                let room = port.room();
                assert_eq!(room, BURST);
                for number in 0..room as u32 {
                    let frame = numbered(number, 60);
                    let place = port.reserve(frame.len()).unwrap();
                    place.copy_from_slice(&frame);
                    port.commit(frame.len(), TransmitMeta::default());
                }
                port.flush().unwrap();
                assert_eq!(receive(&mut port, &mut pool, room).len(), room);
            }
            assert_eq!(port.counters().transmit_full, 0);
        },
    );
}

#[test]
fn frames_of_9000_bytes_pass() {
    namespace::run("local::frames_of_9000_bytes_pass", || {
        let options = DeviceOptions {
            mtu: 9_000,
            ..device("net_ring0", "")
        };
        let mut port = start_one(options);
        assert_eq!(port.capabilities().max_frame, 9_014);
        assert!(send(&mut port, &numbered(7, 9_014)));
        assert_eq!(receive(&mut port, &mut pool(), 1), [numbered(7, 9_014)]);
    });
}

#[test]
fn a_device_with_two_queues_has_a_port_for_each() {
    namespace::run(
        "local::a_device_with_two_queues_has_a_port_for_each",
        || {
            let options = DeviceOptions {
                queues: queues(2),
                hash_key: EXAMPLE_KEY,
                ..device("net_null0", "size=64")
            };
            let mut devices = start(&[options]);
            assert_eq!(devices[0].driver, "net_null");
            // The driver does not say that it takes a key.
            assert_eq!(devices[0].spread, Spread::Unknown);
            assert_eq!(devices[0].ports.len(), 2);
            for port in &mut devices[0].ports {
                let mut burst = Burst::new();
                port.receive(PortId(3), &mut pool(), &mut burst).unwrap();
                assert_eq!(burst.len(), BURST);
                assert!(burst.iter().all(|received| received.meta.port == PortId(3)));
                assert!(
                    burst
                        .iter()
                        .all(|received| received.frame.bytes().len() == 64)
                );
            }
        },
    );
}

#[test]
fn what_a_device_cannot_is_told_with_what_it_can() {
    namespace::run(
        "local::what_a_device_cannot_is_told_with_what_it_can",
        || {
            let options = DeviceOptions {
                queues: queues(200),
                ..device("net_ring0", "")
            };
            let refused = Dpdk::start(&eal(), &[options]).unwrap_err();
            let told = refused.to_string();
            assert!(
                told.starts_with("device net_ring0 (net_ring) has "),
                "{told}"
            );
            let again = Dpdk::start(&eal(), &[device("net_null0", "")]).unwrap_err();
            assert!(matches!(again, DpdkError::AlreadyStarted), "{again}");
        },
    );
}

/// A file of frames of 100 bytes, numbered from 0 on.
fn capture_of(frames: u32) -> Vec<u8> {
    let header = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1];
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
    for number in 0..frames {
        let record = [1u32, 0, 100, 100];
        bytes.extend(record.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(numbered(number, 100));
    }
    bytes
}

#[test]
fn a_capture_is_read_over_and_over() {
    namespace::run("local::a_capture_is_read_over_and_over", || {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("in");
        // As many as the queue holds.
        fs::write(&input, capture_of(1_024)).unwrap();
        let arguments = format!("rx_pcap={},infinite_rx=1", input.display());
        let mut port = start_one(device("net_pcap0", &arguments));
        let frames = receive(&mut port, &mut pool(), 3_000);
        let in_order = (0..1_024).cycle().take(frames.len());
        assert!(
            frames
                .into_iter()
                .eq(in_order.map(|number| numbered(number, 100)))
        );
    });
}

#[test]
fn a_capture_is_read_and_another_is_written() {
    namespace::run("local::a_capture_is_read_and_another_is_written", || {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (input, output) = (directory.join("in"), directory.join("out"));
        fs::write(&input, capture_of(3)).unwrap();
        let arguments = format!("rx_pcap={},tx_pcap={}", input.display(), output.display());
        let mut port = start_one(device("net_pcap0", &arguments));
        let frames = receive(&mut port, &mut pool(), 3);
        assert_eq!(frames, [0, 1, 2].map(|number| numbered(number, 100)));
        assert!(send(&mut port, &numbered(9, 200)));
        port.flush().unwrap();
        // The file is complete once the device is closed.
        drop(port);
        let written = fs::read(&output).unwrap();
        assert!(
            written.ends_with(&numbered(9, 200)),
            "{} bytes",
            written.len()
        );
    });
}

/// Sends until a frame passes: an end loses some in the moment after its link came up.
fn pass_one(from: &mut DpdkPort, to: &mut DpdkPort, pool: &mut FramePool) {
    let deadline = Instant::now() + PATIENCE;
    let mut burst = Burst::new();
    while to.receive(PortId(0), pool, &mut burst).unwrap() == 0 {
        assert!(Instant::now() < deadline, "no frame passes");
        send(from, &numbered(u32::MAX, 60));
        from.flush().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    burst.clear();
    while to.receive(PortId(0), pool, &mut burst).unwrap() > 0 {
        burst.clear();
    }
}

#[test]
fn two_ends_of_a_shared_memory_interface_exchange_frames() {
    namespace::run(
        "local::two_ends_of_a_shared_memory_interface_exchange_frames",
        || {
            let socket = format!("socket=@braid-{},socket-abstract=yes", std::process::id());
            let mut devices = start(&[
                device("net_memif0", &format!("role=server,id=0,{socket}")),
                device("net_memif1", &format!("role=client,id=0,{socket}")),
            ]);
            let mut client = devices.pop().unwrap().ports.remove(0);
            let mut server = devices.pop().unwrap().ports.remove(0);
            let deadline = Instant::now() + PATIENCE;
            while !(server.link().up && client.link().up) {
                assert!(Instant::now() < deadline, "the link stays down");
                std::thread::sleep(Duration::from_millis(10));
            }
            let mut pool = pool();
            pass_one(&mut client, &mut server, &mut pool);
            pass_one(&mut server, &mut client, &mut pool);
            for number in 0..200 {
                assert!(send(&mut client, &numbered(number, 1_000)));
                client.flush().unwrap();
                assert_eq!(
                    receive(&mut server, &mut pool, 1),
                    [numbered(number, 1_000)]
                );
                assert!(send(&mut server, &numbered(number, 64)));
                server.flush().unwrap();
                assert_eq!(receive(&mut client, &mut pool, 1), [numbered(number, 64)]);
            }
        },
    );
}

/// Pages of 2 MiB, given back with this.
struct HugePages {
    before: u64,
}

impl HugePages {
    const FILE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

    fn number(file: &str) -> Result<u64, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let number = text.trim().parse();
        number.map_err(|_| format!("{file} holds no number: {text}"))
    }

    /// Whether so many are there already, for whoever runs on this host.
    fn are_free(count: u64) -> bool {
        Self::number(Self::FREE).is_ok_and(|free| free >= count)
    }

    /// So many more, or why there are none.
    fn reserve(count: u64) -> Result<Self, String> {
        let before = Self::number(Self::FILE)?;
        let wanted = before + count;
        let refused = |error| format!("{} takes no {wanted}: {error}", Self::FILE);
        fs::write(Self::FILE, wanted.to_string()).map_err(refused)?;
        let reserved = Self { before };
        match Self::number(Self::FILE)? {
            number if number >= wanted => Ok(reserved),
            number => Err(format!(
                "the kernel has memory for {number} of {wanted} pages"
            )),
        }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        fs::write(Self::FILE, self.before.to_string()).unwrap();
    }
}

#[test]
fn buffers_are_in_huge_pages() {
    const NAME: &str = "local::buffers_are_in_huge_pages";
    const PAGES: u64 = 64;
    if HugePages::are_free(PAGES) {
        return namespace::run(NAME, pass_frames_in_huge_pages);
    }
    run_as_root(NAME, || match HugePages::reserve(PAGES) {
        Ok(_pages) => pass_frames_in_huge_pages(),
        Err(why) => namespace::tell_skipped(NAME, &why),
    });
}

fn pass_frames_in_huge_pages() {
    let eal = EalOptions {
        arguments: vec!["--no-pci".into()],
        ..eal()
    };
    let mut dpdk = Dpdk::start(&eal, &[device("net_ring0", "")]).unwrap();
    let mut port = dpdk.take_devices().remove(0).ports.remove(0);
    let told = fs::read_to_string("/proc/self/smaps").unwrap();
    let kilobytes: u64 = told
        .lines()
        .filter_map(|line| line.strip_prefix("Private_Hugetlb:"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    assert!(kilobytes >= 10 << 10, "{kilobytes} KiB are in huge pages");
    for number in 0..100 {
        assert!(send(&mut port, &numbered(number, 1_514)));
        let frames = receive(&mut port, &mut pool(), 1);
        assert_eq!(frames, [numbered(number, 1_514)]);
    }
}

#[test]
fn what_a_device_counts_is_told_by_its_names() {
    namespace::run("local::what_a_device_counts_is_told_by_its_names", || {
        let options = DeviceOptions {
            queues: queues(2),
            ..device("net_ring0", "")
        };
        let mut devices = start(&[options]);
        assert!(devices[0].link.state().up);
        let ports = &mut devices[0].ports;
        for number in 0..3 {
            assert!(send(&mut ports[0], &numbered(number, 100)));
        }
        ports[0].flush().unwrap();
        let counters = ports[0].device_counters();
        let sent = counters.iter().find(|(name, _)| name == "tx_good_packets");
        assert_eq!(sent.map(|(_, count)| *count), Some(3), "{counters:?}");
        // They are those of the whole device.
        assert_eq!(ports[1].device_counters(), []);
    });
}

/// Each queue of a ring brings back what was sent by the transmit queue of the same number.
#[test]
fn what_comes_to_a_queue_that_was_left_is_taken_in_by_another() {
    namespace::run(
        "local::what_comes_to_a_queue_that_was_left_is_taken_in_by_another",
        || {
            let options = DeviceOptions {
                queues: queues(3),
                ..device("net_ring0", "")
            };
            let mut ports = start(&[options]).remove(0).ports;
            for (first, port) in (0..).step_by(100).zip(&mut ports) {
                for number in first..first + 100 {
                    assert!(send(port, &numbered(number, 100)));
                }
                port.flush().unwrap();
            }
            let mut pool = pool();
            let mut own = ports.remove(0);
            assert_eq!(receive(&mut own, &mut pool, 100).len(), 100);
            let mut burst = Burst::new();
            assert_eq!(own.receive(PortId(0), &mut pool, &mut burst).unwrap(), 0);
            // Their workers have ended, the second after it had that of the first.
            drop(ports.remove(0));
            ports[0].receive(PortId(0), &mut pool, &mut burst).unwrap();
            let taken = burst.len();
            drop(ports);
            let mut numbers: Vec<Vec<u8>> = burst
                .drain(..)
                .map(|received| received.frame.bytes().to_vec())
                .collect();
            numbers.extend(receive(&mut own, &mut pool, 200 - taken));
            numbers.sort();
            let sent: Vec<Vec<u8>> = (100..300).map(|number| numbered(number, 100)).collect();
            assert!(numbers == sent, "{} frames", numbers.len());
        },
    );
}
