//! What the tests share: a network with an engine on one side and Linux on the other, programs on
//! either side, and what the engine tells of its subflows.

mod content;
mod process;
mod program;
mod subflows;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

use braid_control::lab::link::{Family, Link, Side};
use braid_control::lab::netlink::{Endpoint, EndpointFlags};
use braid_control::management::{Client, ListenerRow, Request};

use crate::engine::{Engine, Net, SOON, linux, ours, within};
use crate::preload;
pub(crate) use content::{content, digest, digest_of_file};
pub(crate) use process::{Finished, Process};
pub(crate) use program::installed;
use subflows::Subflows;

/// Both sides announce their second address and open subflows to what the other announces.
const PATHS: &str = "[[endpoint]]\nid = 2\naddress = \"10.1.2.2\"\nflags = [\"signal\"]\n\
    [limits]\nsubflows = 4\nadd_addr_accepted = 4\n";

/// The network, the engine, and a folder for files.
pub(crate) struct Rig {
    // Dropped in this order.
    subflows: Subflows,
    engine: Engine,
    net: Net,
    folder: TempDir,
}

impl Rig {
    pub(crate) fn start(name: &str) -> Self {
        let net = Net::create(name);
        net.configure(PATHS);
        announce_second_link(&net);
        let engine = net.start();
        let subflows = Subflows::watch(&net.socket());
        let folder = tempfile::Builder::new()
            .prefix(&format!("braid-{name}-"))
            // Some servers give up root, and read there still.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        Self {
            subflows,
            engine,
            net,
            folder,
        }
    }

    /// A file in the folder of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a program whose sockets are the engine's. None may be the kernel's: it is strict.
    pub(crate) fn ours(&self, program: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
        command
            .args(["exec", "--quiet", "--strict", "--socket"])
            .arg(self.net.socket())
            .arg("--")
            .arg(program)
            .args(arguments);
        Process::start(&self.net.engine, command, self.folder.path())
    }

    /// Starts a program whose sockets are Linux's, of Multipath TCP.
    pub(crate) fn linux(&self, program: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("LD_PRELOAD", preload::library())
            .env("BRAID_PEER", "mptcp");
        Process::start(&self.net.peer, command, self.folder.path())
    }

    /// Waits until a program listens at the engine's port `port`.
    pub(crate) fn wait_for_our_listener(&self, port: u16, server: &Process) {
        let mut client = Client::connect(&self.net.socket()).unwrap();
        let listens = within(SOON, || {
            let rows: Vec<ListenerRow> = client.ask(&Request::ShowListeners).unwrap();
            rows.iter().any(|row| row.address.port() == port)
        });
        assert!(listens, "nothing listens at {port}: {}", server.said());
    }

    /// Waits until a program listens at Linux's port `port`.
    pub(crate) fn wait_for_linux_listener(&self, port: u16, server: &Process) {
        // Local address and port, remote ones, and the state, as proc(5) has them.
        let local = format!(":{port:04X}");
        let listens = within(SOON, || {
            let lines = self.net.peer.run(|| {
                ["tcp", "tcp6"].map(|family| {
                    fs::read_to_string(format!("/proc/thread-self/net/{family}"))
                        .unwrap_or_default()
                })
            });
            lines.unwrap().concat().lines().any(|line| {
                let mut fields = line.split_whitespace().skip(1);
                fields.next().is_some_and(|field| field.ends_with(&local))
                    && fields.nth(1) == Some("0A")
            })
        });
        assert!(listens, "nothing listens at {port}: {}", server.said());
    }

    /// Asserts that data went over both links, as the engine counts it.
    pub(crate) fn assert_both_links_used(&self) {
        let all: Vec<IpAddr> = Link::all(2)
            .map(|link| link.address(Family::V4, Side::Engine))
            .collect();
        let mut used = Vec::new();
        let enough = within(SOON, || {
            used = self.subflows.addresses_with_data();
            all.iter().all(|address| used.contains(address))
        });
        assert!(
            enough,
            "only {used:?} carried data: {:#?}",
            self.subflows.all()
        );
    }

    /// Asserts that the engine has nothing to complain of.
    pub(crate) fn assert_engine_is_content(&self) {
        let log = self.engine.log();
        assert!(
            log.iter().all(|line| line.contains("ready at")),
            "the engine said: {log:#?}"
        );
    }
}

/// The address of Linux's servers.
pub(crate) fn linux_at(port: u16) -> SocketAddr {
    linux(port)
}

/// The address of the engine's servers.
pub(crate) fn ours_at(port: u16) -> SocketAddr {
    SocketAddr::new(ours(), port)
}

fn announce_second_link(net: &Net) {
    let mut path_manager = net.peer.path_manager().unwrap();
    path_manager.set_limits(4, 4).unwrap();
    path_manager
        .add_endpoint(&Endpoint {
            address: Link(2).address(Family::V4, Side::Peer),
            flags: EndpointFlags::SIGNAL,
            id: Some(2),
            interface: None,
        })
        .unwrap();
}
