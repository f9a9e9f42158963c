//! Threads that share sockets, and wake-ups that must not be lost.

use crate::support::connected;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// The fake engine sleeps for a second at a time, so a lost wake-up takes one.
#[test]
fn a_long_ping_pong_loses_no_wake_up() {
    const ROUNDS: u32 = 20_000;
    let (client, server) = connected();
    let echo = thread::spawn(move || {
        let mut byte = [0; 1];
        while (&server).read(&mut byte).unwrap() == 1 {
            (&server).write_all(&byte).unwrap();
        }
    });
    let mut slowest = std::time::Duration::ZERO;
    for round in 0..ROUNDS {
        let start = Instant::now();
        let byte = [round as u8];
        (&client).write_all(&byte).unwrap();
        let mut answer = [0; 1];
        assert_eq!((&client).read(&mut answer).unwrap(), 1);
        assert_eq!(answer, byte);
        slowest = slowest.max(start.elapsed());
    }
    drop(client);
    echo.join().unwrap();
    assert!(
        slowest.as_millis() < 900,
        "a wake-up was lost: {slowest:?} for one round"
    );
}

#[test]
fn threads_may_write_and_read_one_socket() {
    const THREADS: usize = 4;
    const RECORDS: usize = 2_000;
    let (client, server) = connected();
    let (client, server) = (Arc::new(client), Arc::new(server));
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                for _ in 0..RECORDS {
                    // Small writes are whole: one claim of the ring.
                    assert_eq!((&*client).write(&[thread as u8; 8]).unwrap(), 8);
                }
            })
        })
        .collect();
    let readers: Vec<_> = (0..THREADS)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                let mut counts = [0; THREADS];
                let mut buffer = [0; 1000];
                loop {
                    let count = (&*server).read(&mut buffer).unwrap();
                    if count == 0 {
                        return counts;
                    }
                    for byte in &buffer[..count] {
                        counts[usize::from(*byte)] += 1;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    let mut total = [0; THREADS];
    for reader in readers {
        let counts = reader.join().unwrap();
        for (total, count) in total.iter_mut().zip(counts) {
            *total += count;
        }
    }
    assert_eq!(total, [8 * RECORDS; THREADS]);
}

#[test]
fn many_threads_open_and_close_at_once() {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(|| {
                for round in 0..50u32 {
                    let (client, server) = connected();
                    (&client).write_all(&round.to_ne_bytes()).unwrap();
                    drop(client);
                    let mut bytes = Vec::new();
                    (&server).read_to_end(&mut bytes).unwrap();
                    assert_eq!(bytes, round.to_ne_bytes());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
