//! Workers that panic or hang while programs are connected.

use std::cell::Cell;
use std::net::SocketAddr;
use std::os::unix::thread::JoinHandleExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::worker::Clock;
use braid_engine::stack::FlowHash;
use braid_engine::wire::ethernet::MacAddress;
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::Signal;

use super::*;
use crate::config::Config;
use crate::management::{Client as Asking, ConnectionRow, Request};
use crate::server::{OpenPort, OpenPorts, ServerError, start};

#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../../../tests/sockets/support/client.rs"]
mod client;

mod silent;
mod wire;

use client::{Client, Socket};

const LISTENER: &str = "10.7.7.7:7";
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);
const WORKERS: [WorkerId; 2] = [WorkerId::FIRST, WorkerId::new(1)];

/// An engine of two workers that reaches nobody but itself.
fn control(folder: &Path) -> Control {
    let text = format!(
        "[engine]\nsocket = {:?}\nworkers = 2\nshutdown_timeout = \"100ms\"\n\
         [[port]]\nname = \"nowhere\"\nkind = \"tap\"\ninterface = \"nowhere\"\n\
         addresses = [\"10.7.7.7/24\"]\n",
        folder.join("engine.sock").display().to_string()
    );
    let config = Config::parse(&text, Path::new("the test")).unwrap();
    let (port, _nowhere) = MemoryPort::pair(MemoryOptions::default()).unwrap();
    let ports = OpenPorts {
        ports: vec![OpenPort::single(port, MacAddress([2, 0, 0, 0, 0, 1]))],
        hash: FlowHash::default(),
        interfaces: Vec::new(),
        probes: Vec::new(),
        pipelines: None,
        clock: Clock::start(),
    };
    let started = start::start(&config, || Ok(ports)).unwrap();
    Control::new(config, Path::new("the test"), started).unwrap()
}

fn answers(from: &Socket, to: &Socket) {
    from.send_all(b"ping").unwrap();
    let mut bytes = [0; 8];
    assert_eq!(to.recv(&mut bytes), Ok(4));
}

/// The pairs of connected sockets, each with the workers of both of its ends.
fn connect(
    client: &Client,
    to: &str,
    count: usize,
    rows: impl Fn() -> Vec<ConnectionRow>,
) -> Vec<Pair> {
    let to: SocketAddr = to.parse().unwrap();
    let listener = client.open();
    listener.bind(to).unwrap();
    listener.listen(64).unwrap();
    let connected: Vec<(Socket, Socket)> = (0..count)
        .map(|_| {
            let near = client.open();
            near.connect(to).unwrap();
            (near, listener.accept().0)
        })
        .collect();
    let rows = rows();
    let worker = |socket: &Socket| {
        let local = socket.local_address().unwrap();
        let remote = socket.peer_address().unwrap();
        let mut rows = rows.iter();
        let row = rows.find(|row| row.local == local && row.remote == remote);
        row.unwrap().worker
    };
    let pair = |(near, far): (Socket, Socket)| Pair {
        workers: [worker(&near), worker(&far)],
        near,
        far,
    };
    connected.into_iter().map(pair).collect()
}

struct Pair {
    near: Socket,
    far: Socket,
    workers: [u8; 2],
}

#[test]
fn a_worker_that_panics_takes_its_connections_with_it_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (bombs, control) = {
        // Signals are taken over by this thread and those that it starts.
        let (send, receive) = channel();
        let at = folder.path().to_owned();
        let thread = thread::spawn(move || {
            let control = control(&at);
            let bombs = WORKERS.map(|worker| control.hosts.bomb(worker));
            send.send(bombs).unwrap();
            control.run()
        });
        (receive.recv().unwrap(), thread)
    };
    let path = folder.path().join("engine.sock");
    let rows = || -> Vec<ConnectionRow> {
        let mut asking = Asking::connect(&path).unwrap();
        asking.ask(&Request::ShowConnections).unwrap()
    };
    let client = Client::attach(&path);
    let pairs = connect(&client, LISTENER, 24, rows);
    let together = pairs.iter().filter(|pair| pair.workers == [0, 0]).count();
    assert!(together > 0 && together < pairs.len(), "{together} of 24");
    let [first, second] = bombs;
    second();
    for Pair { near, far, workers } in &pairs {
        for (socket, worker) in [(near, workers[0]), (far, workers[1])] {
            if worker == 1 {
                assert_eq!(socket.recv(&mut [0; 8]), Err(libc::ECONNRESET));
                assert_eq!(socket.send_all(b"more"), Err(libc::EPIPE));
                let option = socket.get(libc::IPPROTO_TCP, libc::TCP_INFO);
                assert!(option.is_ok(), "{option:?}");
                assert_eq!(
                    socket.connect("10.7.7.7:7".parse().unwrap()),
                    Err(libc::EISCONN)
                );
            }
        }
        if *workers == [0, 0] {
            answers(near, far);
            answers(far, near);
        }
    }
    assert!(rows().iter().all(|row| row.worker == 0), "{:?}", rows());
    // What would have been its is done by the one that is left.
    for Pair { near, far, workers } in connect(&client, "10.7.7.7:9", 24, rows) {
        assert_eq!(workers, [0, 0]);
        answers(&near, &far);
        answers(&far, &near);
    }
    // Slots of sockets that are reset are given back like others.
    drop(pairs);
    let again = client.open();
    again.bind("10.7.7.7:8".parse().unwrap()).unwrap();
    again.listen(1).unwrap();
    // And an engine without workers ends.
    first();
    let ended = control.join().unwrap();
    assert!(matches!(ended, Err(ServerError::Worker)), "{ended:?}");
}

/// What a program asks of an engine whose control thread is the test's, until `over`.
fn serve(control: &mut Control, over: impl Fn(&Control) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !over(control) {
        assert!(Instant::now() < end, "the program hangs");
        control.accept_peers();
        let peers: Vec<Key> = control.peers.keys().collect();
        for peer in peers {
            control.on_peer(peer).unwrap();
        }
        control.take_commands().unwrap();
        thread::sleep(Duration::from_millis(1));
    }
}

/// Where a connection is at home that a program has begun.
fn begun_at(control: &Control) -> Option<WorkerId> {
    let mut sockets = control.sockets.iter();
    sockets.find_map(|(_, socket)| Some(socket.connection()?.home))
}

/// A program opens a socket, connects it to a port where nobody listens once it may `go`, and reads
/// what comes of it.
fn connect_in_vain(folder: &Path, go: Receiver<()>) -> thread::JoinHandle<Result<(), i32>> {
    let path = folder.join("engine.sock");
    thread::spawn(move || {
        let client = Client::attach(&path);
        let socket = client.open();
        go.recv().unwrap();
        let begun = socket.connect("10.7.7.7:1".parse().unwrap());
        begun.and_then(|()| socket.recv(&mut [0; 8]).map(drop))
    })
}

#[test]
fn a_connect_that_failed_is_answered_though_its_worker_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut control = control(folder.path());
    let (go, may_go) = channel();
    let program = connect_in_vain(folder.path(), may_go);
    go.send(()).unwrap();
    serve(&mut control, |control| {
        begun_at(control).is_some() && control.hosts.reports().waiting() > 0
    });
    // It has reported, and ends before anybody reads that.
    control.hosts.bomb(begun_at(&control).unwrap())();
    control.take_reports().unwrap();
    serve(&mut control, |_| program.is_finished());
    assert_eq!(program.join().unwrap(), Err(libc::ECONNREFUSED));
    drop(control);
}

#[test]
fn a_connect_goes_to_another_worker_when_its_own_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut control = control(folder.path());
    let (go, may_go) = channel();
    let program = connect_in_vain(folder.path(), may_go);
    serve(&mut control, |control| {
        control.sockets.iter().next().is_some()
    });
    // The next connection is the first worker's.
    control.hosts.bomb(WORKERS[0])();
    go.send(()).unwrap();
    serve(&mut control, |control| begun_at(control).is_some());
    assert_eq!(begun_at(&control), Some(WORKERS[1]));
    // Whoever the answer would have belonged to, it comes once the other knows of the end.
    let end = Instant::now() + PATIENCE;
    while !program.is_finished() {
        assert!(Instant::now() < end, "the program hangs");
        control.take_reports().unwrap();
        let turns = Cell::new(0);
        serve(&mut control, |_| turns.replace(1) == 1);
    }
    assert_eq!(program.join().unwrap(), Err(libc::ECONNREFUSED));
    drop(control);
}

#[test]
fn one_worker_of_two_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (send, receive) = channel();
    let at = folder.path().to_owned();
    let thread = thread::spawn(move || {
        let control = control(&at);
        send.send(control.hosts.bomb(WORKERS[0])).unwrap();
        control.run()
    });
    receive.recv().unwrap()();
    let client = Client::attach(&folder.path().join("engine.sock"));
    // The second worker is the one that chooses now.
    let socket = client.open();
    socket.bind("10.7.7.7:0".parse().unwrap()).unwrap();
    assert_ne!(socket.local_address().unwrap().port(), 0);
    socket.listen(4).unwrap();
    pthread_kill(thread.as_pthread_t(), Signal::SIGTERM).unwrap();
    let ended = thread.join().unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}
