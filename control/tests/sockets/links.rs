//! Links that go down while a program waits for answers: how long it waits then, what the engine
//! tells about it, and that the link is used again when it is back.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use braid_control::lab::link::{Family, Link, Side};
use braid_control::lab::namespace::Namespace;
use braid_control::lab::netlink::{Endpoint, EndpointFlags};
use braid_control::management::{Client, EventKind, PortRow, Request, SubflowRow};
use braid_control::peer::{Listener, PeerProtocol};
use braid_shm::abi::{TCP_MP_PROFILE, TCP_MP_PROFILE_STANDBY};
use braid_socket::{BraidListener, BraidStream, Domain, Socket, attachment};

use crate::support::engine::{Net, SOON, linux, usual_workers, within};
use crate::support::namespaces;

const PORT: u16 = 5011;
const REQUEST: usize = 64;
/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest time between two answers that a cut may cost: well below the 200 ms and more of a
/// retransmission timeout (RFC 6298), by which a silent link is found.
const LONGEST_GAP: Duration = Duration::from_millis(100);

/// Cuts of a kind, one of which must cost no more: on a machine that does much else it is not always the
/// engine that is late.
const ATTEMPTS: u32 = 4;

const FIRST: Link = Link(1);
const SECOND: Link = Link(2);

/// Two hosts whose interfaces have other indices on each side: where an interface seems to be its
/// own lower one, the kernel tells of its carrier once a second at most, as of a network card.
fn apart(name: &str) -> Net {
    Net::joined(name, |link, engine, peer| {
        if link == FIRST {
            let mut routes = engine.routes().unwrap();
            routes.add_veth("spare0", engine, "spare1").unwrap();
        }
        link.add_veth(engine, peer).unwrap();
    })
}

/// The server announces its address on the second link.
fn announce(net: &Net, workers: u8) {
    let mut server = net.peer.path_manager().unwrap();
    server.set_limits(8, 8).unwrap();
    let endpoint = Endpoint {
        address: SECOND.address(Family::V4, Side::Peer),
        flags: EndpointFlags::SIGNAL,
        id: None,
        interface: None,
    };
    server.add_endpoint(&endpoint).unwrap();
    let limits = "[limits]\nsubflows = 2\nadd_addr_accepted = 2\n";
    net.configure_workers(workers, limits);
}

/// Sends back what comes on one connection.
fn echo(net: &Net) -> thread::JoinHandle<()> {
    // Joins come to the address of the second link.
    let anywhere = (Ipv4Addr::UNSPECIFIED, PORT).into();
    let bind = || Listener::bind(PeerProtocol::Multipath, anywhere);
    let listener = net.peer.run(bind).unwrap().unwrap();
    thread::spawn(move || {
        let mut there = listener.accept(SOON, || false).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = there.read(&mut buffer) {
            if there.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    })
}

fn connect(profile: Option<i32>) -> BraidStream {
    let socket = Socket::new(Domain::Inet).unwrap();
    if let Some(profile) = profile {
        let value = profile.to_ne_bytes();
        socket
            .set_option(libc::IPPROTO_TCP, TCP_MP_PROFILE, &value)
            .unwrap();
    }
    let stream = socket.connect(&[linux(PORT)]).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Requests and answers for so long: the longest time from one answer to the next.
fn longest_gap(stream: &mut BraidStream, time: Duration) -> Duration {
    let start = Instant::now();
    let mut last = start;
    let mut longest = Duration::ZERO;
    let mut answer = [0; REQUEST];
    for number in 0_usize.. {
        let request: [u8; REQUEST] = std::array::from_fn(|at| (number * 31 + at) as u8);
        stream.write_all(&request).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, request, "request {number}");
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if start.elapsed() > time {
            break;
        }
        thread::sleep(PAUSE);
    }
    longest
}

fn ask<T: serde::de::DeserializeOwned>(net: &Net, request: &Request) -> T {
    Client::connect(&net.socket())
        .unwrap()
        .ask(request)
        .unwrap()
}

fn port_is_up(net: &Net, link: Link) -> bool {
    let rows: Vec<PortRow> = ask(net, &Request::ShowPorts);
    let row = rows.iter().find(|row| row.name == link.interface());
    row.unwrap().up
}

/// Bytes that the connection has sent by each link.
fn sent(net: &Net) -> [u64; 2] {
    let rows: Vec<SubflowRow> = ask(net, &Request::ShowSubflows { connection: None });
    [FIRST, SECOND].map(|link| {
        let local = link.address(Family::V4, Side::Engine);
        let on_link = rows.iter().filter(|row| row.local.ip() == local);
        on_link.map(|row| row.bytes_sent).sum()
    })
}

/// Takes the carrier from the engine's end by setting the other end down, and gives it back.
fn set_far_end(net: &Net, link: Link, up: bool) {
    let mut routes = net.peer.routes().unwrap();
    routes.set_up(&link.interface(), up).unwrap();
}

fn set_own_end(net: &Net, link: Link, up: bool) {
    let mut routes = net.engine.routes().unwrap();
    routes.set_up(&link.interface(), up).unwrap();
}

type SetLink = fn(&Net, Link, bool);

/// Cuts the link that carries the requests, and mends it; which one, and how long the program waited.
fn cut(net: &Net, stream: &mut BraidStream, set: SetLink) -> (Link, Duration) {
    let [first, second] = sent(net);
    let busy = if first >= second { FIRST } else { SECOND };
    let gap = thread::scope(|scope| {
        let cut = scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            set(net, busy, false);
        });
        let gap = longest_gap(stream, Duration::from_millis(800));
        cut.join().unwrap();
        gap
    });
    assert!(within(SOON, || !port_is_up(net, busy)), "it is not told");
    set(net, busy, true);
    assert!(within(SOON, || port_is_up(net, busy)), "it is not told");
    longest_gap(stream, Duration::from_millis(300));
    (busy, gap)
}

/// Cuts the link that carries the requests, twice in different ways, and mends it again.
fn cut_and_mend(test: &str, name: &str, profile: Option<i32>, workers: u8) {
    namespaces::run(test, || {
        let net = apart(name);
        announce(&net, workers);
        let engine = net.start();
        attachment::use_engine(&net.socket());
        let echo = echo(&net);
        let mut stream = connect(profile);
        longest_gap(&mut stream, Duration::from_millis(100));
        let joined = || {
            let rows: Vec<SubflowRow> = ask(&net, &Request::ShowSubflows { connection: None });
            rows.iter().filter(|row| row.state == "established").count() == 2
        };
        assert!(within(SOON, joined), "there is no second subflow");
        for (how, set) in [
            ("carrier", set_far_end as SetLink),
            ("set down", set_own_end),
        ] {
            let (busy, _) = (0..ATTEMPTS)
                .map(|_| cut(&net, &mut stream, set))
                .inspect(|(_, gap)| eprintln!("{how}: longest gap {gap:?}"))
                .find(|(_, gap)| *gap < LONGEST_GAP)
                .unwrap_or_else(|| panic!("{how}: no answer came soon in {ATTEMPTS} cuts"));
            // The other link fails in turn: what is left is the one that is back.
            let other = if busy == FIRST { SECOND } else { FIRST };
            let before = sent(&net)[usize::from(busy.0) - 1];
            set(&net, other, false);
            longest_gap(&mut stream, Duration::from_millis(300));
            let after = sent(&net)[usize::from(busy.0) - 1];
            assert!(after > before, "{how}: the link is not used again");
            set(&net, other, true);
            assert!(within(SOON, || port_is_up(&net, other)), "{how}");
            longest_gap(&mut stream, Duration::from_millis(300));
        }
        drop(stream);
        echo.join().unwrap();
        drop(engine);
    });
}

#[test]
fn a_lost_link_hardly_delays_answers_by_default() {
    cut_and_mend(
        "links::a_lost_link_hardly_delays_answers_by_default",
        "link",
        None,
        usual_workers(),
    );
}

#[test]
fn a_lost_link_hardly_delays_answers_with_hot_standby() {
    cut_and_mend(
        "links::a_lost_link_hardly_delays_answers_with_hot_standby",
        "link-standby",
        Some(TCP_MP_PROFILE_STANDBY),
        usual_workers(),
    );
}

/// Each of the two subflows is at a worker of its own.
#[test]
fn a_lost_link_hardly_delays_answers_at_two_workers() {
    let test = "links::a_lost_link_hardly_delays_answers_at_two_workers";
    cut_and_mend(test, "link-workers", None, 2);
}

#[test]
fn a_lost_link_hardly_delays_answers_with_hot_standby_at_another_worker() {
    cut_and_mend(
        "links::a_lost_link_hardly_delays_answers_with_hot_standby_at_another_worker",
        "link-standby-workers",
        Some(TCP_MP_PROFILE_STANDBY),
        2,
    );
}

/// The next event about a link.
fn next_of_link(events: &mpsc::Receiver<EventKind>) -> EventKind {
    loop {
        let event = events.recv_timeout(SOON).unwrap();
        if matches!(event, EventKind::LinkUp { .. } | EventKind::LinkDown { .. }) {
            return event;
        }
    }
}

#[test]
fn the_engine_tells_of_links_from_its_start() {
    namespaces::run("links::the_engine_tells_of_links_from_its_start", || {
        let net = Net::create("link-told");
        net.configure("");
        set_far_end(&net, SECOND, false);
        let engine = net.start();
        assert!(port_is_up(&net, FIRST));
        assert!(!port_is_up(&net, SECOND), "it was down before the start");
        engine.wait_for_log("is down (no carrier)");
        let mut monitor = Client::connect(&net.socket()).unwrap().monitor().unwrap();
        let (tell, events) = mpsc::channel();
        thread::spawn(move || {
            while let Ok(record) = monitor.next_event() {
                if tell.send(record.event).is_err() {
                    break;
                }
            }
        });
        let port = |link: Link| link.interface();
        let down = |link, reason: &str| EventKind::LinkDown {
            port: port(link),
            reason: reason.into(),
        };
        set_far_end(&net, SECOND, true);
        let up = EventKind::LinkUp { port: port(SECOND) };
        assert_eq!(next_of_link(&events), up);
        set_own_end(&net, FIRST, false);
        assert_eq!(next_of_link(&events), down(FIRST, "set_down"));
        // One end of a pair takes the other with it; it loses its carrier on the way.
        delete(&net.peer, SECOND);
        assert!(
            matches!(next_of_link(&events), EventKind::LinkDown { port, .. } if port == SECOND.interface())
        );
        assert!(!port_is_up(&net, FIRST));
        assert!(!port_is_up(&net, SECOND));
        set_own_end(&net, FIRST, true);
        assert_eq!(
            next_of_link(&events),
            EventKind::LinkUp { port: port(FIRST) }
        );
        drop(engine);
    });
}

#[test]
fn an_interface_that_is_made_again_is_used_again() {
    namespaces::run(
        "links::an_interface_that_is_made_again_is_used_again",
        || {
            let net = apart("link-again");
            announce(&net, usual_workers());
            let engine = net.start();
            attachment::use_engine(&net.socket());
            let echo = echo(&net);
            let mut stream = connect(None);
            longest_gap(&mut stream, Duration::from_millis(100));
            let established = |count| {
                let joined = || {
                    let rows: Vec<SubflowRow> =
                        ask(&net, &Request::ShowSubflows { connection: None });
                    rows.iter().filter(|row| row.state == "established").count() == count
                };
                within(SOON, joined)
            };
            assert!(established(2), "there is no second subflow");
            for round in 0..2 {
                delete(&net.engine, SECOND);
                assert!(within(SOON, || !port_is_up(&net, SECOND)), "round {round}");
                longest_gap(&mut stream, Duration::from_millis(200));
                SECOND.add_veth(&net.engine, &net.peer).unwrap();
                SECOND.configure(&net.peer, Side::Peer).unwrap();
                set_own_end(&net, SECOND, true);
                assert!(within(SOON, || port_is_up(&net, SECOND)), "round {round}");
                longest_gap(&mut stream, Duration::from_millis(200));
                // The other link fails: what is left is the one that was made again.
                let before = sent(&net)[1];
                set_own_end(&net, FIRST, false);
                longest_gap(&mut stream, Duration::from_millis(300));
                assert!(sent(&net)[1] > before, "round {round}: it is not used");
                set_own_end(&net, FIRST, true);
                assert!(within(SOON, || port_is_up(&net, FIRST)), "round {round}");
                longest_gap(&mut stream, Duration::from_millis(300));
                assert!(established(2), "round {round}");
            }
            drop(stream);
            echo.join().unwrap();
            drop(engine);
        },
    );
}

/// What the engine is asked by is the interface itself, whose kernel side has an address.
#[test]
fn a_tap_device_that_is_made_again_is_used_again() {
    namespaces::run(
        "links::a_tap_device_that_is_made_again_is_used_again",
        || {
            let net = Net::create("link-tap");
            net.configure(
                "[[port]]\nkind = \"tap\"\ninterface = \"tap9\"\naddresses = [\"10.9.0.2/24\"]\n",
            );
            let ip = |words: &str| {
                let run = || Command::new("ip").args(words.split(' ')).status().unwrap();
                assert!(net.engine.run(run).unwrap().success(), "ip {words}");
            };
            let make = || {
                ip("tuntap add dev tap9 mode tap multi_queue");
                ip("address add 10.9.0.1/24 dev tap9");
                ip("link set tap9 up");
            };
            make();
            // A device for several queues takes no port that wants one.
            let several = std::cmp::max(usual_workers(), 2);
            let text = fs::read_to_string(net.configuration()).unwrap();
            let workers = format!("workers = {}\n", usual_workers());
            let text = text.replace(&workers, &format!("workers = {several}\n"));
            fs::write(net.configuration(), text).unwrap();
            let engine = net.start();
            attachment::use_engine(&net.socket());
            let here = SocketAddr::from(([10, 9, 0, 2], PORT));
            let listener = BraidListener::bind(here).unwrap();
            let reached = || {
                let connect = || TcpStream::connect_timeout(&here, SOON);
                let mut there = net.engine.run(connect).unwrap().unwrap();
                there.write_all(b"hello").unwrap();
                let (mut taken, _) = listener.accept().unwrap();
                taken.set_read_timeout(Some(SOON)).unwrap();
                taken.read_exact(&mut [0; 5]).unwrap();
            };
            let is_up = || {
                let rows: Vec<PortRow> = ask(&net, &Request::ShowPorts);
                rows.iter().any(|row| row.name == "tap9" && row.up)
            };
            for _ in 0..8 {
                reached();
            }
            ip("link delete tap9");
            assert!(within(SOON, || !is_up()), "it is not told");
            make();
            assert!(within(SOON, is_up), "it is not used again");
            for _ in 0..8 {
                reached();
            }
            drop(engine);
        },
    );
}

fn delete(namespace: &Namespace, link: Link) {
    let done = namespace
        .run(|| {
            Command::new("ip")
                .args(["link", "delete", &link.interface()])
                .status()
                .unwrap()
        })
        .unwrap();
    assert!(done.success());
}
