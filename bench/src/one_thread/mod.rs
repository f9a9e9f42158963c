//! Two hosts in one thread, and bytes from one to the other: what a stack costs where nothing else
//! counts. Frames of 1,514 bytes are checked and built with checksums, and applications copy theirs into
//! the stack and out of it.

pub mod braid;
pub mod mptcp_rs;
pub mod smoltcp;

use std::time::{Duration, Instant};

/// What an application gives and takes at once, and what each end's buffer holds.
pub const BUFFER: usize = 1 << 20;

/// Bytes of one transfer.
pub const TRANSFER: usize = 4 << 20;

/// How long transfers are repeated for one figure.
const SAMPLE: Duration = Duration::from_millis(400);

/// Two hosts with a connection.
pub trait Hosts {
    /// Moves [`TRANSFER`] bytes from the first host's application to the second's.
    ///
    /// # Errors
    ///
    /// When the connection ends, or nothing moves any more.
    fn transfer(&mut self) -> Result<(), String>;
}

/// Goodput in Gbit/s.
///
/// # Errors
///
/// Those of the transfers.
pub fn goodput(hosts: &mut impl Hosts) -> Result<f64, String> {
    let start = Instant::now();
    let mut bytes = 0;
    while start.elapsed() < SAMPLE {
        hosts.transfer()?;
        bytes += TRANSFER;
    }
    Ok(bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}
