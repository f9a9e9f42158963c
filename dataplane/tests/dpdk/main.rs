//! The DPDK ports over virtual devices: each test in a process of its own, as the environment
//! starts once in one.

mod kernel;
mod local;
#[allow(
    dead_code,
    reason = "shared with the tests of the kernel's ports, which use the rest"
)]
#[path = "../kernel/support/namespace.rs"]
mod namespace;

#[path = "../kernel/support/echo.rs"]
mod echo;

use std::num::NonZeroU16;
use std::process::Command;
use std::time::{Duration, Instant};

use braid_dataplane::port::dpdk::{DeviceOptions, Dpdk, DpdkDevice, DpdkPort, EalOptions};
use braid_dataplane::port::{Burst, POOL_FRAME_CAPACITY, Port};
use braid_engine::stack::{PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;

const PATIENCE: Duration = Duration::from_secs(10);

/// Without huge pages and without the PCI bus.
fn eal() -> EalOptions {
    EalOptions {
        main_core: 0,
        worker_cores: vec![0],
        arguments: ["--no-huge", "--no-pci"].map(String::from).into(),
    }
}

/// Runs a test in a network namespace, as the root of the host: some is not for that of a user namespace.
/// Where this process is not that, the test is skipped by name, with `CI=true` too: no check can change that.
fn run_as_root(test: &str, body: impl FnOnce()) {
    if let Err(why) = is_root_of_host() {
        return namespace::tell_skipped(test, why);
    }
    namespace::run_with(&["-n"], test, body);
}

/// Whether this process is that, or why it is not.
fn is_root_of_host() -> Result<(), &'static str> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    if words != ["0", "0", "4294967295"] {
        return Err("it takes root of the host, and this is a user namespace");
    }
    let unshare = Command::new("unshare").args(["-n", "true"]).output();
    if unshare.is_ok_and(|output| output.status.success()) {
        Ok(())
    } else {
        Err("it takes root of the host: `unshare -n true` fails")
    }
}

/// A virtual device with its arguments.
fn device(name: &str, arguments: &str) -> DeviceOptions {
    DeviceOptions {
        arguments: (!arguments.is_empty()).then(|| arguments.into()),
        ..DeviceOptions::new(name)
    }
}

fn queues(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

/// Starts these devices. DPDK lasts as long as the process, so its handle is given up.
fn start(devices: &[DeviceOptions]) -> Vec<DpdkDevice> {
    Dpdk::start(&eal(), devices).unwrap().take_devices()
}

/// The only port of the only device.
fn start_one(device: DeviceOptions) -> DpdkPort {
    let mut devices = start(&[device]);
    let mut ports = devices.remove(0).ports;
    assert_eq!(ports.len(), 1);
    ports.remove(0)
}

fn pool() -> FramePool {
    FramePool::new(POOL_FRAME_CAPACITY, 64)
}

/// Queues a frame if there is room, with its checksums as they are.
fn send(port: &mut DpdkPort, frame: &[u8]) -> bool {
    let Some(room) = port.reserve(frame.len()) else {
        return false;
    };
    room.copy_from_slice(frame);
    port.commit(frame.len(), TransmitMeta::default());
    true
}

/// Receives until there are `count` frames.
fn receive(port: &mut DpdkPort, pool: &mut FramePool, count: usize) -> Vec<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut frames = Vec::new();
    while frames.len() < count {
        assert!(Instant::now() < deadline, "{} of {count}", frames.len());
        port.flush().unwrap();
        let mut burst = Burst::new();
        port.receive(PortId(0), pool, &mut burst).unwrap();
        for received in burst {
            frames.push(received.frame.bytes().to_vec());
            pool.put(received.frame);
        }
    }
    frames
}

/// A frame to nobody, of this length, that can be told by its number.
fn numbered(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![0xa5; length];
    frame[..6].fill(0xff);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}
