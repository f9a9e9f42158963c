//! The congestion window and the slow-start threshold (RFC 5681 section 3.1, RFC 6928).

/// No window needs to be larger: TCP cannot advertise more (RFC 7323 section 2.3).
const MAX_WINDOW: f64 = (1 << 30) as f64;

/// The initial window in bytes for segments of `mss` bytes (RFC 6928 section 2): ten segments, but
/// of large segments no more than fit in 14,600 bytes, and at least two.
pub fn initial_window(mss: u32) -> u32 {
    mss.saturating_mul(10)
        .min(mss.saturating_mul(2).max(14_600))
}

/// Window and threshold, with fractions of a byte so that small increases add up.
#[derive(Copy, Clone, Debug)]
pub(super) struct Window {
    mss: u32,
    bytes: f64,
    /// `None` until a loss or HyStart++ has set it.
    threshold: Option<f64>,
    /// Still the initial window of the segment size.
    untouched: bool,
}

impl Window {
    pub(super) fn new(mss: u32) -> Self {
        let mss = mss.max(1);
        Self {
            mss,
            bytes: initial_window(mss).into(),
            threshold: None,
            untouched: true,
        }
    }

    pub(super) fn bytes(&self) -> u32 {
        self.bytes as u32
    }

    pub(super) fn exact(&self) -> f64 {
        self.bytes
    }

    pub(super) fn mss(&self) -> f64 {
        self.mss.into()
    }

    pub(super) fn segments(&self) -> f64 {
        self.bytes / self.mss()
    }

    pub(super) fn threshold(&self) -> u32 {
        self.threshold
            .map_or(u32::MAX, |threshold| threshold as u32)
    }

    pub(super) const fn has_threshold(&self) -> bool {
        self.threshold.is_some()
    }

    pub(super) fn in_slow_start(&self) -> bool {
        self.threshold
            .is_none_or(|threshold| self.bytes < threshold)
    }

    pub(super) fn is_single_segment(&self) -> bool {
        self.bytes <= self.mss()
    }

    /// Of a sender that did not fill its window only what it did use counts (RFC 5681 equation 4).
    pub(super) fn limit_flight(&self, in_flight: u32) -> f64 {
        self.bytes.min(in_flight.into())
    }

    pub(super) fn grow(&mut self, bytes: f64) {
        self.bytes = (self.bytes + bytes.max(0.0)).min(MAX_WINDOW);
        self.untouched = false;
    }

    /// Shrinks in congestion avoidance, and stays in it: the threshold follows. At least one
    /// segment is left.
    pub(super) fn give_way(&mut self, bytes: f64) {
        self.bytes = (self.bytes - bytes).max(self.mss());
        self.threshold = self.threshold.map(|threshold| threshold.min(self.bytes));
    }

    /// Grows by every acknowledged byte up to the threshold and returns the bytes left over.
    ///
    /// RFC 3465 would stop at two segments for each acknowledgement; with receivers that coalesce
    /// dozens of segments into one acknowledgement that is no slow start at all (RFC 9406 section
    /// 4.2 sets no such bound for senders that do not burst).
    pub(super) fn slow_start(&mut self, acked: f64) -> f64 {
        let room = self
            .threshold
            .map_or(acked, |threshold| threshold - self.bytes);
        let growth = acked.min(room.max(0.0));
        self.grow(growth);
        acked - growth
    }

    pub(super) fn leave_slow_start(&mut self) {
        self.threshold = Some(self.bytes);
    }

    /// Sets threshold and window after a loss; neither falls below two segments.
    pub(super) fn reduce_to(&mut self, threshold: f64) {
        let threshold = threshold.max(2.0 * self.mss());
        self.threshold = Some(threshold);
        self.bytes = self.bytes.min(threshold);
        self.untouched = false;
    }

    /// The loss window of one segment.
    pub(super) fn collapse(&mut self) {
        self.bytes = self.mss();
    }

    /// The restart window after idle time.
    pub(super) fn restart(&mut self) {
        let restart_window = f64::from(initial_window(self.mss));
        if self.bytes > restart_window {
            let remembered = self.bytes * 0.75;
            self.threshold = self.threshold.map(|threshold| threshold.max(remembered));
            self.bytes = restart_window;
        }
    }

    /// Takes back a reduction; what has been gained since is kept.
    pub(super) fn restore(&mut self, before: &Self) {
        self.bytes = self.bytes.max(before.bytes);
        self.threshold = before.threshold;
    }

    pub(super) fn set_mss(&mut self, mss: u32) {
        let mss = mss.max(1);
        if self.untouched {
            *self = Self::new(mss);
        } else {
            self.mss = mss;
            self.bytes = self.bytes.max(mss.into());
        }
    }
}
