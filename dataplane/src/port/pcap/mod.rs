//! A tee: what passes by a port goes to a pcapng file too, which Wireshark opens.
//!
//! Frames are captured as the engine sees them, so offloaded ones are longer than the MTU.
//! Checksums left to the port are completed in the captured copy. The clock of the capture is
//! the host's, in nanoseconds. Ports and queues of other threads may share a file: each writes under a
//! lock.

mod file;

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use braid_engine::stack::{Capabilities, ChecksumOffload, PortId, ReceivedChecksum, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::time::Instant;
use braid_engine::wire::IpPacket;
use braid_engine::wire::ethernet::EthernetHeader;
use braid_engine::wire::ip::Protocol;

use self::file::{Direction, PcapngWriter};
use super::virtio::complete_checksum;
use super::{Burst, LARGEST_FRAME, Port, PortCounters, PortError};

/// A capture file, which any number of ports may share.
///
/// When the file cannot be written any more, as on a full disk, the capture stops and the ports
/// carry on; [`Capture::finish`] tells.
#[derive(Clone, Debug)]
pub struct Capture {
    shared: Arc<Mutex<Shared>>,
    path: Arc<Path>,
}

#[derive(Debug)]
struct Shared {
    writer: PcapngWriter<BufWriter<File>>,
    frames: u64,
    failure: Option<io::Error>,
}

impl Shared {
    fn attempt(
        &mut self,
        write: impl FnOnce(&mut PcapngWriter<BufWriter<File>>) -> io::Result<()>,
    ) {
        if self.failure.is_none() {
            self.failure = write(&mut self.writer).err();
        }
    }
}

impl Capture {
    /// Creates the file `path`, or empties it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, PortError> {
        let path = path.into();
        let writer = File::create(&path)
            .and_then(|file| PcapngWriter::new(BufWriter::new(file)))
            .map_err(|source| PortError::Capture {
                path: path.clone(),
                source,
            })?;
        let shared = Shared {
            writer,
            frames: 0,
            failure: None,
        };
        Ok(Self {
            shared: Arc::new(Mutex::new(shared)),
            path: path.into(),
        })
    }

    /// Puts a tee before `port`, which shows as the interface `name` in the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn tee<P: Port>(&self, port: P, name: &str) -> Result<CapturedPort<P>, PortError> {
        let interface = self.interface(name)?;
        Ok(self.tee_onto(interface, port))
    }

    /// Puts a tee before each queue of a port, which shows as the one interface `name` in the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn tee_queues<P: Port>(
        &self,
        queues: impl IntoIterator<Item = P>,
        name: &str,
    ) -> Result<Vec<CapturedPort<P>>, PortError> {
        let interface = self.interface(name)?;
        let tee = |queue| self.tee_onto(interface, queue);
        Ok(queues.into_iter().map(tee).collect())
    }

    fn interface(&self, name: &str) -> Result<u32, PortError> {
        let described = self.lock().writer.interface(name);
        described.map_err(|source| self.unwritable(source))
    }

    fn tee_onto<P: Port>(&self, interface: u32, port: P) -> CapturedPort<P> {
        CapturedPort {
            port,
            capture: self.clone(),
            interface,
            outgoing: vec![0; LARGEST_FRAME].into_boxed_slice(),
            scratch: Vec::new(),
        }
    }

    /// Brings the file up to date, and says how many frames it holds.
    ///
    /// # Errors
    ///
    /// When the capture stopped because the file could not be written.
    pub fn finish(&self) -> Result<u64, PortError> {
        let mut shared = self.lock();
        shared.attempt(PcapngWriter::flush);
        match shared.failure.take() {
            None => Ok(shared.frames),
            Some(source) => Err(self.unwritable(source)),
        }
    }

    fn unwritable(&self, source: io::Error) -> PortError {
        PortError::Capture {
            path: self.path.to_path_buf(),
            source,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic in another port's thread leaves at worst one block cut short.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, interface: u32, direction: Direction, frame: &[u8]) {
        let mut shared = self.lock();
        // Read under the lock, so that the times in the file go up whichever thread writes.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        shared.attempt(|writer| writer.packet(interface, nanos, direction, frame));
        shared.frames += u64::from(shared.failure.is_none());
    }
}

/// A port whose frames are captured.
#[derive(Debug)]
pub struct CapturedPort<P> {
    port: P,
    capture: Capture,
    interface: u32,
    /// The frame being built: it is captured when it is committed, and not readable at the port
    /// any more by then.
    outgoing: Box<[u8]>,
    /// A received frame whose checksum has to be completed.
    scratch: Vec<u8>,
}

impl<P: Port> CapturedPort<P> {
    /// The port behind the tee.
    pub fn port(&self) -> &P {
        &self.port
    }
}

impl<P: Port> Port for CapturedPort<P> {
    /// Those of the port, but what it hands over is copied, as the file needs it.
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            attach: false,
            ..self.port.capabilities()
        }
    }

    fn receive(
        &mut self,
        id: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        let before = burst.len();
        let received = self.port.receive(id, pool, burst)?;
        for received in &burst[before..] {
            let bytes = received.frame.bytes();
            let frame = match (received.meta.checksum, tcp_header(bytes)) {
                (ReceivedChecksum::Partial, Some(start)) => {
                    self.scratch.clear();
                    self.scratch.extend_from_slice(bytes);
                    complete_checksum(&mut self.scratch, start, TCP_CHECKSUM);
                    &self.scratch
                }
                _ => bytes,
            };
            self.capture
                .write(self.interface, Direction::Inbound, frame);
        }
        Ok(received)
    }

    fn room(&self) -> usize {
        self.port.room()
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        self.port.reserve(length)?;
        self.outgoing.get_mut(..length)
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        let Some(frame) = self.outgoing.get_mut(..length) else {
            return;
        };
        let Some(room) = self.port.reserve(length) else {
            return;
        };
        room.copy_from_slice(frame);
        self.port.commit(length, meta);
        if let ChecksumOffload::Partial { start, offset } = meta.checksum {
            complete_checksum(frame, start, offset);
        }
        self.capture
            .write(self.interface, Direction::Outbound, frame);
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.port.flush()
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.port.poll_fd()
    }

    fn room_fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.room_fd()
    }

    fn flush_due(&self, now: Instant) -> Option<Instant> {
        self.port.flush_due(now)
    }

    fn transmit_pending(&self) -> bool {
        self.port.transmit_pending()
    }

    /// Before a sleep the file is brought up to date, so that it can be read while all is quiet.
    fn prepare_to_sleep(&mut self) -> bool {
        self.capture.lock().attempt(PcapngWriter::flush);
        self.port.prepare_to_sleep()
    }

    fn counters(&self) -> PortCounters {
        self.port.counters()
    }

    fn device_counters(&self) -> Vec<(String, u64)> {
        self.port.device_counters()
    }
}

/// Where the checksum lies in a TCP header (RFC 9293, section 3.1).
const TCP_CHECKSUM: u16 = 16;

/// Where the TCP header of an Ethernet frame starts.
fn tcp_header(frame: &[u8]) -> Option<u16> {
    let (ethernet, start) = EthernetHeader::parse(frame).ok()?;
    let packet = IpPacket::parse(ethernet.ether_type, frame.get(start..)?).ok()?;
    (packet.header.protocol() == Protocol::Tcp)
        .then(|| u16::try_from(start + packet.payload.start).ok())
        .flatten()
}

#[cfg(test)]
mod tests;
