//! Hot standby: requests and answers over one path, which is cut; how long the application waits
//! for the next answer, with the engine and with Linux's own client in turn, on the same links and
//! with the same server of Linux's Multipath TCP.
//!
//! A few cuts in a test run; `BRAID_SOAK=1` makes them fifty, and shows the figures.

mod gaps;
mod wire;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use braid_control::lab::link::{Family, Link, Side};
use braid_control::lab::namespace::Namespace;
use braid_control::lab::netlink::{Endpoint, EndpointFlags};
use braid_control::management::{Client, Request, SubflowRow};
use braid_shm::abi::{TCP_MP_PROFILE, TCP_MP_PROFILE_STANDBY};
use braid_socket::{Domain as BraidDomain, Socket as BraidSocket, attachment};
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::engine::{Net, SOON, linux, within};
use crate::support::namespaces;
use gaps::Gaps;
use wire::{Cut, Wires};

const PORT: u16 = 5007;
/// One way, on each link.
const DELAY: Duration = Duration::from_millis(10);
const REQUEST: usize = 64;
/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(2);
/// Requests go for so long before the cut: both paths are established by then.
const BEFORE: Duration = Duration::from_millis(400);
/// And for so long after it.
const AFTER: Duration = Duration::from_secs(3);
/// The primary path, and what stands by.
const PRIMARY: Link = Link(1);
const STANDBY: Link = Link(2);

fn cuts() -> u64 {
    if std::env::var_os("BRAID_SOAK").is_some() {
        50
    } else {
        3
    }
}

/// The kernel's own client shares the links with the engine, under other addresses.
fn kernel_address(link: Link) -> IpAddr {
    Ipv4Addr::new(10, 1, link.0, 3).into()
}

/// The kernel's side of the links, on both hosts: the server announces its address on the second,
/// and the client makes its subflow there a backup.
fn prepare(net: &Net) {
    let mut server = net.peer.path_manager().unwrap();
    server.set_limits(8, 8).unwrap();
    server
        .add_endpoint(&Endpoint {
            address: STANDBY.address(Family::V4, Side::Peer),
            flags: EndpointFlags::SIGNAL,
            id: None,
            interface: None,
        })
        .unwrap();
    let mut routes = net.engine.routes().unwrap();
    for link in [PRIMARY, STANDBY] {
        let address = kernel_address(link);
        routes.add_address(&link.interface(), address, 24).unwrap();
    }
    let mut client = net.engine.path_manager().unwrap();
    client.set_limits(8, 8).unwrap();
    client
        .add_endpoint(&Endpoint {
            address: kernel_address(STANDBY),
            // An answer to an announcement comes from such a one only.
            flags: EndpointFlags::FULLMESH | EndpointFlags::BACKUP,
            id: None,
            interface: None,
        })
        .unwrap();
}

fn multipath_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket
}

/// Sends back what comes, until the process ends.
fn serve(peer: &Namespace) {
    let namespace = peer.as_fd().try_clone_to_owned().unwrap();
    let bind = || {
        let socket = multipath_socket();
        socket.set_reuse_address(true).unwrap();
        let anywhere: SocketAddr = (Ipv4Addr::UNSPECIFIED, PORT).into();
        socket.bind(&anywhere.into()).unwrap();
        socket.listen(16).unwrap();
        socket
    };
    let listener = peer.run(bind).unwrap();
    thread::spawn(move || {
        // Sockets that are accepted are in the namespace of the listener.
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        while let Ok((mut there, _)) = listener.accept() {
            thread::spawn(move || {
                there.set_tcp_nodelay(true).unwrap();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = there.read(&mut buffer) {
                    if there.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// A connection on which requests go.
trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// Tries again for a while: a neighbour that did not answer during a cut is forgotten, and a link that is
/// back is noticed, a moment later.
fn patiently<C, E: std::fmt::Display>(connect: impl Fn() -> Result<C, E>) -> C {
    let until = Instant::now() + SOON;
    loop {
        match connect() {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        thread::sleep(PAUSE);
    }
}

fn through_the_engine() -> Box<dyn Connection> {
    let stream = patiently(|| {
        let socket = BraidSocket::new(BraidDomain::Inet).unwrap();
        let set = |level, name, value: i32| {
            let value = value.to_ne_bytes();
            socket.set_option(level, name, &value).unwrap();
        };
        set(libc::IPPROTO_TCP, TCP_MP_PROFILE, TCP_MP_PROFILE_STANDBY);
        set(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
        socket.connect(&[linux(PORT)])
    });
    stream.set_read_timeout(Some(2 * SOON)).unwrap();
    Box::new(stream)
}

fn through_the_kernel(net: &Net) -> Box<dyn Connection> {
    let connect = || {
        patiently(|| {
            let socket = multipath_socket();
            socket
                .connect_timeout(&linux(PORT).into(), SOON)
                .map(|()| socket)
        })
    };
    let socket = net.engine.run(connect).unwrap();
    socket.set_read_timeout(Some(2 * SOON)).unwrap();
    Box::new(socket)
}

/// A request and its answer.
fn exchange(connection: &mut dyn Connection, number: u64) -> io::Result<()> {
    let request: [u8; REQUEST] = std::array::from_fn(|at| (number as usize * 31 + at) as u8);
    connection.write_all(&request)?;
    let mut answer = [0; REQUEST];
    connection.read_exact(&mut answer)?;
    assert_eq!(answer, request, "request {number}");
    Ok(())
}

/// Requests and answers, with a cut in the middle: the longest time between two answers.
fn longest_gap(
    connection: &mut dyn Connection,
    wires: &Wires,
    how: Cut,
    round: u64,
    tell: &dyn Fn() -> String,
) -> Duration {
    // At another moment of an exchange each time.
    let before = BEFORE + Duration::from_millis(round * 7 % 23);
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(before);
            wires.cut(PRIMARY, how);
        });
        let start = Instant::now();
        let mut last = start;
        let mut number = 0_u64;
        while start.elapsed() < before + AFTER {
            if let Err(error) = exchange(connection, number) {
                panic!("request {number} of round {round}: {error}; {}", tell());
            }
            if number > 0 {
                longest = longest.max(last.elapsed());
            }
            last = Instant::now();
            number += 1;
            thread::sleep(PAUSE);
        }
    });
    wires.restore(PRIMARY, how);
    longest
}

/// The subflows of the engine's connections.
fn subflows(net: &Net) -> Vec<SubflowRow> {
    let mut asking = Client::connect(&net.socket()).unwrap();
    asking
        .ask(&Request::ShowSubflows { connection: None })
        .unwrap()
}

fn established(net: &Net) -> usize {
    let rows = subflows(net);
    rows.iter().filter(|row| row.state == "established").count()
}

fn compare(test: &str, name: &str, how: Cut) {
    namespaces::run(test, || {
        let wires = Wires::new(DELAY);
        let net = Net::joined(name, |link, engine, peer| wires.join(link, engine, peer));
        prepare(&net);
        serve(&net.peer);
        net.configure("[limits]\nsubflows = 2\nadd_addr_accepted = 2\n");
        let engine = net.start();
        attachment::use_engine(&net.socket());
        let mut ours = Gaps::default();
        let mut theirs = Gaps::default();
        for round in 0..cuts() {
            let mut connection = through_the_engine();
            // Linux announces its address once it has heard data.
            exchange(&mut connection, 0).unwrap();
            assert!(
                within(SOON, || established(&net) == 2),
                "{:?}",
                subflows(&net)
            );
            let tell = || format!("the engine's subflows: {:?}", subflows(&net));
            ours.add(longest_gap(&mut connection, &wires, how, round, &tell));
            let mut connection = through_the_kernel(&net);
            let tell = || "over Linux's own sockets".into();
            theirs.add(longest_gap(&mut connection, &wires, how, round, &tell));
        }
        eprintln!("longest gap between two answers, {how:?} cut, {DELAY:?} one way");
        eprintln!("Braid: {ours}Linux: {theirs}");
        assert!(ours.median() <= theirs.median(), "Linux waits less");
        drop(engine);
    });
}

#[test]
fn a_silent_cut_costs_no_more_than_with_linux() {
    compare(
        "standby::a_silent_cut_costs_no_more_than_with_linux",
        "silent",
        Cut::Silent,
    );
}

#[test]
fn a_lost_carrier_costs_no_more_than_with_linux() {
    compare(
        "standby::a_lost_carrier_costs_no_more_than_with_linux",
        "carrier",
        Cut::Carrier,
    );
}
