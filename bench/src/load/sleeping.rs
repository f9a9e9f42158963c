//! Each end of a connection in a thread of its own, with calls that block.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Instant;

use braid_control::bench::Latencies;

use super::{Load, Outcome, ended, warm_up_bytes, warm_up_round_trips};

/// Does `load` over the two ends of one connection.
///
/// # Errors
///
/// Those of the ends, and when the connection ends early.
pub fn run<S: Read + Write + Send>(
    client: &mut S,
    server: &mut S,
    load: Load,
) -> io::Result<Outcome> {
    match load {
        Load::Bulk { bytes, buffer } => bulk(client, server, bytes, buffer),
        Load::RoundTrips { size, count } => round_trips(client, server, size, count),
    }
}

/// Runs `here` beside `there`. Whichever fails first, the other's connection ends by it.
fn beside<T>(
    there: impl FnOnce() -> io::Result<()> + Send,
    here: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    thread::scope(|scope| {
        let there = scope.spawn(there);
        let result = here()?;
        match there.join() {
            Ok(ended) => ended.map(|()| result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn bulk<S: Read + Write + Send>(
    client: &mut S,
    server: &mut S,
    bytes: u64,
    buffer: usize,
) -> io::Result<Outcome> {
    let warm_up = warm_up_bytes(bytes);
    let total = warm_up + bytes;
    let send = || {
        let from = vec![0x5a; buffer];
        let mut left = total;
        while left > 0 {
            let length = usize::try_from(left).map_or(buffer, |left| left.min(buffer));
            client.write_all(from.get(..length).unwrap_or_default())?;
            left -= length as u64;
        }
        Ok(())
    };
    let receive = || {
        let mut into = vec![0; buffer];
        let mut received = 0_u64;
        let mut begun = None;
        while received < total {
            match server.read(&mut into)? {
                0 => return Err(ended()),
                count => received += count as u64,
            }
            if begun.is_none() && received >= warm_up {
                begun = Some((Instant::now(), received));
            }
        }
        let (start, before) = begun.ok_or_else(ended)?;
        Ok(Outcome::bulk(received - before, start.elapsed()))
    };
    beside(send, receive)
}

fn round_trips<S: Read + Write + Send>(
    client: &mut S,
    server: &mut S,
    size: usize,
    count: u32,
) -> io::Result<Outcome> {
    let warm_up = warm_up_round_trips(count);
    let answer = || {
        let mut message = vec![0; size];
        for _ in 0..warm_up + count {
            server.read_exact(&mut message)?;
            server.write_all(&message)?;
        }
        Ok(())
    };
    let ask = || {
        let mut times = Latencies::new();
        let mut message = vec![0x5a; size];
        for number in 0..warm_up + count {
            let start = Instant::now();
            client.write_all(&message)?;
            client.read_exact(&mut message)?;
            if number >= warm_up {
                times.record(start.elapsed());
            }
        }
        Ok(Outcome::round_trips(&times))
    };
    beside(answer, ask)
}
