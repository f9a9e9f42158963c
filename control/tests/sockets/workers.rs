//! An engine of two workers: which of them serves what, and that it makes no other difference.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use braid_control::management::{
    Client as Asking, ConnectionRow, EndpointFlag, EndpointRow, LimitsRow, ListenerRow,
    NewEndpoint, Request, Settings, SettingsRow, SubflowRow,
};
use braid_control::stream::Stream;
use braid_shm::abi::TCP_MP_SCHEDULER;
use serde::de::DeserializeOwned;

use crate::death::{self, victim_socket};
use crate::support::client::{Client, Socket};
use crate::support::engine::{Net, SOON, linux, ours, within};
use crate::support::linux::{echo, echo_one, send_and_get_back, serve_each};
use crate::support::namespaces;

const PORT: u16 = 5011;

const BOTH: [u8; 2] = [0, 1];

fn ask<T: DeserializeOwned>(net: &Net, request: &Request) -> T {
    let mut client = Asking::connect(&net.socket()).unwrap();
    client.ask(request).unwrap()
}

fn connections(net: &Net) -> Vec<ConnectionRow> {
    ask(net, &Request::ShowConnections)
}

fn subflows(net: &Net, connection: u64) -> Vec<SubflowRow> {
    let connection = Some(connection);
    ask(net, &Request::ShowSubflows { connection })
}

fn workers<'a>(of: impl IntoIterator<Item = &'a u8>) -> Vec<u8> {
    let workers: BTreeSet<u8> = of.into_iter().copied().collect();
    workers.into_iter().collect()
}

fn homes(net: &Net) -> Vec<u8> {
    workers(connections(net).iter().map(|row| &row.worker))
}

fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
}

#[test]
fn bytes_go_both_ways_by_subflows_at_both_workers() {
    let test = "workers::bytes_go_both_ways_by_subflows_at_both_workers";
    namespaces::run(test, || {
        let net = Net::create("workers-data");
        net.configure_workers(
            2,
            "[[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n\
             [[route]]\nto = \"10.1.0.0/16\"\nport = \"link2\"\ngateway = \"10.1.2.1\"\n",
        );
        let engine = net.start();
        let client = Client::attach(&net.socket());
        let stream = Stream::new(9, 4 << 20);
        // One after the other has the one and the other worker for a home.
        for round in 0..2 {
            let echo = echo_one(net.linux_multipath_listener(PORT));
            let socket = client.open();
            socket.connect(linux(PORT)).unwrap();
            let row = connections(&net).pop().unwrap();
            assert_eq!(row.worker, round, "each in its turn");
            assert_eq!(row.id >> 24 & 31, u64::from(round), "{row:?}");
            // Confirms Multipath TCP.
            socket.send_all(b"?").unwrap();
            assert_eq!(socket.recv(&mut [0]), Ok(1));
            let joined = within(SOON, || {
                let rows = subflows(&net, row.id);
                workers(rows.iter().map(|row| &row.worker)) == BOTH
                    && rows.iter().all(|row| row.state == "established")
            });
            assert!(joined, "{:?}", subflows(&net, row.id));
            send_and_get_back(&socket, &stream);
            let rows = subflows(&net, row.id);
            assert_eq!(rows.len(), 2, "{rows:?}");
            for row in rows {
                assert!(row.bytes_sent > 0, "{row:?}");
                assert!(row.srtt_us.is_some(), "{row:?}");
            }
            socket.finish();
            assert_eq!(socket.recv(&mut [0]), Ok(0));
            assert!(!echo.join().unwrap(), "regular TCP");
            socket.close();
            assert!(within(SOON, || connections(&net).is_empty()));
        }
        drop(engine);
    });
}

#[test]
fn a_listener_takes_connections_at_both_workers() {
    let test = "workers::a_listener_takes_connections_at_both_workers";
    namespaces::run(test, || {
        const CONNECTIONS: usize = 24;
        let net = Net::create("workers-listen");
        net.configure_workers(2, "");
        let engine = net.start();
        let client = Client::attach(&net.socket());
        let listener = client.open();
        listener.bind(anywhere(PORT)).unwrap();
        listener.listen(32).unwrap();
        let twice = client.open();
        assert_eq!(twice.bind(anywhere(PORT)), Err(libc::EADDRINUSE));
        // All wait at once, at either worker, and one row tells of them.
        let connect = || TcpStream::connect(SocketAddr::new(ours(), PORT)).unwrap();
        let there: Vec<TcpStream> = (0..CONNECTIONS)
            .map(|_| net.peer.run(connect).unwrap())
            .collect();
        let listed: Vec<ListenerRow> = ask(&net, &Request::ShowListeners);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0].backlog, 32);
        let mut accepted: Vec<(Socket, SocketAddr)> =
            (0..CONNECTIONS).map(|_| listener.accept()).collect();
        assert_eq!(homes(&net), BOTH);
        for mut there in there {
            let local = there.local_addr().unwrap();
            let place = accepted.iter().position(|(_, remote)| *remote == local);
            let (here, _) = accepted.swap_remove(place.unwrap());
            there.write_all(local.to_string().as_bytes()).unwrap();
            let mut said = [0; 64];
            let count = here.recv(&mut said).unwrap();
            assert_eq!(said[..count], *local.to_string().as_bytes());
            here.send_all(b"answer").unwrap();
            here.close();
            let mut answer = String::new();
            there.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "answer");
        }
        // A listener that goes goes from both.
        listener.close();
        let refused = within(SOON, || {
            let tried = (0..8).map(|_| {
                let connect = || TcpStream::connect(SocketAddr::new(ours(), PORT));
                net.peer.run(connect).unwrap()
            });
            tried
                .into_iter()
                .all(|tried| tried.is_err_and(|it| it.kind() == ErrorKind::ConnectionRefused))
        });
        assert!(refused, "somebody still listens");
        client.open().bind(anywhere(PORT)).unwrap();
        drop(engine);
    });
}

#[test]
fn workers_are_kept_on_the_cores_that_are_named() {
    let test = "workers::workers_are_kept_on_the_cores_that_are_named";
    namespaces::run(test, || {
        let net = Net::create("workers-cores");
        let allowed = braid_dataplane::worker::allowed_cores();
        let (first, last) = (allowed[0], *allowed.last().unwrap());
        net.configure_workers(2, "");
        let text = fs::read_to_string(net.configuration()).unwrap();
        let named = format!("workers = 2\ncores = [{last}, {first}]\n");
        fs::write(net.configuration(), text.replace("workers = 2\n", &named)).unwrap();
        let engine = net.start();
        for (worker, core) in [(0, last), (1, first)] {
            let name = format!("braid-worker-{worker}");
            let kept = within(SOON, || engine.cores_of(&name) == Some(core.to_string()));
            assert!(kept, "{name}: {:?}", engine.cores_of(&name));
        }
        assert_ne!(engine.cores_of("braid"), None, "the control thread");
        drop(engine);
    });
}

/// The victim's part, as [`death::victim`], with connections at both workers.
#[test]
fn victim() {
    let Some(socket) = victim_socket() else {
        return;
    };
    let client = Client::attach(socket.as_ref());
    let sockets: Vec<Socket> = (0..4)
        .map(|_| {
            let socket = client.open();
            socket.connect(linux(PORT)).unwrap();
            socket.send_all(&[7; 100]).unwrap();
            socket
        })
        .collect();
    death::say_ready();
    let _ = sockets[0].recv(&mut [0; 1]);
}

#[test]
fn kill_9_resets_connections_at_both_workers() {
    let test = "workers::kill_9_resets_connections_at_both_workers";
    namespaces::run(test, || {
        let net = Net::create("workers-kill");
        net.configure_workers(2, "");
        let engine = net.start();
        let listener = net.linux_listener(PORT);
        let descriptors = engine.descriptors();
        for round in 0..5 {
            let mut victim = death::start(&net, "workers::victim", linux(PORT));
            let mut there: Vec<TcpStream> = (0..4).map(|_| listener.accept().unwrap().0).collect();
            for there in &mut there {
                there.set_read_timeout(Some(SOON)).unwrap();
                there.read_exact(&mut [0; 100]).unwrap();
            }
            assert_eq!(homes(&net), BOTH, "round {round}");
            let killed = Instant::now();
            victim.kill().unwrap();
            victim.wait().unwrap();
            for there in &mut there {
                let ended = there.read(&mut [0; 1]).map_err(|error| error.kind());
                assert_eq!(ended, Err(ErrorKind::ConnectionReset), "round {round}");
            }
            assert!(killed.elapsed() < Duration::from_secs(1), "round {round}");
            let freed = within(Duration::from_secs(1), || {
                engine.regions() == 0
                    && engine.descriptors() == descriptors
                    && connections(&net).is_empty()
            });
            assert!(freed, "round {round}: {} regions", engine.regions());
        }
    });
}

#[test]
fn what_is_set_is_set_at_both_workers() {
    let test = "workers::what_is_set_is_set_at_both_workers";
    namespaces::run(test, || {
        let net = Net::create("workers-set");
        net.configure_workers(2, "");
        let engine = net.start();
        serve_each(net.linux_listener(PORT), echo);
        let client = Client::attach(&net.socket());
        let of_two = || {
            let sockets = [client.open(), client.open()];
            for socket in &sockets {
                socket.connect(linux(PORT)).unwrap();
            }
            assert_eq!(homes(&net), BOTH);
            let rows = connections(&net);
            for socket in sockets {
                socket.close();
            }
            assert!(within(SOON, || connections(&net).is_empty()));
            rows
        };
        let settings = Settings {
            congestion: Some("olia".into()),
            ..Settings::default()
        };
        let set = Request::Set {
            connection: None,
            settings,
        };
        let _: SettingsRow = ask(&net, &set);
        for row in of_two() {
            assert_eq!(row.settings.congestion, "olia", "{row:?}");
        }
        let limits = Request::SetLimits {
            subflows: Some(3),
            add_addr_accepted: None,
        };
        let _: LimitsRow = ask(&net, &limits);
        let endpoint = NewEndpoint {
            address: "10.1.2.2".parse().unwrap(),
            port: None,
            id: None,
            flags: vec![EndpointFlag::Subflow],
        };
        let added: EndpointRow = ask(&net, &Request::AddEndpoint(endpoint.clone()));
        assert_eq!(added.id, 1);
        let again: EndpointRow = ask(
            &net,
            &Request::AddEndpoint(NewEndpoint {
                address: "10.1.1.2".parse().unwrap(),
                ..endpoint
            }),
        );
        assert_eq!(again.id, 2);
        let _: EndpointRow = ask(&net, &Request::DeleteEndpoint { id: 2 });
        let listed: Vec<EndpointRow> = ask(&net, &Request::ShowEndpoints);
        assert_eq!(listed, [added]);
        // An option of a listener is that of what both workers accept.
        let listener = client.open();
        listener.bind(anywhere(PORT + 1)).unwrap();
        listener.listen(32).unwrap();
        listener
            .set(libc::IPPROTO_TCP, TCP_MP_SCHEDULER, b"roundrobin")
            .unwrap();
        let connect = || TcpStream::connect(SocketAddr::new(ours(), PORT + 1)).unwrap();
        let there: Vec<TcpStream> = (0..16).map(|_| net.peer.run(connect).unwrap()).collect();
        let accepted: Vec<_> = there.iter().map(|_| listener.accept()).collect();
        assert_eq!(homes(&net), BOTH);
        for row in connections(&net) {
            assert_eq!(row.settings.scheduler, "roundrobin", "{row:?}");
            let one = Request::Set {
                connection: Some(row.id),
                settings: Settings {
                    congestion: Some("reno".into()),
                    ..Settings::default()
                },
            };
            let set: SettingsRow = ask(&net, &one);
            assert_eq!(set.congestion, "reno");
        }
        for (socket, _) in &accepted {
            let congestion = socket.get(libc::IPPROTO_TCP, libc::TCP_CONGESTION);
            assert!(congestion.unwrap().starts_with(b"reno\0"));
        }
        drop(engine);
    });
}
