//! An engine for tests: the engine's side of `braid_shm`, on one thread, with loopback for a network.
//!
//! Sockets that connect to a listener of any of its applications get a pair of rings; nothing else of
//! TCP is there. Connecting to port 1 fails with ECONNREFUSED, to port 2 never ends.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test uses what it needs"
)]

mod engine;
mod pair;
mod socket;

use engine::{Ending, Engine};
pub use socket::ACKNOWLEDGED_AFTER;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

/// A running engine; dropped, it dies as by SIGKILL.
pub struct FakeEngine {
    path: PathBuf,
    ending: Arc<Ending>,
    thread: Option<JoinHandle<()>>,
}

impl FakeEngine {
    /// Starts one at a path of its own.
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("braid-fake-{}-{count}.sock", std::process::id());
        // The last one of a test program may be left there, for statics are never dropped.
        Self::start_at(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// Starts one at `path`, where there was one before or none.
    pub fn start_at(path: &Path) -> Self {
        let ending = Arc::new(Ending::new());
        let engine = Engine::new(path, Arc::clone(&ending));
        Self {
            path: path.to_owned(),
            ending,
            thread: Some(thread::spawn(move || engine.run())),
        }
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sockets that some application still has.
    pub fn sockets(&self) -> usize {
        self.ending.sockets()
    }

    /// Ends it: `farewell` as by SIGTERM, otherwise as by SIGKILL.
    pub fn end(mut self, farewell: bool) {
        self.stop(farewell);
    }

    fn stop(&mut self, farewell: bool) {
        self.ending.ask(farewell);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the fake engine panicked");
        }
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop(false);
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The engine of this test program, started once; all sockets are its.
pub fn engine() -> &'static FakeEngine {
    use std::sync::OnceLock;
    static ENGINE: OnceLock<FakeEngine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let engine = FakeEngine::start();
        braid_socket::attachment::use_engine(engine.path());
        engine
    })
}

/// An address that no other test has, nor a forked child of one.
pub fn address() -> SocketAddr {
    static PORT: AtomicU32 = AtomicU32::new(1000);
    let port = PORT.fetch_add(1, Ordering::Relaxed) as u16;
    let [_, _, high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([198, 18, high, low], port))
}

/// Two ends of a connection.
pub fn connected() -> (braid_socket::BraidStream, braid_socket::BraidStream) {
    engine();
    let address = address();
    let listener = braid_socket::BraidListener::bind(address).expect("listen");
    let client = braid_socket::BraidStream::connect(address).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    (client, server)
}
