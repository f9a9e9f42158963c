//! A connection's bytes: read(2), write(2) and their family.

use crate::support::{ACKNOWLEDGED_AFTER, connected};
use braid_socket::calls;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(30);

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways_and_end() {
    let (mut client, mut server) = connected();
    client.write_all(b"question").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(server.read(&mut buffer).unwrap(), 8);
    assert_eq!(&buffer[..8], b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
    assert_eq!(client.read(&mut buffer).unwrap(), 0);
}

#[test]
fn a_megabyte_goes_through_rings_of_sixteen_kilobytes() {
    let (mut client, mut server) = connected();
    let sent = pattern(1 << 20);
    let expected = sent.clone();
    let writer = thread::spawn(move || client.write_all(&sent).unwrap());
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == expected, "{} bytes came", received.len());
}

#[test]
fn a_write_that_does_not_fit_is_partial() {
    let (client, mut server) = connected();
    client.set_nonblocking(true).unwrap();
    let sent = pattern(1 << 20);
    let mut count = 0;
    let full = Instant::now() + Duration::from_millis(200);
    while Instant::now() < full {
        match (&client).write(&sent[count..]) {
            Ok(more) => count += more,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(count, 32 << 10, "both rings are full, and no more");
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    assert!(received == sent[..count]);
}

#[test]
fn vectors_are_sent_and_filled_in_order() {
    let (client, server) = connected();
    let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!((&client).write_vectored(&parts).unwrap(), 5);
    let (mut first, mut second) = ([0; 1], [0; 9]);
    let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!((&server).read_vectored(&mut parts).unwrap(), 5);
    assert_eq!((&first, &second[..4]), (b"a", &b"bcde"[..]));
}

#[test]
fn peek_leaves_the_bytes() {
    let (client, server) = connected();
    (&client).write_all(b"look").unwrap();
    let mut buffer = [0; 8];
    for _ in 0..2 {
        assert_eq!(server.peek(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"look");
    }
    assert_eq!((&server).read(&mut buffer).unwrap(), 4);
    server.set_nonblocking(true).unwrap();
    let error = server.peek(&mut buffer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn waitall_waits_for_all_or_the_end() {
    for flags in [libc::MSG_WAITALL, libc::MSG_WAITALL | libc::MSG_PEEK] {
        let (client, server) = connected();
        let writer = thread::spawn(move || {
            for piece in [&b"one"[..], b"two", b"three"] {
                (&client).write_all(piece).unwrap();
                thread::sleep(PAUSE);
            }
        });
        let mut buffer = [0; 11];
        assert_eq!(server.receive(&mut buffer, flags).unwrap(), 11);
        assert_eq!(&buffer, b"onetwothree");
        writer.join().unwrap();
        if flags & libc::MSG_PEEK == 0 {
            (&server).write_all(b"x").unwrap();
            assert_eq!(server.receive(&mut buffer, flags).unwrap(), 0);
        }
    }
    let (client, server) = connected();
    (&client).write_all(b"short").unwrap();
    drop(client);
    assert_eq!(server.receive(&mut [0; 11], libc::MSG_WAITALL).unwrap(), 5);
}

#[test]
fn trunc_drops_bytes() {
    let (client, server) = connected();
    (&client).write_all(&pattern(6000)).unwrap();
    let mut dropped = 0;
    while dropped < 5999 {
        dropped += calls::discard(server.as_raw_fd(), 5999 - dropped, 0).unwrap();
    }
    let mut buffer = [0; 8];
    assert_eq!((&server).read(&mut buffer).unwrap(), 1);
    assert_eq!(buffer[0], pattern(6000)[5999]);
}

#[test]
fn timeouts_end_reads_and_writes() {
    let (client, server) = connected();
    server.set_read_timeout(Some(PAUSE)).unwrap();
    let start = Instant::now();
    let error = (&server).read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(
        start.elapsed() >= PAUSE && start.elapsed() < 20 * PAUSE,
        "{:?}",
        start.elapsed()
    );
    client.set_write_timeout(Some(PAUSE)).unwrap();
    let start = Instant::now();
    assert_eq!((&client).write(&[7; 1 << 20]).unwrap(), 32 << 10);
    let error = (&client).write(&[7]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(
        start.elapsed() >= 2 * PAUSE && start.elapsed() < 40 * PAUSE,
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn low_water_makes_a_read_wait_for_more() {
    let (client, server) = connected();
    let bytes = 6i32.to_ne_bytes();
    server
        .socket()
        .set_option(libc::SOL_SOCKET, libc::SO_RCVLOWAT, &bytes)
        .unwrap();
    let writer = thread::spawn(move || {
        for _ in 0..3 {
            (&client).write_all(b"ab").unwrap();
            thread::sleep(PAUSE);
        }
        client
    });
    assert_eq!((&server).read(&mut [0; 64]).unwrap(), 6);
    // No more than the caller's buffer takes.
    let client = writer.join().unwrap();
    (&client).write_all(b"ab").unwrap();
    assert_eq!((&server).read(&mut [0; 2]).unwrap(), 2);
}

#[test]
fn a_peer_that_dies_resets_once() {
    let (client, server) = connected();
    (&server).write_all(b"last").unwrap();
    let mut buffer = [0; 8];
    assert_eq!(client.peek(&mut buffer).unwrap(), 4);
    // Not by way of the library: as when the process is killed.
    let fd = server.into_raw_fd();
    braid_socket::descriptor::forget(fd);
    nix::unistd::close(fd).unwrap();
    while calls::readiness(client.as_raw_fd()).unwrap() & libc::POLLERR == 0 {
        thread::yield_now();
    }
    assert_eq!(
        (&client).read(&mut buffer).unwrap(),
        4,
        "what had come is read first"
    );
    let error = (&client).read(&mut buffer).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
    assert_eq!((&client).read(&mut buffer).unwrap(), 0);
    let error = (&client).write(b"x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
}

#[test]
fn shutdown_ends_one_direction() {
    let (client, server) = connected();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&server).read(&mut [0; 8]).unwrap(), 0);
    let error = (&client).write(b"x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    (&server).write_all(b"still").unwrap();
    assert_eq!((&client).read(&mut [0; 8]).unwrap(), 5);
}

#[test]
fn what_waits_can_be_counted() {
    let (client, server) = connected();
    (&client).write_all(b"12345").unwrap();
    assert_eq!(server.peek(&mut [0; 8]).unwrap(), 5);
    assert_eq!(calls::unread_bytes(server.as_raw_fd()).unwrap(), 5);
    // The engine says that it has taken them once it has handed them on.
    while calls::send_queue_bytes(client.as_raw_fd()).unwrap() > 0 {
        thread::yield_now();
    }
    client.set_nonblocking(true).unwrap();
    let mut sent = 5;
    while sent < 32 << 10 {
        sent += (&client).write(&[1; 4096]).unwrap_or(0);
    }
    assert_eq!(
        calls::send_queue_bytes(client.as_raw_fd()).unwrap(),
        16 << 10
    );
}

/// How long it takes to close a socket that lingers for so many seconds, when what it has sent is
/// acknowledged after that time.
fn close_takes(linger_seconds: i32, acknowledged_after: Duration) -> Duration {
    let (client, server) = connected();
    let linger = [1i32.to_ne_bytes(), linger_seconds.to_ne_bytes()].concat();
    let milliseconds = i32::try_from(acknowledged_after.as_millis()).unwrap();
    let fd = client.as_raw_fd();
    calls::set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &linger).unwrap();
    calls::set_option(
        fd,
        libc::IPPROTO_TCP,
        ACKNOWLEDGED_AFTER,
        &milliseconds.to_ne_bytes(),
    )
    .unwrap();
    (&client).write_all(b"12345").unwrap();
    // The ring is empty from here on.
    assert_eq!((&server).read(&mut [0; 8]).unwrap(), 5);
    let begin = Instant::now();
    drop(client);
    begin.elapsed()
}

#[test]
fn a_lingering_close_waits_for_acknowledgments() {
    const AFTER: Duration = Duration::from_millis(300);
    let time = close_takes(5, AFTER);
    assert!(time > AFTER / 2 && time < 5 * AFTER, "{time:?}");
    let time = close_takes(1, Duration::from_secs(10));
    let second = Duration::from_secs(1);
    assert!(time >= second && time < 3 * second, "{time:?}");
    let time = close_takes(0, AFTER);
    assert!(time < AFTER / 2, "{time:?}");
}
