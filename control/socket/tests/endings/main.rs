//! What programs see when the engine ends, and when another takes its place. Each test has engines of
//! its own, so they run one after the other.

#[path = "../support/mod.rs"]
mod support;

use braid_socket::{BraidListener, BraidStream, attachment, calls};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use support::FakeEngine;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn pair(engine: &FakeEngine) -> (BraidStream, BraidStream) {
    attachment::use_engine(engine.path());
    let address = support::address();
    let listener = BraidListener::bind(address).expect("listen");
    let client = BraidStream::connect(address).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    (client, server)
}

fn is_reset<T: std::fmt::Debug>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::ECONNRESET))
}

/// Waits until a thread of this process has been asleep for a while.
fn wait_until_asleep(thread_id: libc::pid_t) {
    let state = || {
        let line = std::fs::read_to_string(format!("/proc/self/task/{thread_id}/stat")).ok()?;
        // The state follows the name, which is in parentheses.
        line.rsplit(") ").next()?.chars().next()
    };
    let give_up = Instant::now() + Duration::from_secs(10);
    let mut asleep_since = Instant::now();
    while asleep_since.elapsed() < Duration::from_millis(50) {
        assert!(Instant::now() < give_up, "the thread does not sleep");
        thread::sleep(Duration::from_millis(5));
        if state() != Some('S') {
            asleep_since = Instant::now();
        }
    }
}

/// Ends the engine while a thread is inside `sleep`, and says how long that took to notice.
fn wakes(farewell: bool, sleep: impl FnOnce(BraidStream) -> bool + Send + 'static) {
    let engine = FakeEngine::start();
    let (client, _server) = pair(&engine);
    let (tell, thread_id) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        // SAFETY: gettid has no arguments and cannot fail.
        tell.send(unsafe { libc::gettid() }).unwrap();
        sleep(client)
    });
    wait_until_asleep(thread_id.recv().unwrap());
    let start = Instant::now();
    engine.end(farewell);
    assert!(sleeper.join().unwrap(), "farewell: {farewell}");
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_engines_end_wakes_every_sleeper() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for farewell in [false, true] {
        wakes(farewell, |client| is_reset((&client).read(&mut [0; 8])));
        wakes(farewell, |client| {
            // Fills both rings first.
            let written = (&client).write(&[1; 1 << 20]);
            written.is_ok_and(|count| count == 32 << 10) && is_reset((&client).write(&[1]))
        });
        wakes(farewell, |client| {
            let fd = client.as_raw_fd();
            let mut entries = [libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            }];
            let count = calls::poll(&mut entries, None, None);
            count == Ok(1) && entries[0].revents & libc::POLLHUP != 0
        });
        wakes(farewell, |_client| {
            let listener = BraidListener::bind(support::address()).unwrap();
            is_reset(listener.accept())
        });
        wakes(farewell, |_client| {
            is_reset(BraidStream::connect("192.0.2.1:2".parse().unwrap()))
        });
    }
}

#[test]
fn every_call_says_so_and_what_came_is_read_first() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = FakeEngine::start();
    let (client, server) = pair(&engine);
    (&server).write_all(b"last words").unwrap();
    assert_eq!(client.peek(&mut [0; 16]).unwrap(), 10);
    engine.end(false);
    let mut buffer = [0; 16];
    assert_eq!((&client).read(&mut buffer).unwrap(), 10);
    for _ in 0..2 {
        assert!(is_reset((&client).read(&mut buffer)));
        assert!(is_reset((&client).write(b"x")));
        assert!(is_reset(client.peer_address()));
        assert!(is_reset(client.socket().enable_multipath(true)));
        assert!(is_reset(client.shutdown(std::net::Shutdown::Both)));
    }
    let error = client.take_error().unwrap().expect("an error");
    assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
}

#[test]
fn a_non_blocking_reader_hears_of_it() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = FakeEngine::start();
    let (client, _server) = pair(&engine);
    client.set_nonblocking(true).unwrap();
    let error = (&client).read(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    engine.end(false);
    assert!(is_reset((&client).read(&mut [0; 4])));
}

#[test]
fn a_restarted_engine_takes_the_same_program() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let engine = FakeEngine::start();
    let path = engine.path().to_owned();
    drop(pair(&engine));
    engine.end(true);
    let mut before = None;
    for round in 0..50 {
        let engine = FakeEngine::start_at(&path);
        let address = support::address();
        let listener = BraidListener::bind(address).expect("a socket of the new engine");
        let client = BraidStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        (&client).write_all(b"anew").unwrap();
        let mut buffer = [0; 4];
        server.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"anew");
        drop((listener, client, server));
        engine.end(round % 2 == 0);
        let now = descriptors();
        let first = *before.get_or_insert(now);
        assert_eq!(now, first, "descriptors after {round} engines");
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(
        maps.matches("braid-region").count() <= 3,
        "regions stay mapped:\n{maps}"
    );
}

#[test]
fn without_an_engine_there_is_no_socket() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    attachment::use_engine(std::path::Path::new("/nonexistent/engine.sock"));
    let error = BraidListener::bind("192.0.2.1:80".parse().unwrap()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
}

#[test]
fn sockets_are_given_back() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = FakeEngine::start();
    for _ in 0..300 {
        drop(pair(&engine));
    }
    let end = Instant::now() + Duration::from_secs(5);
    while engine.sockets() > 0 {
        assert!(
            Instant::now() < end,
            "{} sockets are left",
            engine.sockets()
        );
        thread::sleep(Duration::from_millis(5));
    }
}
