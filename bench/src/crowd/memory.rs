//! What connections take of the heap.

use super::{Crowd, open};
use crate::memory_links::Links;
use std::time::{Duration, Instant};

/// Bytes of each buffer.
const BUFFER: u32 = 8 << 10;

/// How long connections do nothing before they count as idle.
const SILENCE: Duration = Duration::from_millis(6_500);

/// Of all connections, one of so many is open before the heap is measured first, so that what all of them
/// share is there.
const FIRST: usize = 10;

/// Bytes of the heap for each end of an idle connection with so many subflows, all that it has: of the two hosts
/// with `connections` between them. Where there are several subflows, each connection has carried a byte.
///
/// # Errors
///
/// When the connections cannot be made.
pub fn heap_of_an_endpoint(connections: usize, subflows: u8) -> Result<f64, String> {
    let links = Links {
        subflows,
        ..Links::ONE
    };
    let mut crowds = Crowd::between_hosts(links, connections, BUFFER)?;
    let mut heap_with = |count: usize| -> Result<usize, String> {
        open(&mut crowds, count, usize::from(subflows))?;
        let start = Instant::now();
        while start.elapsed() < SILENCE {
            crowds.iter_mut().for_each(Crowd::step);
        }
        Ok(heap_in_use())
    };
    let first = connections / FIRST;
    let (before, after) = (heap_with(first)?, heap_with(connections)?);
    let more = (connections - first) as f64;
    Ok(after.saturating_sub(before) as f64 / (2.0 * more))
}

/// Bytes of the heap that are in use, with what the allocator adds to each piece.
fn heap_in_use() -> usize {
    // SAFETY: it takes no argument, locks each arena while it reads it, and returns numbers.
    let information = unsafe { libc::mallinfo2() };
    information.uordblks + information.hblkhd
}
