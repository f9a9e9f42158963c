//! Signals that come while a call waits (signal(7), "Interruption of system calls by signal
//! handlers"). Handlers are the process's, so there is one test, which does one thing after the other.

mod support;

use braid_socket::{BraidStream, calls};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);

static HANDLED: AtomicU32 = AtomicU32::new(0);
static WRITES_TO: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
    let fd = WRITES_TO.load(Ordering::Relaxed);
    if fd >= 0 {
        let sent = braid_socket::calls::send_one(fd, b"!", libc::MSG_DONTWAIT);
        assert_eq!(sent, Ok(1));
    }
}

fn install(flags: SaFlags) {
    let action = SigAction::new(SigHandler::Handler(handle), flags, SigSet::empty());
    // SAFETY: the handler only touches atomics and makes calls of this library, which may be made.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
}

/// Reads while a signal comes, and bytes after it.
fn read_through_a_signal(client: &BraidStream, server: &BraidStream) -> std::io::Result<usize> {
    let reader = pthread_self();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(PAUSE);
            pthread_kill(reader, Signal::SIGUSR1).unwrap();
            thread::sleep(PAUSE);
            (&*client).write_all(b"bytes").unwrap();
        });
        (&*server).read(&mut [0; 8])
    })
}

#[test]
fn a_handler_interrupts_a_wait_unless_it_restarts() {
    let (client, server) = support::connected();
    install(SaFlags::SA_RESTART);
    assert_eq!(read_through_a_signal(&client, &server).unwrap(), 5);
    assert_eq!(HANDLED.load(Ordering::Relaxed), 1);

    install(SaFlags::empty());
    let error = read_through_a_signal(&client, &server).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
    assert_eq!((&server).read(&mut [0; 8]).unwrap(), 5);

    // With a timeout nothing is restarted.
    install(SaFlags::SA_RESTART);
    server
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let error = read_through_a_signal(&client, &server).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
    assert_eq!((&server).read(&mut [0; 8]).unwrap(), 5);
    server.set_read_timeout(None).unwrap();

    install(SaFlags::SA_RESTART);
    a_call_that_has_begun_gives_its_part(&client, &server);
    handlers_write(&client, server);
}

/// Calls while a signal comes, and `rest` is done after it.
fn through_a_signal<R>(call: impl FnOnce() -> R, rest: impl FnOnce() + Send) -> R {
    let caller = pthread_self();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            thread::sleep(PAUSE);
            pthread_kill(caller, Signal::SIGUSR1).unwrap();
            thread::sleep(PAUSE);
            // Only for a call that the signal has not ended, so that the test comes to an end.
            if !done.load(Ordering::Relaxed) {
                rest();
            }
        });
        let result = call();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// Even where the handler restarts: MSG_WAITALL, and a blocking send.
fn a_call_that_has_begun_gives_its_part(client: &BraidStream, server: &BraidStream) {
    const LONG: usize = 1 << 20;
    (&*client).write_all(b"abc").unwrap();
    let received = through_a_signal(
        || calls::receive_one(server.as_raw_fd(), &mut [0; 8], libc::MSG_WAITALL),
        || (&*client).write_all(b"defgh").unwrap(),
    );
    assert_eq!(received, Ok(3));

    let drain = |count: usize| {
        let mut left = count;
        while left > 0 {
            left -= (&*server).read(&mut vec![0; left.min(4096)]).unwrap();
        }
    };
    let sent = through_a_signal(
        || calls::send_one(client.as_raw_fd(), &vec![b'x'; LONG], 0),
        || drain(LONG),
    );
    let sent = sent.unwrap();
    assert!((1..LONG).contains(&sent), "{sent} of {LONG}");
    drain(sent);
}

/// Handlers write to the socket that the thread they interrupt writes to.
fn handlers_write(client: &BraidStream, server: BraidStream) {
    const SIGNALS: u32 = 200;
    WRITES_TO.store(client.as_raw_fd(), Ordering::Relaxed);
    let writer = pthread_self();
    let before = HANDLED.load(Ordering::Relaxed);
    let reader = thread::spawn(move || {
        let (mut marks, mut others) = (0, 0);
        let mut buffer = [0; 4096];
        loop {
            let count = (&server).read(&mut buffer).unwrap();
            let found = buffer[..count].iter().filter(|byte| **byte == b'!').count();
            marks += found;
            others += count - found;
            if count == 0 || buffer[count - 1] == b'$' {
                return (marks, others);
            }
        }
    });
    let mut sent = 0;
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 1..=SIGNALS {
                pthread_kill(writer, Signal::SIGUSR1).unwrap();
                while HANDLED.load(Ordering::Relaxed) < before + n {
                    thread::yield_now();
                }
            }
        });
        while HANDLED.load(Ordering::Relaxed) < before + SIGNALS {
            (&*client).write_all(&[b'.'; 100]).unwrap();
            sent += 100;
            // Room for the handlers, which do not wait for it.
            thread::sleep(Duration::from_micros(100));
        }
    });
    (&*client).write_all(b"$").unwrap();
    let (marks, others) = reader.join().unwrap();
    assert_eq!((marks, others), (SIGNALS as usize, sent + 1));
}
