//! Bytes both ways, and what the calls around them answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use braid_control::stream::{Receiver, Stream};

use crate::support::client::Client;
use crate::support::engine::{Net, SOON, linux, ours, within};
use crate::support::linux::echo_one;
use crate::support::namespaces;

/// A port that nothing else uses in namespaces of our own.
const PORT: u16 = 5001;

#[test]
fn a_program_connects_and_bytes_go_both_ways() {
    namespaces::run("data::a_program_connects_and_bytes_go_both_ways", || {
        let net = Net::create("connect");
        net.configure("[[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n");
        let engine = net.start();
        let echo = echo_one(net.linux_multipath_listener(PORT));
        let stream = Stream::new(3, 8 << 20);
        let client = Client::attach(&net.socket());
        let socket = client.open();
        assert_eq!(socket.local_address(), Ok("0.0.0.0:0".parse().unwrap()));
        assert_eq!(socket.peer_address(), Err(libc::ENOTCONN));
        socket.connect(linux(PORT)).unwrap();
        assert_eq!(socket.peer_address(), Ok(linux(PORT)));
        assert_eq!(socket.local_address().unwrap().ip(), ours());
        assert_eq!(socket.connect(linux(PORT)), Err(libc::EISCONN));
        let received = thread::scope(|scope| {
            let sending = scope.spawn(|| {
                stream.write_to(&socket, 50_000).unwrap();
                socket.finish();
            });
            let received = Receiver::read_from(&socket, 30_000, |_| {}).unwrap();
            sending.join().unwrap();
            received
        });
        assert_eq!(received.received(), stream.length());
        assert_eq!(received.finish(), stream.digest());
        assert!(!echo.join().unwrap(), "regular TCP");
        // What the rings took is given back once the socket is closed.
        let before = rustix::fs::fstat(&client.memory).unwrap().st_blocks;
        socket.close();
        let after = || rustix::fs::fstat(&client.memory).unwrap().st_blocks;
        let freed = within(SOON, || (after() + 512) < before);
        assert!(freed, "{before} blocks before, {} after", after());
        drop(engine);
    });
}

#[test]
fn a_program_listens_and_takes_many_connections() {
    namespaces::run("data::a_program_listens_and_takes_many_connections", || {
        let net = Net::create("listen");
        net.configure("");
        let engine = net.start();
        let client = Client::attach(&net.socket());
        let listener = client.open();
        let at = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), PORT);
        listener.bind(at).unwrap();
        assert_eq!(listener.bind(at), Err(libc::EINVAL));
        listener.listen(8).unwrap();
        assert_eq!(listener.local_address(), Ok(at));
        let other = client.open();
        assert_eq!(other.bind(at), Err(libc::EADDRINUSE));
        let stream = Stream::new(4, 300_000);
        for round in 0..40 {
            let there = net
                .peer
                .run(|| TcpStream::connect(SocketAddr::new(ours(), PORT)))
                .unwrap()
                .unwrap();
            let local = there.local_addr().unwrap();
            let uploading = thread::spawn(move || {
                let mut there = there;
                let mut buffer = vec![0; 300_000];
                stream.fill(0, &mut buffer);
                there.write_all(&buffer).unwrap();
                there.shutdown(Shutdown::Write).unwrap();
                let mut echoed = Vec::new();
                there.read_to_end(&mut echoed).unwrap();
                assert!(echoed == buffer, "the echo differs");
            });
            let (accepted, remote) = listener.accept();
            assert_eq!(remote, local, "round {round}");
            assert_eq!(accepted.peer_address(), Ok(local));
            let mut all = Vec::new();
            let mut buffer = vec![0; 9_999];
            loop {
                match accepted.recv(&mut buffer).unwrap() {
                    0 => break,
                    count => all.extend_from_slice(&buffer[..count]),
                }
            }
            accepted.send_all(&all).unwrap();
            accepted.close();
            uploading.join().unwrap();
        }
        drop(engine);
    });
}

#[test]
fn a_close_with_bytes_unread_tells_the_peer() {
    namespaces::run("data::a_close_with_bytes_unread_tells_the_peer", || {
        let net = Net::create("unread");
        net.configure("");
        let engine = net.start();
        let listener = net.linux_listener(PORT);
        let client = Client::attach(&net.socket());
        for reads in [true, false] {
            let socket = client.open();
            socket.connect(linux(PORT)).unwrap();
            let (mut there, _) = listener.accept().unwrap();
            there.set_read_timeout(Some(SOON)).unwrap();
            there.write_all(&[5; 1_000]).unwrap();
            assert!(within(SOON, || socket.slot.unread() == Ok(1_000)));
            if reads {
                assert_eq!(socket.recv(&mut [0; 1_000]), Ok(1_000));
            }
            socket.close();
            let end = there.read(&mut [0; 1]).map_err(|error| error.kind());
            if reads {
                assert_eq!(end, Ok(0));
            } else {
                assert_eq!(end, Err(ErrorKind::ConnectionReset));
            }
        }
        drop(engine);
    });
}

#[test]
fn connections_that_cannot_be_made() {
    namespaces::run("data::connections_that_cannot_be_made", || {
        let net = Net::create("refused");
        net.configure("");
        let engine = net.start();
        let client = Client::attach(&net.socket());
        assert_eq!(client.open().connect(linux(PORT)), Err(libc::ECONNREFUSED));
        let nowhere = "192.0.2.1:80".parse().unwrap();
        assert_eq!(client.open().connect(nowhere), Err(libc::ENETUNREACH));
        let foreign = "10.9.9.9:80".parse().unwrap();
        assert_eq!(client.open().bind(foreign), Err(libc::EADDRNOTAVAIL));
        let socket = client.open();
        assert_eq!(socket.send_all(b""), Ok(()));
        assert_eq!(
            socket.call(
                braid_shm::abi::Operation::Shutdown { how: libc::SHUT_WR },
                &[]
            ),
            Err(libc::ENOTCONN)
        );
        drop(engine);
    });
}

#[test]
fn options_before_and_after_connect() {
    namespaces::run("data::options_before_and_after_connect", || {
        let net = Net::create("options");
        net.configure("");
        let engine = net.start();
        let listener = net.linux_listener(PORT);
        let client = Client::attach(&net.socket());
        let socket = client.open();
        let number = |value: i32| value.to_ne_bytes();
        let (tcp, sol) = (libc::IPPROTO_TCP, libc::SOL_SOCKET);
        let mut there = None;
        for connected in [false, true] {
            if connected {
                socket.connect(linux(PORT)).unwrap();
                there = Some(listener.accept().unwrap());
            }
            for value in [1, 0, 1] {
                socket.set(tcp, libc::TCP_NODELAY, &number(value)).unwrap();
                let got = socket.get(tcp, libc::TCP_NODELAY).unwrap();
                assert_eq!(got, number(value), "connected: {connected}");
            }
            let set = |name, value: &[u8]| socket.set(tcp, name, value);
            assert_eq!(set(libc::TCP_NODELAY, &[1]), Err(libc::EINVAL));
            assert_eq!(set(9_999, &number(1)), Err(libc::ENOPROTOOPT));
            assert_eq!(set(libc::TCP_CONGESTION, b"bbr"), Err(libc::ENOENT));
            assert_eq!(set(libc::TCP_CONGESTION, b"reno"), Ok(()));
            assert!(
                socket
                    .get(tcp, libc::TCP_CONGESTION)
                    .unwrap()
                    .starts_with(b"reno\0")
            );
            assert_eq!(set(libc::TCP_KEEPIDLE, &number(0)), Err(libc::EINVAL));
            assert_eq!(set(libc::TCP_KEEPIDLE, &number(9)), Ok(()));
            assert_eq!(socket.set(sol, libc::SO_KEEPALIVE, &number(1)), Ok(()));
            assert_eq!(socket.get(tcp, libc::TCP_KEEPIDLE), Ok(number(9).into()));
            assert_eq!(socket.set(sol, libc::SO_SNDBUF, &number(100_000)), Ok(()));
            assert_eq!(socket.get(sol, libc::SO_SNDBUF), Ok(number(200_000).into()));
            // No more than `limits.buffer` counts, doubled.
            for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
                for asked in [1 << 29, -1] {
                    assert_eq!(socket.set(sol, option, &number(asked)), Ok(()));
                    assert_eq!(socket.get(sol, option), Ok(number(32 << 20).into()));
                }
            }
            let info = socket.get(tcp, libc::TCP_INFO).unwrap();
            assert_eq!(info.first(), Some(&if connected { 1 } else { 7 }));
            assert_eq!(
                socket.get(sol, libc::SO_TYPE),
                Ok(number(libc::SOCK_STREAM).into())
            );
            assert_eq!(
                socket.get(sol, libc::SO_DOMAIN),
                Ok(number(libc::AF_INET).into())
            );
            assert_eq!(socket.get(sol, libc::SO_ACCEPTCONN), Ok(number(0).into()));
        }
        let late = socket.set(sol, libc::SO_BINDTODEVICE, b"no such port\0");
        assert_eq!(late, Err(libc::EISCONN));
        let late = socket.set(sol, libc::SO_BINDTODEVICE, b"link1\0");
        assert_eq!(late, Err(libc::EISCONN));
        assert_eq!(socket.get(sol, libc::SO_BINDTODEVICE), Ok(Vec::new()));
        drop(there);
        drop(engine);
    });
}
