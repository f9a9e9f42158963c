//! Sequence numbers that wrap: TCP's (RFC 9293 section 3.4) and MPTCP's (RFC 8684 section 3.3.1).
//!
//! Neither type implements `Ord`, for order has no meaning on a circle. Two numbers are compared
//! by their signed distance, which is right while they lie within half the space of each other.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

macro_rules! sequence_number {
    ($(#[$doc:meta])* $name:ident, $unsigned:ty, $signed:ty) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub $unsigned);

        impl $name {
            /// True when `self` comes strictly before `other`.
            pub const fn is_before(self, other: Self) -> bool {
                (self.0.wrapping_sub(other.0) as $signed) < 0
            }

            /// True when `self` comes strictly after `other`.
            pub const fn is_after(self, other: Self) -> bool {
                other.is_before(self)
            }

            /// True when `self` lies in `start..end`.
            pub const fn is_within(self, start: Self, end: Self) -> bool {
                !self.is_before(start) && self.is_before(end)
            }

            /// The later of the two.
            #[must_use]
            pub const fn latest(self, other: Self) -> Self {
                if self.is_before(other) { other } else { self }
            }

            /// The earlier of the two.
            #[must_use]
            pub const fn earliest(self, other: Self) -> Self {
                if self.is_before(other) { self } else { other }
            }

            /// How far `self` lies after `origin`, or zero when it lies before.
            pub const fn offset_from(self, origin: Self) -> $unsigned {
                if self.is_before(origin) { 0 } else { self.0.wrapping_sub(origin.0) }
            }
        }

        impl Add<$unsigned> for $name {
            type Output = Self;

            fn add(self, bytes: $unsigned) -> Self {
                Self(self.0.wrapping_add(bytes))
            }
        }

        impl AddAssign<$unsigned> for $name {
            fn add_assign(&mut self, bytes: $unsigned) {
                *self = *self + bytes;
            }
        }

        impl Sub<$unsigned> for $name {
            type Output = Self;

            fn sub(self, bytes: $unsigned) -> Self {
                Self(self.0.wrapping_sub(bytes))
            }
        }

        /// The signed distance from the right operand to the left one.
        impl Sub for $name {
            type Output = $signed;

            fn sub(self, other: Self) -> $signed {
                self.0.wrapping_sub(other.0) as $signed
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "#{}", self.0)
            }
        }
    };
}

sequence_number!(
    /// A position in the byte stream of one subflow.
    SequenceNumber,
    u32,
    i32
);

sequence_number!(
    /// A position in the byte stream of a connection (DSN).
    DataSequenceNumber,
    u64,
    i64
);

impl DataSequenceNumber {
    /// The lower half, as the 4-byte forms of DSN and DATA_ACK carry it.
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// The number nearest to `self` whose lower half is `low`.
    #[must_use]
    pub const fn expand(self, low: u32) -> Self {
        let distance = low.wrapping_sub(self.0 as u32) as i32;
        Self(self.0.wrapping_add(distance as i64 as u64))
    }
}
