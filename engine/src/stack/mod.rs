//! One core's protocol engine and what it exchanges with its ports.
//!
//! A [`Stack`] has no I/O, no clock and no threads: frames come in through [`Stack::receive`],
//! time through [`Stack::advance`], and frames go out through [`Stack::transmit`]. The folder by
//! the way of a frame:
//!
//! - in: `expect` (the memory that a burst will use), `receive` (Ethernet to flow), `icmp` (ARP, neighbour discovery, echoes, errors),
//!   `passive` with `listener`, `handshake`, `request` and `syn_cookie` (connections that peers
//!   open), `join` (further subflows), `closed_flow` with `time_wait`, `reset` (no flow at all);
//! - within: `subflow` and `connection` (what is kept of each), `rest` (less of it while nothing happens), `settle` with `mailbox` (the
//!   messages between them, their timers and events), `landings` (frames that wait for readers), `admit` (new ones), `sockets` (the application's
//!   calls), `options`, `inspect`, `bind`, `defaults`, `event`;
//! - out: `transmit` with `control` (packets of the stack's own) and `emit` (headers in place);
//! - between workers: `steering` (whose a flow is), `letter` with `join_letter`, `order_letter` and
//!   `progress_letter` (what they say), `letters` with `outboxes` (in and out), `join_elsewhere` with
//!   `held_syn` (subflows away from home), `published_block` (what home tells those), `relay` (ports
//!   that another worker drives), `worker_lost` (one of them ended);
//! - below: `interface`, `route`, `loopback`, `neighbor`, `ports`, `secrets`, `rate_limit`, `token`.

mod admit;
mod batch;
mod bind;
mod closed_flow;
mod coalesce;
mod config;
mod connection;
mod control;
mod counters;
mod defaults;
mod emit;
mod event;
mod expect;
mod flow;
mod handshake;
mod held_syn;
mod icmp;
mod inspect;
mod interface;
mod join;
mod join_elsewhere;
mod join_letter;
mod landings;
mod lend;
mod letter;
mod letters;
mod listener;
mod loopback;
mod mailbox;
mod neighbor;
mod options;
mod order_letter;
mod outboxes;
mod passive;
mod ports;
mod progress_letter;
mod published_block;
mod rate_limit;
mod ready;
mod receive;
mod relay;
mod request;
mod reset;
mod rest;
mod route;
mod secrets;
mod settle;
mod sockets;
mod steering;
mod subflow;
mod syn_cookie;
mod template;
mod time_wait;
mod timer;
mod token;
mod transmit;
mod usage;
mod worker_lost;

pub use batch::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, Segmentation,
    TransmitBatch, TransmitMeta,
};
pub use bind::BindOptions;
pub use config::{ConfigError, MAX_BUFFER, SmallBuffer, StackConfig, SynCookies};
pub use connection::{ConnectionId, ListenerId};
pub use counters::{Counters, StackCounters};
pub use defaults::Defaults;
pub use event::Event;
pub use inspect::{ConnectionSettings, InterfaceInfo, ListenerInfo};
pub use interface::InterfaceConfig;
pub use letter::Letter;
pub use route::Prefix;
pub use steering::{FlowHash, Place, Steering, WorkerId};
pub use usage::Usage;

use crate::congestion::Coupling;
use crate::mptcp::connection::{Connection, ConnectionConfig, Outbox as HomeOutbox};
use crate::mptcp::counters::MptcpCounters;
use crate::mptcp::message::{Published, ToHome};
use crate::mptcp::path_manager::{Endpoint, EndpointError, Endpoints, Limits};
use crate::mptcp::subflow::{Outbox as SubflowOutbox, Subflow};
use crate::random::Random;
use crate::sequence::DataSequenceNumber;
use crate::socket::SocketOptions;
use crate::storage::flow_table::FlowTable;
use crate::storage::frame::{FramePool, PoolId};
use crate::storage::interned::Interned;
use crate::storage::prefetch::Prefetch;
use crate::storage::slab::Slab;
use crate::time::Instant;
use bind::Bindings;
use coalesce::Coalescer;
use connection::{ConnectionKey, ConnectionSlot, Since};
use control::ControlQueue;
use core::net::IpAddr;
use event::Events;
use flow::Flow;
use held_syn::{HeldSyn, MAX_HELD};
use interface::Interfaces;
use listener::Listeners;
use loopback::Loopback;
use mailbox::Mailbox;
use neighbor::Neighbors;
use outboxes::Outboxes;
use ports::EphemeralPorts;
use progress_letter::Course;
use rate_limit::RateLimit;
use ready::Ready;
use relay::Relay;
use request::Request;
use rest::Watch;
use route::Routes;
use secrets::Secrets;
use subflow::{MAX_SUBFLOWS, SubflowKey, SubflowSlot};
use time_wait::TimeWaitTable;
use timer::{Timer, Timers};
use token::Tokens;

/// One core's protocol engine.
///
/// The same calls with the same arguments have the same results, whatever the machine: the
/// present comes in as an argument and all randomness follows from the seed.
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    random: Random,
    secrets: Secrets,
    pool: FramePool,
    /// What the burst that is being received has left to be joined.
    coalescer: Coalescer,
    interfaces: Interfaces,
    routes: Routes,
    /// Frames from this host to itself.
    loopback: Loopback,
    neighbors: Neighbors,
    /// Neighbours given up in the present call; kept for its storage.
    failed_neighbors: Vec<(PortId, IpAddr)>,
    endpoints: Endpoints,
    /// What connections that stay on a single path see in place of `endpoints`.
    no_endpoints: Endpoints,
    flows: FlowTable<Flow>,
    subflows: Slab<SubflowSlot>,
    connections: Slab<ConnectionSlot>,
    /// What connections are set up with, most of them alike.
    options: Interned<SocketOptions>,
    connection_configs: Interned<ConnectionConfig>,
    tokens: Tokens,
    listeners: Listeners,
    requests: Slab<Request>,
    time_wait: TimeWaitTable,
    ports: EphemeralPorts,
    bindings: Bindings,
    mailbox: Mailbox<ConnectionKey, SubflowKey>,
    /// Letters to other workers.
    outboxes: Outboxes,
    /// The first half of the progress that each worker is about to tell.
    courses: Vec<Course>,
    /// SYNs whose home was asked what to answer.
    held_syns: Slab<HeldSyn>,
    relay: Relay,
    timers: Timers,
    /// Subflows that may rest soon.
    watch: Watch,
    /// Subflows that may have something to send, each at most once.
    ready: Ready,
    /// Subflows that wait for a neighbour; none of them is in `ready`.
    waiting: Vec<SubflowKey>,
    control: ControlQueue,
    events: Events,
    outbox: HomeOutbox,
    from_subflow: SubflowOutbox<ToHome>,
    /// Connections that hold received frames.
    landings: landings::Landings,
    /// What a subflow stamps on its RST when its connection is gone already.
    orphaned: Published,
    counters: StackCounters,
    mptcp_counters: MptcpCounters,
    echo_limit: RateLimit,
    reset_limit: RateLimit,
    /// Until then an ACK of no flow may be the answer to a SYN cookie.
    cookies_until: Option<Instant>,
    /// What asks for memory ahead of its use, where somebody can.
    prefetch: Option<Prefetch>,
}

impl Stack {
    /// A stack without interfaces. Bounds of zero are raised to one; see [`StackConfig::check`]
    /// for what else makes no sense. In production the seed comes from the operating system.
    pub fn new(config: StackConfig, seed: [u8; 32]) -> Self {
        let random = Random::from_seed(seed);
        let hash_seeds = |label: &str| {
            let mut random = random.fork(label);
            core::array::from_fn(|_| random.next_u64())
        };
        let max_subflows = config.max_subflows.clamp(1, MAX_SUBFLOWS);
        let max_connections = config.max_connections.max(1);
        let max_requests = config.syn_queue.max(1);
        let max_held = match config.place.is_alone() {
            true => 0,
            false => max_requests.min(MAX_HELD),
        };
        let max_flows = max_subflows
            .saturating_add(max_requests)
            .saturating_add(max_held)
            .saturating_add(config.time_wait);
        let max_timers = max_subflows
            .saturating_add(max_connections)
            .saturating_add(max_requests);
        let mut no_endpoints = Endpoints::default();
        no_endpoints.limits = Limits {
            subflows: 0,
            add_addr_accepted: 0,
        };
        Self {
            secrets: Secrets::new(&random),
            pool: FramePool::new(config.frame_capacity.max(64), config.frame_pool)
                .named(PoolId(config.place.worker().number())),
            coalescer: Coalescer::default(),
            interfaces: Interfaces::new(config.frame_capacity.max(64)),
            routes: Routes::default(),
            loopback: Loopback::new(),
            neighbors: Neighbors::new(config.neighbors, hash_seeds("neighbours")),
            failed_neighbors: Vec::new(),
            endpoints: Endpoints::default(),
            no_endpoints,
            flows: FlowTable::new(hash_seeds("flows"), max_flows),
            subflows: Slab::new(max_subflows),
            connections: Slab::new(max_connections),
            options: Interned::new(),
            connection_configs: Interned::new(),
            tokens: Tokens::new(hash_seeds("tokens")),
            listeners: Listeners::new(
                config.max_listeners.max(1),
                config.accept_queue,
                hash_seeds("listeners"),
            ),
            requests: Slab::new(max_requests),
            time_wait: TimeWaitTable::new(config.time_wait.max(1), config.time_wait_duration),
            ports: EphemeralPorts::new(&config.ephemeral_ports),
            bindings: Bindings::new(config.max_connections.saturating_add(config.max_listeners)),
            outboxes: Outboxes::new(&config.place),
            courses: vec![Course::default(); usize::from(config.place.steering().workers())],
            held_syns: Slab::new(max_held),
            relay: Relay::default(),
            mailbox: Mailbox::new(config.message_delay, random.fork("message delay")),
            timers: Timers::new(max_timers),
            watch: Watch::new(config.rest_after),
            ready: Ready::default(),
            waiting: Vec::new(),
            control: ControlQueue::new(config.control_queue.max(1), config.neighbor_queue),
            events: Events::new(max_connections, config.max_listeners, config.event_queue),
            outbox: HomeOutbox::default(),
            from_subflow: SubflowOutbox::new(),
            landings: landings::Landings::new(),
            orphaned: Published {
                data_ack: DataSequenceNumber(0),
                window_edge: DataSequenceNumber(0),
                long_data_ack: false,
                multipath: false,
                coupling: Coupling::default(),
                prompt_probe: false,
                share: 0,
            },
            counters: StackCounters::default(),
            mptcp_counters: MptcpCounters::default(),
            echo_limit: RateLimit::new(config.echo_replies_per_second),
            reset_limit: RateLimit::new(config.resets_per_second),
            cookies_until: None,
            prefetch: None,
            random,
            config,
        }
    }

    /// Adds an interface with the routes that follow from its addresses and gateways. Its link is
    /// up until [`Self::set_link`] says otherwise.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] says what contradicts itself, or an interface that is there.
    pub fn add_interface(&mut self, config: InterfaceConfig) -> Result<(), ConfigError> {
        let port = config.port;
        self.interfaces.add(config)?;
        if let Some(interface) = self.interfaces.by_port(port) {
            self.routes.add_interface(interface);
        }
        Ok(())
    }

    /// A port was opened again, on an interface that took the place of another. False, and nothing
    /// changes, when it has no interface here or cannot do what the one before could.
    pub fn replace_port(
        &mut self,
        port: PortId,
        mac: crate::wire::ethernet::MacAddress,
        capabilities: Capabilities,
    ) -> bool {
        let interface = self.interfaces.by_port_mut(port);
        let alike = interface.filter(|found| found.config.capabilities == capabilities);
        let Some(interface) = alike.filter(|_| mac.is_unicast()) else {
            return false;
        };
        interface.config.mac = mac;
        true
    }

    /// Adds a route to `prefix` by `port`: over `gateway`, or directly on the link.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is no such interface or it does not reach the gateway.
    pub fn add_route(
        &mut self,
        port: PortId,
        prefix: Prefix,
        gateway: Option<IpAddr>,
    ) -> Result<(), ConfigError> {
        self.routes.add(&self.interfaces, port, prefix, gateway)
    }

    /// The link of a port went down or came back. Connections move what it carried to their other
    /// paths at once, and use it again on its return. A port without an interface is ignored.
    pub fn set_link(&mut self, now: Instant, port: PortId, up: bool) {
        let Some(interface) = self.interfaces.by_port_mut(port) else {
            return;
        };
        if core::mem::replace(&mut interface.up, up) == up {
            return;
        }
        self.counters.link_changes += 1;
        let addresses: Vec<IpAddr> = interface.addresses().collect();
        if !up {
            let failed = &mut self.failed_neighbors;
            self.neighbors
                .forget_port(now, port, |port, address| failed.push((port, address)));
            self.give_up_neighbors();
        }
        self.for_all_connections(|stack, connection| {
            if stack.is_within_host(connection) {
                return;
            }
            for &address in &addresses {
                stack.with_connection(now, connection, |home, context| {
                    if up {
                        home.link_up(address, context);
                    } else {
                        home.link_down(address, context);
                    }
                });
            }
        });
        self.deliver_messages(now);
    }

    fn for_all_connections(&mut self, mut call: impl FnMut(&mut Self, ConnectionKey)) {
        let keys: Vec<ConnectionKey> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            call(self, key);
        }
    }

    /// Adds an endpoint: an address for further subflows, of the connections there are and of
    /// those to come.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when it contradicts itself or one that is there.
    pub fn add_endpoint(&mut self, now: Instant, endpoint: Endpoint) -> Result<(), EndpointError> {
        self.endpoints.add(endpoint)?;
        self.endpoints_changed(now);
        Ok(())
    }

    /// Makes an endpoint a backup or a regular one, for subflows to come and for those there are,
    /// whose peers are told by MP_PRIO. False when there is no endpoint of that identifier.
    pub fn set_endpoint_backup(&mut self, now: Instant, id: u8, backup: bool) -> bool {
        let Some(address) = self.endpoints.set_backup(id, backup) else {
            return false;
        };
        self.for_all_connections(|stack, connection| {
            stack.with_connection(now, connection, |home, context| {
                home.set_backup_from(address, backup, context);
            });
            if let Some(slot) = stack.connections.get_mut(connection) {
                slot.note_endpoint(address, Since::Backup(backup));
            }
        });
        self.deliver_messages(now);
        true
    }

    /// Removes an endpoint: its subflows are closed and peers are told. False when there is none
    /// of that identifier.
    pub fn remove_endpoint(&mut self, now: Instant, id: u8) -> bool {
        let Some(endpoint) = self.endpoints.remove(id) else {
            return false;
        };
        self.for_all_connections(|stack, connection| {
            stack.with_connection(now, connection, |home, context| {
                home.address_removed(endpoint.address, context);
            });
            if let Some(slot) = stack.connections.get_mut(connection) {
                slot.note_endpoint(endpoint.address, Since::Removed);
            }
        });
        self.deliver_messages(now);
        true
    }

    /// Sets how many subflows and announced addresses each connection takes. What there is beyond
    /// a lower limit stays.
    pub fn set_limits(&mut self, now: Instant, limits: Limits) {
        self.endpoints.limits = limits;
        self.endpoints_changed(now);
    }

    fn endpoints_changed(&mut self, now: Instant) {
        self.for_all_connections(|stack, connection| {
            stack.with_connection(now, connection, Connection::endpoints_changed);
        });
        self.deliver_messages(now);
    }

    /// The endpoints and limits.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// True for a connection between two sockets of this stack: no link of the host carries it.
    fn is_within_host(&self, connection: ConnectionKey) -> bool {
        self.connections
            .get(connection)
            .is_some_and(|slot| self.owns(slot.flow().remote.ip()))
    }

    /// Fires every timer that is due, and takes the frames that the stack has sent to itself.
    pub fn advance(&mut self, now: Instant) {
        self.receive_loopback(now);
        self.deliver_messages(now);
        // A timer may set the next one at once, but not for ever in one call.
        let bound = self.timers.len().saturating_mul(2).saturating_add(16);
        for _ in 0..bound {
            let Some(timer) = self.pop_expired(now) else {
                break;
            };
            match timer {
                Timer::Subflow(key) => self.advance_subflow(now, key),
                Timer::Connection(key) => {
                    self.with_connection(now, key, |home, context| home.advance(context));
                }
                Timer::Request(key) => self.repeat_syn_ack(now, key),
            }
            self.deliver_messages(now);
        }
        self.expire_time_wait(now);
        self.solicit_neighbors(now);
        self.pack_idle(now);
    }

    fn advance_subflow(&mut self, now: Instant, key: SubflowKey) {
        let Some(slot) = self.subflows.get_mut(key) else {
            return;
        };
        slot.subflow
            .awake()
            .advance(now, &mut self.pool, &mut self.from_subflow);
        self.after_subflow(now, key);
    }

    fn pop_expired(&mut self, now: Instant) -> Option<Timer> {
        self.timers.pop_expired(now).or_else(|| {
            self.set_timers_in_time(now);
            self.timers.pop_expired(now)
        })
    }

    /// When to call [`Self::advance`] next, if nothing else is called before.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.set_timers();
        self.earliest_timer()
    }

    /// Whether [`Self::advance`] has something to do, as far as the stack knows without a look at the
    /// deadlines of all that has changed: the last [`Self::transmit`] took one, unless that was within
    /// microseconds of the one before.
    pub fn is_due(&self, now: Instant) -> bool {
        self.earliest_timer().is_some_and(|due| due <= now)
    }

    fn earliest_timer(&self) -> Option<Instant> {
        [
            self.timers.next_timeout(),
            self.time_wait.next_timeout(),
            self.neighbors.next_timeout(),
            self.mailbox.next_timeout(),
            self.loopback.next_timeout(),
            self.watch.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Which worker of its host the stack is of.
    pub fn place(&self) -> &Place {
        &self.config.place
    }

    /// Where frames for [`Self::receive`] come from and go back to.
    pub fn frame_pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    /// The counters as they stand.
    pub fn counters(&self) -> Counters {
        let mut stack = self.counters.clone();
        stack.neighbor_table_full = self.neighbors.refused();
        stack.loopback_full = self.loopback.refused();
        stack.relayed_dropped = self.relay.dropped();
        stack.pool_empty = self.pool.made() as u64;
        stack.letters_dropped = self.outboxes.dropped();
        stack.events_lost = self.events.lost();
        Counters {
            stack,
            mptcp: self.mptcp_counters.clone(),
        }
    }

    /// How many connections there are, those included that wait to be accepted or were closed but
    /// have data to deliver.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// How many subflows there are.
    pub fn subflow_count(&self) -> usize {
        self.subflows.len()
    }

    /// How many flows are half open, and how many in TIME-WAIT.
    pub fn flow_counts(&self) -> (usize, usize) {
        let half_open = self.requests.len() + self.held_syns.len();
        (half_open, self.time_wait.len())
    }

    /// What is held at present beside the buffers of connections, which have their size from birth.
    pub fn usage(&self) -> Usage {
        let subflows = || {
            let slots = self.subflows.iter();
            slots.filter_map(|(_, slot)| slot.subflow.whole())
        };
        let (messages, carried) = self.mailbox.usage();
        let (letters, with_letters) = self.outboxes.usage();
        Usage {
            received: subflows().map(Subflow::held_bytes).sum(),
            carried: carried + with_letters,
            retained: subflows().map(Subflow::retained_length).sum(),
            messages: messages + letters,
            control_packets: self.control.packets() + self.relay.len(),
            ready: self.ready.len() + self.waiting.len(),
            resting: self.subflows.len() - subflows().count(),
        }
    }

    /// How many neighbours are remembered.
    pub fn neighbor_count(&self) -> usize {
        self.neighbors.len()
    }
}
