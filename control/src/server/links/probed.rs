//! Links that are asked, as nobody tells of them.

use std::time::{Duration, Instant};

use braid_engine::stack::PortId;

use super::{LinkChange, LinkState};
use crate::server::ports::LinkProbe;

/// From one look to the next: what a link that fails silently costs at most, less than the first
/// retransmission.
const INTERVAL: Duration = Duration::from_millis(100);

/// The ports whose links are asked, each with what was said last.
pub(super) struct Probed {
    ports: Vec<(PortId, LinkProbe, bool)>,
    next: Option<Instant>,
}

impl Probed {
    /// Each counts as up at first; if it is not, that is the first change.
    pub(super) fn new(probes: Vec<(PortId, LinkProbe)>) -> Self {
        let up = |(port, probe)| (port, probe, true);
        Self {
            ports: probes.into_iter().map(up).collect(),
            next: None,
        }
    }

    /// How long from `now` until they are to be asked; `None` where there is nothing to ask.
    pub(super) fn due_in(&self, now: Instant) -> Option<Duration> {
        let next = self.next.unwrap_or(now);
        (!self.ports.is_empty()).then(|| next.saturating_duration_since(now))
    }

    /// What changed, if they are to be asked.
    pub(super) fn changes(&mut self, now: Instant) -> Vec<LinkChange> {
        if self.due_in(now).is_none_or(|left| !left.is_zero()) {
            return Vec::new();
        }
        self.next = Some(now + INTERVAL);
        let change = |(port, probe, before): &mut (PortId, LinkProbe, bool)| {
            let up = probe.is_up();
            let state = if up {
                LinkState::Up
            } else {
                LinkState::NoCarrier
            };
            let port = *port;
            (std::mem::replace(before, up) != up).then_some(LinkChange { port, state })
        };
        self.ports.iter_mut().filter_map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_link_is_asked_ten_times_a_second_and_told_when_it_changes() {
        let up = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&up);
        let probe = LinkProbe::new(move || asked.load(Ordering::Relaxed));
        let mut probed = Probed::new(vec![(PortId(2), probe)]);
        let start = Instant::now();
        let mut after = |milliseconds| {
            let changes = probed.changes(start + Duration::from_millis(milliseconds));
            let change = changes.first().map(|change| (change.port, change.state));
            (changes.len(), change)
        };
        // One that is down at the start is told at once.
        assert_eq!(after(0), (1, Some((PortId(2), LinkState::NoCarrier))));
        up.store(true, Ordering::Relaxed);
        assert_eq!(after(99), (0, None));
        assert_eq!(after(100), (1, Some((PortId(2), LinkState::Up))));
        assert_eq!(after(250), (0, None));
        let left = probed.due_in(start + Duration::from_millis(270));
        assert_eq!(left, Some(Duration::from_millis(80)));
    }

    #[test]
    fn nothing_is_due_where_there_is_nothing_to_ask() {
        let mut probed = Probed::new(Vec::new());
        assert_eq!(probed.due_in(Instant::now()), None);
        assert_eq!(probed.changes(Instant::now()), []);
    }
}
