//! Which subflow carries the next bytes (RFC 8684 section 3.3.5 leaves that to the sender).
//!
//! A scheduler sees [`Candidate`]s: subflows that are established, alive and able to take bytes
//! now. Another scheduler is another file beside [`min_rtt`], another variant of [`Scheduler`] and
//! another arm in [`Scheduler::pick`].

pub mod min_rtt;

use crate::time::Duration;

/// A subflow that could take bytes now.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which subflow; the caller's number.
    pub index: usize,
    /// Bytes it would send at once; not zero.
    pub room: u32,
    /// Smoothed round trip; `None` before the first sample.
    pub smoothed_rtt: Option<Duration>,
}

/// The schedulers by name.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Scheduler {
    /// `minrtt`: the lowest smoothed round trip that has room.
    #[default]
    MinRtt,
}

impl Scheduler {
    /// Every scheduler.
    pub const ALL: [Self; 1] = [Self::MinRtt];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MinRtt => "minrtt",
        }
    }

    /// The scheduler of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scheduler| scheduler.name() == name)
    }

    /// The subflow that takes the next bytes, or `None` when it is better to wait.
    pub fn pick(self, candidates: impl Iterator<Item = Candidate>) -> Option<usize> {
        match self {
            Self::MinRtt => min_rtt::pick(candidates),
        }
    }
}
