//! Workers that panic while their port reaches Linux, which notices nothing but resets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::thread::JoinHandleExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;

use super::PATIENCE;
use super::client::{Client, Socket};
use crate::config::Config;
use crate::lab::link::{Family, Link, Side};
use crate::lab::namespace::Namespace;
use crate::management::{Client as Asking, ConnectionRow, Request};
use crate::server::control::Control;
use crate::server::{ports, start};
#[cfg(feature = "dpdk")]
use braid_dataplane::port::interface::finish_frames;
use braid_engine::stack::WorkerId;

#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../../../../tests/sockets/support/namespaces.rs"]
mod namespaces;

const LINK: Link = Link(1);
const PORT: u16 = 5011;
/// So many that each of four workers has some.
const CONNECTIONS: usize = 32;

/// The configuration of a port by its kind and what that is of.
fn interface(kind: &str, name: &str) -> String {
    format!("kind = \"{kind}\"\ninterface = \"{name}\"")
}

/// A device of DPDK over packet sockets.
#[cfg(feature = "dpdk")]
fn device(queues: u8) -> String {
    format!(
        "kind = \"dpdk\"\nname = \"link\"\ndevice = \"net_af_packet0\"\n\
         arguments = \"iface={},qpairs={queues}\"",
        LINK.interface()
    )
}

/// An engine of four workers.
fn control(folder: &Path, port: &str) -> Control {
    let text = format!(
        "[engine]\nsocket = {:?}\nworkers = 4\nshutdown_timeout = \"100ms\"\n\
         [[port]]\n{port}\naddresses = [\"{}/24\"]\n",
        folder.join("engine.sock").display().to_string(),
        LINK.address(Family::V4, Side::Engine),
    );
    let more = match port.contains("kind = \"dpdk\"") {
        true => "[dpdk]\narguments = [\"--no-huge\", \"--no-pci\"]\n",
        false => "",
    };
    let text = text + more;
    let config = Config::parse(&text, Path::new("the test")).unwrap();
    let started = start::start(&config, || ports::open_ports(&config)).unwrap();
    Control::new(config, Path::new("the test"), started).unwrap()
}

/// As many connections of Linux as [`CONNECTIONS`], and the sockets that took them, in any order.
fn come(peer: &Namespace, listener: &Socket) -> (Vec<TcpStream>, Vec<Socket>) {
    let to = SocketAddr::new(LINK.address(Family::V4, Side::Engine), PORT);
    let connect = || TcpStream::connect_timeout(&to, PATIENCE);
    let there = (0..CONNECTIONS).map(|_| peer.run(connect).unwrap().unwrap());
    let there: Vec<TcpStream> = there.collect();
    let here = there.iter().map(|_| listener.accept().0).collect();
    (there, here)
}

#[test]
fn packets_for_workers_that_panicked_find_those_that_are_left() {
    find_those_that_are_left(
        "packets_for_workers_that_panicked_find_those_that_are_left",
        &interface("af_packet", &LINK.interface()),
    );
}

/// Each has a queue of the device, which goes on bringing packets there.
#[cfg(feature = "dpdk")]
#[test]
fn packets_of_a_dpdk_device_find_the_workers_that_are_left() {
    find_those_that_are_left(
        "packets_of_a_dpdk_device_find_the_workers_that_are_left",
        &device(4),
    );
}

/// Of four workers two panic.
fn find_those_that_are_left(test: &str, port: &str) {
    namespaces::run(&format!("server::lost::tests::wire::{test}"), || {
        let port = port.to_owned();
        let folder = std::env::temp_dir().join(format!("braid-left-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (near, peer) = (Namespace::create().unwrap(), Namespace::create().unwrap());
        LINK.add_veth(&near, &peer).unwrap();
        // A device of DPDK tells nothing of checksums that the kernel has left out.
        #[cfg(feature = "dpdk")]
        if port.contains("dpdk") {
            let finish = || finish_frames(&LINK.interface());
            peer.run(finish).unwrap().unwrap();
        }
        let mut routes = near.routes().unwrap();
        routes.set_up(&LINK.interface(), true).unwrap();
        LINK.configure(&peer, Side::Peer).unwrap();
        let (send, receive) = channel();
        let at = folder.clone();
        let engine = thread::spawn(move || {
            near.enter().unwrap();
            let control = control(&at, &port);
            // The first has what is no segment too, such as ARP.
            let bombs = [0, 2].map(|worker| control.hosts.bomb(WorkerId::new(worker)));
            send.send(bombs).unwrap();
            control.run()
        });
        let bombs = receive.recv().unwrap();
        let path = folder.join("engine.sock");
        let client = Client::attach(&path);
        let listener = client.open();
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        listener.bind(anywhere).unwrap();
        listener.listen(64).unwrap();
        let (mut before, taken) = come(&peer, &listener);
        for bomb in bombs {
            bomb();
        }
        // Linux is told of those that were at home there as soon as it says something.
        let reset = |there: &mut TcpStream| {
            there.set_read_timeout(Some(PATIENCE)).unwrap();
            let answered = there.write_all(b"?").and_then(|()| there.read(&mut [0; 1]));
            answered.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        };
        let homes = || -> Vec<u8> {
            let mut asking = Asking::connect(&path).unwrap();
            let rows: Vec<ConnectionRow> = asking.ask(&Request::ShowConnections).unwrap();
            rows.iter().map(|row| row.worker).collect()
        };
        let end = Instant::now() + PATIENCE;
        while homes().iter().any(|worker| [0, 2].contains(worker)) {
            assert!(Instant::now() < end, "{:?}", homes());
        }
        let left = homes().len();
        assert!(left > 0 && left < CONNECTIONS, "{left}");
        drop(taken);
        let resets = before
            .iter_mut()
            .filter_map(|there| reset(there).then_some(()));
        assert!(resets.count() >= CONNECTIONS - left);
        // From outside, and to there.
        let (mut there, here) = come(&peer, &listener);
        for there in &mut there {
            there.write_all(b"ping").unwrap();
        }
        for here in &here {
            assert_eq!(here.recv(&mut [0; 8]), Ok(4));
        }
        let far = SocketAddr::new(LINK.address(Family::V4, Side::Peer), PORT);
        let server = peer.run(|| TcpListener::bind(far)).unwrap().unwrap();
        for _ in 0..CONNECTIONS {
            let socket = client.open();
            socket.connect(far).unwrap();
            let mut there = server.accept().unwrap().0;
            there.write_all(b"pong").unwrap();
            assert_eq!(socket.recv(&mut [0; 8]), Ok(4));
        }
        pthread_kill(engine.as_pthread_t(), Signal::SIGTERM).unwrap();
        let ended = engine.join().unwrap();
        assert!(ended.is_ok(), "{ended:?}");
        std::fs::remove_dir_all(folder).unwrap();
    });
}

#[test]
fn a_port_whose_only_queue_was_a_lost_workers_is_opened_again_by_another() {
    let test = "server::lost::tests::wire::\
                a_port_whose_only_queue_was_a_lost_workers_is_opened_again_by_another";
    namespaces::run(test, || {
        let folder = tempfile::tempdir().unwrap();
        let near = Arc::new(Namespace::create().unwrap());
        // Without `multi_queue` it has one, which is the first worker's.
        let add = ["tuntap", "add", "dev", "single0", "mode", "tap"];
        let added = near.run(|| Command::new("ip").args(add).status()).unwrap();
        assert!(added.unwrap().success());
        let mut routes = near.routes().unwrap();
        let linux = LINK.address(Family::V4, Side::Peer);
        routes.add_address("single0", linux, 24).unwrap();
        routes.set_up("single0", true).unwrap();
        let linux_side = Arc::clone(&near);
        let (send, receive) = channel();
        let at = folder.path().to_owned();
        let engine = thread::spawn(move || {
            near.enter().unwrap();
            let control = control(&at, &interface("tap", "single0"));
            send.send(control.hosts.bomb(WorkerId::FIRST)).unwrap();
            control.run()
        });
        let bomb = receive.recv().unwrap();
        let path = folder.path().join("engine.sock");
        let client = Client::attach(&path);
        let listener = client.open();
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
        listener.bind(anywhere).unwrap();
        listener.listen(64).unwrap();
        let (before, taken) = come(&linux_side, &listener);
        let rows = || -> Vec<ConnectionRow> {
            let mut asking = Asking::connect(&path).unwrap();
            asking.ask(&Request::ShowConnections).unwrap()
        };
        let elsewhere: Vec<SocketAddr> = rows()
            .iter()
            .filter(|row| row.worker != 0)
            .map(|row| row.remote)
            .collect();
        assert!(!elsewhere.is_empty() && elsewhere.len() < CONNECTIONS);
        bomb();
        let end = Instant::now() + PATIENCE;
        while rows().iter().any(|row| row.worker == 0) {
            assert!(Instant::now() < end, "{:?}", rows());
        }
        // What was at home elsewhere goes on by the queue that another has now.
        let mut answered = 0;
        for mut there in before {
            let name = there.local_addr().unwrap();
            if !elsewhere.contains(&name) {
                continue;
            }
            let mut taken = taken.iter();
            let here = taken.find(|here| here.peer_address() == Ok(name)).unwrap();
            there.set_read_timeout(Some(PATIENCE)).unwrap();
            there.write_all(b"ping").unwrap();
            assert_eq!(here.recv(&mut [0; 8]), Ok(4));
            here.send_all(b"pong").unwrap();
            there.read_exact(&mut [0; 4]).unwrap();
            answered += 1;
        }
        assert_eq!(answered, elsewhere.len());
        // So does what is new, from outside and to there.
        let (mut there, here) = come(&linux_side, &listener);
        there
            .iter_mut()
            .for_each(|there| there.write_all(b"ping").unwrap());
        for here in &here {
            assert_eq!(here.recv(&mut [0; 8]), Ok(4));
        }
        let far = SocketAddr::new(linux, PORT);
        let server = linux_side.run(|| TcpListener::bind(far)).unwrap().unwrap();
        let socket = client.open();
        socket.connect(far).unwrap();
        server.accept().unwrap().0.write_all(b"pong").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]), Ok(4));
        pthread_kill(engine.as_pthread_t(), Signal::SIGTERM).unwrap();
        let ended = engine.join().unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    });
}
