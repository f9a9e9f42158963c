//! Linux at the far end: servers that tests need more than once.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use braid_control::peer::{Listener, PeerProtocol};
use braid_control::stream::{Receiver, Stream};

use super::client::Socket;
use super::engine::{Net, SOON, linux};

impl Net {
    /// A listener of Linux on the first link.
    pub(crate) fn linux_listener(&self, port: u16) -> TcpListener {
        let bound = self.peer.run(|| TcpListener::bind(linux(port)));
        bound.unwrap().unwrap()
    }

    /// As [`Self::linux_listener`], of Multipath TCP.
    pub(crate) fn linux_multipath_listener(&self, port: u16) -> Listener {
        let bind = || Listener::bind(PeerProtocol::Multipath, linux(port));
        self.peer.run(bind).unwrap().unwrap()
    }
}

/// Serves each connection that comes on a thread of its own.
pub(crate) fn serve_each(
    listener: TcpListener,
    serve: impl Fn(TcpStream) + Clone + Send + 'static,
) {
    thread::spawn(move || {
        for there in listener.incoming() {
            let (there, serve) = (there.unwrap(), serve.clone());
            thread::spawn(move || serve(there));
        }
    });
}

/// Sends back all it gets, to the end or an error.
pub(crate) fn echo(mut there: TcpStream) {
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = there.read(&mut buffer) {
        if there.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

/// Accepts one connection and sends back all it gets; says at the end whether it fell back to TCP.
pub(crate) fn echo_one(listener: Listener) -> JoinHandle<bool> {
    thread::spawn(move || {
        let mut peer = listener.accept(SOON, || false).unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match peer.read(&mut buffer).unwrap() {
                0 => break,
                count => peer.write_all(&buffer[..count]).unwrap(),
            }
        }
        peer.finish_sending().unwrap();
        peer.fell_back().unwrap()
    })
}

/// Sends all of a stream to a peer that sends back what it gets, which is to be the same.
pub(crate) fn send_and_get_back(socket: &Socket, stream: &Stream) {
    let received = thread::scope(|scope| {
        let sending = scope.spawn(|| stream.write_to(socket, 50_000).unwrap());
        let mut receiver = Receiver::default();
        let mut buffer = vec![0; 30_000];
        while receiver.received() < stream.length() {
            let count = socket.recv(&mut buffer).unwrap();
            receiver.absorb(&buffer[..count]);
        }
        sending.join().unwrap();
        receiver
    });
    assert_eq!(received.finish(), stream.digest());
}
