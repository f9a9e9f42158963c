//! How much memory a host may hold: windows and queues bound everything.

use super::{Scenario, Side};
use crate::mptcp::path_manager::MAX_SUBFLOWS;
use crate::stack::{Stack, StackConfig, Usage};
use crate::storage::frame::Frame;

/// Receive buffers that the subflows of a connection may hold together, beside their shares.
const POOL: usize = 4;

/// Bytes that a mapping may span, all of which wait for the last, in frames half empty at worst.
const MAPPING: usize = 2 * (u16::MAX as usize);

/// A frame of the usual size in a message is at most so many times its payload, a larger one in proportion.
const FRAME_PER_PAYLOAD: usize = 4;

/// A copy is let go when half of it was acknowledged.
const COPY_PER_BYTE: usize = 2;

/// The least share of a subflow.
const LEAST_SHARE: usize = 8 * 1024;

/// Bytes that the messages of a subflow may carry however small its window.
const SLACK: usize = 16 * 1024;

/// A grant goes to another worker with its bytes, and the frame of each message comes back.
const LETTERS_PER_MESSAGE: usize = 3;

/// Messages that a subflow may have under way beside those that carry data.
const MESSAGES: usize = 512;

/// Payload bytes of the smallest segments that come in numbers; middleboxes cut no finer.
const SMALL_SEGMENT: usize = 64;

/// What the workers of a host hold must lie within its bounds.
///
/// # Errors
///
/// What it holds and what it may hold.
pub(super) fn check_memory(
    scenario: &Scenario,
    side: Side,
    workers: &[Stack],
) -> Result<(), String> {
    let host = match side {
        Side::Client => &scenario.client,
        Side::Server => &scenario.server,
    };
    let buffer = host.buffer as usize;
    let subflows = workers.iter().map(Stack::subflow_count).sum::<usize>();
    // What the last subflow of a connection said may still be under way.
    let holders = subflows + scenario.connections.len();
    let config = StackConfig::default();
    let frame = Frame::memory_for(host.frame_capacity);
    let frame_per_payload = FRAME_PER_PAYLOAD * host.frame_capacity / config.frame_capacity;
    // Whatever else waits, there is room for the first piece behind a hole, and for the two at the
    // ends of what waits for its mapping.
    let each = (buffer / MAX_SUBFLOWS).max(LEAST_SHARE) + MAPPING + 3 * frame;
    let bound = Usage {
        received: scenario.connections.len() * POOL * buffer + subflows * each,
        carried: holders * frame_per_payload * (buffer + SLACK),
        // Away from home a subflow carries what it was granted, as much as the buffer holds.
        retained: scenario.connections.len() * COPY_PER_BYTE * buffer
            + usize::from(workers.len() > 1) * subflows * buffer,
        messages: holders * (MESSAGES + buffer / SMALL_SEGMENT) * LETTERS_PER_MESSAGE,
        control_packets: workers.len() * (config.control_queue + config.neighbor_queue),
        // Those that ended since the last turn are still listed.
        ready: subflows + config.max_subflows.min(64),
        resting: subflows,
    };
    let held = workers
        .iter()
        .map(Stack::usage)
        .fold(Usage::default(), Usage::plus);
    let fits = held.received <= bound.received
        && held.carried <= bound.carried
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
