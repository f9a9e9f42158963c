//! fork(2): the child goes on with its parent's sockets, and opens its own.

use crate::support::{address, connected, engine};
use braid_socket::{BraidListener, BraidStream};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io::{Read, Write};

/// Runs `work` in a child; it succeeds if that gives true.
fn in_child(work: impl FnOnce() -> std::io::Result<bool>) -> impl FnOnce() {
    // SAFETY: the child uses the C library's allocator, which bears a fork, and this library, which
    // is what is tried here; it ends without running anything else of the parent's.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let status = if matches!(done, Ok(Ok(true))) { 0 } else { 1 };
            // SAFETY: no pointer is passed.
            unsafe { libc::_exit(status) };
        }
        ForkResult::Parent { child } => move || {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        },
    }
}

#[test]
fn a_child_uses_its_parents_connection() {
    let (client, server) = connected();
    let child = in_child(|| {
        let mut buffer = [0; 8];
        let count = (&server).read(&mut buffer)?;
        (&server).write_all(&buffer[..count])?;
        Ok(count == 4)
    });
    (&client).write_all(b"echo").unwrap();
    let mut buffer = [0; 8];
    assert_eq!((&client).read(&mut buffer).unwrap(), 4);
    child();
    // The child's end was not the socket's.
    (&server).write_all(b"parent").unwrap();
    assert_eq!((&client).read(&mut buffer).unwrap(), 6);
}

#[test]
fn a_child_opens_sockets_of_its_own() {
    engine();
    let address = address();
    let listener = BraidListener::bind(address).unwrap();
    let child = in_child(|| {
        let mut client = BraidStream::connect(address)?;
        client.write_all(b"from the child")?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        Ok(answer == "from the parent")
    });
    let (mut server, _) = listener.accept().unwrap();
    let mut buffer = [0; 14];
    server.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"from the child");
    server.write_all(b"from the parent").unwrap();
    drop(server);
    child();
}

#[test]
fn a_child_accepts_at_its_parents_listener() {
    engine();
    let address = address();
    let listener = BraidListener::bind(address).unwrap();
    let child = in_child(|| {
        let (mut server, _) = listener.accept()?;
        server.write_all(b"worker")?;
        drop(server);
        Ok(true)
    });
    let mut client = BraidStream::connect(address).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "worker");
    child();
}

#[test]
fn forks_while_other_threads_open_sockets() {
    engine();
    let threads: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(|| (0..100).for_each(|_| drop(connected()))))
        .collect();
    for _ in 0..20 {
        in_child(|| {
            let (client, server) = connected();
            (&client).write_all(b"x")?;
            Ok((&server).read(&mut [0; 4])? == 1)
        })();
    }
    for thread in threads {
        thread.join().unwrap();
    }
}
