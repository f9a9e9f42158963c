//! Asking the processor for memory before it is used.
//!
//! With many connections the records of one are in no cache when something happens on it, and each of their
//! lines is waited for in turn. What a whole burst will use is therefore asked for at once, so that
//! those waits pass together. It changes no result, and nothing is read by it.

use core::fmt;
use std::collections::VecDeque;

/// What asks for memory. The engine has no instruction for that; whoever drives it has.
#[derive(Copy, Clone)]
pub struct Prefetch(fn(*const u8, usize));

impl fmt::Debug for Prefetch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prefetch")
    }
}

impl Prefetch {
    /// What asks by `fetch`, which is told where memory begins and how many bytes it has.
    pub const fn by(fetch: fn(*const u8, usize)) -> Self {
        Self(fetch)
    }

    /// Asks for a value, without what it points to.
    pub fn value<T: ?Sized>(self, value: &T) {
        (self.0)(core::ptr::from_ref(value).cast(), size_of_val(value));
    }

    /// Asks for where a queue of a few elements at most has them, or will have the next.
    pub fn queue<T>(self, queue: &VecDeque<T>) {
        let (first, _) = queue.as_slices();
        let most = size_of::<T>() * queue.capacity();
        (self.0)(first.as_ptr().cast(), most.min(Self::OF_A_QUEUE));
    }

    /// Bytes of a queue that are asked for.
    const OF_A_QUEUE: usize = 256;
}
