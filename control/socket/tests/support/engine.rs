//! The fake engine's loop.

use super::pair;
use super::socket::{Key, Socket, carry};
use braid_shm::abi::{
    AcceptedMessage, Adopted, Attached, Command, IPPROTO_TCP, Opened, Operation, Refused, Reply,
    Request, SocketAddressStorage, TCP_MP_ENABLE, sockaddr_multipath,
};
use braid_shm::{
    Bell, CommandServer, EngineRegion, ReadEnd, RegionLayout, SlotFlags, SlotState, WorkerRegion,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a handshake takes: long enough for a connect that does not wait to see its start.
const HANDSHAKE: Duration = Duration::from_millis(2);

/// How the test asks the engine to end.
pub struct Ending {
    bell: Bell,
    word: AtomicU32,
    sockets: AtomicUsize,
}

impl Ending {
    pub fn new() -> Self {
        Self {
            bell: Bell::new().expect("eventfd"),
            word: AtomicU32::new(0),
            sockets: AtomicUsize::new(0),
        }
    }

    pub fn ask(&self, farewell: bool) {
        self.word
            .store(if farewell { 2 } else { 1 }, Ordering::Relaxed);
        self.bell.ring();
    }

    pub fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }
}

struct Region {
    region: EngineRegion,
    worker: WorkerRegion,
    server: CommandServer,
    free: VecDeque<u32>,
}

struct Peer {
    connection: OwnedFd,
    region: Option<u64>,
}

pub struct Engine {
    listener: OwnedFd,
    ending: Arc<Ending>,
    worker_bell: Arc<Bell>,
    control_bell: Arc<Bell>,
    peers: Vec<Peer>,
    regions: BTreeMap<u64, Region>,
    sockets: BTreeMap<Key, Socket>,
    listeners: HashMap<SocketAddr, Key>,
    /// With the moment when the handshake is over.
    connecting: Vec<(Key, SocketAddr, Instant)>,
    next: u64,
}

impl Engine {
    pub fn new(path: &Path, ending: Arc<Ending>) -> Self {
        let bell = || Arc::new(Bell::new().expect("eventfd"));
        Self {
            listener: pair::listen_at(path),
            ending,
            worker_bell: bell(),
            control_bell: bell(),
            peers: Vec::new(),
            regions: BTreeMap::new(),
            sockets: BTreeMap::new(),
            listeners: HashMap::new(),
            connecting: Vec::new(),
            next: 1,
        }
    }

    pub fn run(mut self) {
        while self.ending.word.load(Ordering::Relaxed) == 0 {
            let worked = self.turn();
            self.ending
                .sockets
                .store(self.sockets.len(), Ordering::Relaxed);
            if !worked {
                self.sleep();
            }
        }
        if self.ending.word.load(Ordering::Relaxed) == 2 {
            for region in self.regions.values() {
                region.region.retire();
            }
        }
    }

    fn turn(&mut self) -> bool {
        let mut worked = self.take_peers();
        let mut calls = Vec::new();
        let mut kicks = BTreeSet::new();
        for (name, region) in &self.regions {
            region
                .server
                .take_calls(|thread| calls.push((*name, thread)));
            region.worker.take_kicks(|slot| {
                kicks.insert((*name, slot));
            });
        }
        worked |= !calls.is_empty() || !kicks.is_empty();
        for key in kicks {
            self.kicked(key);
        }
        for (name, thread) in calls {
            self.answer_calls(name, thread);
        }
        worked | self.finish_connects()
    }

    /// A long sleep: a lost wake-up shows as a second.
    fn sleep(&mut self) {
        let ready = self
            .regions
            .values()
            .all(|region| region.worker.prepare_sleep() && region.server.prepare_sleep());
        let mut hung_up = Vec::new();
        if ready {
            let mut fds = vec![
                PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.ending.bell.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.worker_bell.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.control_bell.as_fd(), PollFlags::POLLIN),
            ];
            let peers = self.peers.iter();
            fds.extend(peers.map(|peer| PollFd::new(peer.connection.as_fd(), PollFlags::POLLIN)));
            let ends = self.sockets.values();
            fds.extend(ends.map(|socket| PollFd::new(socket.end.as_fd(), PollFlags::empty())));
            let connecting = self.connecting.iter().any(|(_, to, _)| to.port() != 2);
            let timeout = if connecting { 1u16 } else { 1000 };
            let _ = poll(&mut fds, PollTimeout::from(timeout));
            let first = 4 + self.peers.len();
            let over = |fd: &PollFd<'_>| fd.any().is_some_and(|any| any);
            hung_up.extend(
                self.sockets
                    .keys()
                    .zip(&fds[first..])
                    .filter(|(_, fd)| over(fd))
                    .map(|(key, _)| *key),
            );
        }
        for region in self.regions.values() {
            region.worker.awake();
            region.server.awake();
        }
        self.worker_bell.clear();
        self.control_bell.clear();
        for key in hung_up {
            self.hung_up(key);
        }
    }

    fn take_peers(&mut self) -> bool {
        while let Some(connection) = pair::accept(&self.listener) {
            self.peers.push(Peer {
                connection,
                region: None,
            });
        }
        let mut worked = false;
        let mut n = 0;
        while n < self.peers.len() {
            let Some((packet, descriptor)) = pair::receive(&self.peers[n].connection) else {
                n += 1;
                continue;
            };
            worked = true;
            if packet.is_empty() {
                self.peers.swap_remove(n);
            } else {
                let request = Request::parse(&packet).expect("a request");
                self.answer_peer(n, &request, descriptor);
            }
        }
        worked
    }

    fn answer_peer(&mut self, n: usize, request: &Request, descriptor: Option<OwnedFd>) {
        let (reply, region, descriptor) = match request {
            Request::Attach(_) => {
                let name = self.attach();
                self.peers[n].region = Some(name);
                (Reply::Attached(self.attached(name)), Some(name), None)
            }
            Request::OpenSocket(open) => {
                let name = self.peers[n].region.expect("attached");
                let mut flags = SlotFlags::default();
                if open.domain == libc::AF_INET6 {
                    flags = flags.with(SlotFlags::IPV6);
                }
                if open.domain == i32::from(braid_shm::abi::AF_MULTIPATH) {
                    flags = flags.with(SlotFlags::MULTIPATH).with(SlotFlags::AWARE);
                }
                let (key, application) = self.open(name, flags);
                let generation = self.sockets[&key].handle.generation();
                let opened = Opened {
                    slot: key.1,
                    generation,
                };
                (Reply::Opened(opened), None, Some(application))
            }
            Request::Adopt => {
                let wanted = pair::name_of(descriptor.expect("a descriptor").as_fd());
                let found = self
                    .sockets
                    .iter()
                    .find(|(_, socket)| socket.name == wanted);
                match found {
                    Some((key, socket)) => {
                        let adopted = Adopted {
                            region: self.attached(key.0),
                            slot: key.1,
                            generation: socket.handle.generation(),
                        };
                        (Reply::Adopted(adopted), Some(key.0), None)
                    }
                    None => {
                        let refused = Refused::new(libc::ENOTSOCK, "no socket of this engine");
                        (Reply::Refused(refused), None, None)
                    }
                }
            }
            Request::Detach | Request::Cli(_) => return,
        };
        let mut descriptors = Vec::new();
        if let Some(region) = region.and_then(|name| self.regions.get(&name)) {
            descriptors.extend(region.region.descriptors());
        }
        descriptors.extend(descriptor.as_ref().map(AsFd::as_fd));
        pair::send(&self.peers[n].connection, &reply.encode(), &descriptors);
    }

    fn attach(&mut self) -> u64 {
        let layout = RegionLayout::new(256, 64, 16 << 10).expect("layout");
        let (worker, control) = (
            Arc::clone(&self.worker_bell),
            Arc::clone(&self.control_bell),
        );
        let region = EngineRegion::with_bells(layout, vec![worker], control).expect("region");
        let server = region.command_server();
        let free = (0..layout.sockets()).collect();
        self.next += 1;
        self.regions.insert(
            self.next,
            Region {
                worker: region.worker(0).expect("its only worker"),
                region,
                server,
                free,
            },
        );
        self.next
    }

    fn attached(&self, name: u64) -> Attached {
        let layout = self.regions[&name].region.layout();
        Attached::new(name, layout, std::process::id())
    }

    fn open(&mut self, name: u64, flags: SlotFlags) -> (Key, OwnedFd) {
        let mut strangers = Vec::new();
        let (end, application, own_name) = pair::make(&self.listener, &mut strangers);
        let strangers = strangers.into_iter();
        self.peers.extend(strangers.map(|connection| Peer {
            connection,
            region: None,
        }));
        let region = self.regions.get_mut(&name).expect("region");
        let slot = region.free.pop_front().expect("a free slot");
        let handle = region.region.open_slot(slot, flags).expect("slot");
        let rings = region.region.engine_slot(&handle).expect("slot");
        let socket = Socket {
            handle,
            end,
            name: own_name,
            rings,
            local: None,
            remote: None,
            peer: None,
            options: HashMap::new(),
            finishing: false,
            closed: false,
            carried: None,
        };
        self.sockets.insert((name, slot), socket);
        ((name, slot), application)
    }

    fn kicked(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(&key) else {
            return;
        };
        socket
            .rings
            .answer_kick(&socket.end.as_fd())
            .expect("rings");
        let peer = socket.peer;
        self.transfer(key);
        // It may have made room for what its peer sends.
        if let Some(peer) = peer {
            self.transfer(peer);
        }
    }

    /// Moves what a socket has sent, and ends its peer's stream behind it.
    fn transfer(&mut self, key: Key) {
        let Some(mut from) = self.sockets.remove(&key) else {
            return;
        };
        let mut done = from.closed;
        if let Some(to) = from.peer.and_then(|peer| self.sockets.get_mut(&peer)) {
            let through = carry(&mut from, to);
            done &= through;
            if through && from.finishing {
                from.finishing = false;
                to.handle.finish_receive(ReadEnd::Finished, &to.end.as_fd());
            }
        }
        if done {
            self.release(key, from);
        } else {
            self.sockets.insert(key, from);
        }
    }

    fn release(&mut self, key: Key, socket: Socket) {
        let handle = socket.handle.clone();
        drop(socket);
        let region = self.regions.get_mut(&key.0).expect("region");
        region.region.release_slot(&handle).expect("release");
        region.free.push_back(key.1);
    }

    fn hung_up(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(&key) else {
            return;
        };
        if socket.closed {
            return;
        }
        socket.closed = true;
        self.listeners.retain(|_, listener| *listener != key);
        self.connecting
            .retain(|(connecting, ..)| *connecting != key);
        let peer = socket.peer;
        socket.finishing = peer.is_some();
        if !socket.handle.orderly() {
            socket.finishing = false;
            let peer = peer.and_then(|peer| self.sockets.get(&peer));
            if let Some(peer) = peer {
                peer.fail(libc::ECONNRESET);
            }
        }
        self.transfer(key);
    }

    fn answer_calls(&mut self, name: u64, thread: u32) {
        loop {
            let region = self.regions.get_mut(&name).expect("region");
            let Some(command) = region.server.next_command(thread).expect("a command") else {
                return;
            };
            let argument = region.server.argument(thread, &command);
            let (result, data) = match self.execute(name, &command, &argument) {
                Ok(_) if matches!(command.operation, Operation::SendQueue { .. }) => {
                    (self.waiting((name, command.slot)), Vec::new())
                }
                Ok(data) => (0, data),
                Err(errno) => (-i64::from(errno), Vec::new()),
            };
            let region = self.regions.get_mut(&name).expect("region");
            region
                .server
                .complete(thread, command.id, result, &data)
                .expect("complete");
        }
    }

    /// Bytes that a socket has sent and the other end has not acknowledged.
    fn waiting(&mut self, key: Key) -> i64 {
        let socket = self.sockets.get_mut(&key).expect("a socket");
        i64::try_from(socket.unacknowledged()).expect("few bytes")
    }

    fn execute(&mut self, name: u64, command: &Command, argument: &[u8]) -> Result<Vec<u8>, i32> {
        let key = (name, command.slot);
        let address = || {
            sockaddr_multipath::parse(argument)
                .and_then(|addresses| addresses.first().copied())
                .or_else(|| SocketAddressStorage::from_sockaddr(argument)?.address())
                .ok_or(libc::EINVAL)
        };
        let shown = |address: Option<SocketAddr>| {
            let address = address.ok_or(libc::ENOTCONN)?;
            let storage = SocketAddressStorage::new(address);
            Ok(storage.0[..storage.length()].to_vec())
        };
        let socket = self.sockets.get_mut(&key).ok_or(libc::EBADF)?;
        match command.operation {
            Operation::Bind => socket.local = Some(address()?),
            Operation::Listen { .. } => {
                socket.handle.set_state(SlotState::Listening);
                let local = socket.local.ok_or(libc::EINVAL)?;
                self.listeners.insert(local, key);
            }
            Operation::Connect => {
                socket.handle.set_state(SlotState::Connecting);
                let over = Instant::now() + HANDSHAKE;
                self.connecting.push((key, address()?, over));
            }
            Operation::Shutdown { how } => {
                if socket.peer.is_none() {
                    return Err(libc::ENOTCONN);
                }
                if how != libc::SHUT_RD {
                    socket.handle.close_write();
                    socket.finishing = true;
                }
                if how != libc::SHUT_WR {
                    socket
                        .handle
                        .finish_receive(ReadEnd::Finished, &socket.end.as_fd());
                }
                self.transfer(key);
            }
            Operation::SetOption { level, name } => {
                if level != IPPROTO_TCP {
                    return Err(libc::ENOPROTOOPT);
                }
                if name == TCP_MP_ENABLE {
                    socket.handle.set_flags(SlotFlags::AWARE);
                }
                socket.options.insert((level, name), argument.to_vec());
            }
            Operation::GetOption { level, name, .. } => {
                return socket
                    .options
                    .get(&(level, name))
                    .cloned()
                    .ok_or(libc::ENOPROTOOPT);
            }
            Operation::LocalAddress => return shown(socket.local),
            Operation::PeerAddress => return shown(socket.remote),
            Operation::SendQueue { .. } => {}
            Operation::Owns { .. } => return Err(libc::EINVAL),
        }
        Ok(Vec::new())
    }

    fn finish_connects(&mut self) -> bool {
        let now = Instant::now();
        let (endless, ready): (Vec<_>, Vec<_>) = std::mem::take(&mut self.connecting)
            .into_iter()
            .partition(|(_, to, over)| to.port() == 2 || *over > now);
        self.connecting = endless;
        let worked = !ready.is_empty();
        for (key, to, _) in ready {
            let listener = self.listeners.get(&to).copied();
            let Some(listener) = listener else {
                if let Some(socket) = self.sockets.get(&key) {
                    let end = socket.end.as_fd();
                    socket.handle.reopen(libc::ECONNREFUSED as u32, &end);
                }
                continue;
            };
            let (new, application) = self.open(listener.0, SlotFlags::default());
            let from = SocketAddr::from(([192, 0, 2, 9], 40_000 + key.1 as u16));
            let generation = self.sockets[&new].handle.generation();
            let message = AcceptedMessage {
                region: listener.0,
                slot: new.1,
                generation,
                local: SocketAddressStorage::new(to),
                remote: SocketAddressStorage::new(from),
            };
            if let Some(accepted) = self.sockets.get_mut(&new) {
                accepted.establish(to, from, key);
            }
            if let Some(socket) = self.sockets.get_mut(&key) {
                socket.establish(from, to, new);
            }
            let end = &self.sockets[&listener].end;
            // A listener that is gone: the descriptor is closed here, and so is the connection.
            pair::send(end, &message.to_bytes(), &[application.as_fd()]);
        }
        worked
    }
}
