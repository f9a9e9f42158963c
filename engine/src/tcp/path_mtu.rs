//! How large a segment the path takes: ICMP (RFC 1191, RFC 8201) and, where ICMP is lost, smaller
//! segments after repeated timeouts (in the manner of RFC 4821).

use crate::time::{Duration, Instant};

/// How long a smaller size is kept before the full one is tried again (RFC 8201 section 5.3).
const KEEP: Duration = Duration::from_secs(600);
/// The least that a report may lower the size to: it belongs to IPv4's minimum reassembly size
/// of 576 bytes less options, and keeps a forged report from making segments tiny.
const LEAST: u16 = 512;
/// Timeouts in a row after which a black hole is suspected, and the size that is tried then.
const BLACK_HOLE_STEPS: [(u32, u16); 2] = [(2, 1024), (4, 536)];
/// Timeouts in a row after which size is not the cause.
const NOT_A_BLACK_HOLE: u32 = 6;

/// The segment size of one path, as in the MSS option: TCP options and payload.
#[derive(Copy, Clone, Debug)]
pub(super) struct PathMtu {
    limit: u16,
    current: u16,
    try_larger_at: Option<Instant>,
    /// The size before the search for a black hole began.
    before_search: Option<u16>,
}

impl PathMtu {
    pub(super) fn new(limit: u16) -> Self {
        let limit = limit.max(64);
        Self {
            limit,
            current: limit,
            try_larger_at: None,
            before_search: None,
        }
    }

    /// The most bytes of TCP options and payload.
    pub(super) const fn segment(&self) -> u16 {
        self.current
    }

    /// ICMP reported that the path takes `size` only. Returns true when that is news.
    pub(super) fn too_big(&mut self, now: Instant, size: u16) -> bool {
        let size = size.max(LEAST);
        if size >= self.current {
            return false;
        }
        self.current = size;
        self.before_search = None;
        self.try_larger_at = Some(now + KEEP);
        true
    }

    /// The retransmission timer fired for the `timeouts`th time in a row with a segment of
    /// `size` bytes at the head. Returns true when the size changed.
    pub(super) fn timed_out(&mut self, timeouts: u32, size: u32) -> bool {
        if timeouts == NOT_A_BLACK_HOLE {
            return match self.before_search.take() {
                Some(before) => {
                    self.current = before;
                    true
                }
                None => false,
            };
        }
        let step = BLACK_HOLE_STEPS
            .iter()
            .find(|(after, _)| *after == timeouts);
        match step {
            Some(&(_, smaller)) if smaller < self.current && size > smaller.into() => {
                self.before_search.get_or_insert(self.current);
                self.current = smaller;
                true
            }
            _ => false,
        }
    }

    /// Sent data was acknowledged: a size that is being tried works.
    pub(super) fn acknowledged(&mut self, now: Instant) {
        if self.before_search.take().is_some() {
            self.try_larger_at = Some(now + KEEP);
        }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.try_larger_at
    }

    /// Tries the full size again.
    pub(super) const fn try_larger(&mut self) {
        self.current = self.limit;
        self.try_larger_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icmp_lowers_within_reason_and_time_restores() {
        let mut path = PathMtu::new(1_460);
        assert!(!path.too_big(Instant::ZERO, 1_460));
        assert!(path.too_big(Instant::ZERO, 1_200));
        assert!(path.too_big(Instant::ZERO, 1));
        assert_eq!(path.segment(), 512);
        assert_eq!(path.deadline(), Some(Instant::ZERO + KEEP));
        path.try_larger();
        assert_eq!((path.segment(), path.deadline()), (1_460, None));
    }

    #[test]
    fn a_black_hole_is_searched_and_left() {
        let mut path = PathMtu::new(1_460);
        assert!(!path.timed_out(1, 1_460));
        assert!(path.timed_out(2, 1_460));
        assert_eq!(path.segment(), 1_024);
        assert!(path.timed_out(4, 1_024));
        assert_eq!(path.segment(), 536);
        assert!(path.timed_out(6, 536));
        assert_eq!(path.segment(), 1_460, "the size was not the cause");
        assert!(path.timed_out(2, 1_460));
        path.acknowledged(Instant::ZERO);
        assert!(!path.timed_out(6, 1_024));
        assert_eq!(path.segment(), 1_024);
        assert!(!path.timed_out(2, 100), "small segments tell nothing");
    }
}
