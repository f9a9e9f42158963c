//! Commands of applications: what a thread asks in its ring, and the answer.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use braid_dataplane::application::errno;
use braid_engine::socket::{ListenOptions, Shutdown, SocketError};
use braid_engine::stack::{BindOptions, ListenerId};
use braid_shm::abi::{Command, EMULTIPATH, Operation, SocketAddressStorage, sockaddr_multipath};
use braid_shm::{EngineEnd, SlotState, abi::Plain};

use super::accept::in_family;
use super::control::Control;
use super::home::ListenerName;
use super::host::{Turn, WorkerGone};
use super::options::Outcome;
use super::socket::{Domain, Socket, State};
use super::table::Key;

/// Commands of one thread that are answered in one turn; its ring holds no more.
const COMMANDS: usize = 8;

const DONE: Outcome = Ok((0, Vec::new()));

impl Control {
    /// Answers what the threads of all applications have asked.
    pub(super) fn take_commands(&mut self) -> Result<(), WorkerGone> {
        let regions: Vec<Key> = self.attachments.keys().collect();
        let mut threads = Vec::new();
        for region in regions {
            threads.clear();
            let Some(attachment) = self.attachments.get(region) else {
                continue;
            };
            attachment
                .commands
                .take_calls(|thread| threads.push(thread));
            for &thread in &threads {
                if let Err(violation) = self.take_commands_of(region, thread)? {
                    self.cut_off(region, &violation.to_string())?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn take_commands_of(
        &mut self,
        region: Key,
        thread: u32,
    ) -> Result<Result<(), braid_shm::Violation>, WorkerGone> {
        for _ in 0..COMMANDS {
            let Some(attachment) = self.attachments.get_mut(region) else {
                return Ok(Ok(()));
            };
            let command = match attachment.commands.next_command(thread) {
                Ok(Some(command)) => command,
                Ok(None) => return Ok(Ok(())),
                Err(violation) => return Ok(Err(violation)),
            };
            let argument = attachment.commands.argument(thread, &command);
            // What the program has seen before it asked is known here, too.
            self.take_reports()?;
            let executed = self.execute(region, &command, &argument);
            // Of a connection at a worker that has just ended.
            let outcome = self.outlive(executed)?.unwrap_or(Err(libc::ECONNRESET));
            let (result, data) = match outcome {
                Ok(answer) => answer,
                Err(errno) => (-i64::from(errno), Vec::new()),
            };
            let Some(attachment) = self.attachments.get_mut(region) else {
                return Ok(Ok(()));
            };
            let told = attachment
                .commands
                .complete(thread, command.id, result, &data);
            if told.is_err() {
                return Ok(told);
            }
        }
        Ok(Ok(()))
    }

    fn execute(
        &mut self,
        region: Key,
        command: &Command,
        argument: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        if self.closing && begins_something(command.operation) {
            return Ok(Err(libc::ESHUTDOWN));
        }
        if let Operation::Owns { remote } = command.operation {
            return self.owns(argument, remote);
        }
        let found = self
            .attachments
            .get(region)
            .and_then(|attachment| attachment.socket(command.slot))
            .filter(|&key| {
                self.sockets.get(key).is_some_and(|socket| {
                    socket.handle.generation() == command.generation
                        && !matches!(socket.state, State::Ending { .. })
                })
            });
        let Some(key) = found else {
            return Ok(Err(libc::EBADF));
        };
        match command.operation {
            Operation::Bind => self.bind(key, argument),
            Operation::Listen { backlog } => self.listen(key, backlog),
            Operation::Connect => self.connect(key, argument),
            Operation::Shutdown { how } => self.shutdown(key, how),
            Operation::SetOption { level, name } => self.set_option(key, level, name, argument),
            Operation::GetOption {
                level,
                name,
                capacity,
            } => self.get_option(key, level, name, argument, capacity as usize),
            Operation::LocalAddress => Ok(self.local_address(key)),
            Operation::PeerAddress => Ok(self.peer_address(key)),
            Operation::SendQueue { not_sent } => self.send_queue(key, not_sent),
            Operation::Owns { .. } => Ok(Err(libc::EINVAL)),
        }
    }

    /// Whether the engine would take a socket with this address.
    fn owns(&self, argument: &[u8], remote: bool) -> Result<Outcome, WorkerGone> {
        let Some(address) =
            SocketAddressStorage::from_sockaddr(argument).and_then(|storage| storage.address())
        else {
            return Ok(Err(libc::EAFNOSUPPORT));
        };
        let ip = address.ip().to_canonical();
        if ip.is_loopback() {
            return Ok(Ok((0, Vec::new())));
        }
        if !remote && ip.is_unspecified() {
            let take = self.config.policy.take_unspecified;
            return Ok(Ok((take.into(), Vec::new())));
        }
        let takes = self.hosts.call_first(move |turn| {
            if remote {
                turn.stack.has_route(ip)
            } else {
                turn.stack.owns(ip)
            }
        })?;
        Ok(Ok((takes.into(), Vec::new())))
    }

    fn bind(&mut self, key: Key, argument: &[u8]) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get_mut(key) else {
            return Ok(Err(libc::EBADF));
        };
        if !matches!(socket.state, State::Open { bound: None }) {
            return Ok(Err(libc::EINVAL));
        }
        let (address, addresses) = match local_addresses(socket.domain, argument) {
            Ok(parsed) => parsed,
            Err(errno) => return Ok(Err(errno)),
        };
        let options = self.bind_options(key);
        let reserved = self.hosts.call_alike(
            move |turn| turn.stack.reserve_with(address, options),
            move |turn, bound| turn.stack.reserve_with(bound, options),
            |turn, bound| turn.stack.release(bound),
        )?;
        let bound = match reserved {
            Ok(bound) => bound.of_first(),
            Err(error) => return Ok(Err(errno(error))),
        };
        if let Some(socket) = self.sockets.get_mut(key) {
            if !addresses.is_empty() {
                socket.options.local_addresses = addresses;
            }
            socket.state = State::Open { bound: Some(bound) };
        }
        Ok(DONE)
    }

    /// How a socket holds its address.
    fn bind_options(&self, key: Key) -> BindOptions {
        let Some(socket) = self.sockets.get(key) else {
            return BindOptions::default();
        };
        let user = self
            .attachments
            .get(socket.attachment)
            .map(|attachment| attachment.owner.user);
        BindOptions {
            ipv6_only: socket.kept.ipv6_only(),
            shared_by: user.filter(|_| socket.kept.reuse_port()),
        }
    }

    /// Whether a connection of the socket to `peer`, or of a listener to any, is to use Multipath
    /// TCP.
    pub(super) fn wants_multipath(&self, socket: &Socket, peer: Option<IpAddr>) -> bool {
        let rule = self
            .attachments
            .get(socket.attachment)
            .and_then(|attachment| attachment.rule.as_ref());
        let enables = rule.and_then(|rule| rule.enable);
        socket.wants_multipath(&self.config.policy, enables, peer)
    }

    fn listen(&mut self, key: Key, backlog: i32) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        // As the kernel, which takes it for a number without a sign: -1 is as many as there may be.
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        let bound = match &socket.state {
            State::Open { bound } => *bound,
            State::Listening { listeners, .. } => {
                let changed = self.at_listeners(listeners, move |turn, listener| {
                    turn.stack.set_backlog(listener, backlog)
                });
                return Ok(changed.map_or_else(|error| Err(errno(error)), |()| DONE));
            }
            State::Connected { .. } | State::Lost { .. } | State::Ending { .. } => {
                return Ok(Err(libc::EINVAL));
            }
        };
        let anywhere: IpAddr = match socket.domain {
            Domain::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
            Domain::Inet6 | Domain::Multipath => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = bound.unwrap_or(SocketAddr::new(anywhere, 0));
        let bind_options = self.bind_options(key);
        let options = ListenOptions {
            backlog,
            multipath: self.wants_multipath(socket, bound.map(|address| address.ip())),
            ipv6_only: bind_options.ipv6_only,
            shared_by: bind_options.shared_by,
            socket: socket.options.clone(),
        };
        let was_bound = bound.is_some();
        let begin = move |turn: &mut Turn<'_>, address: SocketAddr| {
            let address = if was_bound {
                address
            } else {
                turn.stack.reserve_with(address, bind_options)?
            };
            match turn.stack.listen(address, options) {
                Ok(listener) => Ok((listener, address)),
                Err(error) => {
                    if !was_bound {
                        turn.stack.release(address);
                    }
                    Err(error)
                }
            }
        };
        let begin_first = begin.clone();
        let listening = self.hosts.call_alike(
            move |turn| begin_first(turn, address),
            move |turn, (_, address)| begin(turn, address),
            move |turn, (listener, address)| {
                turn.stack.close_listener(turn.now, listener);
                if !was_bound {
                    turn.stack.release(address);
                }
            },
        )?;
        let listening = match listening {
            Ok(listening) => listening,
            Err(error) => return Ok(Err(errno(error))),
        };
        let mut listeners = Vec::new();
        let mut chosen = address;
        for (worker, (id, address)) in listening {
            // All have that of the first.
            chosen = address;
            listeners.push(ListenerName { worker, id });
        }
        for &listener in &listeners {
            self.by_listener.insert(listener, key);
        }
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.state = State::Listening {
                listeners,
                address: chosen,
                full: false,
            };
            socket.handle.set_state(SlotState::Listening);
        }
        Ok(DONE)
    }

    /// Has every worker change its part of a listener; the failure of one, if any fails.
    pub(super) fn at_listeners(
        &self,
        listeners: &[ListenerName],
        change: impl FnOnce(&mut Turn<'_>, ListenerId) -> Result<(), SocketError>
        + Clone
        + Send
        + 'static,
    ) -> Result<(), SocketError> {
        let each = listeners.iter().map(|name| (name.worker, name.id));
        let changed = self.hosts.call_each(each, change);
        changed.into_iter().try_for_each(|(_, changed)| changed)
    }

    fn shutdown(&mut self, key: Key, how: i32) -> Result<Outcome, WorkerGone> {
        let how = match how {
            libc::SHUT_RD => Shutdown::Read,
            libc::SHUT_WR => Shutdown::Write,
            libc::SHUT_RDWR => Shutdown::Both,
            _ => return Ok(Err(libc::EINVAL)),
        };
        let connection = match self.sockets.get(key).map(|socket| &socket.state) {
            Some(&State::Connected { connection, .. }) => connection,
            Some(&State::Listening { address, .. }) => {
                return Ok(self.stop_listening(key, address, how));
            }
            _ => return Ok(Err(libc::ENOTCONN)),
        };
        self.hosts.call_home(connection, move |turn, connection| {
            turn.applications
                .shutdown(turn.now, turn.stack, connection, how);
        })?;
        Ok(DONE)
    }

    /// shutdown() of a listener for reading: it takes no connections any more, and whoever waits in
    /// accept() learns of it. The address stays.
    fn stop_listening(&mut self, key: Key, address: SocketAddr, how: Shutdown) -> Outcome {
        if how == Shutdown::Write {
            return DONE;
        }
        self.wait_for_room(key, false);
        let socket = self.sockets.get_mut(key).ok_or(libc::EBADF)?;
        let open = State::Open {
            bound: Some(address),
        };
        let before = std::mem::replace(&mut socket.state, open);
        socket.handle.set_state(SlotState::Open);
        socket.end.as_fd().put_token();
        if let State::Listening { listeners, .. } = before {
            self.close_listeners(&listeners);
        }
        DONE
    }

    /// Ends a listener at every worker.
    pub(super) fn close_listeners(&mut self, listeners: &[ListenerName]) {
        for listener in listeners {
            self.by_listener.remove(listener);
        }
        // It cannot fail.
        let _ = self.at_listeners(listeners, |turn, listener| {
            turn.stack.close_listener(turn.now, listener);
            Ok(())
        });
    }

    /// SIOCOUTQ and SIOCOUTQNSD.
    fn send_queue(&self, key: Key, not_sent: bool) -> Result<Outcome, WorkerGone> {
        let connection = match self.sockets.get(key).map(|socket| &socket.state) {
            Some(&State::Connected { connection, .. }) => connection,
            Some(State::Listening { .. }) => return Ok(Err(libc::EINVAL)),
            _ => return Ok(DONE),
        };
        let bytes = self.hosts.call_home(connection, move |turn, connection| {
            turn.applications
                .send_queue(turn.stack, connection, not_sent)
        })?;
        Ok(Ok((bytes.cast_signed(), Vec::new())))
    }

    /// getsockname(): for the connection's life that of the first subflow (the draft's section 4.2).
    fn local_address(&self, key: Key) -> Outcome {
        let socket = self.sockets.get(key).ok_or(libc::EBADF)?;
        if socket.is_aware() {
            return Err(EMULTIPATH);
        }
        let unbound: IpAddr = match socket.domain {
            Domain::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
            Domain::Inet6 | Domain::Multipath => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = match socket.state {
            State::Open { bound } | State::Lost { bound, .. } | State::Ending { bound, .. } => {
                bound.unwrap_or(SocketAddr::new(unbound, 0))
            }
            State::Listening { address, .. } => address,
            State::Connected { local, .. } => local,
        };
        Ok((0, sockaddr(socket.domain, address)))
    }

    /// getpeername(), as [`Self::local_address`].
    fn peer_address(&self, key: Key) -> Outcome {
        let socket = self.sockets.get(key).ok_or(libc::EBADF)?;
        let State::Connected { remote, .. } = socket.state else {
            return Err(libc::ENOTCONN);
        };
        if socket.is_aware() {
            return Err(EMULTIPATH);
        }
        Ok((0, sockaddr(socket.domain, remote)))
    }
}

/// Whether an engine that ends refuses it; what is left tells of sockets as they are, or ends them.
const fn begins_something(operation: Operation) -> bool {
    match operation {
        Operation::Owns { .. }
        | Operation::Bind
        | Operation::Listen { .. }
        | Operation::Connect
        | Operation::SetOption { .. } => true,
        Operation::Shutdown { .. }
        | Operation::GetOption { .. }
        | Operation::SendQueue { .. }
        | Operation::LocalAddress
        | Operation::PeerAddress => false,
    }
}

/// An address as a `sockaddr` of its exact length.
fn sockaddr(domain: Domain, address: SocketAddr) -> Vec<u8> {
    let storage = SocketAddressStorage::new(in_family(domain, address));
    let mut bytes = vec![0; SocketAddressStorage::BYTES];
    storage.write(&mut bytes);
    bytes.truncate(storage.length());
    bytes
}

/// The addresses in an argument.
pub(super) fn addresses(domain: Domain, argument: &[u8]) -> Result<Vec<SocketAddr>, i32> {
    if domain == Domain::Multipath
        && let Some(addresses) = sockaddr_multipath::parse(argument)
    {
        return Ok(addresses);
    }
    let address = SocketAddressStorage::from_sockaddr(argument)
        .ok_or(libc::EINVAL)?
        .address()
        .ok_or(libc::EAFNOSUPPORT)?;
    match (domain, address) {
        (Domain::Inet, SocketAddr::V6(_)) | (Domain::Inet6, SocketAddr::V4(_)) => {
            Err(libc::EAFNOSUPPORT)
        }
        _ => Ok(vec![address]),
    }
}

/// Where to bind: an address, and those that the connections may use when there are several.
fn local_addresses(domain: Domain, argument: &[u8]) -> Result<(SocketAddr, Vec<IpAddr>), i32> {
    let all: Vec<SocketAddr> = addresses(domain, argument)?
        .into_iter()
        .map(canonical)
        .collect();
    let first = *all.first().ok_or(libc::EINVAL)?;
    if all.len() == 1 {
        return Ok((first, Vec::new()));
    }
    if all.iter().any(|address| address.port() != first.port()) {
        return Err(libc::EINVAL);
    }
    let anywhere = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), first.port());
    Ok((anywhere, all.into_iter().map(|one| one.ip()).collect()))
}

/// An IPv4 address that was mapped to IPv6 is one of IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
