//! Processes that share a socket, and die in the middle.

use crate::pair::{attach, me, open, small};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Runs `child` in a forked process until it is killed, or ends by itself.
fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child calls nothing but the given closure, which neither allocates nor locks,
    // and leaves by _exit.
    match unsafe { libc::fork() } {
        0 => {
            child();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        child => child,
    }
}

#[test]
fn a_child_that_is_killed_while_it_sends_leaves_the_socket_usable() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 10);
    for round in 0..40u32 {
        let child = fork(|| {
            loop {
                pair.send(&[b'c'; 64]);
                pair.receive(7);
            }
        });
        let until = Instant::now() + Duration::from_micros(u64::from(round * 137 % 3000));
        while Instant::now() < until {
            pair.take(4096);
            pair.arrive(&[1; 9]);
        }
        // SAFETY: our own child, waited for below: while it is a zombie its locks must be had.
        unsafe { libc::kill(child, libc::SIGKILL) };
        let started = Instant::now();
        pair.take(4096);
        assert_eq!(pair.send(b"parent"), 6, "round {round}");
        let sent = pair.take(4096);
        assert!(sent.ends_with(b"parent"), "round {round}");
        pair.receive(4096);
        pair.application.resynchronize(me(), &pair.end.as_fd());
        assert!(started.elapsed() < Duration::from_secs(1), "round {round}");
        // SAFETY: as above.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
}
