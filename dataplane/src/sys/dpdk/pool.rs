//! Pools of buffers (`rte_mempool`).

use std::ffi::{CString, c_int, c_uint};
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use capsule_ffi as ffi;

use super::Refusal;

/// Buffers that a thread keeps to itself.
pub(crate) const CACHE: usize = 128;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4_096;

/// Bytes of a line of cache, a whole number of which an element and its header take.
const LINE: u32 = 64;

/// A name that no other pool has.
fn name() -> CString {
    static POOLS: AtomicU32 = AtomicU32::new(0);
    let number = POOLS.fetch_add(1, Ordering::Relaxed);
    CString::new(format!("braid{number}")).unwrap_or_default()
}

/// Gives a pool one piece of memory of its own, which begins at a page.
///
/// # Safety
///
/// The pool is new and has its operations.
unsafe fn populate(
    pool: NonNull<ffi::rte_mempool>,
    length: usize,
    socket: Socket,
) -> Result<(), Refusal> {
    // SAFETY: the name is copied; everything else is numbers, which are checked.
    let zone = unsafe {
        ffi::rte_memzone_reserve_aligned(name().as_ptr(), length, socket.0, 0, PAGE as c_uint)
    };
    let zone = NonNull::new(zone.cast_mut()).ok_or_else(Refusal::last)?;
    // SAFETY: the zone is reserved for good, so its memory is the pool's as long as that exists.
    let populated = unsafe {
        let zone = zone.as_ref();
        ffi::rte_mempool_populate_iova(
            pool.as_ptr(),
            zone.__bindgen_anon_1.addr.cast(),
            zone.iova,
            length,
            None,
            ptr::null_mut(),
        )
    };
    Refusal::check(populated).map(drop)
}

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
        let room = frame + ffi::RTE_PKTMBUF_HEADROOM as usize;
        // SAFETY: the name is copied; everything else is numbers, which are checked.
        let pool = unsafe {
            ffi::rte_pktmbuf_pool_create(
                name().as_ptr(),
                c_uint::try_from(count).unwrap_or(c_uint::MAX),
                CACHE as c_uint,
                0,
                u16::try_from(room).unwrap_or(u16::MAX),
                socket.0,
            )
        };
        NonNull::new(pool).map(Self).ok_or_else(Refusal::last)
    }

    /// A pool of `count` buffers that take a page each, in the memory of `socket`: they are the pages of one
    /// piece of memory, in which nothing else lies.
    pub(crate) fn of_pages(count: usize, socket: Socket) -> Result<Self, Refusal> {
        let flags = ffi::RTE_MEMPOOL_F_NO_SPREAD;
        // SAFETY: it calculates, and writes no sizes where it is given no place for them.
        let with_header = unsafe { ffi::rte_mempool_calc_obj_size(LINE, flags, ptr::null_mut()) };
        let element = (PAGE as u32).saturating_sub(with_header.saturating_sub(LINE));
        let description = size_of::<ffi::rte_mbuf>() as u32;
        let mut sizes = ffi::rte_pktmbuf_pool_private {
            mbuf_data_room_size: element.saturating_sub(description) as u16,
            ..Default::default()
        };
        // SAFETY: the name is copied; everything else is numbers, which are checked.
        let pool = unsafe {
            ffi::rte_mempool_create_empty(
                name().as_ptr(),
                c_uint::try_from(count).unwrap_or(c_uint::MAX),
                element,
                CACHE as c_uint,
                size_of::<ffi::rte_pktmbuf_pool_private>() as c_uint,
                socket.0,
                flags,
            )
        };
        let pool = NonNull::new(pool).ok_or_else(Refusal::last)?;
        // SAFETY: the pool is new, nobody else has it, and it has room for its private part.
        let populated = unsafe {
            let code = ffi::rte_mempool_set_ops_byname(
                pool.as_ptr(),
                ffi::rte_mbuf_best_mempool_ops(),
                ptr::null_mut(),
            );
            ffi::rte_pktmbuf_pool_init(pool.as_ptr(), (&raw mut sizes).cast());
            Refusal::check(code).and_then(|_| populate(pool, count * PAGE, socket))
        };
        if let Err(refusal) = populated {
            // SAFETY: no buffer of it was given to anybody.
            unsafe { ffi::rte_mempool_free(pool.as_ptr()) };
            return Err(refusal);
        }
        // SAFETY: as above. Elements have room for what is written to them: a description, and as much as
        // `sizes` says behind it.
        unsafe {
            ffi::rte_mempool_obj_iter(pool.as_ptr(), Some(ffi::rte_pktmbuf_init), ptr::null_mut());
        }
        Ok(Self(pool))
    }

    pub(super) fn as_ptr(self) -> *mut ffi::rte_mempool {
        self.0.as_ptr()
    }
}

/// A node of memory (NUMA), or any of them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Socket(pub(super) c_int);
