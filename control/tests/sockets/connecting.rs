//! connect(2) that fails, and after it: as with Linux's own sockets, whose rules of the non-blocking
//! kind its loopback cannot show.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use braid_socket::{attachment, calls};
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, c_short};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::client::sockaddr;
use crate::support::engine::{Net, SOON, linux, ours};
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

/// Answers every connection with what it says first.
fn echo(net: &Net) {
    let listener = net
        .peer
        .run(|| TcpListener::bind(linux(PORT)))
        .unwrap()
        .unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut word = [0; 4];
            let heard = stream.read_exact(&mut word);
            let _ = heard.and_then(|()| stream.write_all(&word));
        }
    });
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
            echo(&net);
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
            echo(&net);
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
