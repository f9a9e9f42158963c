//! Regions as memory: seals, sizes, what they cost.

use crate::pair::{attach, open, small};
use braid_shm::RegionLayout;
use braid_shm::memory::{MemoryError, SharedMemory};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

#[test]
fn a_region_cannot_be_resized() {
    let attachment = attach(small());
    let fd = attachment.engine.descriptor().as_raw_fd();
    for length in [0, 1 << 40] {
        // SAFETY: no pointer is passed.
        assert_eq!(unsafe { libc::ftruncate(fd, length) }, -1);
    }
}

#[test]
fn what_is_not_sealed_or_not_as_long_is_not_mapped() {
    // SAFETY: the name is a C string, and the descriptor is new.
    let unsealed = unsafe {
        let fd = libc::memfd_create(c"unsealed".as_ptr(), libc::MFD_ALLOW_SEALING);
        assert_eq!(libc::ftruncate(fd, 8192), 0);
        OwnedFd::from_raw_fd(fd)
    };
    assert!(matches!(
        SharedMemory::open(unsealed, 8192),
        Err(MemoryError::NotSealed)
    ));
    let sealed = SharedMemory::create("sealed", 8192).expect("a memfd");
    let copy = || {
        sealed
            .descriptor()
            .try_clone_to_owned()
            .expect("a descriptor")
    };
    assert!(matches!(
        SharedMemory::open(copy(), 4096),
        Err(MemoryError::Size {
            found: 8192,
            expected: 4096
        })
    ));
    assert!(SharedMemory::open(copy(), 8192).is_ok());
}

#[test]
fn a_region_costs_what_was_touched_and_gives_it_back() {
    let attachment = attach(RegionLayout::default());
    let before = attachment.engine.resident_bytes().expect("fstat");
    assert!(before < 1 << 20, "{before} bytes for an empty region");
    let mut pair = open(&attachment, 4095);
    pair.send(&vec![1; 256 << 10]);
    pair.arrive(&vec![1; 256 << 10]);
    let full = attachment.engine.resident_bytes().expect("fstat");
    assert!(full >= before + (512 << 10));
    attachment
        .engine
        .release_slot(&pair.handle)
        .expect("fallocate");
    let after = attachment.engine.resident_bytes().expect("fstat");
    assert!(
        after <= before + (16 << 10),
        "{after} bytes of {full} are left, {before} before"
    );
}

#[test]
fn a_slot_that_is_used_again_starts_anew() {
    let attachment = attach(small());
    let mut old = open(&attachment, 9);
    old.send(b"old");
    old.arrive(b"old");
    old.handle.set_error(5);
    old.application.set_nonblocking(true);
    attachment
        .engine
        .release_slot(&old.handle)
        .expect("fallocate");
    assert!(!old.application.is_current());
    let mut new = open(&attachment, 9);
    assert!(!old.application.is_current());
    assert!(new.application.is_current());
    assert_eq!(new.take(10), b"");
    assert_eq!(new.receive(10), b"");
    assert_eq!(new.application.take_error(), None);
    assert!(!new.application.nonblocking());
}

#[test]
fn no_slot_no_view() {
    let attachment = attach(small());
    assert!(attachment.application.slot(70, 0).is_none());
    assert!(attachment.application.slot(u32::MAX, 0).is_none());
}
