//! What connections take of the heap.

use super::{Crowd, open};
use crate::memory_links::Links;

/// Bytes of each buffer, the least memory that one takes: where it was touched it is there in full, and does
/// not count.
const BUFFER: u32 = 4 << 10;

/// Of all connections, one of so many is open before the heap is measured first, so that what all of them
/// share is there.
const FIRST: usize = 10;

/// Bytes of the heap for each end of an idle connection with so many subflows, without its buffers: of the
/// two hosts with `connections` between them.
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
        Ok(heap_in_use())
    };
    let first = connections / FIRST;
    let (before, after) = (heap_with(first)?, heap_with(connections)?);
    let more = (connections - first) as f64;
    // The byte that each connection carries touches one buffer at each end.
    let buffers = if subflows > 1 { f64::from(BUFFER) } else { 0.0 };
    Ok(after.saturating_sub(before) as f64 / (2.0 * more) - buffers)
}

/// Bytes of the heap that are in use, with what the allocator adds to each piece.
fn heap_in_use() -> usize {
    // SAFETY: it takes no argument, locks each arena while it reads it, and returns numbers.
    let information = unsafe { libc::mallinfo2() };
    information.uordblks + information.hblkhd
}
