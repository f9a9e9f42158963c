//! Both ends of a connection in one thread that never waits.

use std::io;
use std::time::Instant;

use braid_control::bench::Latencies;

use super::{Load, Outcome, ended, warm_up_bytes, warm_up_round_trips};

/// One end of a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// Opened it, sends first.
    Client,
    /// Accepted it.
    Server,
}

/// A connection whose two ends are this thread's, and whose calls do not block.
pub trait Ends {
    /// Sends what there is room for; how much that was, 0 for none.
    fn send(&mut self, side: Side, bytes: &[u8]) -> io::Result<usize>;

    /// Receives what is there; `None` when nothing is, 0 at the end of the stream.
    fn receive(&mut self, side: Side, into: &mut [u8]) -> io::Result<Option<usize>>;

    /// Called when both ends have had their turn.
    fn turn(&mut self) -> io::Result<()>;
}

/// Does `load`.
///
/// # Errors
///
/// Those of `ends`, and when the connection ends early.
pub fn run(ends: &mut impl Ends, load: Load) -> io::Result<Outcome> {
    match load {
        Load::Bulk { bytes, buffer } => bulk(ends, bytes, buffer),
        Load::RoundTrips { size, count } => round_trips(ends, size, count),
    }
}

fn bulk(ends: &mut impl Ends, bytes: u64, buffer: usize) -> io::Result<Outcome> {
    let warm_up = warm_up_bytes(bytes);
    let total = warm_up + bytes;
    let from = vec![0x5a; buffer];
    let mut into = vec![0; buffer];
    let (mut sent, mut received) = (0_u64, 0_u64);
    let mut begun = None;
    while received < total {
        if sent < total {
            // As a program does: the rest of its buffer, until that is through.
            let offset = usize::try_from(sent % buffer as u64).unwrap_or(0);
            let rest = from.get(offset..).unwrap_or_default();
            sent += ends.send(Side::Client, rest)? as u64;
        }
        match ends.receive(Side::Server, &mut into)? {
            Some(0) => return Err(ended()),
            Some(count) => {
                received += count as u64;
                if begun.is_none() && received >= warm_up {
                    begun = Some((Instant::now(), received));
                }
            }
            None => {}
        }
        ends.turn()?;
    }
    let (start, before) = begun.ok_or_else(ended)?;
    Ok(Outcome::bulk(received - before, start.elapsed()))
}

fn round_trips(ends: &mut impl Ends, size: usize, count: u32) -> io::Result<Outcome> {
    let mut times = Latencies::new();
    let mut message = vec![0x5a; size];
    let warm_up = warm_up_round_trips(count);
    for number in 0..warm_up + count {
        let start = Instant::now();
        for (from, to) in [(Side::Client, Side::Server), (Side::Server, Side::Client)] {
            pass(ends, from, to, &mut message)?;
        }
        if number >= warm_up {
            times.record(start.elapsed());
        }
    }
    Ok(Outcome::round_trips(&times))
}

fn pass(ends: &mut impl Ends, from: Side, to: Side, message: &mut [u8]) -> io::Result<()> {
    let (mut sent, mut received) = (0, 0);
    while received < message.len() {
        if let Some(rest) = message.get(sent..).filter(|rest| !rest.is_empty()) {
            sent += ends.send(from, rest)?;
        }
        let rest = message.get_mut(received..).unwrap_or_default();
        match ends.receive(to, rest)? {
            Some(0) => return Err(ended()),
            Some(count) => received += count,
            None => ends.turn()?,
        }
    }
    Ok(())
}
