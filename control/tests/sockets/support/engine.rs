//! A running `braid engine` on two links, with Linux at their other ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

use braid_control::lab::link::{Family, Link, Side};
use braid_control::lab::namespace::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long the engine may take for what it does at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Two namespaces with two links between them; the engine's packet sockets are in one.
pub(crate) struct Net {
    pub(crate) engine: Namespace,
    pub(crate) peer: Namespace,
    folder: TempDir,
}

impl Net {
    pub(crate) fn create(name: &str) -> Self {
        Self::joined(name, |link, engine, peer| {
            link.add_veth(engine, peer).unwrap();
        })
    }

    /// As [`Self::create`], with links that `join` makes between the two.
    pub(crate) fn joined(name: &str, mut join: impl FnMut(Link, &Namespace, &Namespace)) -> Self {
        let folder = tempfile::Builder::new()
            .prefix(&format!("braid-{name}-"))
            // Other users come to its socket.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let (engine, peer) = (Namespace::create().unwrap(), Namespace::create().unwrap());
        let _ = engine.set("net.ipv6.conf.default.disable_ipv6", "1");
        // A busy machine loses packets, and Linux announces an address again after two minutes only.
        let _ = peer.set("net.mptcp.add_addr_timeout", "1");
        for link in Link::all(2) {
            join(link, &engine, &peer);
            engine
                .routes()
                .unwrap()
                .set_up(&link.interface(), true)
                .unwrap();
            link.configure(&peer, Side::Peer).unwrap();
        }
        Self {
            engine,
            peer,
            folder,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join("engine.toml")
    }

    /// Writes the configuration, with `more` at its end.
    pub(crate) fn configure(&self, more: &str) {
        self.configure_workers(usual_workers(), more);
    }

    /// As [`Self::configure`], for so many workers whatever is asked of all tests.
    pub(crate) fn configure_workers(&self, workers: u8, more: &str) {
        let port =
            |link: Link| format!("kind = \"af_packet\"\ninterface = \"{}\"", link.interface());
        self.configure_ports(workers, port, more);
    }

    /// As [`Self::configure_workers`], with `port` for how the engine drives its end of a link.
    pub(crate) fn configure_ports(&self, workers: u8, port: impl Fn(Link) -> String, more: &str) {
        let mut text = format!(
            "[engine]\nsocket = \"{}\"\nshutdown_timeout = \"3s\"\nworkers = {workers}\n",
            self.socket().display()
        );
        for link in Link::all(2) {
            text += &format!(
                "[[port]]\n{}\naddresses = [\"{}/24\"]\n",
                port(link),
                link.address(Family::V4, Side::Engine),
            );
        }
        fs::write(self.configuration(), text + more).unwrap();
    }

    /// How many connections the engine has.
    pub(crate) fn connections(&self) -> usize {
        use braid_control::management::{Client, ConnectionRow, Request};
        let mut client = Client::connect(&self.socket()).unwrap();
        let rows: Vec<ConnectionRow> = client.ask(&Request::ShowConnections).unwrap();
        rows.len()
    }

    /// Starts an engine and waits until it is ready.
    pub(crate) fn start(&self) -> Engine {
        let mut child = self
            .engine
            .run(|| {
                Command::new(env!("CARGO_BIN_EXE_braid"))
                    .arg("engine")
                    .arg("--config")
                    .arg(self.configuration())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            }
        });
        let engine = Engine { child, log };
        engine.wait_for_log("ready at");
        engine
    }
}

/// How many workers engines have in tests that do not say: one or, to run them all with several,
/// BRAID_TEST_WORKERS.
pub(crate) fn usual_workers() -> u8 {
    std::env::var("BRAID_TEST_WORKERS").map_or(1, |workers| {
        workers.parse().expect("BRAID_TEST_WORKERS is a number")
    })
}

/// The address of Linux on the first link.
pub(crate) fn linux(port: u16) -> SocketAddr {
    SocketAddr::new(Link(1).address(Family::V4, Side::Peer), port)
}

/// The address of the engine on the first link.
pub(crate) fn ours() -> IpAddr {
    Link(1).address(Family::V4, Side::Engine)
}

/// A running engine, killed when dropped.
pub(crate) struct Engine {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line that contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let found = within(SOON, || self.log().iter().any(|line| line.contains(text)));
        assert!(found, "the engine never said {text:?}: {:#?}", self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = within(SOON, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(ended, "the engine does not end: {:#?}", self.log());
        status.unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.wait().signal(), Some(9));
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).unwrap().count()
    }

    /// The cores that its thread of this name may run on, as the kernel lists them.
    pub(crate) fn cores_of(&self, thread: &str) -> Option<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let folders = threads.map(|thread| thread.unwrap().path());
        let mut named = folders.filter(|folder| {
            let name = fs::read_to_string(folder.join("comm"));
            name.is_ok_and(|name| name.trim_end() == thread)
        });
        let status = fs::read_to_string(named.next()?.join("status")).ok()?;
        let mut lines = status.lines();
        let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(list.trim().to_owned())
    }

    /// Kibibytes of memory that only it has, so that the regions of programs do not count.
    pub(crate) fn own_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.unwrap().parse().unwrap()
    }

    /// How many regions it has mapped.
    pub(crate) fn regions(&self) -> usize {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap();
        maps.matches("braid-region").count()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the engine said: {:#?}", self.log());
        }
    }
}

/// Whether `happens` becomes true within `time`.
pub(crate) fn within(time: Duration, mut happens: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while !happens() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}
