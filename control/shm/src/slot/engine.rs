//! The engine's side of a socket's two rings.

use crate::ring::byte::{Consumer, Producer};
use crate::slot::ends::EngineEnd;
use crate::slot::readiness::{Occasion, ReadyList};
use crate::slot::state::SlotState;
use crate::slot::words::SocketSlot;
use crate::slot::writability::enough_room;
use crate::sync::{Ordering, SharedBytes, fence};
use crate::violation::Violation;

/// Private indices of the engine, and what it has not published yet.
#[derive(Debug)]
pub(crate) struct EngineSide {
    transmit: Consumer,
    receive: Producer,
    taken: bool,
    arrived: bool,
}

impl EngineSide {
    pub(crate) fn new(transmit: SharedBytes, receive: SharedBytes) -> Self {
        Self {
            transmit: Consumer::new(transmit),
            receive: Producer::new(receive),
            taken: false,
            arrived: false,
        }
    }

    pub(crate) fn refresh_transmit(&mut self, slot: &SocketSlot) -> Result<usize, Violation> {
        self.transmit.refresh(&slot.transmit_tail.0)
    }

    pub(crate) fn transmit_available(&self) -> usize {
        self.transmit.available()
    }

    pub(crate) fn transmit_unheld(&self, slot: &SocketSlot) -> Option<usize> {
        let from = slot.settings.held_from.load(Ordering::Relaxed);
        let from = from.checked_sub(1)?;
        // Any index does: one that is out of the ring holds back all, or nothing.
        let ahead = from.wrapping_sub(self.transmit.index());
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        Some(if ahead <= self.transmit.capacity() {
            ahead
        } else {
            0
        })
    }

    pub(crate) fn peek(&self, skip: usize, into: &mut [u8]) -> usize {
        self.transmit.peek(skip, into)
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.taken |= count > 0;
        self.transmit.advance(count);
    }

    pub(crate) fn refresh_receive(&mut self, slot: &SocketSlot) -> Result<usize, Violation> {
        self.receive.refresh(&slot.receive_head.0)
    }

    pub(crate) fn receive_room(&self) -> usize {
        self.receive.room()
    }

    pub(crate) fn receive_unread(&self) -> usize {
        self.receive.unread()
    }

    pub(crate) fn write(&mut self, from: &[u8]) -> usize {
        let count = self.receive.write(from);
        self.arrived |= count > 0;
        count
    }

    pub(crate) fn publish(&mut self, slot: &SocketSlot, list: ReadyList<'_>, end: &impl EngineEnd) {
        if !self.show(slot, end) {
            return;
        }
        if self.is_worth_waking(slot) {
            slot.readiness.signal(Occasion::Arrival, list, end);
        }
        self.arrived = false;
    }

    /// As [`Self::publish`], but who sleeps for bytes is woken only if half the ring is unread. `true`:
    /// somebody may be left asleep. The arrival stays noted, so that the next `publish`, with a
    /// fence of its own, does what this one has left out.
    pub(crate) fn publish_without_waking(
        &mut self,
        slot: &SocketSlot,
        list: ReadyList<'_>,
        end: &impl EngineEnd,
    ) -> bool {
        if !self.show(slot, end) {
            return false;
        }
        if self.receive.unread() >= self.receive.capacity() / 2 {
            slot.readiness.signal(Occasion::Arrival, list, end);
            self.arrived = false;
        } else {
            // Who comes to sleep later looks at the ring, or at the list, first.
            self.arrived = slot.readiness.note_without_waking(list);
        }
        self.arrived
    }

    /// Shows the application both indices, and wakes who sleeps for room. `true`: bytes have come
    /// that nobody was woken for; the fence that this takes is behind.
    fn show(&mut self, slot: &SocketSlot, end: &impl EngineEnd) -> bool {
        if !(self.taken || self.arrived) {
            return false;
        }
        if self.taken {
            self.transmit.publish(&slot.transmit_head.0);
        }
        if self.arrived {
            self.receive.publish(&slot.receive_tail.0);
        }
        // One fence for `interest`, `token` and `blocked`.
        fence(Ordering::SeqCst);
        if self.taken && enough_room(self.transmit.capacity(), self.transmit.room()) {
            slot.writability.unblock(end);
        }
        self.taken = false;
        self.arrived
    }

    pub(crate) fn answer_kick(
        &mut self,
        slot: &SocketSlot,
        list: ReadyList<'_>,
        end: &impl EngineEnd,
    ) -> Result<(), Violation> {
        self.refresh_transmit(slot)?;
        self.refresh_receive(slot)?;
        self.publish(slot, list, end);
        fence(Ordering::SeqCst);
        if self.receive.unread() > 0 && self.is_worth_waking(slot) {
            slot.readiness.signal(Occasion::Kick, list, end);
        }
        // While it connects it is unwritable whatever the ring holds; `force_writable` ends that.
        let state = SlotState::parse(slot.identity.state.load(Ordering::Acquire));
        if state != SlotState::Connecting
            && enough_room(self.transmit.capacity(), self.transmit.room())
        {
            slot.writability.unblock(end);
        }
        Ok(())
    }

    pub(crate) fn stall(&mut self, slot: &SocketSlot) -> Result<bool, Violation> {
        slot.stall.announce();
        if self.refresh_receive(slot)? > 0 {
            slot.stall.withdraw();
            return Ok(false);
        }
        Ok(true)
    }

    /// SO_RCVLOWAT. What the application has read since the last look is not known, so there may be
    /// a wake-up too many, never one too few; a ring that is half full wakes in any case.
    fn is_worth_waking(&self, slot: &SocketSlot) -> bool {
        let low_water = slot.settings.receive_low_water.load(Ordering::Relaxed) as usize;
        let unread = self.receive.unread();
        unread > 0 && (unread >= low_water || unread >= self.receive.capacity() / 2)
    }
}
