//! How [`Progress`] travels between workers: as two letters, since one has the size of a line of cache.
//!
//! The first has what does not say whose it is, the second whose it is. Nothing comes between the two
//! from one worker, so the addressee keeps what it heard last from each.

use crate::tcp::{Doubt, Progress};
use core::time::Duration;

/// Times and losses of a subflow.
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub(super) struct Course {
    between_losses: u64,
    retransmissions: u64,
    /// Of no meaning before the first sample.
    smoothed_rtt_nanoseconds: u64,
    sampled: bool,
    rtt_variation_nanoseconds: u64,
    retransmission_timeout_nanoseconds: u64,
    lost: u32,
    timeouts: u32,
    in_recovery: bool,
    doubt: Doubt,
}

/// What a subflow carries, and what it could.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(super) struct Load {
    granted: u64,
    acknowledged: u64,
    room: u32,
    window: u32,
    segment_size: u32,
    congestion_window: u32,
    slow_start_threshold: u32,
    in_flight: u32,
}

/// Past some centuries all are alike.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The two halves of it.
pub(super) fn halves(progress: &Progress) -> (Course, Load) {
    let course = Course {
        between_losses: progress.between_losses,
        retransmissions: progress.retransmissions,
        smoothed_rtt_nanoseconds: progress.smoothed_rtt.map_or(0, nanoseconds),
        sampled: progress.smoothed_rtt.is_some(),
        rtt_variation_nanoseconds: nanoseconds(progress.rtt_variation),
        retransmission_timeout_nanoseconds: nanoseconds(progress.retransmission_timeout),
        lost: progress.lost,
        timeouts: progress.timeouts,
        in_recovery: progress.in_recovery,
        doubt: progress.doubt,
    };
    let load = Load {
        granted: progress.granted,
        acknowledged: progress.acknowledged,
        room: progress.room,
        window: progress.window,
        segment_size: progress.segment_size,
        congestion_window: progress.congestion_window,
        slow_start_threshold: progress.slow_start_threshold,
        in_flight: progress.in_flight,
    };
    (course, load)
}

impl Load {
    /// The whole again.
    pub(super) fn joined(self, course: Course) -> Progress {
        Progress {
            granted: self.granted,
            acknowledged: self.acknowledged,
            room: self.room,
            window: self.window,
            segment_size: self.segment_size,
            congestion_window: self.congestion_window,
            slow_start_threshold: self.slow_start_threshold,
            between_losses: course.between_losses,
            in_flight: self.in_flight,
            smoothed_rtt: course
                .sampled
                .then(|| Duration::from_nanos(course.smoothed_rtt_nanoseconds)),
            rtt_variation: Duration::from_nanos(course.rtt_variation_nanoseconds),
            retransmission_timeout: Duration::from_nanos(course.retransmission_timeout_nanoseconds),
            in_recovery: course.in_recovery,
            timeouts: course.timeouts,
            doubt: course.doubt,
            lost: course.lost,
            retransmissions: course.retransmissions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_are_the_whole() {
        let progress = Progress {
            granted: 1,
            acknowledged: 2,
            room: 3,
            window: 4,
            segment_size: 5,
            congestion_window: 6,
            slow_start_threshold: 7,
            between_losses: 8,
            in_flight: 9,
            smoothed_rtt: Some(Duration::from_micros(10)),
            rtt_variation: Duration::from_micros(11),
            retransmission_timeout: Duration::from_millis(12),
            in_recovery: true,
            timeouts: 13,
            doubt: Doubt::Probed,
            lost: 14,
            retransmissions: 15,
        };
        let (course, load) = halves(&progress);
        assert_eq!(load.joined(course), progress);
    }
}
