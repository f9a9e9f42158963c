//! poll(2), the kernel's and ours, and epoll(7), against what a socket holds.

use crate::support::{address, connected, engine};
use braid_socket::{BraidListener, BraidStream, calls, descriptor};
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(30);

fn poll_one(stream: &impl AsRawFd, events: i16, timeout: Duration) -> i16 {
    let mut entries = [libc::pollfd {
        fd: stream.as_raw_fd(),
        events,
        revents: 0,
    }];
    let count = calls::poll(&mut entries, Some(timeout), None).unwrap();
    assert_eq!(count, usize::from(entries[0].revents != 0));
    entries[0].revents
}

/// The kernel's poll(2) of the descriptor.
fn native(stream: &impl AsRawFd, events: i16, timeout: Duration) -> i16 {
    let mut entry = libc::pollfd {
        fd: stream.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, timeout.as_millis() as i32) };
    entry.revents
}

#[test]
fn events_are_those_of_the_ring() {
    let (client, server) = connected();
    assert_eq!(poll_one(&server, POLLIN | POLLOUT, LONG), POLLOUT);
    assert_eq!(poll_one(&server, POLLIN, SHORT), 0);
    (&client).write_all(b"x").unwrap();
    assert_eq!(poll_one(&server, POLLIN, LONG), POLLIN);
    assert_eq!((&server).read(&mut [0; 4]).unwrap(), 1);
    assert_eq!(poll_one(&server, POLLIN, SHORT), 0);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        poll_one(&server, POLLIN | POLLRDHUP, LONG),
        POLLIN | POLLRDHUP
    );
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(poll_one(&server, 0, LONG), POLLHUP);
}

#[test]
fn a_poll_is_woken_by_bytes_by_room_and_by_the_kernel() {
    let (client, server) = connected();
    let (mut kernel, end) = std::os::unix::net::UnixStream::pair().unwrap();
    let waker = thread::spawn(move || {
        thread::sleep(SHORT);
        (&client).write_all(b"x").unwrap();
        thread::sleep(SHORT);
        kernel.write_all(b"y").unwrap();
        (client, kernel)
    });
    let entry = |fd| libc::pollfd {
        fd,
        events: POLLIN,
        revents: 0,
    };
    let mut entries = [entry(end.as_raw_fd()), entry(-1), entry(server.as_raw_fd())];
    assert_eq!(calls::poll(&mut entries, Some(LONG), None).unwrap(), 1);
    assert_eq!((entries[0].revents, entries[2].revents), (0, POLLIN));
    assert_eq!((&server).read(&mut [0; 4]).unwrap(), 1);
    assert_eq!(calls::poll(&mut entries, Some(LONG), None).unwrap(), 1);
    assert_eq!((entries[0].revents, entries[2].revents), (POLLIN, 0));
    let (client, _kernel) = waker.join().unwrap();

    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < 32 << 10 {
        sent += (&client).write(&[1; 4096]).unwrap_or(0);
    }
    assert_eq!(poll_one(&client, POLLOUT, SHORT), 0);
    let reader = thread::spawn(move || {
        thread::sleep(SHORT);
        let mut left = 32 << 10;
        while left > 0 {
            left -= (&server).read(&mut [0; 4096]).unwrap();
        }
        server
    });
    assert_eq!(poll_one(&client, POLLOUT, LONG), POLLOUT);
    reader.join().unwrap();
}

/// Polls for `events` while the socket's connection is reset; what it sees, and after how long.
fn poll_through_a_reset(events: i16, peer_finishes_first: bool) -> (i16, Duration) {
    let (client, server) = connected();
    if peer_finishes_first {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(poll_one(&server, POLLRDHUP, LONG), POLLRDHUP);
    }
    server.set_nonblocking(true).unwrap();
    // Until both rings are full.
    while events & POLLOUT != 0 && poll_one(&server, POLLOUT, SHORT) != 0 {
        while (&server).write(&[1; 4096]).is_ok() {}
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            // As by a program that is killed.
            descriptor::find(client.as_raw_fd())
                .unwrap()
                .slot()
                .set_orderly(false);
            let fd = client.as_raw_fd();
            std::mem::forget(client);
            // SAFETY: nobody uses the descriptor any more.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        });
        let begin = Instant::now();
        (poll_one(&server, events, LONG), begin.elapsed())
    })
}

#[test]
fn a_reset_wakes_whatever_was_asked_for() {
    for (events, peer_finishes_first) in [
        (0, false),
        (POLLOUT, false),
        (POLLPRI, false),
        (0, true),
        (POLLOUT, true),
    ] {
        let (found, time) = poll_through_a_reset(events, peer_finishes_first);
        let always = POLLHUP | POLLERR;
        assert_eq!(found & always, always, "asked for {events}: {found}");
        assert!(time < LONG / 2, "asked for {events}: after {time:?}");
    }
}

#[test]
fn a_peer_that_finishes_wakes_nobody_who_did_not_ask() {
    let (client, server) = connected();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(poll_one(&server, 0, SHORT), 0);
    assert_eq!(poll_one(&server, POLLIN, LONG), POLLIN);
}

#[test]
fn the_kernels_poll_agrees_once_the_descriptor_is_watched() {
    let (client, server) = connected();
    calls::watch_for_good(server.as_raw_fd(), false).unwrap();
    for _ in 0..20 {
        assert_eq!(native(&server, POLLIN, Duration::ZERO), 0);
        (&client).write_all(b"abc").unwrap();
        assert_eq!(native(&server, POLLIN, LONG), POLLIN);
        assert_eq!((&server).read(&mut [0; 1]).unwrap(), 1);
        assert_eq!(native(&server, POLLIN, LONG), POLLIN);
        assert_eq!((&server).read(&mut [0; 8]).unwrap(), 2);
        // The token may still be on its way when the bytes are read; it goes with the next read.
        server.set_nonblocking(true).unwrap();
        let quiet = Instant::now() + LONG;
        while native(&server, POLLIN, SHORT) != 0 {
            assert!(Instant::now() < quiet, "readable for ever");
            assert_eq!(
                (&server).read(&mut [0; 8]).unwrap_err().kind(),
                ErrorKind::WouldBlock
            );
        }
        server.set_nonblocking(false).unwrap();
    }
}

#[test]
fn a_listener_is_readable_while_connections_wait() {
    engine();
    let address = address();
    let listener = BraidListener::bind(address).unwrap();
    assert_eq!(poll_one(&listener, POLLIN, SHORT), 0);
    let _client = BraidStream::connect(address).unwrap();
    assert_eq!(poll_one(&listener, POLLIN, LONG), POLLIN);
    assert_eq!(
        calls::readiness(listener.as_raw_fd()).unwrap() & POLLIN,
        POLLIN
    );
    listener.accept().unwrap();
    assert_eq!(poll_one(&listener, POLLIN, SHORT), 0);
}

#[test]
fn an_edge_comes_for_every_arrival() {
    let (client, server) = connected();
    server.set_nonblocking(true).unwrap();
    let epoll = nix::sys::epoll::Epoll::new(nix::sys::epoll::EpollCreateFlags::empty()).unwrap();
    use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
    let wanted = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll.add(&server, EpollEvent::new(wanted, 7)).unwrap();
    let mut events = [EpollEvent::empty(); 4];
    for round in 0..20u32 {
        (&client).write_all(b"ab").unwrap();
        let timeout = EpollTimeout::from(5000u16);
        assert_eq!(epoll.wait(&mut events, timeout), Ok(1), "round {round}");
        // One byte is left behind, so the ring is never empty.
        let mut buffer = [0; 2];
        let count = if round == 0 { 1 } else { 2 };
        // An edge of the round before may come late, and then nothing new is there yet.
        let read = (&server).read(&mut buffer[..count]).unwrap();
        assert!((1..=count).contains(&read), "round {round}: {read} bytes");
    }
}
