//! How much memory a host may hold: windows and queues bound everything.

use super::{Scenario, Side};
use crate::stack::{Stack, StackConfig, Usage};

/// A held frame is at most so many times its payload: what is smaller is copied to its size.
const FRAME_PER_PAYLOAD: usize = 4;

/// A copy is let go when half of it was acknowledged.
const COPY_PER_BYTE: usize = 2;

/// Bytes that a subflow may hold however small its window.
const SLACK: usize = 16 * 1024;

/// Messages that a subflow may have under way beside those that carry data.
const MESSAGES: usize = 512;

/// Payload bytes of the smallest segments that come in numbers; middleboxes cut no finer.
const SMALL_SEGMENT: usize = 64;

/// What `stack` holds must lie within its bounds.
///
/// # Errors
///
/// What it holds and what it may hold.
pub(super) fn check_memory(scenario: &Scenario, side: Side, stack: &Stack) -> Result<(), String> {
    let buffer = match side {
        Side::Client => scenario.client.buffer,
        Side::Server => scenario.server.buffer,
    } as usize;
    let subflows = stack.subflow_count();
    // What the last subflow of a connection said may still be under way.
    let holders = subflows + scenario.connections.len();
    let config = StackConfig::default();
    let bound = Usage {
        received: holders * FRAME_PER_PAYLOAD * (buffer + SLACK),
        retained: scenario.connections.len() * COPY_PER_BYTE * buffer,
        messages: holders * (MESSAGES + buffer / SMALL_SEGMENT),
        control_packets: config.control_queue + config.neighbor_queue,
        // Those that ended since the last turn are still listed.
        ready: subflows + config.max_subflows.min(64),
    };
    let held = stack.usage();
    let fits = held.received <= bound.received
        && held.retained <= bound.retained
        && held.messages <= bound.messages
        && held.control_packets <= bound.control_packets
        && held.ready <= bound.ready;
    if fits {
        Ok(())
    } else {
        Err(format!(
            "{held:?} with {subflows} subflows; may be {bound:?}"
        ))
    }
}
