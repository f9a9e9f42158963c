//! How large a segment the path takes: ICMP (RFC 1191, RFC 8201) and, where ICMP is lost, smaller
//! segments after repeated timeouts (in the manner of RFC 4821).

use crate::time::{Duration, Instant};

/// How long a reported size is kept before the full one is tried again (RFC 8201 section 5.3).
const KEEP: Duration = Duration::from_secs(600);
/// How long a size that was found by timeouts is kept, the first time, the second and further
/// on: an outage looks like a black hole, and must not make segments small for long.
const KEEP_FOUND: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(30), KEEP];
/// The least that a report may lower the size to: it belongs to IPv4's minimum reassembly size
/// of 576 bytes less options, and keeps a forged report from making segments tiny.
const LEAST: u16 = 512;
/// Timeouts in a row after which a black hole is suspected, and the size that is tried then.
const BLACK_HOLE_STEPS: [(u32, u16); 2] = [(3, 1024), (5, 536)];
/// Timeouts in a row after which size is not the cause.
const NOT_A_BLACK_HOLE: u32 = 7;

/// The segment size of one path, as in the MSS option: TCP options and payload.
#[derive(Copy, Clone, Debug)]
pub(super) struct PathMtu {
    limit: u16,
    current: u16,
    try_larger_at: Option<Instant>,
    /// The size before the search for a black hole began.
    before_search: Option<u16>,
    /// How often a black hole was found.
    found: usize,
}

/// A [`PathMtu`] in the least memory: most paths take all that the link does.
#[derive(Debug)]
pub(super) enum RestingPathMtu {
    /// It takes segments of this size and there is nothing else to know.
    Full(u16),
    /// It takes less, or did.
    Less(Box<PathMtu>),
}

impl RestingPathMtu {
    /// The size as it was.
    pub(super) fn wake(&self) -> PathMtu {
        match self {
            Self::Full(limit) => PathMtu::new(*limit),
            Self::Less(path) => **path,
        }
    }
}

impl PathMtu {
    /// What is left of it while nothing is under way: all of it.
    pub(super) fn rest(&self) -> RestingPathMtu {
        let full = self.current == self.limit
            && self.try_larger_at.is_none()
            && self.before_search.is_none()
            && self.found == 0;
        if full {
            RestingPathMtu::Full(self.limit)
        } else {
            RestingPathMtu::Less(Box::new(*self))
        }
    }

    pub(super) fn new(limit: u16) -> Self {
        let limit = limit.max(64);
        Self {
            limit,
            current: limit,
            try_larger_at: None,
            before_search: None,
            found: 0,
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
            let keep = KEEP_FOUND.get(self.found).copied().unwrap_or(KEEP);
            self.found += 1;
            self.try_larger_at = Some(now + keep);
        }
    }

    /// The timeouts were spurious. Returns true when the size changed.
    pub(super) const fn timeouts_were_spurious(&mut self) -> bool {
        match self.before_search.take() {
            Some(before) => {
                self.current = before;
                true
            }
            None => false,
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
        assert!(!path.timed_out(2, 1_460));
        assert!(path.timed_out(3, 1_460));
        assert_eq!(path.segment(), 1_024);
        assert!(path.timed_out(5, 1_024));
        assert_eq!(path.segment(), 536);
        assert!(path.timed_out(7, 536));
        assert_eq!(path.segment(), 1_460, "the size was not the cause");
        for keep in [1, 30, 600, 600] {
            assert!(path.timed_out(3, 1_460));
            path.acknowledged(Instant::ZERO);
            assert!(!path.timed_out(7, 1_024));
            assert_eq!(path.segment(), 1_024);
            assert_eq!(path.deadline(), Some(Instant::from_millis(keep * 1_000)));
            assert!(!path.timed_out(3, 100), "small segments tell nothing");
            path.try_larger();
        }
        assert!(path.timed_out(3, 1_460));
        assert!(path.timeouts_were_spurious());
        assert_eq!(path.segment(), 1_460);
    }
}
