//! The frames that a packet socket shares with the kernel: packet_mmap, version 2 (the kernel's
//! networking/packet_mmap.rst).
//!
//! Each slot belongs to one side at a time, as its status word says; the side that is done with
//! it writes the word last. Lengths and offsets that the kernel writes are checked before use.

use std::io;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::tpacket2_hdr;

/// Bytes of a slot: a frame of 64 KiB with all headers, in whole pages.
pub(crate) const SLOT: usize = 68 * 1024;

/// Bytes of the blocks that the kernel allocates, each holding as many whole slots as fit.
pub(crate) const BLOCK: usize = 1 << 20;

/// Slots in a block.
pub(crate) const SLOTS_PER_BLOCK: usize = BLOCK / SLOT;

/// Where the kernel looks for a frame to send: after the header of the slot.
const TRANSMIT_OFFSET: usize = size_of::<tpacket2_hdr>();

/// Room for a frame to be sent.
pub(crate) const TRANSMIT_ROOM: usize = SLOT - TRANSMIT_OFFSET;

/// Memory shared with the kernel, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to the process and not to a thread, nothing but its one owner points
// into it, and as it is not `Sync` only one thread at a time can reach it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the rings of a packet socket.
    pub(crate) fn of_socket(socket: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Self::map(socket.as_raw_fd(), libc::MAP_SHARED, length)
    }

    /// Zeroed memory in place of a socket's.
    #[cfg(test)]
    fn anonymous(length: usize) -> Self {
        Self::map(-1, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, length).unwrap()
    }

    fn map(fd: libc::c_int, flags: libc::c_int, length: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is exactly the range mapped at construction, and every reference into it
        // borrowed the mapping.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// One direction: which of its slots is next.
#[derive(Debug)]
struct Cursor {
    /// Where the direction's first block lies in the mapping.
    base: usize,
    slots: usize,
    next: usize,
}

impl Cursor {
    fn offset(&self, slot: usize) -> usize {
        self.base + slot / SLOTS_PER_BLOCK * BLOCK + slot % SLOTS_PER_BLOCK * SLOT
    }

    fn previous(&self) -> usize {
        self.next.checked_sub(1).unwrap_or(self.slots - 1)
    }

    fn step(&mut self) {
        self.next = (self.next + 1) % self.slots;
    }
}

/// A slot, for as long as the mapping is borrowed.
struct Slot<'a> {
    start: NonNull<u8>,
    mapping: PhantomData<&'a Mapping>,
}

impl Slot<'_> {
    fn status_word(&self) -> &AtomicU32 {
        let word = offset_of!(tpacket2_hdr, tp_status);
        // SAFETY: the word lies inside the slot, slots are aligned to 16 bytes, and both sides
        // access it as a whole only.
        unsafe { AtomicU32::from_ptr(self.start.byte_add(word).cast().as_ptr()) }
    }

    fn status(&self) -> u32 {
        self.status_word().load(Ordering::Acquire)
    }

    fn give_away(&self, status: u32) {
        self.status_word().store(status, Ordering::Release);
    }

    /// The header as it is now; its status word may be out of date.
    fn header(&self) -> tpacket2_hdr {
        // SAFETY: the slot starts with a header, is aligned to 16 bytes, and any bytes make a
        // header. It is ours, so the kernel does not write to it.
        unsafe { self.start.cast::<tpacket2_hdr>().read() }
    }

    fn set_length(&mut self, length: u32) {
        let field = offset_of!(tpacket2_hdr, tp_len);
        // SAFETY: the field lies inside the slot, which is ours and aligned to 16 bytes.
        unsafe { self.start.byte_add(field).cast::<u32>().write(length) };
    }
}

/// What the kernel put into a slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The header of `HEADER` bytes that precedes the frame, and the frame.
    Whole(&'a [u8]),
    /// A frame that is longer than a slot, or that came with a VLAN tag.
    Unfit,
    /// A slot whose fields contradict each other.
    Malformed,
}

/// Both rings of a packet socket.
#[derive(Debug)]
pub(crate) struct Rings {
    mapping: Mapping,
    receive: Cursor,
    transmit: Cursor,
}

impl Rings {
    /// The rings of a mapping that starts with `receive_blocks` blocks of received frames,
    /// followed by `transmit_blocks` blocks of frames to be sent.
    pub(crate) fn new(
        mapping: Mapping,
        receive_blocks: usize,
        transmit_blocks: usize,
    ) -> io::Result<Self> {
        let blocks = receive_blocks + transmit_blocks;
        if receive_blocks == 0 || transmit_blocks == 0 || mapping.length < blocks * BLOCK {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let cursor = |base, blocks| Cursor {
            base,
            slots: blocks * SLOTS_PER_BLOCK,
            next: 0,
        };
        Ok(Self {
            mapping,
            receive: cursor(0, receive_blocks),
            transmit: cursor(receive_blocks * BLOCK, transmit_blocks),
        })
    }

    fn slot(&self, offset: usize) -> Slot<'_> {
        debug_assert!(offset + SLOT <= self.mapping.length);
        // SAFETY: offsets come from cursors, whose slots lie inside the mapping (`new`).
        let start = unsafe { self.mapping.start.byte_add(offset) };
        Slot {
            start,
            mapping: PhantomData,
        }
    }

    /// Whether a received frame waits.
    pub(crate) fn has_received(&self) -> bool {
        let slot = self.slot(self.receive.offset(self.receive.next));
        slot.status() & libc::TP_STATUS_USER != 0
    }

    /// Lets `take` look at the next received frame, preceded by `HEADER` bytes, and gives the
    /// slot back to the kernel. `None` when no frame waits.
    pub(crate) fn receive<const HEADER: usize, R>(
        &mut self,
        take: impl FnOnce(Packet<'_>) -> R,
    ) -> Option<R> {
        let slot = self.slot(self.receive.offset(self.receive.next));
        let status = slot.status();
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let header = slot.header();
        let packet = match Self::frame_range::<HEADER>(&header) {
            None => Packet::Malformed,
            Some(_) if status & libc::TP_STATUS_VLAN_VALID != 0 => Packet::Unfit,
            Some(_) if header.tp_snaplen < header.tp_len => Packet::Unfit,
            Some(range) => {
                // SAFETY: the range lies inside the slot and past its header (`frame_range`, from
                // a copy of the header). The slot is ours until it is given away below, after
                // the last use of the slice.
                let bytes = unsafe {
                    let start = slot.start.byte_add(range.start).as_ptr();
                    std::slice::from_raw_parts(start, range.len())
                };
                Packet::Whole(bytes)
            }
        };
        let result = take(packet);
        slot.give_away(libc::TP_STATUS_KERNEL);
        self.receive.step();
        Some(result)
    }

    /// Where in the slot the frame lies with the `HEADER` bytes before it, as far as it was put
    /// there. A frame that is longer than that states a greater length than was captured.
    fn frame_range<const HEADER: usize>(header: &tpacket2_hdr) -> Option<core::ops::Range<usize>> {
        let frame = usize::from(header.tp_mac);
        let length = usize::try_from(header.tp_snaplen).ok()?;
        let start = frame
            .checked_sub(HEADER)
            .filter(|&s| s >= size_of::<tpacket2_hdr>())?;
        let end = frame.checked_add(length).filter(|&end| end <= SLOT)?;
        (header.tp_snaplen <= header.tp_len && length > 0).then_some(start..end)
    }

    /// Room for the next frame to be sent; `None` when the kernel has not sent the one that was
    /// there before.
    pub(crate) fn transmit_room(&mut self) -> Option<&mut [u8]> {
        let slot = self.free_slot()?;
        // SAFETY: the range lies inside the slot and past its header; the slot is free, so the
        // kernel does not touch it, and while the slice lives the rings are borrowed mutably, so
        // nobody else reaches it either.
        Some(unsafe {
            let start = slot.start.byte_add(TRANSMIT_OFFSET).as_ptr();
            std::slice::from_raw_parts_mut(start, TRANSMIT_ROOM)
        })
    }

    /// Offers the first `length` bytes of the room to the kernel, to be taken with the next call
    /// of send(2). Does nothing when there is no room.
    pub(crate) fn transmit(&mut self, length: usize) {
        let Ok(length) = u32::try_from(length.min(TRANSMIT_ROOM)) else {
            return;
        };
        let Some(mut slot) = self.free_slot() else {
            return;
        };
        slot.set_length(length);
        slot.give_away(libc::TP_STATUS_SEND_REQUEST);
        self.transmit.step();
    }

    fn free_slot(&mut self) -> Option<Slot<'_>> {
        let slot = self.slot(self.transmit.offset(self.transmit.next));
        let free = slot.status() & (libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_SENDING) == 0;
        free.then_some(slot)
    }

    /// Whether the kernel has yet to take a frame that was offered to it.
    pub(crate) fn transmit_pending(&self) -> bool {
        let last = self.slot(self.transmit.offset(self.transmit.previous()));
        last.status() & libc::TP_STATUS_SEND_REQUEST != 0
    }

    /// Takes back the frames that the kernel has not taken, and says how many.
    ///
    /// The kernel takes them in order and stops at the first it cannot send, so those left are
    /// the last ones. Both sides continue at the first of them.
    pub(crate) fn withdraw(&mut self) -> usize {
        let mut withdrawn = 0;
        while withdrawn < self.transmit.slots && self.transmit_pending() {
            self.transmit.next = self.transmit.previous();
            self.slot(self.transmit.offset(self.transmit.next))
                .give_away(libc::TP_STATUS_AVAILABLE);
            withdrawn += 1;
        }
        withdrawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = 10;

    fn rings() -> Rings {
        Rings::new(Mapping::anonymous(2 * BLOCK), 1, 1).unwrap()
    }

    /// Writes what the kernel would write into receive slot `slot`.
    fn fill(rings: &mut Rings, slot: usize, status: u32, mac: u16, length: u32, captured: u32) {
        let offset = rings.receive.offset(slot);
        // SAFETY: the header is plain integers.
        let mut header: tpacket2_hdr = unsafe { std::mem::zeroed() };
        header.tp_len = length;
        header.tp_snaplen = captured;
        header.tp_mac = mac;
        header.tp_status = status;
        // SAFETY: a test writes to a slot of its own mapping.
        unsafe {
            rings
                .slot(offset)
                .start
                .cast::<tpacket2_hdr>()
                .write(header);
        }
    }

    #[test]
    fn a_frame_is_taken_once_with_the_header_before_it() {
        let mut rings = rings();
        assert!(!rings.has_received());
        assert_eq!(rings.receive::<HEADER, _>(|_| ()), None);
        fill(&mut rings, 0, libc::TP_STATUS_USER, 100, 60, 60);
        assert!(rings.has_received());
        let length = rings.receive::<HEADER, _>(|packet| match packet {
            Packet::Whole(bytes) => bytes.len(),
            Packet::Unfit | Packet::Malformed => 0,
        });
        assert_eq!(length, Some(70));
        assert_eq!(rings.receive::<HEADER, _>(|_| ()), None);
    }

    #[test]
    fn fields_that_contradict_the_slot_make_no_frame() {
        let whole = SLOT as u32;
        for (mac, length, captured) in [
            (0, 60, 60),
            (9, 60, 60),
            (41, 60, 60),
            (100, 59, 60),
            (100, 0, 0),
            (100, whole, whole),
            (100, whole - 99, whole - 99),
            (100, u32::MAX, u32::MAX),
            (u16::MAX, 60_000, 60_000),
        ] {
            let mut rings = rings();
            fill(&mut rings, 0, libc::TP_STATUS_USER, mac, length, captured);
            let malformed = rings.receive::<HEADER, _>(|packet| packet == Packet::Malformed);
            assert_eq!(malformed, Some(true), "{mac} {length} {captured}");
        }
        let mut rings = rings();
        fill(
            &mut rings,
            0,
            libc::TP_STATUS_USER,
            100,
            whole - 100,
            whole - 100,
        );
        let length = rings.receive::<HEADER, _>(|packet| match packet {
            Packet::Whole(bytes) => bytes.len(),
            Packet::Unfit | Packet::Malformed => 0,
        });
        assert_eq!(length, Some(SLOT - 90), "the longest frame that fits");
    }

    #[test]
    fn a_frame_that_was_cut_or_has_a_vlan_tag_is_left_out() {
        let tagged = libc::TP_STATUS_USER | libc::TP_STATUS_VLAN_VALID;
        for (status, length) in [(tagged, 60), (libc::TP_STATUS_USER, 61)] {
            let mut rings = rings();
            fill(&mut rings, 0, status, 100, length, 60);
            let unfit = rings.receive::<HEADER, _>(|packet| packet == Packet::Unfit);
            assert_eq!(unfit, Some(true), "{status:#x} {length}");
        }
    }

    #[test]
    fn the_rings_go_round() {
        let mut rings = rings();
        for round in 0..3 * SLOTS_PER_BLOCK {
            fill(
                &mut rings,
                round % SLOTS_PER_BLOCK,
                libc::TP_STATUS_USER,
                100,
                60,
                60,
            );
            assert!(
                rings.receive::<HEADER, _>(|_| ()).is_some(),
                "round {round}"
            );
        }
    }

    #[test]
    fn a_full_transmit_ring_refuses_and_what_is_withdrawn_is_room_again() {
        let mut rings = rings();
        for _ in 0..SLOTS_PER_BLOCK {
            rings.transmit_room().unwrap()[..4].fill(1);
            rings.transmit(4);
        }
        assert!(rings.transmit_room().is_none());
        rings.transmit(4);
        assert!(rings.transmit_pending());
        // The kernel takes the first five and still holds the fifth.
        for slot in 0..5 {
            let status = if slot == 4 {
                libc::TP_STATUS_SENDING
            } else {
                libc::TP_STATUS_AVAILABLE
            };
            rings.slot(rings.transmit.offset(slot)).give_away(status);
        }
        assert_eq!(rings.withdraw(), SLOTS_PER_BLOCK - 5);
        assert!(!rings.transmit_pending());
        assert_eq!(rings.transmit.next, 5);
        assert!(rings.transmit_room().is_some());
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_fields_say_a_frame_lies_in_its_slot(
            status: u32,
            mac: u16,
            length: u32,
            captured in proptest::prop_oneof![0..=2 * SLOT as u32, proptest::num::u32::ANY],
            same: bool,
        ) {
            let mut rings = rings();
            let length = if same { captured } else { length };
            fill(&mut rings, 0, status, mac, length, captured);
            let slot = rings.mapping.start.as_ptr() as usize;
            let whole = rings.receive::<HEADER, _>(|packet| match packet {
                Packet::Whole(bytes) => Some(bytes.as_ptr_range()),
                Packet::Unfit | Packet::Malformed => None,
            });
            proptest::prop_assert_eq!(whole.is_some(), status & libc::TP_STATUS_USER != 0);
            if let Some(Some(range)) = whole {
                proptest::prop_assert!(range.start as usize >= slot + size_of::<tpacket2_hdr>());
                proptest::prop_assert!(range.end as usize <= slot + SLOT);
                proptest::prop_assert_eq!(length, captured);
            }
        }
    }
}
