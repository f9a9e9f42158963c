//! The library for applications, `braid_socket`, over the real engine and with Linux as the peer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use braid_control::stream::{Receiver, Stream};
use braid_socket::{BraidListener, BraidStream, attachment};

use crate::support::engine::{Net, SOON, linux, ours};
use crate::support::linux::echo_one;
use crate::support::namespaces;

/// A port that nothing else uses in namespaces of our own.
const PORT: u16 = 5001;

fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_stream_connects_and_echoes() {
    namespaces::run("library::a_stream_connects_and_echoes", || {
        let net = Net::create("library");
        net.configure("[[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n");
        let _engine = net.start();
        attachment::use_engine(&net.socket());
        let echo = echo_one(net.linux_multipath_listener(PORT));
        let stream = Stream::new(3, 8 << 20);
        let socket = BraidStream::connect(linux(PORT)).unwrap();
        assert_eq!(socket.peer_address().unwrap(), linux(PORT));
        assert_eq!(socket.local_address().unwrap().ip(), ours());
        let received = thread::scope(|scope| {
            scope.spawn(|| {
                stream.write_to(&socket, 50_000).unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
            });
            Receiver::read_from(&socket, 30_000, |_| {}).unwrap()
        });
        assert_eq!(received.received(), stream.length());
        assert_eq!(received.finish(), stream.digest());
        assert!(!echo.join().unwrap(), "regular TCP");
        let refused = BraidStream::connect(linux(PORT + 1));
        assert_eq!(errno(refused), Some(libc::ECONNREFUSED));
    });
}

#[test]
fn a_listener_accepts_and_an_engine_that_dies_is_told() {
    namespaces::run(
        "library::a_listener_accepts_and_an_engine_that_dies_is_told",
        || {
            let net = Net::create("accept");
            net.configure("");
            for _ in 0..3 {
                let mut engine = net.start();
                attachment::use_engine(&net.socket());
                let listener = BraidListener::bind(SocketAddr::new(ours(), PORT)).unwrap();
                let mut client = net
                    .peer
                    .run(|| TcpStream::connect(SocketAddr::new(ours(), PORT)))
                    .unwrap()
                    .unwrap();
                let (mut server, from) = listener.accept().unwrap();
                assert_eq!(from, client.local_addr().unwrap());
                client.write_all(b"question").unwrap();
                let mut buffer = [0; 8];
                server.read_exact(&mut buffer).unwrap();
                server.write_all(&buffer).unwrap();
                client.read_exact(&mut buffer).unwrap();
                assert_eq!(&buffer, b"question");
                let sleeper = thread::spawn(move || errno(server.read(&mut [0; 8])));
                engine.kill();
                assert_eq!(sleeper.join().unwrap(), Some(libc::ECONNRESET));
                assert_eq!(errno(listener.accept()), Some(libc::ECONNRESET));
            }
        },
    );
}

#[test]
fn a_peer_that_waits_is_written_to_at_last() {
    namespaces::run("library::a_peer_that_waits_is_written_to_at_last", || {
        let net = Net::create("ping");
        net.configure("");
        let _engine = net.start();
        attachment::use_engine(&net.socket());
        let listener = net.linux_listener(PORT);
        let mut client = BraidStream::connect(linux(PORT)).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let echo = thread::spawn(move || {
            let mut byte = [0; 1];
            while peer.read(&mut byte).unwrap() == 1 {
                peer.write_all(&byte).unwrap();
            }
        });
        client.set_read_timeout(Some(SOON)).unwrap();
        for round in 0..5_000u32 {
            client.write_all(&[round as u8]).unwrap();
            let mut answer = [0; 1];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [round as u8], "round {round}");
        }
        drop(client);
        echo.join().unwrap();
    });
}
