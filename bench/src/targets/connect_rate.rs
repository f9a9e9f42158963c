//! Connections that come and go beside many that stay (T5).

use super::{Bound, Target};
use crate::connect_rate::{Engine, Linux};
use crate::interleaved::compare;

/// Connections that stay open meanwhile.
const OPEN: usize = 10_000;

pub(super) const CONNECTIONS: Target = Target {
    number: 5,
    part: "",
    what: "connect, 64 bytes, close, beside 10,000 open connections: thousands a second",
    peer: "Linux's Multipath TCP over its loopback",
    bound: Bound::ratio_at_least(10.0),
    measure: |rounds| {
        let mut linux = Linux::with(OPEN)?;
        let mut engine = Engine::with(OPEN)?;
        compare(rounds, || engine.rate(), || linux.rate())
    },
};
