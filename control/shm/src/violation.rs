//! What a side finds when a shared word cannot be true.

use std::error::Error;
use std::fmt;

/// A shared word held a value that no honest peer writes.
///
/// The engine answers by cutting off the attachment that the word belongs to; an application treats
/// the socket as broken. What was read is kept for the one line of log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which word, in words: "transmit tail moved backwards".
    pub what: &'static str,
    /// The value that was read.
    pub found: u64,
    /// The value it was checked against.
    pub against: u64,
}

impl Violation {
    pub(crate) const fn new(what: &'static str, found: u64, against: u64) -> Self {
        Self {
            what,
            found,
            against,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the shared memory was written over: {} (found {}, checked against {})",
            self.what, self.found, self.against
        )
    }
}

impl Error for Violation {}
