//! When the descriptor is writable: filler.
//!
//! A sender that finds the ring full makes its end unwritable by a packet of filler that the engine
//! leaves in the queue, sets `blocked`, and may then sleep in poll. The engine, when there is room
//! again for a while's work, takes the filler out, which makes the end writable.
//!
//! The order matters. Filler first, then `blocked`: so the engine that sees `blocked` finds all the
//! filler. (The other way round it may clear an empty queue, the filler comes after it, and nobody
//! ever takes it out.) The sender then fences and looks at the ring once more, the engine stores its
//! head, fences, and looks at `blocked`: one of the two sees the other. A sender that sees room goes
//! on, leaves `blocked` set, and kicks the engine, which takes the filler out as if room had just
//! come. So filler in the queue always has `blocked` set, or an engine on its way.
//!
//! The engine takes packet by packet, and stops when `blocked` is set anew: the first packet wakes the
//! sender, which may run before the engine goes on, in its place even, and be back with new filler. To
//! take that too would wake it for nothing, again and again. What filler is left then has `blocked` set.

use crate::slot::ends::{ApplicationEnd, EngineEnd};
use crate::sync::{AtomicU32, Ordering, fence};

/// Most packets of filler that one clearing takes; an end that holds more belongs to an application
/// that does not keep to the protocol, which only stays unwritable for longer.
const CLEARING: usize = 32;

/// The word of the protocol.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Writability {
    blocked: AtomicU32,
}

/// How much room makes a ring of `capacity` bytes writable again: half of it, so that a sender is
/// woken for a batch.
pub(crate) fn enough_room(capacity: usize, room: usize) -> bool {
    room >= capacity / 2
}

impl Writability {
    /// Application, under the transmit lock: makes the end unwritable. The caller looks at the ring
    /// afterwards.
    pub(crate) fn block(&self, end: &impl ApplicationEnd) {
        end.fill();
        // Release: the engine that reads 1 finds the filler.
        self.blocked.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) != 0
    }

    /// Engine: after the head was published, and a sequentially consistent fence, if there is
    /// [`enough_room`]; or when the state of the connection makes the socket writable.
    pub(crate) fn unblock(&self, end: &impl EngineEnd) {
        // A load first: the word is almost always 0, and then its line stays shared.
        if self.blocked.load(Ordering::Relaxed) != 0 && self.blocked.swap(0, Ordering::AcqRel) != 0
        {
            for _ in 0..CLEARING {
                // A sender that has been woken may have filled the ring and blocked again already:
                // its filler is not for this clearing.
                if !end.take_filler() || self.blocked.load(Ordering::Relaxed) != 0 {
                    return;
                }
            }
        }
    }

    /// Sets the word back, for a new socket.
    pub(crate) fn reset(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }
}
