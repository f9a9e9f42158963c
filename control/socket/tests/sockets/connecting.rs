//! connect(2), accept(2), and what sockets say that are not connected.

use crate::support::{address, engine};
use braid_socket::{BraidListener, BraidStream, Domain, Socket, calls};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let storage = braid_socket::abi::SocketAddressStorage::new(address);
    storage.0[..storage.length()].to_vec()
}

fn errno<T: std::fmt::Debug>(result: Result<T, braid_socket::Errno>) -> i32 {
    result.unwrap_err().get()
}

fn at_port(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[test]
fn names_are_those_of_the_connection() {
    engine();
    let address = address();
    let listener = BraidListener::bind(address).unwrap();
    let client = BraidStream::connect(address).unwrap();
    let (server, from) = listener.accept().unwrap();
    assert_eq!(client.peer_address().unwrap(), address);
    assert_eq!(server.local_address().unwrap(), address);
    assert_eq!(client.local_address().unwrap(), from);
    assert_eq!(listener.local_address().unwrap(), address);
}

#[test]
fn a_refused_connection_says_so_once() {
    engine();
    let error = BraidStream::connect(at_port(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let socket = Socket::new(Domain::Inet).unwrap();
    socket.set_nonblocking(true).unwrap();
    let fd = socket.as_raw_fd();
    assert_eq!(
        errno(calls::connect(fd, &sockaddr(at_port(1)))),
        libc::EINPROGRESS
    );
    let mut entries = [libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    }];
    assert_eq!(
        calls::poll(&mut entries, Some(Duration::from_secs(5)), None).unwrap(),
        1
    );
    let events = entries[0].revents;
    assert_eq!(events, libc::POLLOUT | libc::POLLERR | libc::POLLHUP);
    let error = socket.take_error().unwrap().expect("an error");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(socket.take_error().unwrap().is_none());
}

#[test]
fn a_connection_in_progress_is_told_apart() {
    engine();
    let socket = Socket::new(Domain::Inet).unwrap();
    socket.set_nonblocking(true).unwrap();
    let fd = socket.as_raw_fd();
    let nowhere = sockaddr(at_port(2));
    assert_eq!(errno(calls::connect(fd, &nowhere)), libc::EINPROGRESS);
    assert_eq!(errno(calls::connect(fd, &nowhere)), libc::EALREADY);
    let mut entries = [libc::pollfd {
        fd,
        events: libc::POLLIN | libc::POLLOUT,
        revents: 0,
    }];
    assert_eq!(
        calls::poll(&mut entries, Some(Duration::from_millis(30)), None).unwrap(),
        0
    );
    // The kernel's own poll says the same: the descriptor is unwritable.
    let native = nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(&socket),
        nix::poll::PollFlags::POLLOUT,
    );
    assert_eq!(
        nix::poll::poll(&mut [native], nix::poll::PollTimeout::from(30u8)),
        Ok(0)
    );
    assert_eq!(errno(calls::send_one(fd, b"x", 0)), libc::EAGAIN);
    assert_eq!(errno(calls::receive_one(fd, &mut [0], 0)), libc::EAGAIN);
}

#[test]
fn a_connected_socket_connects_no_more() {
    engine();
    let address = address();
    let _listener = BraidListener::bind(address).unwrap();
    let socket = Socket::new(Domain::Inet).unwrap();
    socket.set_nonblocking(true).unwrap();
    let fd = socket.as_raw_fd();
    assert_eq!(
        errno(calls::connect(fd, &sockaddr(address))),
        libc::EINPROGRESS
    );
    let mut entries = [libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    }];
    assert_eq!(
        calls::poll(&mut entries, Some(Duration::from_secs(5)), None).unwrap(),
        1
    );
    assert_eq!(entries[0].revents, libc::POLLOUT);
    assert!(socket.take_error().unwrap().is_none());
    assert_eq!(
        calls::connect(fd, &sockaddr(address)),
        Ok(()),
        "the first is told how it went"
    );
    assert_eq!(errno(calls::connect(fd, &sockaddr(address))), libc::EISCONN);
}

#[test]
fn a_timeout_leaves_the_connection_in_progress() {
    engine();
    let socket = Socket::new(Domain::Inet).unwrap();
    let value = [0i64.to_ne_bytes(), 30_000i64.to_ne_bytes()].concat();
    socket
        .set_option(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &value)
        .unwrap();
    let fd = socket.as_raw_fd();
    assert_eq!(
        errno(calls::connect(fd, &sockaddr(at_port(2)))),
        libc::EINPROGRESS
    );
}

#[test]
fn sockets_that_are_not_connected_say_so() {
    engine();
    let socket = Socket::new(Domain::Inet).unwrap();
    let fd = socket.as_raw_fd();
    assert_eq!(
        errno(calls::receive_one(fd, &mut [0; 4], 0)),
        libc::ENOTCONN
    );
    assert_eq!(
        errno(calls::send_one(fd, b"x", libc::MSG_NOSIGNAL)),
        libc::EPIPE
    );
    assert_eq!(errno(calls::peer_name(fd)), libc::ENOTCONN);
    assert_eq!(errno(calls::shutdown(fd, libc::SHUT_WR)), libc::ENOTCONN);
    assert_eq!(errno(calls::shutdown(fd, 9)), libc::EINVAL);
    assert_eq!(errno(calls::accept(fd, 0)), libc::EINVAL);
    assert_eq!(calls::readiness(fd).unwrap() & libc::POLLHUP, libc::POLLHUP);
    assert_eq!(errno(calls::bind(fd, &[])), libc::EINVAL);
}

#[test]
fn arguments_that_are_none_are_refused() {
    engine();
    let stream = libc::SOCK_STREAM;
    assert_eq!(
        errno(calls::socket(libc::AF_UNIX, stream, 0)),
        libc::EAFNOSUPPORT
    );
    assert_eq!(
        errno(calls::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)),
        libc::ESOCKTNOSUPPORT
    );
    assert_eq!(
        errno(calls::socket(libc::AF_INET, stream, 17)),
        libc::EPROTONOSUPPORT
    );
    assert_eq!(errno(calls::send_one(-1, b"x", 0)), libc::EBADF);
    let kernel = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(
        errno(calls::send_one(kernel.as_raw_fd(), b"x", 0)),
        libc::ENOTSOCK
    );
}

#[test]
fn accept_waits_or_does_not() {
    engine();
    let address = address();
    let listener = BraidListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    listener.set_nonblocking(false).unwrap();
    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        let mut client = BraidStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
    });
    let (mut server, _) = listener.accept().unwrap();
    let mut greeting = String::new();
    server.read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "hello");
    client.join().unwrap();
}
