//! Listeners, programs of one engine that talk to each other, and who may attach.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::{fs, thread};

use braid_control::lab::link::{Family, Link, Side};
use braid_shm::abi::{Operation, Reply};
use nix::sys::signal::Signal;

use crate::support::client::{Client, Socket, reach};
use crate::support::engine::{Net, SOON, linux, ours, within};
use crate::support::namespaces;

const PORT: u16 = 5005;

fn anywhere(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
}

fn anywhere_v6(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)
}

fn receive_exactly(socket: &Socket, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut position = 0;
    while position < length {
        let count = socket.recv(&mut bytes[position..]).unwrap();
        assert!(count > 0, "the stream ended after {position} bytes");
        position += count;
    }
    bytes
}

#[test]
fn two_programs_of_one_engine_talk_over_its_own_address() {
    namespaces::run(
        "listening::two_programs_of_one_engine_talk_over_its_own_address",
        || {
            let net = Net::create("own");
            net.configure("");
            let engine = net.start();
            let (serving, asking) = (Client::attach(&net.socket()), Client::attach(&net.socket()));
            let owns = |address: IpAddr| {
                let socket = asking.open();
                let mut block = socket
                    .slot
                    .region()
                    .claim(braid_shm::ThreadId::current(), 0)
                    .unwrap();
                let argument = crate::support::client::sockaddr(SocketAddr::new(address, PORT));
                let operation = Operation::Owns { remote: true };
                let mut reply = Vec::new();
                block.call(0, 0, operation, &argument, &mut reply, || false)
            };
            assert_eq!(owns(ours()).unwrap(), 1);
            assert_eq!(owns(Ipv4Addr::LOCALHOST.into()).unwrap(), 0);
            assert_eq!(owns(Ipv6Addr::LOCALHOST.into()).unwrap(), 0);
            let listener = serving.open();
            listener.bind(anywhere(PORT)).unwrap();
            listener.listen(4).unwrap();
            let socket = asking.open();
            socket.connect(SocketAddr::new(ours(), PORT)).unwrap();
            let (accepted, remote) = listener.accept();
            assert_eq!(socket.local_address(), Ok(remote));
            assert_eq!(remote.ip(), ours());
            let said: Vec<u8> = (0..4_000_000u32).map(|n| (n ^ n >> 9) as u8).collect();
            thread::scope(|scope| {
                scope.spawn(|| socket.send_all(&said).unwrap());
                assert!(receive_exactly(&accepted, said.len()) == said, "there");
            });
            thread::scope(|scope| {
                scope.spawn(|| accepted.send_all(&said).unwrap());
                assert!(receive_exactly(&socket, said.len()) == said, "back");
            });
            socket.finish();
            assert_eq!(accepted.recv(&mut [0; 1]), Ok(0));
            let refused = asking.open().connect(SocketAddr::new(ours(), PORT + 1));
            assert_eq!(refused, Err(libc::ECONNREFUSED));
            drop(engine);
        },
    );
}

#[test]
fn listeners_of_each_family_share_a_port_and_a_segment_is_no_larger_than_asked() {
    namespaces::run(
        "listening::listeners_of_each_family_share_a_port_and_a_segment_is_no_larger_than_asked",
        || {
            let net = Net::create("families");
            net.configure("");
            let engine = net.start();
            let client = Client::attach(&net.socket());
            let flag = 1i32.to_ne_bytes();
            let six = client.open_domain(libc::AF_INET6);
            six.set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &flag)
                .unwrap();
            six.bind(anywhere_v6(PORT)).unwrap();
            six.listen(4).unwrap();
            let four = client.open();
            four.bind(anywhere(PORT)).unwrap();
            let segment = 700i32.to_ne_bytes();
            four.set(libc::IPPROTO_TCP, libc::TCP_MAXSEG, &segment)
                .unwrap();
            four.listen(1).unwrap();
            // As by nginx on a reload: the backlog alone is another.
            four.listen(64).unwrap();
            let both = client.open_domain(libc::AF_INET6);
            assert_eq!(both.bind(anywhere_v6(PORT)), Err(libc::EADDRINUSE));
            let mut there = net
                .peer
                .run(|| TcpStream::connect(SocketAddr::new(ours(), PORT)))
                .unwrap()
                .unwrap();
            let (accepted, _) = four.accept();
            there.write_all(&[5; 10_000]).unwrap();
            assert_eq!(receive_exactly(&accepted, 10_000), [5; 10_000]);
            accepted.send_all(&[6; 10_000]).unwrap();
            let mut back = vec![0; 10_000];
            there.read_exact(&mut back).unwrap();
            let used = segment_size(&there);
            assert!(used <= 700, "the peer sends {used} bytes");
            let ours = accepted.get(libc::IPPROTO_TCP, libc::TCP_MAXSEG).unwrap();
            let ours = i32::from_ne_bytes(ours.try_into().unwrap());
            assert!((88..=700).contains(&ours), "{ours} bytes go");
            // Many wait at once, as the second listen() allows.
            let waiting: Vec<TcpStream> = (0..16)
                .map(|_| {
                    net.peer
                        .run(|| TcpStream::connect(SocketAddr::new(here(), PORT)))
                        .unwrap()
                        .unwrap()
                })
                .collect();
            for _ in &waiting {
                four.accept();
            }
            drop(engine);
        },
    );
}

#[test]
fn listeners_that_share_a_port_share_its_connections() {
    namespaces::run(
        "listening::listeners_that_share_a_port_share_its_connections",
        || {
            let net = Net::create("shared");
            net.configure("");
            let engine = net.start();
            // Two programs of one user, and a third that does not ask for it.
            let clients = [Client::attach(&net.socket()), Client::attach(&net.socket())];
            let mut listeners: Vec<Socket> = Vec::new();
            for client in [0, 0, 1].map(|n: usize| &clients[n]) {
                let socket = client.open();
                let flag = 1i32.to_ne_bytes();
                assert_eq!(
                    client.open().bind(anywhere(PORT)),
                    if listeners.is_empty() {
                        Ok(())
                    } else {
                        Err(libc::EADDRINUSE)
                    }
                );
                // The one just bound is closed, which the engine sees a little later.
                socket
                    .set(libc::SOL_SOCKET, libc::SO_REUSEPORT, &flag)
                    .unwrap();
                assert!(within(SOON, || socket.bind(anywhere(PORT)).is_ok()));
                socket.listen(64).unwrap();
                listeners.push(socket);
            }
            let dial = |count: usize| -> Vec<TcpStream> {
                let to = SocketAddr::new(here(), PORT);
                let dial = || TcpStream::connect(to).unwrap();
                (0..count).map(|_| net.peer.run(dial).unwrap()).collect()
            };
            let waiting = |listener: &Socket| {
                let readable = rustix::event::PollFlags::IN;
                crate::support::client::wait(&listener.end, readable, Duration::ZERO)
            };
            let dialled = dial(48);
            let mut taken = vec![0; listeners.len()];
            assert!(within(SOON, || {
                for (listener, count) in listeners.iter().zip(&mut taken) {
                    while waiting(listener) {
                        listener.accept();
                        *count += 1;
                    }
                }
                taken.iter().sum::<usize>() == dialled.len()
            }));
            assert!(taken.iter().all(|count| *count > 0), "{taken:?}");
            // One that is closed leaves all to the others.
            listeners.remove(0).close();
            thread::sleep(Duration::from_millis(200));
            let dialled = dial(16);
            let mut count = 0;
            assert!(within(SOON, || {
                for listener in listeners.iter().filter(|listener| waiting(listener)) {
                    listener.accept();
                    count += 1;
                }
                count == dialled.len()
            }));
            drop(engine);
        },
    );
}

/// What this kernel sends in one segment.
fn segment_size(stream: &TcpStream) -> i32 {
    let mut size = 0i32;
    let mut length = libc::socklen_t::try_from(size_of::<i32>()).unwrap();
    // SAFETY: `size` has the `length` bytes that the kernel writes at most.
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MAXSEG,
            (&raw mut size).cast(),
            &raw mut length,
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    size
}

/// The engine's address on the first link.
fn here() -> IpAddr {
    Link(1).address(Family::V4, Side::Engine)
}

#[test]
fn while_the_engine_ends_commands_are_answered() {
    namespaces::run(
        "listening::while_the_engine_ends_commands_are_answered",
        || {
            let net = Net::create("ending");
            net.configure("");
            let mut engine = net.start();
            let listener = net
                .peer
                .run(|| std::net::TcpListener::bind(linux(PORT)))
                .unwrap()
                .unwrap();
            let client = Client::attach(&net.socket());
            let (socket, other) = (client.open(), client.open());
            socket.connect(linux(PORT)).unwrap();
            // Linux keeps its side open, so that the engine has to wait for its timeout of 3 seconds.
            let _there = listener.accept().unwrap();
            engine.signal(Signal::SIGTERM);
            thread::sleep(Duration::from_millis(200));
            let begun = std::time::Instant::now();
            assert_eq!(other.bind(anywhere(PORT)), Err(libc::ESHUTDOWN));
            assert_eq!(other.connect(linux(PORT)), Err(libc::ESHUTDOWN));
            assert_eq!(socket.peer_address(), Ok(linux(PORT)));
            let refused = Client::try_attach(&net.socket()).err().map(|reply| *reply);
            assert!(
                matches!(&refused, Some(Reply::Refused(why)) if why.errno == libc::ESHUTDOWN),
                "{refused:?}"
            );
            assert!(begun.elapsed() < Duration::from_secs(2));
            assert!(engine.wait().success());
        },
    );
}

/// A user that is neither root nor the engine's.
const STRANGER: u32 = 64_321;

#[test]
fn another_user_attaches_only_where_it_is_allowed() {
    namespaces::run_as_root(
        "listening::another_user_attaches_only_where_it_is_allowed",
        || {
            let net = Net::create("users");
            let (mut unreached, mut refused) = (0, 0);
            // Nobody, somebody else, this one.
            for allowed in [None, Some(STRANGER + 1), Some(STRANGER)] {
                net.configure("");
                if let Some(user) = allowed {
                    let text = fs::read_to_string(net.configuration()).unwrap();
                    let line = format!("[engine]\nallow_users = [{user}]\n");
                    fs::write(net.configuration(), text.replace("[engine]\n", &line)).unwrap();
                }
                let engine = net.start();
                let path = net.socket();
                let attached = thread::spawn(move || {
                    // Of this thread alone, as the system call has it.
                    // SAFETY: it takes no pointers, and no other thread is concerned.
                    let done =
                        unsafe { libc::syscall(libc::SYS_setresuid, STRANGER, STRANGER, STRANGER) };
                    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
                    reach(&path).map(|()| {
                        Client::try_attach(&path).map(|client| client.open().local_address())
                    })
                })
                .join()
                .unwrap();
                match attached {
                    Ok(Ok(address)) => {
                        assert_eq!((allowed, address), (Some(STRANGER), Ok(anywhere(0))));
                    }
                    Ok(Err(reply)) => {
                        let Reply::Refused(why) = *reply else {
                            panic!("neither attached nor refused");
                        };
                        assert_eq!((allowed, why.errno), (Some(STRANGER + 1), libc::EACCES));
                        refused += 1;
                        engine.wait_for_log("`allow_users` does not name that user");
                    }
                    Err(errno) => {
                        assert_eq!((allowed, errno), (None, rustix::io::Errno::ACCESS));
                        unreached += 1;
                    }
                }
                drop(engine);
                assert!(within(SOON, || fs::remove_file(net.socket()).is_ok()));
            }
            assert_eq!((unreached, refused), (1, 1));
        },
    );
}
