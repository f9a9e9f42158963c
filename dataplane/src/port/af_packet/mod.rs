//! A packet socket on an interface, with rings shared with the kernel.
//!
//! Each frame is preceded by a `virtio_net_hdr`, so that segments of up to 64 KiB and partial
//! checksums pass in both directions whatever the interface can do: the kernel does the rest.
//! Receiving costs no system call, sending one a burst.
//!
//! # Addresses
//!
//! The kernel sees every frame that the port sees. So that it does not answer in the engine's
//! place, with resets for connections it does not know or with answers to ARP requests, the
//! engine brings **its own IP addresses, which must not be given to the interface**, and had
//! better bring an Ethernet address of its own too: to the kernel its frames are then another
//! host's, even where the kernel forwards. The interface is made promiscuous for that, for as
//! long as the port is open.
//!
//! # Queues
//!
//! A port may have several sockets, for a worker each, over which the kernel spreads what arrives by
//! a [`FlowHash`] ([`AfPacketPort::open_queues`]).

mod fanout;

use std::cell::Cell;
use std::io;
use std::num::NonZeroU8;
use std::os::fd::{AsFd, BorrowedFd};

use braid_engine::stack::{Capabilities, FlowHash, PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::time::{Duration, Instant};

use super::attachment::Attachment;
use super::virtio::{self, VIRTIO_HEADER};
use super::{Burst, LARGEST_FRAME, LeftOut, Port, PortCounters, PortError, Received, fill};
use crate::sys::epoll::RoomEvents;
use crate::sys::interface::{self, Interface};
use crate::sys::packet::PacketSocket;
use crate::sys::poll;
use crate::sys::ring::{BLOCK, Packet, Rings, SLOTS_PER_BLOCK, TRANSMIT_ROOM};

/// How long to wait before a frame is offered again that found the queue of the interface full.
const FULL_QUEUE_NAP: Duration = Duration::from_millis(1);

const _: () = assert!(VIRTIO_HEADER + LARGEST_FRAME <= TRANSMIT_ROOM);

/// How a packet socket is opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AfPacketOptions {
    /// Leave segmentation and TCP checksums of sent frames to the kernel and the NIC. Received
    /// frames may be large, and lack checksums, whether or not this is set.
    pub offload: bool,
    /// Hand frames to the driver past queueing disciplines and traffic control. Faster; a full
    /// driver queue then loses frames.
    pub bypass_queueing: bool,
    /// Frames that wait to be received at most; rounded up to a multiple of 15. Each takes 68 KiB
    /// of memory that is never swapped. Of a port with several queues, each has so many.
    pub receive_frames: usize,
    /// The same for frames that wait to be sent.
    pub transmit_frames: usize,
}

impl Default for AfPacketOptions {
    /// Offload, queueing disciplines, and rings of 32 and 16 MiB.
    fn default() -> Self {
        Self {
            offload: true,
            bypass_queueing: false,
            receive_frames: 480,
            transmit_frames: 240,
        }
    }
}

/// A packet socket on an interface.
#[derive(Debug)]
pub struct AfPacketPort {
    // Dropped before the socket whose memory they are.
    rings: Rings,
    socket: PacketSocket,
    interface: Attachment,
    index: libc::c_int,
    offload: bool,
    room_events: RoomEvents,
    /// Frames were committed since the kernel last took any.
    unsent: bool,
    /// The queue of the interface was full when the kernel took frames last.
    queue_full: bool,
    /// The last frame was refused because the ring was full.
    full: bool,
    counters: PortCounters,
    /// Losses that the kernel has told so far; asking it starts again from zero.
    ring_full: Cell<u64>,
}

impl AfPacketPort {
    /// Opens a packet socket on the interface `name` of the current network namespace.
    ///
    /// # Errors
    ///
    /// When the interface does not exist or is not Ethernet, `CAP_NET_RAW` is missing, or the
    /// kernel lacks a feature of packet sockets.
    pub fn open(name: &str, options: AfPacketOptions) -> Result<Self, PortError> {
        let port = Self::unbound(name, options)?;
        port.bind()?;
        Ok(port)
    }

    /// Opens so many packet sockets on one interface, over which the kernel spreads what arrives: with
    /// [`FlowHash::Ports`] each TCP segment to the queue of the worker that its flow belongs to, with
    /// [`FlowHash::Toeplitz`] each frame by the queue of the network card it came in at. What is
    /// no TCP segment comes by the first, and so do fragments.
    ///
    /// With one queue the same as [`AfPacketPort::open`].
    ///
    /// # Errors
    ///
    /// As for [`AfPacketPort::open`].
    pub fn open_queues(
        name: &str,
        options: AfPacketOptions,
        queues: NonZeroU8,
        hash: FlowHash,
    ) -> Result<Vec<Self>, PortError> {
        if queues == NonZeroU8::MIN {
            return Ok(vec![Self::open(name, options)?]);
        }
        let ports: Vec<Self> = (0..queues.get())
            .map(|_| Self::unbound(name, options))
            .collect::<Result<_, _>>()?;
        let refused = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENOPROTOOPT | libc::EINVAL) => PortError::Unsupported {
                feature: "PACKET_FANOUT by a program",
                fix: "use Linux 4.20 or later, a port of one queue, or a TAP port",
            },
            _ => PortError::refused(opening(name), "CAP_NET_RAW", source),
        };
        let spread = fanout::spread(hash, queues);
        let mut group = None;
        for port in &ports {
            // Only a bound socket can join, but until it does it would have every frame.
            port.socket.filter(&fanout::NOTHING).map_err(refused)?;
            port.bind()?;
            match group {
                None => group = Some(port.socket.found_group(&spread).map_err(refused)?),
                Some(group) => port.socket.join_group(group).map_err(refused)?,
            }
        }
        for port in &ports {
            port.socket.filter(&fanout::ARRIVING).map_err(refused)?;
        }
        Ok(ports)
    }

    /// A socket with its rings, which is yet to be bound.
    fn unbound(name: &str, options: AfPacketOptions) -> Result<Self, PortError> {
        let interface = Interface::find(name)?;
        interface.ethernet_address()?;
        let index = interface.index()?;
        let refused = |source| PortError::refused(opening(name), "CAP_NET_RAW", source);
        let socket = PacketSocket::new().map_err(refused)?;
        let blocks = |frames: usize| frames.max(1).div_ceil(SLOTS_PER_BLOCK);
        let transmit_blocks = blocks(options.transmit_frames);
        let rings = socket
            .make_rings(blocks(options.receive_frames), transmit_blocks)
            .map_err(|(feature, source)| match source.raw_os_error() {
                Some(libc::ENOPROTOOPT | libc::EINVAL) => PortError::Unsupported {
                    feature,
                    fix: "use Linux 4.20 or later, or a TAP port",
                },
                _ => PortError::System {
                    action: format!("{} ({feature})", opening(name)),
                    source,
                },
            })?;
        if options.bypass_queueing {
            socket.bypass_queueing().map_err(refused)?;
        }
        socket.ask_send_buffer(i32::try_from(transmit_blocks * BLOCK).unwrap_or(i32::MAX));
        let room_events = RoomEvents::of(socket.as_fd()).map_err(refused)?;
        Ok(Self {
            rings,
            socket,
            interface: Attachment::to(name),
            index,
            offload: options.offload,
            room_events,
            unsent: false,
            queue_full: false,
            full: false,
            counters: PortCounters::default(),
            ring_full: Cell::new(0),
        })
    }

    /// From here on frames arrive.
    fn bind(&self) -> Result<(), PortError> {
        self.socket
            .bind(self.index)
            .map_err(|source| PortError::refused(opening(self.name()), "CAP_NET_RAW", source))
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        self.interface.name()
    }

    /// Whether what was held up can go on. When not, room is announced from now on.
    ///
    /// The socket polls as writable while its send buffer has room, which says nothing of the ring.
    /// But each frame that leaves the ring is announced, once it has left.
    fn has_found_room(&mut self) -> bool {
        if !self.full && !self.unsent {
            return false;
        }
        self.room_events.clear();
        let slot = self.full && self.rings.transmit_room().is_some();
        self.full &= !slot;
        slot || (self.unsent && !self.queue_full && poll::is_writable(self.socket.as_fd()))
    }

    /// Gives up what was committed and not taken, as a link that is down does.
    fn lose_unsent(&mut self) {
        self.counters.transmit_dropped += self.rings.withdraw() as u64;
        self.unsent = false;
    }
}

impl Port for AfPacketPort {
    fn capabilities(&self) -> Capabilities {
        virtio::capabilities(self.offload)
    }

    fn receive(
        &mut self,
        port: PortId,
        pool: &mut FramePool,
        burst: &mut Burst,
    ) -> Result<usize, PortError> {
        self.interface.check()?;
        Ok(fill(burst, &mut self.counters, || {
            self.rings
                .receive::<VIRTIO_HEADER, _>(|packet| copy(packet, port, pool))
        }))
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        let room = (length <= LARGEST_FRAME)
            .then(|| self.rings.transmit_room())
            .flatten()
            .and_then(|room| room.get_mut(VIRTIO_HEADER..VIRTIO_HEADER + length));
        self.full = room.is_none() && length <= LARGEST_FRAME;
        if room.is_none() {
            self.counters.transmit_full += 1;
        }
        room
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        if let Some(header) = self
            .rings
            .transmit_room()
            .and_then(|room| room.first_chunk_mut())
        {
            *header = virtio::emit(meta);
            self.rings.transmit(VIRTIO_HEADER + length);
            self.counters.count_transmitted(length);
            self.unsent = true;
        }
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.interface.check()?;
        if !self.unsent {
            return Ok(());
        }
        self.queue_full = false;
        match self.socket.kick() {
            Ok(()) => self.unsent = self.rings.transmit_pending(),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENXIO) if !interface::exists(self.index) => {
                    self.interface.lose();
                    return self.interface.check();
                }
                // No room now: the frames stay offered and are taken with a later flush.
                Some(errno @ (libc::EAGAIN | libc::ENOBUFS | libc::EINTR)) => {
                    self.unsent = self.rings.transmit_pending();
                    self.queue_full = self.unsent && errno == libc::ENOBUFS;
                }
                // The interface is down, or does not take the frame at the head of the ring.
                _ => self.lose_unsent(),
            },
        }
        Ok(())
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn room_fd(&self) -> Option<BorrowedFd<'_>> {
        (self.full || self.unsent).then(|| self.room_events.as_fd())
    }

    /// The queue of the interface is not only this port's: what leaves it is not announced.
    fn flush_due(&self, now: Instant) -> Option<Instant> {
        self.queue_full.then(|| now + FULL_QUEUE_NAP)
    }

    fn transmit_pending(&self) -> bool {
        self.unsent
    }

    fn prepare_to_sleep(&mut self) -> bool {
        // An interface that goes down leaves an error behind which would end every sleep at once.
        let down = self
            .socket
            .take_error()
            .is_some_and(|error| error.raw_os_error() == Some(libc::ENETDOWN));
        if down && !interface::exists(self.index) {
            self.interface.lose();
        }
        !self.interface.is_lost() && !self.rings.has_received() && !self.has_found_room()
    }

    fn counters(&self) -> PortCounters {
        let ring_full = self.ring_full.get() + self.socket.take_drops();
        self.ring_full.set(ring_full);
        PortCounters {
            receive_dropped: self.counters.receive_dropped + ring_full,
            ..self.counters
        }
    }
}

fn opening(name: &str) -> String {
    format!("opening a packet socket on \"{name}\"")
}

/// Copies a frame out of the ring.
fn copy(packet: Packet<'_>, port: PortId, pool: &mut FramePool) -> Result<Received, LeftOut> {
    let bytes = match packet {
        Packet::Whole(bytes) => bytes,
        Packet::Unfit => return Err(LeftOut::Unfit),
        Packet::Malformed => return Err(LeftOut::Malformed),
    };
    let (header, bytes) = bytes.split_first_chunk().ok_or(LeftOut::Malformed)?;
    let meta = virtio::parse(*header, bytes.len(), port)?;
    let mut frame = pool.take();
    let Some(room) = frame.buffer_mut().get_mut(..bytes.len()) else {
        pool.put(frame);
        return Err(LeftOut::Unfit);
    };
    room.copy_from_slice(bytes);
    frame.set_filled(0..bytes.len());
    Ok(Received { frame, meta })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_are_left_out_are_counted_by_their_reason() {
        let frame = [0; VIRTIO_HEADER + 60];
        // TCP segments without a size.
        let mut sizeless = frame;
        sizeless[1] = 1;
        let long = [0; VIRTIO_HEADER + 101];
        let mut packets = [
            Packet::Whole(&frame),
            Packet::Whole(&sizeless),
            Packet::Whole(&frame[..VIRTIO_HEADER - 1]),
            Packet::Malformed,
            Packet::Whole(&long),
            Packet::Unfit,
        ]
        .into_iter();
        let mut pool = FramePool::new(100, 4);
        let (mut burst, mut counters) = (Burst::new(), PortCounters::default());
        let received = fill(&mut burst, &mut counters, || {
            packets
                .next()
                .map(|packet| copy(packet, PortId(0), &mut pool))
        });
        assert_eq!((received, burst.len()), (1, 1));
        let named: Vec<_> = counters.iter().filter(|(_, count)| *count > 0).collect();
        let expected = [
            ("PortInFrames", 1),
            ("PortInBytes", 60),
            ("PortInDropped", 2),
            ("PortInMalformed", 3),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_reported_before_anything_is_opened() {
        let error = AfPacketPort::open("eth99", AfPacketOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "interface \"eth99\" does not exist; `ip link` lists those that do"
        );
    }

    #[test]
    fn an_interface_without_ethernet_is_refused() {
        let error = AfPacketPort::open("lo", AfPacketOptions::default()).unwrap_err();
        assert!(matches!(error, PortError::NotEthernet { name } if name == "lo"));
    }
}
