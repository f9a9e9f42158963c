//! connect(2) that fails, and after it: as with Linux's own sockets, whose rules of the non-blocking
//! kind its loopback cannot show.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use braid_control::lab::link::{Family, Link, Side};
use braid_control::management::{self, Request, SubflowRow};
use braid_control::peer::{Listener, PeerProtocol};
use braid_socket::abi::{AF_MULTIPATH, EMULTIPATH, sockaddr_multipath};
use braid_socket::{attachment, calls};
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, c_short};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::client::sockaddr;
use crate::support::engine::{Net, SOON, linux, ours};
use crate::support::linux::{echo, serve_each};
use crate::support::namespaces;

const PORT: u16 = 5021;
/// Where nobody listens.
const NOBODY: u16 = 9;
const ALL: c_short = POLLIN | POLLOUT | POLLRDHUP;

fn socket(flags: i32) -> RawFd {
    calls::socket(libc::AF_INET, libc::SOCK_STREAM | flags, 0).unwrap()
}

fn connect(fd: RawFd, to: SocketAddr) -> Result<(), i32> {
    calls::connect(fd, &sockaddr(to)).map_err(braid_socket::Errno::get)
}

/// SO_ERROR.
fn pending(fd: RawFd) -> i32 {
    let mut value = [0; 4];
    calls::get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut value).unwrap();
    i32::from_ne_bytes(value)
}

/// What poll says, within a time.
fn events(fd: RawFd, asked: c_short, time: Duration) -> c_short {
    let mut entry = [libc::pollfd {
        fd,
        events: asked,
        revents: 0,
    }];
    calls::poll(&mut entry, Some(time), None).unwrap();
    entry[0].revents
}

/// What the kernel says of the descriptor itself, as an epoll would see it.
fn natively(fd: RawFd, asked: PollFlags, time: Duration) -> PollFlags {
    // SAFETY: it is open for as long as the test has it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut entry = [PollFd::new(&borrowed, asked)];
    let timeout = Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    };
    poll(&mut entry, Some(&timeout)).unwrap();
    entry[0].revents()
}

fn errno<T>(result: Result<T, braid_socket::Errno>) -> Option<i32> {
    result.err().map(braid_socket::Errno::get)
}

fn assert_echoes(fd: RawFd) {
    calls::send_one(fd, b"word", 0).unwrap();
    assert_ne!(events(fd, POLLIN, SOON) & POLLIN, 0);
    let mut word = [0; 4];
    assert_eq!(calls::receive_one(fd, &mut word, libc::MSG_WAITALL), Ok(4));
    assert_eq!(&word, b"word");
}

#[test]
fn a_non_blocking_connect_that_fails_is_told_and_tried_again() {
    namespaces::run(
        "connecting::a_non_blocking_connect_that_fails_is_told_and_tried_again",
        || {
            let net = Net::create("retry");
            net.configure("");
            let _engine = net.start();
            attachment::use_engine(&net.socket());
            serve_each(net.linux_listener(PORT), echo);
            let fd = socket(libc::SOCK_NONBLOCK);
            // As in an epoll set.
            calls::watch_for_good(fd, false).unwrap();
            for asks_first in [true, false, true] {
                assert_eq!(connect(fd, linux(NOBODY)), Err(libc::EINPROGRESS));
                let native = natively(fd, PollFlags::IN, SOON);
                assert!(native.contains(PollFlags::IN), "{native:?}");
                let native = natively(fd, PollFlags::OUT, SOON);
                assert!(native.contains(PollFlags::OUT), "{native:?}");
                let over = POLLIN | POLLOUT | POLLRDHUP | POLLHUP;
                assert_eq!(events(fd, ALL, SOON), over | POLLERR);
                if asks_first {
                    assert_eq!(pending(fd), libc::ECONNREFUSED);
                    assert_eq!(pending(fd), 0);
                    assert_eq!(events(fd, ALL, SOON), over);
                    assert_eq!(calls::receive_one(fd, &mut [0; 4], 0), Ok(0));
                    let sent = calls::send_one(fd, b"no", libc::MSG_NOSIGNAL);
                    assert_eq!(errno(sent), Some(libc::EPIPE));
                    assert_eq!(connect(fd, linux(PORT)), Err(libc::ECONNABORTED));
                } else {
                    assert_eq!(connect(fd, linux(PORT)), Err(libc::ECONNREFUSED));
                }
                assert_eq!(events(fd, ALL, SOON), POLLOUT | POLLHUP);
                assert_eq!(
                    natively(fd, PollFlags::IN, Duration::ZERO),
                    PollFlags::empty()
                );
                let received = calls::receive_one(fd, &mut [0; 4], 0);
                assert_eq!(errno(received), Some(libc::ENOTCONN));
                assert_eq!(errno(calls::peer_name(fd)), Some(libc::ENOTCONN));
            }
            assert_eq!(connect(fd, linux(PORT)), Err(libc::EINPROGRESS));
            assert_eq!(events(fd, POLLOUT, SOON), POLLOUT);
            assert_eq!(pending(fd), 0);
            assert_eq!(connect(fd, linux(PORT)), Ok(()));
            assert_eq!(connect(fd, linux(PORT)), Err(libc::EISCONN));
            assert_echoes(fd);
            calls::close(fd).unwrap();
            // Closed while it fails, again and again: nothing is left in the engine.
            for _ in 0..300 {
                let fd = socket(libc::SOCK_NONBLOCK);
                assert_eq!(connect(fd, linux(NOBODY)), Err(libc::EINPROGRESS));
                calls::close(fd).unwrap();
            }
            let gone = || net.connections() == 0;
            assert!(
                crate::support::engine::within(SOON, gone),
                "connections are left"
            );
        },
    );
}

#[test]
fn a_connect_that_fails_at_once_leaves_the_descriptor_writable() {
    namespaces::run(
        "connecting::a_connect_that_fails_at_once_leaves_the_descriptor_writable",
        || {
            let net = Net::create("at-once");
            net.configure("");
            let _engine = net.start();
            attachment::use_engine(&net.socket());
            serve_each(net.linux_listener(PORT), echo);
            let nowhere = "192.0.2.1:80".parse().unwrap();
            for flags in [0, libc::SOCK_NONBLOCK] {
                let fd = socket(flags);
                calls::bind(fd, &sockaddr(SocketAddr::new(ours(), 0))).unwrap();
                let name = calls::local_name(fd).unwrap();
                assert_eq!(connect(fd, nowhere), Err(libc::ENETUNREACH));
                assert_eq!(pending(fd), 0);
                let native = natively(fd, PollFlags::OUT, Duration::ZERO);
                assert_eq!(native, PollFlags::OUT);
                assert_eq!(events(fd, ALL, SOON), POLLOUT | POLLHUP);
                calls::set_nonblocking(fd, false).unwrap();
                assert_eq!(connect(fd, linux(NOBODY)), Err(libc::ECONNREFUSED));
                assert_eq!(connect(fd, linux(PORT)), Ok(()));
                assert_eq!(calls::local_name(fd).unwrap(), name, "the bind is kept");
                assert_echoes(fd);
                calls::close(fd).unwrap();
            }
        },
    );
}

/// connect() to several addresses of one peer.
fn connect_to_any(fd: RawFd, to: &[SocketAddr]) -> Result<(), i32> {
    let address = sockaddr_multipath::new(to).to_bytes();
    calls::connect(fd, &address).map_err(braid_socket::Errno::get)
}

fn multipath_socket() -> RawFd {
    calls::socket(AF_MULTIPATH.into(), libc::SOCK_STREAM, 0).unwrap()
}

/// The peer's address on the second link.
fn linux_on_second(port: u16) -> SocketAddr {
    SocketAddr::new(Link(2).address(Family::V4, Side::Peer), port)
}

#[test]
fn of_several_addresses_the_first_that_answers_is_taken() {
    namespaces::run(
        "connecting::of_several_addresses_the_first_that_answers_is_taken",
        || {
            let net = Net::create("several");
            net.configure("");
            let _engine = net.start();
            attachment::use_engine(&net.socket());
            serve_each(net.linux_listener(PORT), echo);
            let nowhere = "192.0.2.1:80".parse().unwrap();
            // The peer drops what comes for that one.
            let silent = SocketAddr::new("10.1.1.77".parse().unwrap(), PORT);
            for first in [
                vec![],
                vec![linux(NOBODY)],
                vec![nowhere, linux(NOBODY), nowhere],
            ] {
                let fd = multipath_socket();
                let to = [first, vec![linux(PORT)]].concat();
                assert_eq!(connect_to_any(fd, &to), Ok(()), "{to:?}");
                assert_eq!(errno(calls::peer_name(fd)), Some(EMULTIPATH));
                assert_echoes(fd);
                calls::close(fd).unwrap();
            }
            let fd = multipath_socket();
            assert_eq!(
                connect_to_any(fd, &[nowhere, linux(NOBODY)]),
                Err(libc::ECONNREFUSED)
            );
            assert_eq!(
                connect_to_any(fd, &[linux(NOBODY), nowhere]),
                Err(libc::ENETUNREACH)
            );
            // One that never answers gives way in time, and all of them end in time.
            let timeout = 2_000u32.to_ne_bytes();
            calls::set_option(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &timeout).unwrap();
            let begun = std::time::Instant::now();
            let nobody = connect_to_any(fd, &[silent, silent]);
            assert!(
                matches!(nobody, Err(libc::ETIMEDOUT | libc::EHOSTUNREACH)),
                "{nobody:?}"
            );
            assert!(
                begun.elapsed() < Duration::from_secs(4),
                "{:?}",
                begun.elapsed()
            );
            let begun = std::time::Instant::now();
            assert_eq!(connect_to_any(fd, &[silent, linux(PORT)]), Ok(()));
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{:?}",
                begun.elapsed()
            );
            assert_echoes(fd);
            calls::close(fd).unwrap();
        },
    );
}

#[test]
fn further_subflows_go_to_the_other_addresses() {
    namespaces::run(
        "connecting::further_subflows_go_to_the_other_addresses",
        || {
            let net = Net::create("targets");
            net.configure("");
            let _engine = net.start();
            attachment::use_engine(&net.socket());
            let anywhere = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), PORT);
            let listener = net
                .peer
                .run(|| Listener::bind(PeerProtocol::Multipath, anywhere))
                .unwrap()
                .unwrap();
            let echo = std::thread::spawn(move || {
                let mut peer = listener.accept(SOON, || false).unwrap();
                let mut word = [0; 4];
                while peer.read(&mut word).unwrap() == 4 {
                    peer.write_all(&word).unwrap();
                }
            });
            let fd = multipath_socket();
            let to = [linux(NOBODY), linux_on_second(PORT), linux(PORT)];
            assert_eq!(connect_to_any(fd, &to), Ok(()));
            let joined = || {
                assert_echoes(fd);
                let mut client = management::Client::connect(&net.socket()).unwrap();
                let request = Request::ShowSubflows { connection: None };
                let rows: Vec<SubflowRow> = client.ask(&request).unwrap();
                let established = |row: &&SubflowRow| row.state == "established";
                let mut remotes: Vec<_> = rows.iter().filter(established).collect();
                remotes.sort_by_key(|row| row.id);
                let remotes: Vec<SocketAddr> = remotes.iter().map(|row| row.remote).collect();
                remotes == [linux_on_second(PORT), linux(PORT)]
            };
            assert!(
                crate::support::engine::within(SOON, joined),
                "no subflow to the second address"
            );
            calls::close(fd).unwrap();
            echo.join().unwrap();
        },
    );
}
