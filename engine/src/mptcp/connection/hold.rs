//! TCP_CORK and MSG_MORE: what is less than a segment waits until more has come together, but for a
//! while only: one that is forgotten gives way to time (tcp(7)).

use crate::time::{Duration, Instant};

/// How long the last of what was written may wait, as Linux has it.
const LONGEST: Duration = Duration::from_millis(200);

/// Who holds small segments back, and until when.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Hold {
    /// TCP_CORK.
    cork: bool,
    /// MSG_MORE, of the last write.
    more: bool,
    /// Something has waited, until then.
    due: Option<Instant>,
    /// It has waited long enough.
    over: bool,
}

impl Hold {
    pub(super) fn set_cork(&mut self, cork: bool) {
        self.cork = cork;
    }

    pub(super) fn set_more(&mut self, more: bool) {
        self.more = more;
    }

    /// Whether less than a segment is to wait.
    pub(super) fn holds(&self) -> bool {
        (self.cork || self.more) && !self.over
    }

    /// Less than a segment is left, and waits.
    pub(super) fn note_held(&mut self, now: Instant) {
        if self.holds() && self.due.is_none() {
            self.due = Some(now + LONGEST);
        }
    }

    /// Less than a segment has gone: what comes from now on waits anew.
    pub(super) fn note_let_go(&mut self) {
        self.due = None;
        self.over = false;
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn fire(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.over = true;
        }
    }
}
