//! The targets that the engine is measured against, a row each: what ours reaches, what the peer reaches
//! in the same run, and the ratio that is judged. A target that asks for several things has a row for
//! each, told apart by a letter.

mod bound;
mod connect_rate;
mod crowd;
mod hand_over;
mod one_thread;
mod packets;
mod programs;
mod round_trip;
mod row;
mod to_linux;

pub use bound::{Bound, Mode};
pub use row::{Measured, Row};

use crate::interleaved::Compared;

/// A target.
#[derive(Copy, Clone, Debug)]
pub struct Target {
    /// Its number, from 1.
    pub number: u8,
    /// Which of the number's rows it is: none for the first, then `b`, `c`, ...
    pub part: &'static str,
    /// What is measured, and its unit.
    pub what: &'static str,
    /// Whom it is measured against.
    pub peer: &'static str,
    /// What is asked for.
    pub bound: Bound,
    /// Measures it in so many rounds; the error says why it cannot be here, and what mends it.
    pub measure: fn(u32) -> Result<Compared, String>,
}

impl Target {
    /// All of them, in their order.
    pub const ALL: &[Self] = &[
        one_thread::ONE_SUBFLOW,
        one_thread::TWO_SUBFLOWS,
        one_thread::LARGE_SEGMENTS,
        packets::SHARED_MEMORY,
        round_trip::MEDIAN,
        round_trip::TAIL,
        connect_rate::CONNECTIONS,
        crowd::MEMORY,
        crowd::ALL_BUSY,
        packets::NULL,
        packets::RING,
        packets::MEMORY,
        to_linux::TO_LINUX,
        to_linux::FROM_LINUX,
        to_linux::TO_LINUX_BY_TAP,
        to_linux::FROM_LINUX_BY_TAP,
        hand_over::LETTERS,
        programs::REDIS,
        programs::REDIS_PIPELINED,
        programs::HTTP,
    ];

    /// As it is called: `T1`, `T1b`.
    pub fn name(&self) -> String {
        format!("T{}{}", self.number, self.part)
    }
}

/// Some targets: by number (`T1`: all its rows), or one row (`T1b`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection(String);

impl std::str::FromStr for Selection {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let selection = Self(name.to_owned());
        if Target::ALL.iter().any(|target| selection.has(target)) {
            return Ok(selection);
        }
        let names: Vec<String> = Target::ALL.iter().map(Target::name).collect();
        Err(format!(
            "there is no such row; there are {}",
            names.join(", ")
        ))
    }
}

impl Selection {
    /// Whether a target is among them.
    pub fn has(&self, target: &Target) -> bool {
        self.0 == target.name() || self.0 == format!("T{}", target.number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_have_names_of_their_own_in_order() {
        let names: BTreeSet<String> = Target::ALL.iter().map(Target::name).collect();
        assert_eq!(names.len(), Target::ALL.len());
        assert!(Target::ALL.is_sorted_by_key(|target| (target.number, target.part)));
    }

    #[test]
    fn a_number_selects_all_its_rows_and_a_name_one() {
        let selected = |name: &str| -> Vec<String> {
            let selection: Selection = name.parse().unwrap();
            let targets = Target::ALL.iter().filter(|target| selection.has(target));
            targets.map(Target::name).collect()
        };
        assert_eq!(selected("T1"), ["T1", "T1b"]);
        assert_eq!(selected("T1b"), ["T1b"]);
        let refused = "T99".parse::<Selection>().unwrap_err();
        assert!(refused.contains("T1, T1b, T2"), "{refused}");
    }
}
