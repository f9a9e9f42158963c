//! Pools of buffers (`rte_mempool`).

use std::ffi::{CString, c_int, c_uint};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use capsule_ffi as ffi;

use super::Refusal;

/// Buffers that a thread keeps to itself.
pub(crate) const CACHE: usize = 128;

/// A pool of buffers of one size.
///
/// It is never freed: a buffer of it may be anywhere, in the ring of another device too.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Pool(NonNull<ffi::rte_mempool>);

// SAFETY: DPDK's pools are made to be used from many threads.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// A pool of `count` buffers with room for frames of `frame` bytes each, in the memory of
    /// `socket`.
    pub(crate) fn new(count: usize, frame: usize, socket: Socket) -> Result<Self, Refusal> {
        static POOLS: AtomicU32 = AtomicU32::new(0);
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("braid{number}")).unwrap_or_default();
        let room = frame + ffi::RTE_PKTMBUF_HEADROOM as usize;
        // SAFETY: the name is copied; everything else is numbers, which are checked.
        let pool = unsafe {
            ffi::rte_pktmbuf_pool_create(
                name.as_ptr(),
                c_uint::try_from(count).unwrap_or(c_uint::MAX),
                CACHE as c_uint,
                0,
                u16::try_from(room).unwrap_or(u16::MAX),
                socket.0,
            )
        };
        NonNull::new(pool).map(Self).ok_or_else(Refusal::last)
    }

    pub(super) fn as_ptr(self) -> *mut ffi::rte_mempool {
        self.0.as_ptr()
    }
}

/// A node of memory (NUMA), or any of them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Socket(pub(super) c_int);
