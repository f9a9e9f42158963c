//! Options of the application's side, and how the others get to the engine.

use crate::support::{connected, engine};
use braid_socket::abi::{AF_MULTIPATH, EMULTIPATH, IPPROTO_TCP, TCP_MP_PROFILE, TCP_MP_SCHEDULER};
use braid_socket::{Domain, Socket};
use libc::SOL_SOCKET;

fn int(socket: &Socket, level: i32, name: i32) -> i32 {
    let mut value = [0; 4];
    assert_eq!(socket.option(level, name, &mut value).unwrap(), 4);
    i32::from_ne_bytes(value)
}

#[test]
fn facts_are_answered_here() {
    engine();
    let socket = Socket::new(Domain::Inet6).unwrap();
    assert_eq!(int(&socket, SOL_SOCKET, libc::SO_TYPE), libc::SOCK_STREAM);
    assert_eq!(int(&socket, SOL_SOCKET, libc::SO_DOMAIN), libc::AF_INET6);
    assert_eq!(int(&socket, SOL_SOCKET, libc::SO_ACCEPTCONN), 0);
    assert_eq!(int(&socket, SOL_SOCKET, libc::SO_ERROR), 0);
    let multipath = Socket::new(Domain::Multipath).unwrap();
    assert_eq!(
        int(&multipath, SOL_SOCKET, libc::SO_DOMAIN),
        i32::from(AF_MULTIPATH)
    );
    let error = socket
        .set_option(SOL_SOCKET, libc::SO_TYPE, &[0; 4])
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
}

#[test]
fn what_is_set_is_given_back() {
    engine();
    let socket = Socket::new(Domain::Inet).unwrap();
    let time = [3i64.to_ne_bytes(), 250_000i64.to_ne_bytes()].concat();
    let linger = [1i32.to_ne_bytes(), 5i32.to_ne_bytes()].concat();
    let cases = [
        (SOL_SOCKET, libc::SO_RCVTIMEO, &time[..]),
        (SOL_SOCKET, libc::SO_SNDTIMEO, &time),
        (SOL_SOCKET, libc::SO_LINGER, &linger),
        (SOL_SOCKET, libc::SO_RCVLOWAT, &77i32.to_ne_bytes()),
        (IPPROTO_TCP, TCP_MP_SCHEDULER, b"redundant"),
        (IPPROTO_TCP, TCP_MP_PROFILE, &2i32.to_ne_bytes()),
    ];
    for (level, name, value) in cases {
        socket.set_option(level, name, value).unwrap();
        let mut found = [0; 64];
        let length = socket.option(level, name, &mut found).unwrap();
        assert_eq!(&found[..length], value, "option {name}");
        // As much as fits.
        assert_eq!(socket.option(level, name, &mut found[..2]).unwrap(), 2);
    }
}

#[test]
fn wrong_values_are_refused() {
    engine();
    let socket = Socket::new(Domain::Inet).unwrap();
    let errno = |level, name, value: &[u8]| {
        socket
            .set_option(level, name, value)
            .unwrap_err()
            .raw_os_error()
            .unwrap()
    };
    assert_eq!(errno(SOL_SOCKET, libc::SO_RCVTIMEO, &[0; 8]), libc::EINVAL);
    assert_eq!(errno(SOL_SOCKET, libc::SO_LINGER, &[0; 4]), libc::EINVAL);
    let time = [0i64.to_ne_bytes(), 1_000_000i64.to_ne_bytes()].concat();
    assert_eq!(errno(SOL_SOCKET, libc::SO_RCVTIMEO, &time), libc::EDOM);
    assert_eq!(errno(99, 1, &[0; 4]), libc::ENOPROTOOPT);
    assert_eq!(
        errno(IPPROTO_TCP, TCP_MP_SCHEDULER, &vec![0; 40 << 10]),
        libc::EINVAL
    );
}

#[test]
fn an_aware_socket_has_no_single_address() {
    let (client, _server) = connected();
    assert!(client.peer_address().is_ok());
    client.socket().enable_multipath(true).unwrap();
    for result in [client.peer_address(), client.local_address()] {
        assert_eq!(result.unwrap_err().raw_os_error(), Some(EMULTIPATH));
    }
}
