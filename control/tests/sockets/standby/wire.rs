//! Links with a delay that can be cut: whatever both ends are, a thread carries their frames.
//!
//! Each link is two veth pairs, and packet sockets at the inner ends. Frames go over as they come,
//! with what the kernel says of checksums and segments still to be made (PACKET_VNET_HDR), so that
//! both kernels' offloads work as on a link of one pair.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use braid_control::lab::link::Link;
use braid_control::lab::namespace::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

/// A frame of many segments, and what goes before it.
const LARGEST: usize = 70_000;

/// How a link fails.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// It loses everything, and nobody is told.
    Silent,
    /// The interface loses its carrier too.
    Carrier,
}

/// Two links whose middles are in namespaces of their own.
pub(super) struct Wires {
    /// The inner ends towards the host under test.
    near: Namespace,
    /// Those towards the peer.
    far: Namespace,
    cut: Arc<[AtomicBool; 2]>,
    delay: Duration,
}

impl Wires {
    pub(super) fn new(delay: Duration) -> Self {
        let near = Namespace::create().unwrap();
        // Both ends of a pair would have the same index, and where an interface seems to be its own
        // lower one the kernel tells of its carrier once a second at most, as of a network card.
        let mut routes = near.routes().unwrap();
        routes.add_veth("spare0", &near, "spare1").unwrap();
        Self {
            near,
            far: Namespace::create().unwrap(),
            cut: Arc::default(),
            delay,
        }
    }

    /// Joins two hosts by a link.
    pub(super) fn join(&self, link: Link, engine: &Namespace, peer: &Namespace) {
        link.add_veth(engine, &self.near).unwrap();
        link.add_veth(&self.far, peer).unwrap();
        let name = link.interface();
        let ends = [&self.near, &self.far].map(|namespace| {
            let mut routes = namespace.routes().unwrap();
            routes.set_up(&name, true).unwrap();
            let index = routes.index_of(&name).unwrap();
            namespace.run(|| packet_socket(index)).unwrap().unwrap()
        });
        let (cut, delay) = (Arc::clone(&self.cut), self.delay);
        thread::spawn(move || carry(&ends, delay, &cut[usize::from(link.0) - 1]));
    }

    pub(super) fn cut(&self, link: Link, how: Cut) {
        self.cut[usize::from(link.0) - 1].store(true, Ordering::Relaxed);
        if how == Cut::Carrier {
            self.set_carrier(link, false);
        }
    }

    pub(super) fn restore(&self, link: Link, how: Cut) {
        if how == Cut::Carrier {
            self.set_carrier(link, true);
        }
        self.cut[usize::from(link.0) - 1].store(false, Ordering::Relaxed);
    }

    fn set_carrier(&self, link: Link, up: bool) {
        let mut routes = self.near.routes().unwrap();
        routes.set_up(&link.interface(), up).unwrap();
    }
}

/// A socket for all frames of an interface but those that it sends itself.
fn packet_socket(index: u32) -> io::Result<Socket> {
    let every_protocol = libc::ETH_P_ALL as u16;
    let protocol = Protocol::from(i32::from(every_protocol.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(protocol))?;
    for option in [libc::PACKET_VNET_HDR, libc::PACKET_IGNORE_OUTGOING] {
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads the four bytes of `on`.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a `sockaddr_ll` is plain data and fits the storage of any address.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = every_protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the first `length` bytes are the address just written.
    let address = unsafe { SockAddr::new(storage, length) };
    socket.bind(&address)?;
    Ok(socket)
}

/// Carries frames between the ends until the process ends.
fn carry(ends: &[Socket; 2], delay: Duration, cut: &AtomicBool) {
    let mut under_way: [VecDeque<(Instant, Vec<u8>)>; 2] = Default::default();
    let mut buffer = vec![0; LARGEST];
    loop {
        let now = Instant::now();
        for (from, queue) in under_way.iter_mut().enumerate() {
            while let Ok(count) = io::Read::read(&mut &ends[from], &mut buffer) {
                queue.push_back((now + delay, buffer[..count].to_vec()));
            }
            while queue.front().is_some_and(|(due, _)| *due <= now) {
                let (_, frame) = queue.pop_front().unwrap();
                if !cut.load(Ordering::Relaxed) {
                    // An interface that is down takes nothing.
                    let _ = ends[1 - from].send(&frame);
                }
            }
        }
        let due = under_way.iter().filter_map(|queue| queue.front());
        let wait = due.map(|(due, _)| due.saturating_duration_since(now)).min();
        let wait = Timespec::try_from(wait.unwrap_or(Duration::from_millis(100))).unwrap();
        let mut ready = [0, 1].map(|end| PollFd::new(&ends[end], PollFlags::IN));
        poll(&mut ready, Some(&wait)).unwrap();
        let down = PollFlags::ERR;
        if ready.iter().any(|end| end.revents().contains(down)) {
            // Reading the error takes it away.
            for end in ends {
                let _ = end.take_error();
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}
