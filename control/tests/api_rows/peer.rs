//! Linux at the other ends of the links: what the rows connect to, and what connects to them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use braid_control::lab::link::{Family, Link, Side};
use braid_control::lab::netlink::{Endpoint, EndpointFlags};
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

use crate::engine::{Net, SOON};

const MULTIPATH_PORT: u16 = 6001;
const PLAIN_PORT: u16 = 6002;
/// An echo from the first byte on (RFC 862).
pub(crate) const ECHO_PORT: u16 = 6003;
/// Reads to the end, then closes (RFC 863).
pub(crate) const DISCARD_PORT: u16 = 6004;

/// Listens at all ports, for both families, until the process ends. A connection to the first
/// two begins with a byte that says what becomes of it: `e`, an echo; `r`, a reset; `c` and an address, a connection
/// to there, which greets by `h` and echoes.
pub(crate) fn start(net: &Net) {
    let tag: IpAddr = "2001:20::1".parse().unwrap();
    net.peer
        .routes()
        .unwrap()
        .add_address(&Link(1).interface(), tag, 64)
        .unwrap();
    let mut manager = net.peer.path_manager().unwrap();
    manager.set_limits(8, 8).unwrap();
    manager
        .add_endpoint(&Endpoint {
            address: Link(2).address(Family::V4, Side::Peer),
            flags: EndpointFlags::SIGNAL,
            id: None,
            interface: None,
        })
        .unwrap();
    for (protocol, port) in [
        (Protocol::MPTCP, MULTIPATH_PORT),
        (Protocol::TCP, PLAIN_PORT),
        (Protocol::MPTCP, ECHO_PORT),
        (Protocol::MPTCP, DISCARD_PORT),
    ] {
        let four: SocketAddr = (Ipv4Addr::UNSPECIFIED, port).into();
        let six: SocketAddr = (Ipv6Addr::UNSPECIFIED, port).into();
        for address in [four, six] {
            let namespace = net.peer.as_fd().try_clone_to_owned().unwrap();
            let listener = net.peer.run(|| listen(protocol, address)).unwrap().unwrap();
            thread::spawn(move || {
                // Threads that it starts, and their sockets, are in the namespace too.
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                while let Ok((connection, _)) = listener.accept() {
                    thread::spawn(move || {
                        // The row sees what went wrong.
                        let _ = match port {
                            ECHO_PORT => echo(connection),
                            DISCARD_PORT => discard(connection),
                            _ => answer(connection),
                        };
                    });
                }
            });
        }
    }
}

fn listen(protocol: Protocol, address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(64)?;
    Ok(socket)
}

fn answer(mut connection: Socket) -> io::Result<()> {
    let mut first = [0; 1];
    connection.read_exact(&mut first)?;
    match first {
        [b'e'] => echo(connection),
        [b'r'] => connection.set_linger(Some(Duration::ZERO)),
        _ => {
            let mut to = [0; 6];
            connection.read_exact(&mut to)?;
            let [a, b, c, d, high, low] = to;
            let address = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
            let mut back = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))?;
            back.connect_timeout(&address.into(), SOON)?;
            back.write_all(b"h")?;
            echo(back)
        }
    }
}

fn echo(mut connection: Socket) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match connection.read(&mut buffer)? {
            0 => return connection.shutdown(Shutdown::Write),
            count => connection.write_all(&buffer[..count])?,
        }
    }
}

fn discard(mut connection: Socket) -> io::Result<()> {
    io::copy(&mut connection, &mut io::sink()).map(|_| ())
}
