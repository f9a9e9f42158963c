//! Connections with received frames that wait for their reader (`storage/landing.rs`). They are few, so that a
//! reader who never comes does not keep frames from others: the first that waits gives its place up, and has
//! its bytes copied.

use super::Stack;
use super::connection::ConnectionKey;
use arrayvec::ArrayVec;

/// At most so many.
const MAX_CONNECTIONS: usize = 32;

/// Them, the one that waits longest first.
pub(super) type Landings = ArrayVec<ConnectionKey, MAX_CONNECTIONS>;

impl Stack {
    /// Takes note that frames wait for the reader of a connection, or wait no longer.
    pub(super) fn note_landing(&mut self, key: ConnectionKey) {
        let Some(slot) = self.connections.get_mut(key) else {
            return;
        };
        let holds = slot.connection.holds_frames();
        slot.holds_frames = holds;
        if !holds {
            self.landings.retain(|other| *other != key);
            return;
        }
        let first = self.landings.first().copied();
        if let Some(first) = first.filter(|_| self.landings.is_full()) {
            self.settle_landing(first);
        }
        self.landings.push(key);
    }

    /// Has a connection copy its bytes and give its frames back.
    pub(super) fn settle_landing(&mut self, key: ConnectionKey) {
        self.landings.retain(|other| *other != key);
        if let Some(slot) = self.connections.get_mut(key) {
            slot.connection.settle_frames(&mut self.pool);
            slot.holds_frames = false;
        }
    }
}
