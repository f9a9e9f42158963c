//! Packets as they are: how many of them a worker passes on each second, and what a link of shared memory
//! between two processes carries, beside dpdk-testpmd over the same device.
//!
//! testpmd passes on the buffers that it receives. A worker's frames are copied out of the buffer of the
//! device and into another, as the engine may keep what came in for long; the figures contain both copies.

mod forwarder;
pub(crate) mod testpmd;

#[cfg(feature = "dpdk")]
pub(crate) mod device;
#[cfg(feature = "dpdk")]
mod memif;
pub mod part;

use std::time::{Duration, Instant};

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{AnyPort, Port};
use braid_dataplane::worker::{Clock, IdlePolicy, Worker};
use braid_engine::stack::TransmitMeta;

use crate::interleaved::{Compared, compare};
use forwarder::Forwarder;
use testpmd::Testpmd;

/// Bytes of a packet that is passed on.
const PACKET: usize = 64;

/// Packets that are under way.
const UNDER_WAY: usize = braid_dataplane::port::BURST;

/// How long packets are passed on before they are counted, and then for one figure.
const WARM_UP: Duration = Duration::from_millis(200);
const SAMPLE: Duration = Duration::from_secs(1);

/// Steps between two looks at the clock.
const STEPS: usize = 1_000;

/// Million packets each second that a worker passes on by its only port, a virtual device of DPDK, beside
/// testpmd on the same device.
///
/// # Errors
///
/// What is missing here, or went wrong.
pub fn over_device(device: &'static str, rounds: u32) -> Result<Compared, String> {
    let testpmd = Testpmd::find()?;
    compare(
        rounds,
        || part::packets_per_second(device).map(millions),
        || testpmd.packets_per_second(device).map(millions),
    )
}

/// Million packets each second that pass between two workers in one thread over a memory port, each of
/// which is passed on by either; beside testpmd on net_ring.
///
/// # Errors
///
/// What is missing here, or went wrong.
pub fn over_memory_port(rounds: u32) -> Result<Compared, String> {
    let testpmd = Testpmd::find()?;
    let mut pair = memory_pair()?;
    compare(
        rounds,
        || Ok(millions(rate(&mut pair))),
        || testpmd.packets_per_second("net_ring0").map(millions),
    )
}

/// Gbit/s of payload from one process to another over net_memif, each on a core of its own, beside the
/// rate at which testpmd carries frames of the same size over the same.
///
/// # Errors
///
/// What is missing here, or went wrong.
pub fn over_shared_memory(rounds: u32) -> Result<Compared, String> {
    let testpmd = Testpmd::find()?;
    compare(rounds, part::goodput, || testpmd.memif_bits_per_second())
}

fn millions(count: f64) -> f64 {
    count / 1e6
}

/// Puts packets on their way.
fn launch(port: &mut impl Port) -> Result<(), String> {
    for _ in 0..UNDER_WAY {
        let room = port.reserve(PACKET).ok_or("the port has no room")?;
        room.fill(0);
        port.commit(PACKET, TransmitMeta::default());
    }
    port.flush().map_err(|error| error.to_string())
}

/// A worker that passes on what comes by its only port.
fn forwarding(port: AnyPort) -> Result<Worker<Forwarder>, String> {
    let seats = vec![port.into()];
    let worker = Worker::new(
        Forwarder::default(),
        seats,
        Clock::start(),
        IdlePolicy::Spin,
    );
    worker.map_err(|error| error.to_string())
}

fn memory_pair() -> Result<[Worker<Forwarder>; 2], String> {
    let options = MemoryOptions {
        checksum: false,
        segmentation: false,
        ..MemoryOptions::default()
    };
    let (mut near, far) = MemoryPort::pair(options).map_err(|error| error.to_string())?;
    launch(&mut near)?;
    Ok([forwarding(near.into())?, forwarding(far.into())?])
}

/// Packets a second that these workers pass on, who take turns in this thread.
fn rate(workers: &mut [Worker<Forwarder>]) -> f64 {
    run(workers, WARM_UP);
    let count = |workers: &[Worker<Forwarder>]| -> u64 {
        workers
            .iter()
            .map(|worker| worker.engine().passed_on())
            .sum()
    };
    let (before, start) = (count(workers), Instant::now());
    run(workers, SAMPLE);
    (count(workers) - before) as f64 / start.elapsed().as_secs_f64()
}

fn run(workers: &mut [Worker<Forwarder>], time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for _ in 0..STEPS {
            for worker in &mut *workers {
                let work = worker.step();
                worker.rest(work, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_round_between_two_workers() {
        let mut pair = memory_pair().unwrap();
        for _ in 0..10 {
            for worker in &mut pair {
                let _ = worker.step();
            }
        }
        let passed_on: Vec<u64> = pair
            .iter()
            .map(|worker| worker.engine().passed_on())
            .collect();
        // The near end has launched them, so the far end is the first to see them.
        let all = UNDER_WAY as u64;
        assert_eq!(passed_on, [9 * all, 10 * all]);
    }
}
