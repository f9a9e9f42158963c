//! Devices driven by DPDK, through capsule.
//!
//! capsule starts DPDK's environment (EAL) from a [`RuntimeConfig`](capsule::config::RuntimeConfig),
//! makes the threads of the cores and finds the devices ([`Dpdk::start`]); its pipelines can run the
//! workers ([`Dpdk::run`]). What capsule lacks goes by its bindings, capsule-ffi, directly: it sets
//! devices up without offloads, with buffers of 2 KiB and a hash key of the driver's, and it
//! allocates a vector for each burst. So each device is set up a second time before it starts, and
//! bursts allocate nothing. A device that can be set up once only (net_af_xdp,
//! and net_pcap with `infinite_rx`) capsule never sees.
//!
//! A frame that comes in is copied once, from the buffer of the device into one of the engine's
//! pool: the engine may keep it for as long as a hole is open, which must not starve the device of
//! buffers. A frame that goes out is built in the buffer that the device sends.
//!
//! Devices cannot wake a worker. One that sleeps looks again after 50 microseconds, then more and
//! more seldom, after a millisecond at most; [`IdlePolicy::Spin`](crate::worker::IdlePolicy) never
//! sleeps.
//!
//! As with packet sockets the engine brings its own IP addresses. Frames to be cut into segments
//! are of 16 KiB at most, as that is what one descriptor of some NICs holds.

mod error;
mod nap;
mod offload;
mod options;
pub mod preflight;
mod runtime;
mod setup;
mod spread;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use braid_engine::stack::{Capabilities, PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::ethernet::MacAddress;

pub use crate::sys::dpdk::device::LinkState;
pub use error::DpdkError;
use nap::Nap;
pub use options::{DeviceOptions, EXAMPLE_KEY, EalOptions, is_pci_address};
pub use runtime::{Dpdk, Turn};
pub use spread::Spread;

use super::{Burst, LeftOut, Port, PortCounters, PortError, Received, fill};
use crate::sys::dpdk::device::Device;
use crate::sys::dpdk::queue::QueuePair;
use crate::sys::dpdk::{Packet, register_thread};
use crate::sys::signal;

/// How long to wait before frames are offered again that the device had no room for.
const FULL_QUEUE_NAP: Duration = Duration::from_micros(100);

/// Flushes in a row of which the device may take nothing before what waits is lost: a frame that a
/// driver refuses for good must not keep those behind it.
const REFUSALS: u32 = 1 << 16;

/// Keeps signals by which drivers tell of what comes in (net_tap) from this thread, whose system
/// calls they would interrupt, and from those it makes, until they drive a port.
///
/// [`Dpdk::start`] does so for its own caller.
pub fn keep_signals_away() {
    signal::block_real_time();
}

/// A device that runs.
#[derive(Debug)]
pub struct DpdkDevice {
    /// The name it was asked for by.
    pub name: String,
    /// The name of its driver.
    pub driver: String,
    /// Its link address.
    pub ethernet_address: MacAddress,
    /// How it spreads flows over its queues.
    pub spread: Spread,
    /// Its link.
    pub link: DeviceLink,
    /// One port for each pair of queues.
    pub ports: Vec<DpdkPort>,
}

/// The link of a device, which any thread may look at: asking a network card takes it microseconds, which
/// the steps of a worker do not have.
#[derive(Clone, Debug)]
pub struct DeviceLink(Arc<Device>);

impl DeviceLink {
    /// Its state now.
    pub fn state(&self) -> LinkState {
        self.0.link()
    }
}

/// A pair of queues of a device.
#[derive(Debug)]
pub struct DpdkPort {
    queues: QueuePair,
    capabilities: Capabilities,
    nap: Nap,
    /// The driver signals what comes in, and takes nothing from the kernel before the signal.
    signals: bool,
    /// Flushes in a row of which the device took nothing.
    refusals: u32,
    counters: PortCounters,
}

impl DpdkPort {
    fn new(
        queues: QueuePair,
        capabilities: Capabilities,
        signals: bool,
    ) -> Result<Self, PortError> {
        let nap = Nap::new().map_err(|source| PortError::System {
            action: "making a timer for a DPDK port".into(),
            source,
        })?;
        Ok(Self {
            queues,
            capabilities,
            nap,
            signals,
            refusals: 0,
            counters: PortCounters::default(),
        })
    }

    /// The state of the device's link.
    pub fn link(&self) -> LinkState {
        self.queues.device().link()
    }
}

/// Copies a packet into a frame of the engine.
fn copy(packet: Packet<'_>, port: PortId, pool: &mut FramePool) -> Result<Received, LeftOut> {
    let mut frame = pool.take();
    if packet.length() == 0 || packet.length() > frame.capacity() {
        pool.put(frame);
        return Err(LeftOut::Unfit);
    }
    match packet.copy_to(frame.buffer_mut()) {
        Some(length) => {
            frame.set_filled(0..length);
            let meta = offload::received(packet.flags(), port);
            Ok(Received { frame, meta })
        }
        None => {
            pool.put(frame);
            Err(LeftOut::Malformed)
        }
    }
}

impl Port for DpdkPort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(
        &mut self,
        port: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        // Whoever drives the port may be another thread than the last time.
        register_thread();
        if self.signals {
            signal::take_real_time_from_now();
        }
        let mut packets = self.queues.receive(burst.remaining_capacity());
        let received = fill(burst, &mut self.counters, || {
            packets.next().map(|packet| copy(packet, port, pool))
        });
        if received > 0 {
            self.nap.shorten();
        }
        Ok(received)
    }

    fn room(&self) -> usize {
        self.queues.room()
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        let room = (length <= self.capabilities.max_frame)
            .then(|| self.queues.reserve(length))
            .flatten();
        if room.is_none() {
            self.counters.transmit_full += 1;
        }
        room
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        if let Some(frame) = self.queues.reserved(length) {
            let (flags, lengths) = offload::prepare(frame, meta);
            self.queues.commit(length, flags, lengths);
            self.counters.count_transmitted(length);
        }
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let taken = self.queues.send();
        if taken > 0 || self.queues.waiting() == 0 {
            self.refusals = 0;
        } else {
            self.refusals += 1;
            if self.refusals >= REFUSALS || !self.link().up {
                // As a link does that is down.
                self.refusals = 0;
                self.counters.transmit_dropped += self.queues.discard() as u64;
            }
        }
        Ok(())
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.nap.as_fd()
    }

    fn flush_due(&self, now: Instant) -> Option<Instant> {
        (self.queues.waiting() > 0).then(|| now + FULL_QUEUE_NAP)
    }

    fn transmit_pending(&self) -> bool {
        self.queues.waiting() > 0
    }

    fn prepare_to_sleep(&mut self) -> bool {
        self.nap.begin()
    }

    /// What the device lost by itself is counted at its first pair of queues.
    fn counters(&self) -> PortCounters {
        let mut counters = self.counters;
        if self.queues.number() == 0 {
            let statistics = self.queues.device().statistics();
            counters.receive_dropped += statistics.missed + statistics.without_buffer;
            counters.receive_malformed += statistics.receive_errors;
            counters.transmit_dropped += statistics.transmit_errors;
        }
        counters
    }

    /// Told at its first pair of queues.
    fn device_counters(&self) -> Vec<(String, u64)> {
        if self.queues.number() == 0 {
            self.queues.device().extended_statistics()
        } else {
            Vec::new()
        }
    }
}
