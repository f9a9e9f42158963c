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
///
/// A new one is held back while the first sending of another waits for its echo: Linux drops an
/// announcement that comes while it is still at work on the one before.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    entries: Vec<Entry>,
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
        // As many entries as endpoints: there is always room but for those since removed.
        if !self.entries.iter().any(known) && self.entries.len() < MAX_ENDPOINTS {
            // There are few, on many connections.
            self.entries.reserve_exact(1);
            self.entries.push(Entry {
                announcement,
                sent: 0,
                due: Some(now),
            });
        }
    }

    /// Takes the next one due.
    pub(super) fn next_due(&mut self, now: Instant, policy: RepeatPolicy) -> Option<Announcement> {
        let held_back = self.held_until().is_some();
        let entry = self.entries.iter_mut().find(|entry| {
            entry.due.is_some_and(|due| due <= now) && (entry.sent > 0 || !held_back)
        })?;
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

    /// Forgets the addresses that are not `kept`; the identifiers of those that were announced, as
    /// far as one REMOVE_ADDR names them.
    pub(super) fn withdraw(&mut self, kept: impl Fn(IpAddr) -> bool) -> ArrayVec<u8, 16> {
        let mut withdrawn = ArrayVec::new();
        self.entries.retain(|entry| {
            let keep = kept(entry.announcement.address);
            if !keep && entry.sent > 0 {
                // A host announces no more than that to one peer in any sound configuration.
                let _ = withdrawn.try_push(entry.announcement.id);
            }
            keep
        });
        withdrawn
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
        let held_until = self.held_until();
        self.entries
            .iter()
            .filter_map(|entry| match entry.sent {
                0 => entry.due.max(entry.due.and(held_until)),
                _ => entry.due,
            })
            .min()
    }

    /// When the announcement that holds back new ones is sent again, and holds them back no more.
    fn held_until(&self) -> Option<Instant> {
        self.entries
            .iter()
            .filter(|entry| entry.sent == 1)
            .find_map(|entry| entry.due)
    }
}

#[cfg(test)]
mod tests {
    use super::super::EndpointFlags;
    use super::*;

    const POLICY: RepeatPolicy = RepeatPolicy {
        interval: Duration::from_secs(1),
        repetitions: 3,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn three() -> Announcements {
        let mut announcements = Announcements::default();
        for id in 1..=3 {
            let endpoint = Endpoint {
                id,
                address: [10, 0, 0, id].into(),
                port: None,
                flags: EndpointFlags::SIGNAL,
            };
            announcements.add(&endpoint, at(0));
        }
        announcements
    }

    fn due(announcements: &mut Announcements, now: Instant) -> Vec<u8> {
        core::iter::from_fn(|| announcements.next_due(now, POLICY))
            .map(|announcement| announcement.id)
            .collect()
    }

    #[test]
    fn each_waits_for_the_echo_of_the_one_before() {
        let mut announcements = three();
        assert_eq!(due(&mut announcements, at(0)), [1]);
        assert_eq!(due(&mut announcements, at(5)), []);
        assert_eq!(announcements.next_timeout(), Some(at(1_000)));
        announcements.echoed(1);
        assert_eq!(announcements.next_timeout(), Some(at(0)));
        assert_eq!(due(&mut announcements, at(10)), [2]);
        announcements.echoed(2);
        assert_eq!(due(&mut announcements, at(20)), [3]);
        announcements.echoed(3);
        assert_eq!(announcements.next_timeout(), None);
    }

    #[test]
    fn one_without_echo_delays_the_others_once() {
        let mut announcements = three();
        assert_eq!(due(&mut announcements, at(0)), [1]);
        assert_eq!(due(&mut announcements, at(1_000)), [1, 2]);
        announcements.echoed(2);
        assert_eq!(due(&mut announcements, at(1_010)), [3]);
    }
}
