//! The application's side of a socket's two rings: what a send and a receive do.

use crate::lock::{Entry, Guard, ThreadId};
use crate::ring::byte::{copy_in, copy_out, distance};
use crate::slot::ends::ApplicationEnd;
use crate::slot::readiness::Settled;
use crate::slot::unsent::{Splitting, Unsent};
use crate::slot::words::SocketSlot;
use crate::slot::writability::enough_room;
use crate::sync::{AtomicU64, Ordering, STEADY_ATTEMPTS, SharedBytes, fence};
use crate::violation::Violation;

/// What a call did, and whether the engine is to be kicked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Done {
    pub(crate) bytes: usize,
    pub(crate) kick: bool,
}

/// A socket's words and rings, as its application uses them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApplicationSide<'a> {
    pub(crate) slot: &'a SocketSlot,
    pub(crate) transmit: SharedBytes,
    pub(crate) receive: SharedBytes,
}

/// What `measure` makes of an index that others of this application may move: the two sides' indices
/// are read one after the other, so what was measured counts only if the first stands still. Where it
/// never does, bytes are on the move: 1.
fn steady(
    index: &AtomicU64,
    measure: impl Fn(u64) -> Result<usize, Violation>,
) -> Result<usize, Violation> {
    // Acquire: who moved the index saw the other side's, so it is seen to be no less.
    let mut before = index.load(Ordering::Acquire);
    for _ in 0..STEADY_ATTEMPTS {
        let measured = measure(before);
        // `measure` loads with acquire, so this load is not made before it.
        let after = index.load(Ordering::Acquire);
        if after == before {
            return measured;
        }
        before = after;
    }
    Ok(1)
}

impl<'a> ApplicationSide<'a> {
    /// Bytes that fit into the transmit ring behind index `tail`.
    fn room_behind(&self, tail: u64) -> Result<usize, Violation> {
        // Acquire: the engine has copied out what is overwritten from here on.
        let head = self.slot.transmit_head.0.load(Ordering::Acquire);
        let capacity = self.transmit.length();
        Ok(capacity - distance("transmit head out of the ring", tail, head, capacity)?)
    }

    /// Bytes of the receive ring from index `head` on.
    fn unread_from(&self, head: u64) -> Result<usize, Violation> {
        // Acquire: the bytes before the index were written before it was.
        let tail = self.slot.receive_tail.0.load(Ordering::Acquire);
        distance(
            "receive tail out of the ring",
            tail,
            head,
            self.receive.length(),
        )
    }

    /// Bytes of the receive ring that nobody has claimed.
    fn unread_behind(&self, guard: &Guard<'a>) -> Result<usize, Violation> {
        steady(guard.reserved_word(), |head| self.unread_from(head))
    }

    /// Room for a send, whoever else sends meanwhile.
    pub(crate) fn room(&self) -> Result<usize, Violation> {
        steady(&self.slot.transmit_tail.0, |tail| self.room_behind(tail))
    }

    /// Bytes for a receive, whoever else receives meanwhile.
    pub(crate) fn unread(&self) -> Result<usize, Violation> {
        steady(&self.slot.receive_head.0, |head| self.unread_from(head))
    }

    /// Of `room` bytes of room, those that a send of `length` bytes uses.
    fn usable(&self, room: usize, length: usize, splitting: Splitting) -> usize {
        // Half the ring a claim: what a handler waits for is then never all claimed and unpublished.
        let half = self.transmit.length() / 2;
        let needed = match splitting {
            Splitting::AsNeeded => 0,
            // The engine wakes who is blocked at half the ring of room: who waits for less waits
            // for no more than that, and so nobody who is blocked is passed over.
            Splitting::OnlyLong if self.slot.writability.is_blocked() => half,
            Splitting::OnlyLong => length.min(half),
        };
        if room < needed {
            return 0;
        }
        room.min(length).min(half)
    }

    /// Whether a send of `length` bytes would put some into the ring.
    pub(crate) fn has_room_for(&self, length: usize, splitting: Splitting) -> bool {
        // What makes no sense is told by the send.
        self.room()
            .map_or(true, |room| self.usable(room, length, splitting) > 0)
    }

    /// Puts bytes of `from` into the ring, as far as there is room.
    pub(crate) fn send<'b, I: Iterator<Item = &'b [u8]> + Clone>(
        &self,
        thread: ThreadId,
        from: &mut Unsent<'b, I>,
        splitting: Splitting,
    ) -> Result<Done, Violation> {
        let guard = self
            .slot
            .transmit_lock
            .enter(thread, &self.slot.transmit_tail.0);
        let mut bytes = 0;
        while !from.is_empty() {
            let length = from.length();
            let count = guard.claim(
                |start| Ok(self.usable(self.room_behind(start)?, length, splitting)),
                |start, count| {
                    from.take(count, |offset, piece| {
                        copy_in(&self.transmit, start.wrapping_add(offset as u64), piece);
                    });
                },
            )?;
            if count == 0 {
                break;
            }
            bytes += count;
        }
        Ok(Done {
            bytes,
            kick: bytes > 0,
        })
    }

    /// Makes the descriptor unwritable until there is room. `bytes` of the answer: the room there is
    /// by now; 0: poll for `POLLOUT`.
    pub(crate) fn block(
        &self,
        thread: ThreadId,
        end: &impl ApplicationEnd,
    ) -> Result<Done, Violation> {
        let _guard = self
            .slot
            .transmit_lock
            .enter(thread, &self.slot.transmit_tail.0);
        self.slot.writability.block(end);
        let room = self.room()?;
        Ok(Done {
            bytes: room,
            kick: enough_room(self.transmit.length(), room),
        })
    }

    /// Fills `into` from the ring, as far as it goes.
    pub(crate) fn receive(
        &self,
        thread: ThreadId,
        into: &mut [u8],
        end: &impl ApplicationEnd,
    ) -> Result<Done, Violation> {
        let guard = self
            .slot
            .receive_lock
            .enter(thread, &self.slot.receive_head.0);
        let mut kick = self.repair(&guard, end);
        let mut bytes = 0;
        loop {
            while let Some(rest) = into.get_mut(bytes..).filter(|rest| !rest.is_empty()) {
                let wanted = rest.len();
                let count = guard.claim(
                    |start| Ok(self.unread_from(start)?.min(wanted)),
                    |start, count| {
                        copy_out(
                            &self.receive,
                            start,
                            rest.get_mut(..count).unwrap_or_default(),
                        );
                    },
                )?;
                if count == 0 {
                    break;
                }
                bytes += count;
            }
            // For `stalled`, and for `token` below.
            fence(Ordering::SeqCst);
            let settled = if self.unread_behind(&guard)? > 0 {
                self.slot.readiness.settle_rest(end)
            } else {
                let is_empty = || self.unread_behind(&guard) == Ok(0);
                self.slot.readiness.settle_empty(is_empty, end)
            };
            kick |= settled == Settled::Kick;
            // Bytes that came while the ring was being left empty are taken as well, if they fit.
            if settled != Settled::Refilled || bytes == into.len() {
                break;
            }
        }
        kick |= self.slot.stall.end(|| {
            self.unread().is_ok_and(|unread| {
                let capacity = self.receive.length();
                enough_room(capacity, capacity - unread)
            })
        });
        Ok(Done { bytes, kick })
    }

    /// Fills `into` from `skip` bytes behind the next, and takes nothing.
    pub(crate) fn peek(
        &self,
        thread: ThreadId,
        skip: usize,
        into: &mut [u8],
    ) -> Result<usize, Violation> {
        let guard = self
            .slot
            .receive_lock
            .enter(thread, &self.slot.receive_head.0);
        let start = guard.reserved_word().load(Ordering::Relaxed);
        let count = self
            .unread_from(start)?
            .saturating_sub(skip)
            .min(into.len());
        let into = into.get_mut(..count).unwrap_or_default();
        copy_out(&self.receive, start.wrapping_add(skip as u64), into);
        Ok(count)
    }

    /// Takes every token out, and has the engine put one if there are bytes.
    pub(crate) fn resynchronize(&self, thread: ThreadId, end: &impl ApplicationEnd) {
        let _guard = self
            .slot
            .receive_lock
            .enter(thread, &self.slot.receive_head.0);
        self.slot.readiness.resynchronize(end);
    }

    /// After the lock of a dead thread was stolen its tokens may be counted wrongly.
    fn repair(&self, guard: &Guard<'a>, end: &impl ApplicationEnd) -> bool {
        let stolen = guard.entry() == Entry::Stolen;
        if stolen {
            self.slot.readiness.resynchronize(end);
        }
        stolen
    }
}
