//! A TAP device: the host's own kernel is on the other side.
//!
//! Each frame is preceded by a `virtio_net_hdr`, so that with offloads on the kernel hands over
//! and takes segments of up to 64 KiB with their checksums left out. A frame is read straight
//! into a pool frame and written from where the engine built it: one system call a frame.
//!
//! The engine brings its own Ethernet and IP addresses. They must not be given to the interface,
//! which is the kernel's end of the wire and has addresses of its own.
//!
//! # Queues
//!
//! A device may have several queues, for a worker each (`IFF_MULTI_QUEUE`). The kernel sends the frames of
//! a flow by the queue that last wrote one of it, and before by a hash of its own: so the first frame of
//! a flow comes by any queue, and what follows by that of the worker that answered, until the flow has
//! been silent for three seconds. Since the engine hands over what comes elsewhere, a program in the
//! kernel's place (`TUNSETSTEERINGEBPF`) would save the handing over of these few frames, and would take
//! bpf(2), which hosts keep from whoever is not root.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU8;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use braid_engine::stack::{Capabilities, PortId, ReceiveMeta, TransmitMeta};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::wire::ethernet::MacAddress;

use super::attachment::Attachment;
use super::virtio::{self, VIRTIO_HEADER};
use super::{Burst, LARGEST_FRAME, LeftOut, Port, PortCounters, PortError, Received, fill};
use crate::sys::interface::InterfaceName;
use crate::sys::tun::{self, Queues};

/// A TAP device.
#[derive(Debug)]
pub struct TapPort {
    device: File,
    interface: Attachment,
    offload: bool,
    /// The header, and after it the frame being built.
    outgoing: Box<[u8]>,
    /// Taken for a read that found nothing.
    spare: Option<Frame>,
    counters: PortCounters,
}

impl TapPort {
    /// Attaches to the TAP device `name` of the current network namespace, creating it if there
    /// is none. A device created so is down, and vanishes with the port.
    ///
    /// `offload` lets segments of up to 64 KiB and partial checksums pass in both directions.
    ///
    /// # Errors
    ///
    /// When the name is invalid or in use, the driver is missing or kept from this user, or
    /// `CAP_NET_ADMIN` is missing.
    pub fn open(name: &str, offload: bool) -> Result<Self, PortError> {
        Self::attach(name, offload, Queues::One)
    }

    /// Attaches to the TAP device `name` so many times, each a queue of it. A device that exists must
    /// have been made for that, and one that is created so vanishes with the last of them.
    ///
    /// With one queue the same as [`TapPort::open`].
    ///
    /// # Errors
    ///
    /// As for [`TapPort::open`].
    pub fn open_queues(
        name: &str,
        offload: bool,
        queues: NonZeroU8,
    ) -> Result<Vec<Self>, PortError> {
        if queues == NonZeroU8::MIN {
            return Ok(vec![Self::open(name, offload)?]);
        }
        (0..queues.get())
            .map(|_| Self::attach(name, offload, Queues::Many))
            .collect()
    }

    fn attach(name: &str, offload: bool, queues: Queues) -> Result<Self, PortError> {
        let interface = InterfaceName::parse(name)?;
        let action = "opening a TAP device";
        let device = tun::open().map_err(|source| match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => PortError::TunMissing,
            Some(libc::EACCES) => PortError::TunForbidden,
            _ => PortError::refused(action, "CAP_NET_ADMIN", source),
        })?;
        tun::attach(&device, &interface, queues).map_err(|source| {
            match (source.raw_os_error(), queues) {
                (Some(libc::EBUSY | libc::EINVAL), Queues::One) => {
                    PortError::TapBusy { name: name.into() }
                }
                (Some(libc::EBUSY | libc::EINVAL | libc::E2BIG), Queues::Many) => {
                    PortError::TapQueues { name: name.into() }
                }
                _ => PortError::refused(action, "CAP_NET_ADMIN", source),
            }
        })?;
        // While another process holds a queue, the kernel leaves the device as that one wants it.
        if !tun::identify(&device).is_ok_and(|(_, suitable)| suitable) {
            return Err(PortError::TapQueues { name: name.into() });
        }
        Self::from_device(device, interface, offload)
    }

    /// Takes over a TAP device that was opened elsewhere, such as by a process in another
    /// network namespace. It must have been made with `IFF_TAP`, `IFF_NO_PI` and `IFF_VNET_HDR`,
    /// as [`TapPort::open`] makes it.
    ///
    /// # Errors
    ///
    /// When the descriptor is not such a device.
    pub fn from_fd(fd: OwnedFd, offload: bool) -> Result<Self, PortError> {
        let device = File::from(fd);
        let unsuitable = PortError::Unsupported {
            feature: "this descriptor as a TAP device",
            fix: "pass one made with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
        };
        match tun::identify(&device) {
            Ok((name, true)) => Self::from_device(device, name, offload),
            _ => Err(unsuitable),
        }
    }

    fn from_device(device: File, name: InterfaceName, offload: bool) -> Result<Self, PortError> {
        tun::configure(&device, VIRTIO_HEADER, offload).map_err(|source| PortError::System {
            action: format!("setting the offloads of TAP device \"{}\"", name.as_str()),
            source,
        })?;
        Ok(Self {
            device,
            interface: Attachment::to(name.as_str()),
            offload,
            outgoing: vec![0; VIRTIO_HEADER + LARGEST_FRAME].into_boxed_slice(),
            spare: None,
            counters: PortCounters::default(),
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.interface.name()
    }

    /// The Ethernet address of the kernel's end, whichever namespace that is in.
    ///
    /// # Errors
    ///
    /// When the device is gone.
    pub fn kernel_ethernet_address(&self) -> Result<MacAddress, PortError> {
        tun::ethernet_address(&self.device).map_err(|_| self.interface.gone())
    }

    /// The device, to be handed to another process.
    pub fn into_fd(self) -> OwnedFd {
        self.device.into()
    }
}

/// Reads one frame into `frame`; an error when none is there.
fn read(
    device: &mut impl Read,
    frame: &mut Frame,
    port: PortId,
) -> io::Result<Result<ReceiveMeta, LeftOut>> {
    let length = device.read(frame.buffer_mut())?;
    // The driver cuts a frame that is too long without saying so.
    if length == frame.capacity() {
        return Ok(Err(LeftOut::Unfit));
    }
    let bytes = frame.buffer_mut().get(..length).unwrap_or_default();
    let Some((header, bytes)) = bytes.split_first_chunk().filter(|(_, b)| !b.is_empty()) else {
        return Ok(Err(LeftOut::Malformed));
    };
    let meta = virtio::parse(*header, bytes.len(), port);
    frame.set_filled(VIRTIO_HEADER..length);
    Ok(meta.map_err(LeftOut::from))
}

impl Port for TapPort {
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
        let received = fill(burst, &mut self.counters, || {
            let mut frame = self.spare.take().unwrap_or_else(|| pool.take());
            match read(&mut self.device, &mut frame, port) {
                Ok(Ok(meta)) => Some(Ok(Received { frame, meta })),
                Ok(Err(left_out)) => {
                    self.spare = Some(frame);
                    Some(Err(left_out))
                }
                // Nothing there, or the interface is down or deleted.
                Err(error) => {
                    self.spare = Some(frame);
                    if error.raw_os_error() == Some(libc::EBADFD) {
                        self.interface.lose();
                    }
                    None
                }
            }
        });
        self.interface.check()?;
        Ok(received)
    }

    fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        let room = self.outgoing.get_mut(VIRTIO_HEADER..VIRTIO_HEADER + length);
        if room.is_none() {
            self.counters.transmit_full += 1;
        }
        room
    }

    fn commit(&mut self, length: usize, meta: TransmitMeta) {
        self.outgoing[..VIRTIO_HEADER].copy_from_slice(&virtio::emit(meta));
        let end = (VIRTIO_HEADER + length).min(self.outgoing.len());
        // The driver takes a frame as a whole or not at all.
        match self.device.write_all(&self.outgoing[..end]) {
            Ok(()) => {
                self.counters.count_transmitted(length);
            }
            Err(error) => {
                self.counters.transmit_dropped += 1;
                if error.raw_os_error() == Some(libc::EBADFD) {
                    self.interface.lose();
                }
            }
        }
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.interface.check()
    }

    fn poll_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_is_told_apart_from_one_that_is_too_long() {
        let mut frame = Frame::with_capacity(100);
        let mut read = |bytes: &[u8]| read(&mut &*bytes, &mut frame, PortId(3)).unwrap();
        let whole = read(&[0; VIRTIO_HEADER + 60]);
        assert_eq!(whole.map(|meta| meta.port), Ok(PortId(3)));
        assert_eq!(read(&[0; 100]), Err(LeftOut::Unfit));
        for malformed in [0, VIRTIO_HEADER - 1, VIRTIO_HEADER] {
            assert_eq!(read(&[0; 100][..malformed]), Err(LeftOut::Malformed));
        }
        // TCP segments without a size.
        let mut sizeless = [0; VIRTIO_HEADER + 60];
        sizeless[1] = 1;
        assert_eq!(read(&sizeless), Err(LeftOut::Malformed));
    }
}
