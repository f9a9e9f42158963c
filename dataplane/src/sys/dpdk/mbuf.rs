//! One buffer of a pool (`rte_mbuf`).

use std::ptr::NonNull;
use std::slice;

use capsule_ffi as ffi;

/// A buffer that is owned here. It goes back to its pool by hand, in bursts.
#[repr(transparent)]
#[derive(Debug)]
pub(super) struct Mbuf(NonNull<ffi::rte_mbuf>);

// SAFETY: nothing of a buffer belongs to a thread, and pools take buffers back from any.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// Takes over a buffer.
    ///
    /// # Safety
    ///
    /// `mbuf` is a buffer of a pool, or null, and nobody else uses it.
    pub(super) unsafe fn from_raw(mbuf: *mut ffi::rte_mbuf) -> Option<Self> {
        NonNull::new(mbuf).map(Self)
    }

    fn get(&self) -> &ffi::rte_mbuf {
        // SAFETY: the buffer is owned, and pools are never freed.
        unsafe { self.0.as_ref() }
    }

    fn get_mut(&mut self) -> &mut ffi::rte_mbuf {
        // SAFETY: as above, by the only owner.
        unsafe { self.0.as_mut() }
    }

    /// What came in.
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet(self.get())
    }

    /// The first `length` bytes after the headroom; `None` when the buffer has no room for them.
    pub(super) fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let mbuf = self.get_mut();
        let start = usize::from(mbuf.data_off);
        if start + length > usize::from(mbuf.buf_len) {
            return None;
        }
        // SAFETY: within the buffer, as checked, which is owned. Its memory came zeroed from the
        // kernel when the pool was made.
        Some(unsafe { slice::from_raw_parts_mut(mbuf.buf_addr.cast::<u8>().add(start), length) })
    }

    /// States that the first `length` bytes of the room are a packet of one buffer, with what the
    /// device has to do to it.
    pub(super) fn finish(&mut self, length: usize, flags: u64, lengths: u64) {
        let mbuf = self.get_mut();
        let room = usize::from(mbuf.buf_len.saturating_sub(mbuf.data_off));
        let length = length.min(room);
        mbuf.data_len = length as u16;
        mbuf.pkt_len = length as u32;
        mbuf.ol_flags = flags;
        mbuf.tx_offload = lengths;
    }
}

/// A packet that came in, in one or more buffers.
#[derive(Copy, Clone)]
pub(crate) struct Packet<'a>(&'a ffi::rte_mbuf);

impl Packet<'_> {
    /// `RTE_MBUF_F_RX_*`.
    pub(crate) fn flags(self) -> u64 {
        self.0.ol_flags
    }

    /// Bytes from the Ethernet header on.
    pub(crate) fn length(self) -> usize {
        self.0.pkt_len as usize
    }

    /// Copies the packet to the start of `target` and says how long it is; `None` when it does
    /// not fit, or its buffers hold more or less than it says.
    pub(crate) fn copy_to(self, target: &mut [u8]) -> Option<usize> {
        let length = self.length();
        let mut rest = target.get_mut(..length)?;
        let mut segment = self.0;
        for left in (0..segment.nb_segs.max(1)).rev() {
            let bytes = data(segment)?;
            let (room, further) = rest.split_at_mut_checked(bytes.len())?;
            room.copy_from_slice(bytes);
            rest = further;
            if left > 0 {
                // SAFETY: reads a field of a buffer that is borrowed.
                let next = unsafe { ffi::_rte_pktmbuf_next(segment) };
                // SAFETY: null, or the next buffer of the packet, which is borrowed with it.
                segment = unsafe { next.as_ref() }?;
            }
        }
        rest.is_empty().then_some(length)
    }
}

/// The data of one buffer; `None` when it would reach beyond it.
fn data(mbuf: &ffi::rte_mbuf) -> Option<&[u8]> {
    let (start, length) = (usize::from(mbuf.data_off), usize::from(mbuf.data_len));
    if start + length > usize::from(mbuf.buf_len) {
        return None;
    }
    // SAFETY: within the buffer, as checked, which is borrowed; its memory came zeroed from the
    // kernel when the pool was made, and the device has written the packet into it.
    Some(unsafe { slice::from_raw_parts(mbuf.buf_addr.cast::<u8>().add(start), length) })
}
