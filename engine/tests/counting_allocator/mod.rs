//! An allocator that counts what a thread allocates while it is asked to; of the tests of several
//! crates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNTS: Cell<Option<u64>> = const { Cell::new(None) };
}

fn note() {
    COUNTS.with(|counts| counts.set(counts.get().map(|count| count + 1)));
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here and there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` or `realloc` above, so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as for `dealloc`; the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `call` and returns how often it allocated.
pub(crate) fn counted<R>(call: impl FnOnce() -> R) -> (R, u64) {
    COUNTS.with(|counts| counts.set(Some(0)));
    let result = call();
    let count = COUNTS.with(Cell::take);
    (result, count.unwrap_or_default())
}
