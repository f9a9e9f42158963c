//! A port of any kind, dispatched by a match instead of a virtual call.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use braid_engine::stack::{Capabilities, PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::time::Instant;

use super::af_packet::AfPacketPort;
#[cfg(feature = "dpdk")]
use super::dpdk::DpdkPort;
use super::impaired::ImpairedPort;
use super::memory::MemoryPort;
use super::pcap::CapturedPort;
use super::tap::TapPort;
use super::{Burst, Port, PortCounters, PortError};

/// A port of any kind.
#[derive(Debug)]
pub enum AnyPort {
    /// One end of a link within the process.
    Memory(MemoryPort),
    /// A TAP device.
    Tap(TapPort),
    /// A packet socket.
    AfPacket(AfPacketPort),
    /// A pair of queues of a device.
    #[cfg(feature = "dpdk")]
    Dpdk(Box<DpdkPort>),
    /// Any of them behind impairments.
    Impaired(Box<ImpairedPort<AnyPort>>),
    /// Any of them behind a tee.
    Captured(Box<CapturedPort<AnyPort>>),
}

macro_rules! dispatch {
    ($self:ident, $port:ident => $call:expr) => {
        match $self {
            Self::Memory($port) => $call,
            Self::Tap($port) => $call,
            Self::AfPacket($port) => $call,
            #[cfg(feature = "dpdk")]
            Self::Dpdk($port) => $call,
            Self::Impaired($port) => $call,
            Self::Captured($port) => $call,
        }
    };
}

impl Port for AnyPort {
    fn capabilities(&self) -> Capabilities {
        dispatch!(self, port => port.capabilities())
    }

    fn receive(
        &mut self,
        id: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        dispatch!(self, port => port.receive(id, pool, burst))
    }

    fn room(&self) -> usize {
        dispatch!(self, port => port.room())
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        dispatch!(self, port => port.reserve(length))
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        dispatch!(self, port => port.commit(length, meta));
    }

    fn attach(&mut self, memory: Arc<[u8]>, filled: Range<usize>, meta: TransmitMeta) {
        dispatch!(self, port => port.attach(memory, filled, meta));
    }

    fn flush(&mut self) -> Result<(), PortError> {
        dispatch!(self, port => port.flush())
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        dispatch!(self, port => port.poll_fd())
    }

    fn room_fd(&self) -> Option<BorrowedFd<'_>> {
        dispatch!(self, port => port.room_fd())
    }

    fn flush_due(&self, now: Instant) -> Option<Instant> {
        dispatch!(self, port => port.flush_due(now))
    }

    fn transmit_pending(&self) -> bool {
        dispatch!(self, port => port.transmit_pending())
    }

    fn prepare_to_sleep(&mut self) -> bool {
        dispatch!(self, port => port.prepare_to_sleep())
    }

    fn counters(&self) -> PortCounters {
        dispatch!(self, port => port.counters())
    }

    fn device_counters(&self) -> Vec<(String, u64)> {
        dispatch!(self, port => port.device_counters())
    }
}

impl From<MemoryPort> for AnyPort {
    fn from(port: MemoryPort) -> Self {
        Self::Memory(port)
    }
}

impl From<TapPort> for AnyPort {
    fn from(port: TapPort) -> Self {
        Self::Tap(port)
    }
}

impl From<AfPacketPort> for AnyPort {
    fn from(port: AfPacketPort) -> Self {
        Self::AfPacket(port)
    }
}

#[cfg(feature = "dpdk")]
impl From<DpdkPort> for AnyPort {
    fn from(port: DpdkPort) -> Self {
        Self::Dpdk(Box::new(port))
    }
}

impl From<ImpairedPort<AnyPort>> for AnyPort {
    fn from(port: ImpairedPort<AnyPort>) -> Self {
        Self::Impaired(Box::new(port))
    }
}

impl From<CapturedPort<AnyPort>> for AnyPort {
    fn from(port: CapturedPort<AnyPort>) -> Self {
        Self::Captured(Box::new(port))
    }
}
