//! The one module that maps memory: sealed memfds, and typed views into them.
//!
//! A region is sealed against shrinking and growing before anybody else gets it, so no later
//! truncation can turn an access into SIGBUS; a side that is handed one checks seals and size first.

use crate::layout::{RegionHeader, SlotDoorbellWords};
use crate::slot::SocketSlot;
use crate::sync::{AtomicU32, AtomicU64, SharedBytes};
use crate::thread_block::ThreadBlockWords;
use std::error::Error;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;

const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// Why a descriptor is not a region.
#[derive(Debug)]
pub enum MemoryError {
    /// A system call failed.
    System(&'static str, io::Error),
    /// The memfd lacks one of the seals SHRINK, GROW, SEAL.
    NotSealed,
    /// The memfd is not as long as the layout says.
    Size {
        /// Bytes it has.
        found: u64,
        /// Bytes it must have.
        expected: u64,
    },
    /// The header does not say what the message said: another version, or no region.
    Header,
    /// There are so many bells of workers, and another number of workers.
    Bells(usize),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(call, error) => write!(f, "{call} for a shared region: {error}"),
            Self::NotSealed => f.write_str("the shared region is not sealed against resizing"),
            Self::Size { found, expected } => {
                write!(
                    f,
                    "the shared region has {found} bytes where {expected} were announced"
                )
            }
            Self::Header => f.write_str(
                "the shared region is of another version: engine and library must be of one build",
            ),
            Self::Bells(bells) => write!(
                f,
                "{bells} bells came with a shared region that has another number of workers"
            ),
        }
    }
}

impl Error for MemoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Types that may lie in shared memory: `repr(C)`, made of atomics only, valid for any bytes.
///
/// # Safety
///
/// Every field is an atomic integer, or an array or `repr(C)` struct of such.
pub(crate) unsafe trait Words {}
// SAFETY: an atomic integer.
unsafe impl Words for AtomicU32 {}
// SAFETY: an atomic integer.
unsafe impl Words for AtomicU64 {}
// SAFETY: `repr(C)`, all its fields are atomics or structs of such.
unsafe impl Words for RegionHeader {}
// SAFETY: as above.
unsafe impl Words for SlotDoorbellWords {}
// SAFETY: as above.
unsafe impl Words for ThreadBlockWords {}
// SAFETY: as above.
unsafe impl Words for SocketSlot {}

/// A sealed memfd, mapped.
#[derive(Debug)]
pub struct SharedMemory {
    start: NonNull<u8>,
    bytes: usize,
    descriptor: OwnedFd,
}

// SAFETY: the mapping lives as long as this value; it is accessed by atomics and raw copies alone.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// A new memfd of `bytes` zeroes, sealed, sparse. Errors: memfd_create, ftruncate, fcntl, mmap.
    pub fn create(name: &str, bytes: u64) -> Result<Self, MemoryError> {
        let name = CString::new(name.replace('\0', "")).unwrap_or_default();
        // SAFETY: the name is a live C string.
        let fd = unsafe {
            libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
        };
        if fd < 0 {
            return Err(last("memfd_create"));
        }
        // SAFETY: the descriptor is new and nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(fd) };
        let length = libc::off_t::try_from(bytes)
            .map_err(|_| MemoryError::System("ftruncate", io::ErrorKind::InvalidInput.into()))?;
        // SAFETY: no pointer is passed.
        if unsafe { libc::ftruncate(fd, length) } < 0 {
            return Err(last("ftruncate"));
        }
        // SAFETY: no pointer is passed.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, SEALS) } < 0 {
            return Err(last("fcntl(F_ADD_SEALS)"));
        }
        Self::map(descriptor, bytes)
    }

    /// Maps a memfd that came with a message, after checking its seals and its size.
    pub fn open(descriptor: OwnedFd, bytes: u64) -> Result<Self, MemoryError> {
        // SAFETY: no pointer is passed.
        let seals = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 {
            return Err(last("fcntl(F_GET_SEALS)"));
        }
        if seals & SEALS != SEALS {
            return Err(MemoryError::NotSealed);
        }
        // SAFETY: all-zero is a valid `stat`.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is live and of the right type.
        if unsafe { libc::fstat(descriptor.as_raw_fd(), &raw mut stat) } < 0 {
            return Err(last("fstat"));
        }
        match u64::try_from(stat.st_size) {
            Ok(found) if found == bytes => Self::map(descriptor, bytes),
            found => Err(MemoryError::Size {
                found: found.unwrap_or_default(),
                expected: bytes,
            }),
        }
    }

    fn map(descriptor: OwnedFd, bytes: u64) -> Result<Self, MemoryError> {
        let length = usize::try_from(bytes)
            .map_err(|_| MemoryError::System("mmap", io::ErrorKind::InvalidInput.into()))?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                descriptor.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self {
                start,
                bytes: length,
                descriptor,
            }),
            _ => Err(last("mmap")),
        }
    }

    /// Bytes mapped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memfd.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Gives the pages of a range back to the kernel; they read as zeroes afterwards.
    pub fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let offset = libc::off_t::try_from(offset).map_err(invalid)?;
        let length = libc::off_t::try_from(length).map_err(invalid)?;
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: no pointer is passed.
        match unsafe { libc::fallocate(self.descriptor.as_raw_fd(), mode, offset, length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Bytes of memory that the region takes now: a sparse region costs what was touched.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        // SAFETY: all-zero is a valid `stat`.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is live and of the right type.
        match unsafe { libc::fstat(self.descriptor.as_raw_fd(), &raw mut stat) } {
            0 => Ok(u64::try_from(stat.st_blocks)
                .unwrap_or(0)
                .saturating_mul(512)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Bytes at an offset, if they lie within the region.
    pub(crate) fn shared_bytes(&self, offset: u64, length: u64) -> Option<SharedBytes> {
        let start = self.pointer(offset, length, 1)?;
        // SAFETY: `pointer` has checked the range. Who takes it keeps the region (`Arc`) beside it.
        Some(unsafe { SharedBytes::new(start, usize::try_from(length).ok()?) })
    }

    fn pointer(&self, offset: u64, length: u64, align: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(length)?;
        if end > self.bytes as u64 || !offset.is_multiple_of(align as u64) {
            return None;
        }
        // SAFETY: within the mapping, as just checked.
        Some(unsafe { self.start.add(usize::try_from(offset).ok()?) })
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's alone; all views hold an `Arc` of it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

fn last(call: &'static str) -> MemoryError {
    MemoryError::System(call, io::Error::last_os_error())
}

/// Words in shared memory, with a hold on their mapping.
#[derive(Debug)]
pub(crate) struct Shared<T: ?Sized> {
    memory: Arc<SharedMemory>,
    words: NonNull<T>,
}

// SAFETY: `Words` are atomics, and `memory` keeps them mapped.
unsafe impl<T: ?Sized> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized> Sync for Shared<T> {}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            words: self.words,
        }
    }
}

impl<T: Words> Shared<T> {
    /// The words at an offset, if it lies within the region and is aligned.
    pub(crate) fn at(memory: &Arc<SharedMemory>, offset: u64) -> Option<Self> {
        let pointer = memory.pointer(offset, size_of::<T>() as u64, align_of::<T>())?;
        Some(Self {
            memory: Arc::clone(memory),
            words: pointer.cast(),
        })
    }
}

impl<T: Words> Shared<[T]> {
    /// `count` words at an offset, if they lie within the region and are aligned.
    pub(crate) fn slice_at(memory: &Arc<SharedMemory>, offset: u64, count: usize) -> Option<Self> {
        let length = (size_of::<T>() as u64).checked_mul(count as u64)?;
        let pointer = memory.pointer(offset, length, align_of::<T>())?;
        let words = NonNull::slice_from_raw_parts(pointer.cast::<T>(), count);
        Some(Self {
            memory: Arc::clone(memory),
            words,
        })
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: in range and aligned since construction, mapped while `memory` lives, made of
        // atomics and valid for any bytes (`Words`), and never borrowed mutably.
        unsafe { self.words.as_ref() }
    }
}
