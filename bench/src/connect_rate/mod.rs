//! Connections that come, carry 64 bytes to the server, and go, on two cores, beside some that stay.

mod engine;
mod linux;

use std::time::Duration;

pub use engine::Engine;
pub use linux::Linux;

/// What a connection carries.
const MESSAGE: [u8; 64] = [0x5a; 64];

/// How long it is measured, after a while that does not count.
const SAMPLE: Duration = Duration::from_millis(600);
const WARM_UP: Duration = Duration::from_millis(150);
