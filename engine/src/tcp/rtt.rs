//! Round trip and retransmission timeout (RFC 6298), with Linux's floor of 200 ms.

use crate::time::Duration;

/// Before the first sample (RFC 6298 section 2.1).
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// After a SYN was retransmitted and gave no sample (RFC 6298 section 5.7).
const TIMEOUT_AFTER_SYN_LOSS: Duration = Duration::from_secs(3);
/// What the timeout exceeds the smoothed round trip by at least: covers a peer's delayed ACK.
const MINIMUM_MARGIN: Duration = Duration::from_millis(200);
/// The most the timeout grows to.
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(120);

/// The estimator of one path.
#[derive(Copy, Clone, Debug)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
    minimum: Option<Duration>,
    timeout: Duration,
    backoff: u32,
}

/// A [`RoundTrip`] in half of its memory.
#[derive(Copy, Clone, Debug)]
pub(super) struct RestingRoundTrip {
    /// Nanoseconds, as all of these; the largest number stands for none.
    smoothed: u64,
    variation: u64,
    minimum: u64,
    timeout: u64,
    backoff: u32,
}

impl RestingRoundTrip {
    /// The estimator as it was.
    pub(super) fn wake(&self) -> RoundTrip {
        let known = |nanos| (nanos < u64::MAX).then_some(Duration::from_nanos(nanos));
        RoundTrip {
            smoothed: known(self.smoothed),
            variation: Duration::from_nanos(self.variation),
            minimum: known(self.minimum),
            timeout: Duration::from_nanos(self.timeout),
            backoff: self.backoff,
        }
    }
}

impl RoundTrip {
    /// What is left of it while nothing is under way: all of it.
    pub(super) fn rest(&self) -> RestingRoundTrip {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
        RestingRoundTrip {
            smoothed: self.smoothed.map_or(u64::MAX, nanos),
            variation: nanos(self.variation),
            minimum: self.minimum.map_or(u64::MAX, nanos),
            timeout: nanos(self.timeout),
            backoff: self.backoff,
        }
    }

    pub(super) const fn new() -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            minimum: None,
            timeout: INITIAL_TIMEOUT,
            backoff: 0,
        }
    }

    pub(super) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(super) const fn variation(&self) -> Duration {
        self.variation
    }

    /// The least round trip seen; zero before the first sample.
    pub(super) fn minimum(&self) -> Duration {
        self.minimum.unwrap_or(Duration::ZERO)
    }

    /// Takes a sample that is not ambiguous (Karn's algorithm is the caller's).
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.minimum = Some(self.minimum.map_or(rtt, |least| least.min(rtt)));
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
        let margin = (self.variation * 4).max(MINIMUM_MARGIN);
        let smoothed = self.smoothed.unwrap_or(rtt);
        self.timeout = (smoothed + margin).min(MAXIMUM_TIMEOUT);
    }

    /// The handshake gave no sample because its SYN was sent again.
    pub(super) fn handshake_was_ambiguous(&mut self) {
        if self.smoothed.is_none() {
            self.timeout = TIMEOUT_AFTER_SYN_LOSS;
        }
    }

    /// The timeout as it stands, doubled for each timeout in a row.
    pub(super) fn timeout(&self) -> Duration {
        self.backed_off(self.backoff)
    }

    /// The timeout doubled `times` times.
    pub(super) fn backed_off(&self, times: u32) -> Duration {
        self.timeout
            .saturating_mul(1 << times.min(16))
            .min(MAXIMUM_TIMEOUT)
    }

    pub(super) const fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    pub(super) const fn reset_backoff(&mut self) {
        self.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rfc_6298_between_its_bounds() {
        let mut rtt = RoundTrip::new();
        assert_eq!(rtt.timeout(), Duration::from_secs(1));
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.timeout(), Duration::from_millis(300));
        rtt.sample(Duration::from_millis(300));
        assert_eq!(rtt.smoothed(), Some(Duration::from_millis(125)));
        assert_eq!(rtt.variation(), Duration::from_micros(87_500));
        assert_eq!(rtt.timeout(), Duration::from_millis(475));
        rtt.back_off();
        assert_eq!(rtt.timeout(), Duration::from_millis(950));
        for _ in 0..100 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(), Duration::from_secs(120));
        rtt.reset_backoff();
        for _ in 0..200 {
            rtt.sample(Duration::from_micros(50));
        }
        assert!(rtt.timeout() >= Duration::from_millis(200));
        assert!(rtt.timeout() < Duration::from_millis(202));
        assert_eq!(rtt.minimum(), Duration::from_micros(50));
    }
}
