//! Announcing addresses by ADD_ADDR until the peer echoes them (RFC 8684 section 3.4.1).

use super::endpoint::{Endpoint, MAX_ENDPOINTS};
use crate::time::{Duration, Instant};
use arrayvec::ArrayVec;
use core::net::IpAddr;

/// An address to announce.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Announcement {
    pub(crate) id: u8,
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

/// How often an announcement that is not echoed is repeated.
#[derive(Copy, Clone, Debug)]
pub(crate) struct RepeatPolicy {
    /// Until the first repetition; doubles.
    pub(crate) interval: Duration,
    pub(crate) repetitions: u8,
}

#[derive(Copy, Clone, Debug)]
struct Entry {
    announcement: Announcement,
    sent: u8,
    /// When it is sent (again); `None` once echoed or given up.
    due: Option<Instant>,
}

/// Every address announced on a connection.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    entries: ArrayVec<Entry, MAX_ENDPOINTS>,
}

impl Announcements {
    /// Queues an endpoint unless it is there already.
    pub(super) fn add(&mut self, endpoint: &Endpoint, now: Instant) {
        let announcement = Announcement {
            id: endpoint.id,
            address: endpoint.address,
            port: endpoint.port,
        };
        let known = |entry: &Entry| entry.announcement.id == endpoint.id;
        if !self.entries.iter().any(known) {
            // As many entries as endpoints: there is always room but for those since removed.
            let _ = self.entries.try_push(Entry {
                announcement,
                sent: 0,
                due: Some(now),
            });
        }
    }

    /// Takes the next one due.
    pub(super) fn next_due(&mut self, now: Instant, policy: RepeatPolicy) -> Option<Announcement> {
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.due.is_some_and(|due| due <= now))?;
        if entry.sent > policy.repetitions {
            entry.due = None;
            return self.next_due(now, policy);
        }
        let interval = policy.interval.saturating_mul(1 << entry.sent.min(10));
        entry.sent += 1;
        entry.due = Some(now + interval);
        Some(entry.announcement)
    }

    pub(super) fn echoed(&mut self, id: u8) {
        for entry in &mut self.entries {
            if entry.announcement.id == id && entry.sent > 0 {
                entry.due = None;
            }
        }
    }

    /// Forgets an address and returns its identifier if it was announced.
    pub(super) fn remove(&mut self, address: IpAddr) -> Option<u8> {
        let index = self
            .entries
            .iter()
            .position(|entry| entry.announcement.address == address)?;
        let entry = self.entries.remove(index);
        (entry.sent > 0).then_some(entry.announcement.id)
    }

    pub(super) fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.due = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.sent > 0).count()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.due).min()
    }
}
