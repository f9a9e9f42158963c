//! One transfer over the kernel's sockets, from opening the connection to the last byte.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::kernel_info::KernelSubflow;
use super::socket::{Listener, PeerProtocol, Socket};
use crate::stream::{Digest, Receiver, Stream};

/// Bytes moved by one call of read or write.
const CHUNK: usize = 1 << 18;

/// How the program gets its connection.
#[derive(Debug)]
pub enum Role {
    /// Waits for one.
    Server(Listener),
    /// Opens one to this address.
    Client(PeerProtocol, SocketAddr),
}

/// What the program does with its connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Sends the stream, then waits for the other side to finish.
    Send(Stream),
    /// Receives to the end, then finishes.
    Receive,
}

/// How far a transfer has come, for who watches from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    received: AtomicU64,
    failed: AtomicBool,
}

impl Progress {
    /// Payload bytes that the receiving application has.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Notes that the receiver has `total` bytes.
    pub fn set_received(&self, total: u64) {
        self.received.store(total, Ordering::Relaxed);
    }

    /// Whether one side has given up, so that the other need not wait.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that one side has given up.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

impl Progress {
    /// Runs one side of a transfer. If it ends in an error or a panic, the other side is told.
    pub fn of_side<T, E>(&self, side: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        struct Unfinished<'a>(&'a Progress);
        impl Drop for Unfinished<'_> {
            fn drop(&mut self) {
                self.0.fail();
            }
        }
        let unfinished = Unfinished(self);
        let result = side();
        if result.is_ok() {
            std::mem::forget(unfinished);
        }
        result
    }
}

/// What the program reports to and is bounded by.
#[derive(Copy, Clone, Debug)]
pub struct Watch<'a> {
    /// Where a receiver tells how far it is.
    pub progress: &'a Progress,
    /// How long nothing may move before the program gives up.
    pub patience: Duration,
}

/// What the program saw.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Bytes received.
    pub received: u64,
    /// The digest of the bytes received.
    pub digest: Digest,
    /// From the connection's establishment to the end of the other side's stream.
    pub elapsed: Duration,
    /// Whether the connection went on as plain TCP.
    pub fallback: bool,
    /// The subflows when the last byte had been handed over or received.
    pub subflows: Vec<KernelSubflow>,
}

/// Runs the program in the calling thread's namespace.
pub fn run(role: Role, activity: Activity, watch: Watch<'_>) -> io::Result<Outcome> {
    // Linux takes further subflows only while something listens: the listener lives to the end.
    let mut socket = match &role {
        Role::Server(listener) => {
            listener.accept(watch.patience, || watch.progress.has_failed())?
        }
        Role::Client(protocol, address) => Socket::connect(*protocol, *address, watch.patience)?,
    };
    socket.set_patience(watch.patience)?;
    let start = Instant::now();
    // Each side looks at its subflows before it says that it is done: until then none closes.
    let (receiver, fallback, subflows) = match activity {
        Activity::Send(stream) => {
            stream.write_to(&mut socket, CHUNK)?;
            let (fallback, subflows) = inspect(&socket)?;
            socket.finish_sending()?;
            (
                Receiver::read_from(&mut socket, CHUNK, |_| {})?,
                fallback,
                subflows,
            )
        }
        Activity::Receive => {
            let receiver = Receiver::read_from(&mut socket, CHUNK, |bytes| {
                watch.progress.set_received(bytes);
            })?;
            let (fallback, subflows) = inspect(&socket)?;
            socket.finish_sending()?;
            (receiver, fallback, subflows)
        }
    };
    let elapsed = start.elapsed();
    drop(role);
    Ok(Outcome {
        received: receiver.received(),
        digest: receiver.finish(),
        elapsed,
        fallback,
        subflows,
    })
}

fn inspect(socket: &Socket) -> io::Result<(bool, Vec<KernelSubflow>)> {
    let fallback = socket.fell_back()?;
    let subflows = if fallback {
        Vec::new()
    } else {
        socket.subflows()?
    };
    Ok((fallback, subflows))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn the_other_side_learns_of_an_error_and_of_a_panic() {
        let progress = Progress::default();
        assert_eq!(progress.of_side(|| Ok::<_, ()>(1)), Ok(1));
        assert!(!progress.has_failed());
        assert_eq!(progress.of_side(|| Err::<(), _>(2)), Err(2));
        assert!(progress.has_failed());

        let progress = Progress::default();
        let panicking = || progress.of_side(|| -> Result<(), ()> { panic!("as the test asks") });
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert!(progress.has_failed());
    }
}
