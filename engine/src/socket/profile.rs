//! What an application wants of its connection as a whole (draft-scharf-mptcp-api section 6.1):
//! throughput, or low latency with one of two kinds of reserve.

use crate::mptcp::scheduler::Scheduler;

/// What a connection is to be good at. A profile chooses the scheduler, when further subflows are
/// opened, and how eagerly data is sent again elsewhere; it can change at any time.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Profile {
    /// Throughput: every useful subflow at once, all of them filled.
    #[default]
    Bulk = 1,
    /// Low latency: one path while it has room; the next is opened when those there are fill up.
    /// What is lost on one path is sent again on another at once.
    LatencyOverflow = 2,
    /// Low latency with a hot standby: one path, and an established backup that takes over when
    /// the first fails.
    LatencyStandby = 3,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Bulk, Self::LatencyOverflow, Self::LatencyStandby];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::LatencyOverflow => "latency-overflow",
            Self::LatencyStandby => "latency-standby",
        }
    }

    /// The profile of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The value of TCP_MP_PROFILE.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The profile with that value of TCP_MP_PROFILE.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.number() == number)
    }

    /// What counts is how soon each byte arrives.
    pub const fn counts_latency(self) -> bool {
        matches!(self, Self::LatencyOverflow | Self::LatencyStandby)
    }

    /// The scheduler that the profile brings with it.
    pub const fn scheduler(self) -> Scheduler {
        match self {
            Self::Bulk => Scheduler::MinRtt,
            Self::LatencyOverflow => Scheduler::Overflow,
            Self::LatencyStandby => Scheduler::Primary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for profile in Profile::ALL {
            assert_eq!(Profile::by_name(profile.name()), Some(profile));
            assert_eq!(Profile::from_number(profile.number()), Some(profile));
        }
        assert_eq!(Profile::by_name("Bulk"), None);
        assert_eq!(Profile::from_number(0), None);
        assert_eq!(Profile::from_number(4), None);
    }
}
