//! Linux's Multipath TCP over the loopback of a namespace: two threads that connect and two that accept.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use braid_control::lab::namespace::Namespace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use super::{MESSAGE, SAMPLE, WARM_UP};
use crate::memory_links::text;

const PORT: u16 = 7;

/// Threads of each side.
const THREADS: u8 = 2;

/// Descriptors beside those of the connections that stay.
const SPARE: u64 = 1_024;

/// A namespace with connections that stay.
#[derive(Debug)]
pub struct Linux {
    namespace: Namespace,
    listener: Socket,
    /// Both ends.
    _stay: Vec<[Socket; 2]>,
}

impl Linux {
    /// Opens the connections that stay: as many of them as this process may have descriptors for, two each.
    ///
    /// # Errors
    ///
    /// Where there may be no namespace, or no Multipath TCP.
    pub fn with(connections: usize) -> Result<Self, String> {
        let connections = allow_descriptors(connections)?;
        let namespace = Namespace::create().map_err(text)?;
        namespace
            .routes()
            .and_then(|mut routes| routes.set_up("lo", true))
            .map_err(text)?;
        // Each connection leaves a port in TIME-WAIT.
        namespace
            .set("net.ipv4.ip_local_port_range", "1024 65535")
            .map_err(text)?;
        let made = namespace.run(|| -> io::Result<_> {
            let listener = socket()?;
            listener.bind(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT).into())?;
            listener.listen(4_096)?;
            let mut stay = Vec::new();
            for _ in 0..connections {
                let client = connect(Ipv4Addr::LOCALHOST)?;
                stay.push([client, listener.accept()?.0]);
            }
            Ok((listener, stay))
        });
        let (listener, stay) = made.map_err(text)?.map_err(text)?;
        Ok(Self {
            namespace,
            listener,
            _stay: stay,
        })
    }

    /// Thousands of connections a second that come and go.
    ///
    /// # Errors
    ///
    /// When one fails.
    pub fn rate(&mut self) -> Result<f64, String> {
        let (gone, over) = (&AtomicU64::new(0), &AtomicBool::new(false));
        let listener = &self.listener;
        let measured = self.namespace.run(|| {
            thread::scope(|scope| {
                let servers: Vec<_> = (0..THREADS)
                    .map(|_| scope.spawn(|| serve(listener, gone, over)))
                    .collect();
                let clients: Vec<_> = (0..THREADS)
                    .map(|number| scope.spawn(move || come_and_go(number, over)))
                    .collect();
                thread::sleep(WARM_UP);
                let (start, before) = (Instant::now(), gone.load(Ordering::Relaxed));
                thread::sleep(SAMPLE);
                let count = gone.load(Ordering::Relaxed) - before;
                let time = start.elapsed();
                over.store(true, Ordering::Relaxed);
                let panicked = |_| io::Error::other("a thread panicked");
                for client in clients {
                    client.join().map_err(panicked)??;
                }
                // Each server waits for one connection more.
                for _ in &servers {
                    let _ = connect(Ipv4Addr::LOCALHOST)?.shutdown(std::net::Shutdown::Write);
                }
                for server in servers {
                    server.join().map_err(panicked)??;
                }
                Ok::<_, io::Error>(count as f64 / time.as_secs_f64() / 1e3)
            })
        });
        measured.map_err(text)?.map_err(text)
    }
}

/// Has this process hold as many descriptors as it may, up to those of `connections`; how many connections
/// those are enough for.
fn allow_descriptors(connections: usize) -> Result<usize, String> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(text)?;
    let count = most.min(2 * connections as u64 + SPARE);
    setrlimit(Resource::RLIMIT_NOFILE, count, most).map_err(text)?;
    Ok(count.saturating_sub(SPARE) as usize / 2)
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))
}

fn connect(to: Ipv4Addr) -> io::Result<Socket> {
    let socket = socket()?;
    socket.set_tcp_nodelay(true)?;
    socket.connect(&SocketAddr::new(to.into(), PORT).into())?;
    Ok(socket)
}

/// Connects to one address after the other, so that there are ports for all.
fn come_and_go(number: u8, over: &AtomicBool) -> io::Result<()> {
    for address in (1..=u8::MAX).cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let socket = connect(Ipv4Addr::new(127, 0, 1 + number, address))?;
        (&socket).write_all(&MESSAGE)?;
    }
    Ok(())
}

/// Takes what connections carry, to their end.
fn serve(listener: &Socket, gone: &AtomicU64, over: &AtomicBool) -> io::Result<()> {
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::from(listener.accept()?.0);
        let mut into = MESSAGE;
        while stream.read(&mut into)? > 0 {}
        gone.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
