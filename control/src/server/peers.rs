//! Control connections: attaching, sockets, adoption (unix(7), `braid_shm::abi`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use braid_engine::stack::WorkerId;
use braid_shm::abi::{
    ABI_VERSION, Adopted, Attach, Attached, IPPROTO_MPTCP, IPPROTO_TCP, MAX_MESSAGE_BYTES,
    OpenSocket, Opened, Refused, Reply, Request,
};
use braid_shm::{SlotFlags, SlotHandle};
use rustix::net::sockopt;

use super::attachment::{Attachment, region_id};
use super::cli::Session;
use super::control::{Control, Kind};
use super::host::WorkerGone;
use super::options::Kept;
use super::packets::{self, Credentials, Received};
use super::pair::Pair;
use super::poller::EventFlags;
use super::shares::Places;
use super::socket::{Domain, Socket, State, Wish};
use super::table::Key;

/// Packets of one connection that are looked at in one turn.
const PACKETS: usize = 16;

/// How long the control thread waits when it cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// Control connections at a time of users who may not attach; each of them is told so once it asks.
const STRANGERS: usize = 32;

/// How long a control connection keeps its place when others need it and it has said nothing.
const SILENCE: Duration = Duration::from_secs(10);

/// A control connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: OwnedFd,
    pub(super) credentials: Credentials,
    /// The region it attached.
    home: Option<Key>,
    /// Since when it is there, until it says something.
    silent_since: Option<Instant>,
    /// What the command line asks on it.
    pub(super) cli: Session,
}

impl Control {
    /// Takes the connections that wait at the listener.
    pub(super) fn accept_peers(&mut self) {
        for _ in 0..PACKETS {
            match self.listener.accept() {
                Ok(Some(connection)) => self.add_peer(connection),
                Ok(None) => return,
                Err(error) => {
                    // Out of descriptors: others wait until there are some again. What waits keeps
                    // the listener readable, so there is a pause.
                    self.complaints.say(format_args!(
                        "a control connection cannot be accepted: {error}; raise the limit on \
                         open files"
                    ));
                    std::thread::sleep(ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// A connection that finds no room, or whose peer is gone already, is closed.
    fn add_peer(&mut self, connection: OwnedFd) {
        let Ok(credentials) = Credentials::of(&connection) else {
            return;
        };
        let peer = Peer {
            connection,
            credentials,
            home: None,
            silent_since: Some(Instant::now()),
            cli: Session::default(),
        };
        let is_stranger = !self.may_attach(credentials.user);
        if self.peers.is_full() || !self.has_connection_for(credentials.user) {
            self.drop_silent_peers();
        }
        let strangers = || {
            let is_stranger = |peer: &Peer| !self.may_attach(peer.credentials.user);
            self.peers
                .iter()
                .filter(|(_, peer)| is_stranger(peer))
                .count()
        };
        let turned_away = if is_stranger {
            strangers() >= STRANGERS
        } else {
            !self.has_connection_for(credentials.user)
        };
        let key = if turned_away {
            None
        } else {
            self.peers.insert(peer).ok()
        };
        let Some(key) = key else {
            self.complaints.say(format_args!(
                "process {} was turned away: there are as many control connections as \
                 `applications` allows",
                credentials.process
            ));
            return;
        };
        let added = self.peers.get(key).is_some_and(|peer| {
            self.poller
                .add(&peer.connection, key.token(Kind::PEER), EventFlags::IN)
                .is_ok()
        });
        if !added {
            self.peers.remove(key);
        }
    }

    /// Whether a user's share of the control connections has one more.
    fn has_connection_for(&self, user: u32) -> bool {
        let users = self.peers.iter().map(|(_, peer)| peer.credentials.user);
        has_place(self.most_peers(), user, users)
    }

    /// Closes connections that have been silent for long: they attach nothing and ask nothing.
    fn drop_silent_peers(&mut self) {
        let silent: Vec<Key> = self
            .peers
            .iter()
            .filter(|(_, peer)| {
                peer.silent_since
                    .is_some_and(|since| since.elapsed() >= SILENCE)
            })
            .map(|(key, _)| key)
            .collect();
        for key in silent {
            // It has neither a region nor a request.
            self.peers.remove(key);
        }
    }

    /// Reads what a connection has to say.
    pub(super) fn on_peer(&mut self, key: Key) -> Result<(), WorkerGone> {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        for _ in 0..PACKETS {
            let Some(peer) = self.peers.get(key) else {
                return Ok(());
            };
            match packets::receive(&peer.connection, &mut buffer) {
                Ok(Received::Nothing) => return Ok(()),
                Ok(Received::Packet(length, descriptors)) => {
                    if let Some(peer) = self.peers.get_mut(key) {
                        peer.silent_since = None;
                    }
                    let packet = buffer.get(..length).unwrap_or_default();
                    if !self.on_packet(key, packet, descriptors)? {
                        return self.drop_peer(key);
                    }
                    if self.peers.get(key).is_some_and(|peer| peer.cli.waits()) {
                        // It reads what it asked for first: answers are as long as the engine is full.
                        return Ok(());
                    }
                }
                Ok(Received::End) | Err(_) => return self.drop_peer(key),
            }
        }
        Ok(())
    }

    /// False when the connection is to be closed.
    fn on_packet(
        &mut self,
        key: Key,
        packet: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<bool, WorkerGone> {
        let reply = match Request::parse(packet) {
            Ok(Request::Attach(_) | Request::OpenSocket(_) | Request::Adopt) if self.closing => {
                Answer::refused(
                    libc::ESHUTDOWN,
                    "the engine ends: try again once it is back",
                )
            }
            Ok(Request::Attach(attach)) => self.attach(key, &attach)?,
            Ok(Request::OpenSocket(open)) => self.open_socket(key, open),
            Ok(Request::Adopt) => self.adopt(key, descriptors),
            Ok(Request::Detach) => return Ok(false),
            Ok(Request::Cli(chunk)) => return self.on_cli(key, &chunk),
            Err(error) => {
                self.log_peer(key, &error.to_string());
                return Ok(false);
            }
        };
        Ok(self.answer(key, &reply))
    }

    pub(super) fn log_peer(&mut self, key: Key, reason: &str) {
        if let Some(peer) = self.peers.get(key) {
            self.complaints.say(format_args!(
                "process {} was cut off: {reason}",
                peer.credentials.process
            ));
        }
    }

    /// Sends an answer; false when the peer does not take it.
    fn answer(&self, key: Key, answer: &Answer) -> bool {
        let Some(peer) = self.peers.get(key) else {
            return false;
        };
        let packet = answer.reply.encode();
        let of_region = answer.region.and_then(|key| self.attachments.get(key));
        let mut descriptors = Vec::new();
        if let Some(attachment) = of_region {
            descriptors.extend(attachment.region.descriptors());
        }
        descriptors.extend(answer.descriptor.as_ref().map(AsFd::as_fd));
        matches!(
            packets::send(&peer.connection, &packet, &descriptors),
            Ok(true)
        )
    }

    /// Root, the engine's own user, and those of the configuration.
    pub(super) fn may_attach(&self, user: u32) -> bool {
        is_owner(user) || self.config.allow_users.contains(&user)
    }

    fn attach(&mut self, key: Key, attach: &Attach) -> Result<Answer, WorkerGone> {
        let Some(peer) = self.peers.get(key) else {
            return Ok(Answer::refused(libc::EBADF, "no such connection"));
        };
        let owner = peer.credentials;
        if !self.may_attach(owner.user) {
            self.complaints.say(format_args!(
                "process {} of user {} was refused: `allow_users` does not name that user",
                owner.process, owner.user
            ));
            return Ok(Answer::refused(
                libc::EACCES,
                "this user may not attach: add it to `allow_users` in the engine's configuration",
            ));
        }
        if attach.version != ABI_VERSION {
            return Ok(Answer::refused(
                libc::EPROTONOSUPPORT,
                "library and engine are of different versions: use those of one build",
            ));
        }
        if peer.home.is_some() {
            return Ok(Answer::refused(
                libc::EISCONN,
                "this connection has a region already: open another one",
            ));
        }
        if self.attachments.is_full() {
            return Ok(Answer::refused(
                libc::ENOBUFS,
                "as many applications are attached as `applications` allows",
            ));
        }
        let users = self
            .attachments
            .iter()
            .map(|(_, attachment)| attachment.owner.user);
        if !has_place(self.config.applications.applications, owner.user, users) {
            return Ok(Answer::refused(
                libc::ENOBUFS,
                "this user has as many applications attached as its share of `applications` allows",
            ));
        }
        self.serial += 1;
        let attachment = match Attachment::create(self.serial, &self.config, owner) {
            Ok(attachment) => attachment,
            Err(error) => return Ok(Answer::refused(libc::ENOMEM, &error.to_string())),
        };
        let region = attachment.region.clone();
        let Ok(home) = self.attachments.insert(attachment) else {
            return Ok(Answer::refused(libc::ENOBUFS, "too many applications"));
        };
        let watched = self.poller.add(
            region.control_bell(),
            home.token(Kind::REGION),
            EventFlags::IN | EventFlags::ET,
        );
        let served: io::Result<()> = {
            let of_worker = |worker: WorkerId| Some((worker, region.worker(worker.number())?));
            let id = region_id(home);
            let served = self.hosts.call_each(
                self.hosts.living().filter_map(of_worker),
                move |turn, region| turn.applications.add_region(id, region),
            );
            served.into_iter().try_for_each(|(_, served)| served)
        };
        if let Err(error) = watched.and(served) {
            self.drop_region(home)?;
            return Ok(Answer::refused(libc::ENFILE, &error.to_string()));
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.home = Some(home);
        }
        Ok(Answer {
            reply: Reply::Attached(Attached::new(
                self.serial,
                region.layout(),
                std::process::id(),
            )),
            region: Some(home),
            descriptor: None,
        })
    }

    fn open_socket(&mut self, key: Key, open: OpenSocket) -> Answer {
        let Some(home) = self.peers.get(key).and_then(|peer| peer.home) else {
            return Answer::refused(libc::EINVAL, "attach before opening a socket");
        };
        let Some(domain) = Domain::of(open.domain) else {
            return Answer::refused(libc::EAFNOSUPPORT, "use AF_INET, AF_INET6 or AF_MULTIPATH");
        };
        let wish = match (domain, open.protocol) {
            (Domain::Multipath, 0 | IPPROTO_TCP | IPPROTO_MPTCP) => Wish::Aware,
            (_, 0 | IPPROTO_TCP) => Wish::None,
            (_, IPPROTO_MPTCP) => Wish::Enabled,
            _ => {
                return Answer::refused(
                    libc::EPROTONOSUPPORT,
                    "use protocol 0, IPPROTO_TCP or IPPROTO_MPTCP",
                );
            }
        };
        let new = NewSocket {
            domain,
            protocol: open.protocol,
            wish,
            options: self.default_options(home),
            kept: Kept::default(),
        };
        match self.make_socket(home, new) {
            Ok((socket, descriptor)) => Answer {
                reply: Reply::Opened(self.opened(socket)),
                region: None,
                descriptor: Some(descriptor),
            },
            Err(errno) => Answer::refused(
                errno,
                "no room for another socket: close one, raise `sockets_per_application` or the \
                 engine's limit on open files",
            ),
        }
    }

    fn opened(&self, socket: Key) -> Opened {
        let handle = self.sockets.get(socket).map(|socket| &socket.handle);
        Opened {
            slot: handle.map_or(0, SlotHandle::slot),
            generation: handle.map_or(0, SlotHandle::generation),
        }
    }

    /// Makes a socket in a region: slot, descriptor, and an entry here.
    pub(super) fn make_socket(&mut self, home: Key, new: NewSocket) -> Result<(Key, OwnedFd), i32> {
        if self.sockets.is_full() {
            return Err(libc::ENFILE);
        }
        let pair = Pair::make(&self.listener)
            .map_err(|error| error.raw_os_error().unwrap_or(libc::EAGAIN))?;
        let attachment = self.attachments.get_mut(home).ok_or(libc::EBADF)?;
        let handle = attachment
            .open_slot(SlotFlags::default())
            .ok_or(libc::EMFILE)?;
        let slot = handle.slot();
        let socket = Socket {
            attachment: home,
            handle: handle.clone(),
            end: Arc::new(pair.engine),
            cookie: pair.cookie,
            domain: new.domain,
            protocol: new.protocol,
            wish: new.wish,
            options: new.options,
            kept: new.kept,
            state: State::Open { bound: None },
        };
        handle.set_flags(socket.flags());
        let end = Arc::clone(&socket.end);
        let Ok(key) = self.sockets.insert(socket) else {
            attachment.release_slot(&handle);
            return Err(libc::ENFILE);
        };
        attachment.set_socket(slot, key);
        self.by_cookie.insert(pair.cookie, key);
        // Nothing but its end is waited for.
        if self
            .poller
            .add(&end, key.token(Kind::SOCKET), EventFlags::empty())
            .is_err()
        {
            self.forget_socket(key);
            return Err(libc::ENOSPC);
        }
        Ok((key, pair.application))
    }

    fn adopt(&mut self, key: Key, descriptors: Vec<OwnedFd>) -> Answer {
        let cookie = descriptors
            .first()
            .and_then(|descriptor| sockopt::socket_cookie(descriptor).ok());
        let found = cookie
            .and_then(|cookie| self.by_cookie.get(&cookie).copied())
            .and_then(|socket| Some((socket, self.sockets.get(socket)?.attachment)));
        // Closed here before the answer: the application has its own copy.
        drop(descriptors);
        let Some((socket, region)) = found else {
            return Answer::refused(
                libc::ENOTSOCK,
                "this descriptor is no socket of this engine",
            );
        };
        let (Some(peer), Some(attachment)) = (self.peers.get(key), self.attachments.get(region))
        else {
            return Answer::refused(libc::EBADF, "the socket is gone");
        };
        let user = peer.credentials.user;
        if user != attachment.owner.user && user != 0 {
            return Answer::refused(
                libc::EACCES,
                "the socket belongs to another user, whose memory it would show",
            );
        }
        let message = Attached::new(
            attachment.serial,
            attachment.region.layout(),
            std::process::id(),
        );
        let Opened { slot, generation } = self.opened(socket);
        Answer {
            reply: Reply::Adopted(Adopted {
                region: message,
                slot,
                generation,
            }),
            region: Some(region),
            descriptor: None,
        }
    }

    /// Closes a connection. Its region lives on while it has sockets.
    pub(super) fn drop_peer(&mut self, key: Key) -> Result<(), WorkerGone> {
        let Some(peer) = self.peers.remove(key) else {
            return Ok(());
        };
        if peer.cli.is_watching() {
            self.update_watching();
        }
        let Some(home) = peer.home else {
            return Ok(());
        };
        if let Some(attachment) = self.attachments.get_mut(home) {
            attachment.attached = false;
        }
        self.drop_if_deserted(home)
    }

    /// The connection that made a region.
    pub(super) fn maker_of(&self, region: Key) -> Option<Key> {
        self.peers
            .iter()
            .find(|(_, peer)| peer.home == Some(region))
            .map(|(key, _)| key)
    }
}

/// Root, and the user that the engine runs as.
fn is_owner(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

/// Whether there is one more of `all` places for a user, where these users have one each.
fn has_place(all: usize, user: u32, users: impl Iterator<Item = u32>) -> bool {
    if is_owner(user) {
        return true;
    }
    let (mut own, mut others) = (0, 0);
    for other in users.filter(|other| !is_owner(*other)) {
        others += 1;
        own += usize::from(other == user);
    }
    Places::new(all).has_one_for(own, others)
}

/// What a socket is made with.
#[derive(Debug)]
pub(super) struct NewSocket {
    pub(super) domain: Domain,
    pub(super) protocol: i32,
    pub(super) wish: Wish,
    pub(super) options: braid_engine::socket::SocketOptions,
    pub(super) kept: Kept,
}

/// An answer, and the descriptors with it.
struct Answer {
    reply: Reply,
    /// The region whose descriptors go with it.
    region: Option<Key>,
    /// A socket's descriptor.
    descriptor: Option<OwnedFd>,
}

impl Answer {
    fn refused(errno: i32, text: &str) -> Self {
        Self {
            reply: Reply::Refused(Refused::new(errno, text)),
            region: None,
            descriptor: None,
        }
    }
}
