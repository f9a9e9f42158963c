//! Packets a second that one core receives and sends again through a DPDK port, beside
//! `dpdk-testpmd` in its io mode on the same virtual device, in turns.
//!
//! `cargo run --release -p braid-dataplane --features dpdk --example dpdk_rate -- [ROUNDS [SECONDS]]`
//!
//! The port copies each packet twice, into a frame of the engine and out of it again, where
//! testpmd passes buffers on; both are told. Without `dpdk-testpmd` (Debian: `dpdk-dev`) the port is
//! measured alone.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use braid_dataplane::port::dpdk::{DeviceOptions, Dpdk, DpdkPort, EalOptions};
use braid_dataplane::port::{BURST, Burst, POOL_FRAME_CAPACITY, Port};
use braid_engine::stack::{PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Tells a run that it is a child, and of which device.
const CHILD: &str = "BRAID_RATE_DEVICE";

const DEVICES: [&str; 2] = ["net_null0", "net_ring0"];

const FRAME: usize = 64;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let rounds: u32 = arguments.next().transpose()?.unwrap_or(5);
    let seconds: u32 = arguments.next().transpose()?.unwrap_or(2);
    if let Ok(device) = std::env::var(CHILD) {
        println!("{}", measure(&device, Duration::from_secs(seconds.into()))?);
        return Ok(());
    }
    for device in DEVICES {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(port(device, seconds)?);
            theirs.extend(testpmd(device, seconds)?);
        }
        let ours = median(ours);
        let cycles = frequency().unwrap_or(f64::NAN) / ours;
        print!(
            "{device}: port {:.2} Mpps, {:.0} ns and {cycles:.0} cycles a packet, {:.0} ns a burst",
            ours / 1e6,
            1e9 / ours,
            BURST as f64 * 1e9 / ours,
        );
        if theirs.is_empty() {
            println!("; dpdk-testpmd is not installed");
        } else {
            let theirs = median(theirs);
            println!(
                "; testpmd {:.2} Mpps; ratio {:.2}",
                theirs / 1e6,
                ours / theirs
            );
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Packets a second of the port, in a process of its own.
fn port(device: &str, seconds: u32) -> Outcome<f64> {
    let output = Command::new(std::env::current_exe()?)
        .args(["1", &seconds.to_string()])
        .env(CHILD, device)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text
        .lines()
        .last()
        .ok_or("the measurement printed nothing")?;
    Ok(line.parse()?)
}

fn measure(device: &str, length: Duration) -> Outcome<f64> {
    let eal = EalOptions {
        main_core: 0,
        worker_cores: vec![0],
        arguments: ["--no-huge", "--no-pci"].map(String::from).into(),
    };
    let mut options = DeviceOptions::new(device);
    options.arguments = device
        .starts_with("net_null")
        .then(|| format!("size={FRAME}"));
    let mut devices = Dpdk::start(&eal, &[options])?.take_devices();
    let mut port = devices.remove(0).ports.remove(0);
    let mut pool = FramePool::new(POOL_FRAME_CAPACITY, 2 * BURST);
    if device.starts_with("net_ring") {
        for _ in 0..BURST {
            send(&mut port, &[0; FRAME]);
        }
        port.flush()?;
    }
    // The caches are warm, and the pool has its frames.
    forward(&mut port, &mut pool, Duration::from_millis(200))?;
    let start = Instant::now();
    let packets = forward(&mut port, &mut pool, length)?;
    Ok(packets as f64 / start.elapsed().as_secs_f64())
}

/// Sends what comes in for this long; how many packets.
fn forward(port: &mut DpdkPort, pool: &mut FramePool, length: Duration) -> Outcome<u64> {
    let start = Instant::now();
    let mut packets = 0;
    let mut burst = Burst::new();
    while start.elapsed() < length {
        for _ in 0..1_000 {
            port.receive(PortId(0), pool, &mut burst)?;
            for received in burst.drain(..) {
                packets += u64::from(send(port, received.frame.bytes()));
                pool.put(received.frame);
            }
            port.flush()?;
        }
    }
    Ok(packets)
}

fn send(port: &mut DpdkPort, frame: &[u8]) -> bool {
    let Some(room) = port.reserve(frame.len()) else {
        return false;
    };
    room.copy_from_slice(frame);
    port.commit(frame.len(), TransmitMeta::default());
    true
}

/// Cycles a second of this processor, as the kernel tells.
fn frequency() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("cpu MHz"))?;
    let megahertz: f64 = line.split_once(':')?.1.trim().parse().ok()?;
    Some(megahertz * 1e6)
}

/// Packets a second of dpdk-testpmd; `None` where it is not installed.
fn testpmd(device: &str, seconds: u32) -> Outcome<Option<f64>> {
    let virtual_device = match device.starts_with("net_null") {
        true => format!("--vdev={device},size={FRAME}"),
        false => format!("--vdev={device}"),
    };
    let started = Command::new("dpdk-testpmd")
        .args([
            "--no-huge",
            "--no-pci",
            "--in-memory",
            "--no-telemetry",
            "-m",
            "256",
        ])
        .args(["-l", "0,1", "--main-lcore", "1", &virtual_device, "--"])
        .args([
            "--forward-mode=io",
            "--auto-start",
            "--tx-first",
            "--nb-cores=1",
        ])
        .args(["--total-num-mbufs=8191", "--stats-period=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        return Ok(None);
    };
    std::thread::sleep(Duration::from_secs(u64::from(seconds) + 2));
    child
        .stdin
        .take()
        .ok_or("testpmd has no input")?
        .write_all(b"\n")?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rates: Vec<f64> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Rx-pps:"))
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .filter(|rate| *rate > 0.0)
        .collect();
    Ok((!rates.is_empty()).then(|| median(rates)))
}
