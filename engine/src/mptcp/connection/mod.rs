//! The home side of one connection (RFC 8684): its data sequence space, its subflows as home sees
//! them, its paths, its fallback and its end.
//!
//! A [`Connection`] never sees a segment. Subflows tell it what happened
//! ([`ToHome`]) and it tells them what to do ([`ToSubflow`]); the stack carries the messages, and
//! an application's calls, and the time.

mod allowance;
mod close;
mod config;
mod context;
mod copies;
mod coupling;
mod data_space;
mod deliver;
mod doubt;
mod ending;
mod error;
mod establish;
mod fallback;
mod falling_back;
mod hold;
mod ledger;
mod lend;
mod link;
mod paths;
mod policy;
mod receive;
mod reinject;
mod rest;
mod schedule;
mod send;
mod subflow_view;
mod timers;

pub use close::{CloseEvent, DataState, IllegalTransition};
pub use config::{ConnectionConfig, FastcloseForm, Role};
pub use context::{
    ConnectionEvent, Context, OpenSubflow, Outbox, Request, SubflowHandle, SubflowPath,
};
pub use copies::MAX_REDUNDANCY;
pub use error::{ConnectionError, IoError, JoinRefusal, SubflowError};
pub use establish::JoinKeys;
pub use fallback::{Sign, Standing, Verdict};

use super::crypto::DigestedKey;
use super::info::{ConnectionInfo, SubflowInfo};
use super::message::{FallbackReason, Published, ToHome, ToSubflow};
use super::path_manager::PathManager;
use super::scheduler::{Scheduler, SchedulerState};
use crate::congestion::Coupling;
use crate::sequence::DataSequenceNumber;
use crate::stack::WorkerId;
use crate::storage::copy::copy;
use crate::storage::frame::FramePool;
use crate::storage::prefetch::Prefetch;
use crate::storage::send_buffer::SendBuffer;
use crate::time::Instant;
use crate::wire::mptcp_option::{Key, Token};
use data_space::DataSpace;
use ending::Fastclose;
use hold::Hold;
use policy::Policy;
use receive::ReceiveState;
use send::SendState;
use std::sync::Arc;
use subflow_view::{Opener, SubflowView};

/// How far the connection is multipath.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Mode {
    /// The handshake of the first subflow is under way.
    Opening,
    /// Keys were exchanged.
    Multipath {
        /// A DSS was heard.
        confirmed: bool,
    },
    /// MP_FAIL was sent on the only subflow; its echo is due by then.
    AwaitingEcho { due: Instant },
    /// Regular TCP.
    Fallback(FallbackReason),
}

/// What is known of the peer once the keys are exchanged.
#[derive(Copy, Clone, Debug)]
struct Peer {
    key: Key,
    token: Token,
    /// It takes joins to the address and port of the first subflow.
    join_to_first_address: bool,
}

/// One connection, on its home core.
#[derive(Debug)]
pub struct Connection {
    config: Arc<ConnectionConfig>,
    role: Role,
    local_key: Key,
    local_token: Token,
    peer: Option<Peer>,
    checksum: bool,
    nodelay: bool,
    hold: Hold,
    mode: Mode,
    state: DataState,
    /// Why it failed.
    failure: Option<ConnectionError>,
    /// The application is done with it: nobody reads.
    released: bool,
    /// [`Request::Gone`] was made.
    gone: bool,
    scheduler: SchedulerState,
    send: SendState,
    receive: ReceiveState,
    published: Published,
    /// The worker that is home: that of the first subflow.
    worker: WorkerId,
    views: Vec<SubflowView>,
    next_subflow_id: u32,
    subflows_max: u8,
    /// More than one subflow was established at some time.
    ever_joined: bool,
    paths: PathManager,
    policy: Policy,
    /// The limits allow no further subflow for now.
    slots_full: bool,
    /// Without a subflow: a join is awaited until then.
    join_due: Option<Instant>,
    /// Closed by the application: it must make progress until then.
    close_due: Option<Instant>,
    /// An MP_FASTCLOSE on an ACK that the peer has not answered.
    fastclose: Option<Box<Fastclose>>,
}

impl Connection {
    /// A connection that this side opens: its first subflow, `first`, is in its handshake.
    pub fn connect(
        config: impl Into<Arc<ConnectionConfig>>,
        local_key: impl Into<DigestedKey>,
        first: SubflowHandle,
        path: SubflowPath,
    ) -> Self {
        Self::new(Role::Client, config.into(), local_key.into(), first, path)
    }

    /// A connection that a listener accepts. Its first subflow reports
    /// [`ToHome::Established`] like one that this side opens, before any data.
    pub fn accept(
        config: impl Into<Arc<ConnectionConfig>>,
        local_key: impl Into<DigestedKey>,
        first: SubflowHandle,
        path: SubflowPath,
    ) -> Self {
        Self::new(Role::Server, config.into(), local_key.into(), first, path)
    }

    fn new(
        role: Role,
        config: Arc<ConnectionConfig>,
        local_key: DigestedKey,
        first: SubflowHandle,
        path: SubflowPath,
    ) -> Self {
        let DigestedKey {
            key: local_key,
            digest,
        } = local_key;
        // Until the peer's key is known its stream counts from zero, and stays there if it never
        // has one.
        let unknown = DataSpace::after(DataSequenceNumber(0));
        let receive = ReceiveState::new(config.receive_buffer, unknown);
        let published = Published {
            data_ack: receive.data_ack(),
            window_edge: receive.window_edge(),
            long_data_ack: false,
            multipath: false,
            coupling: Coupling::default(),
            prompt_probe: config.profile.counts_latency(),
            share: allowance::share(receive.largest_window()),
        };
        Self {
            role,
            local_key,
            local_token: digest.token,
            peer: None,
            checksum: false,
            nodelay: false,
            hold: Hold::default(),
            mode: Mode::Opening,
            state: DataState::Opening,
            failure: None,
            released: false,
            gone: false,
            scheduler: config.scheduler.into(),
            send: SendState::new(config.send_buffer, digest.initial_data_sequence_number),
            receive,
            published,
            worker: first.worker(),
            views: vec![SubflowView::new(first, 0, path, Opener::First)],
            next_subflow_id: 1,
            subflows_max: 1,
            ever_joined: false,
            paths: PathManager::new(path),
            policy: Policy::new(config.path_management, config.profile, config.max_subflows),
            config,
            slots_full: false,
            join_due: None,
            close_due: None,
            fastclose: None,
        }
    }

    /// Takes a message of one of the subflows.
    pub fn deliver(&mut self, from: SubflowHandle, message: ToHome, cx: &mut Context<'_>) {
        self.deliver_all(from, core::iter::once(message), cx);
    }

    /// Takes what one of the subflows has to say at once.
    pub fn deliver_all(
        &mut self,
        from: SubflowHandle,
        messages: impl IntoIterator<Item = ToHome>,
        cx: &mut Context<'_>,
    ) {
        for message in messages {
            self.on_message(from, message, cx);
        }
        self.settle(cx);
    }

    /// Fires the timers that are due.
    pub fn advance(&mut self, cx: &mut Context<'_>) {
        self.fire_timers(cx);
        self.settle(cx);
    }

    /// When `advance` is due next.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.earliest_timer()
    }

    /// Grants what can be granted and asks for the paths that are wanted: after every call that
    /// changed something.
    fn settle(&mut self, cx: &mut Context<'_>) {
        self.push(cx);
        self.heed_policy(cx);
        self.manage_paths(cx);
        self.finish_if_done(cx);
    }

    /// Appends to the stream what there is room for, and returns how much that was.
    ///
    /// # Errors
    ///
    /// [`IoError::WouldBlock`] when there is no room; [`ConnectionEvent::Writable`] follows.
    pub fn write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, IoError> {
        let mut rest = bytes;
        let fill = |piece: &mut [u8]| {
            let (next, after) = rest.split_at(piece.len());
            copy(piece, next);
            rest = after;
        };
        self.write_with(bytes.len(), fill, cx)
    }

    /// As [`Self::write`] of `length` bytes, which `fill` writes in place, as many as there is room
    /// for, piece by piece.
    ///
    /// # Errors
    ///
    /// As [`Self::write`]; `fill` is not called then.
    pub fn write_with(
        &mut self,
        length: usize,
        fill: impl FnMut(&mut [u8]),
        cx: &mut Context<'_>,
    ) -> Result<usize, IoError> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        if !self.state.can_write() || self.send.fin != send::Fin::Open || self.released {
            return Err(IoError::Shutdown);
        }
        let written = self.send.buffer.push_with(length, fill);
        self.send.writer_waits |= written < length;
        if written > 0 {
            self.settle(cx);
        } else if length > 0 {
            return Err(IoError::WouldBlock);
        }
        Ok(written)
    }

    /// Takes the oldest bytes received; `Ok(0)` is the end of the stream. What had arrived before
    /// a failure can still be read.
    ///
    /// # Errors
    ///
    /// [`IoError::WouldBlock`] when nothing waits; [`ConnectionEvent::Readable`] follows.
    pub fn read(&mut self, into: &mut [u8], cx: &mut Context<'_>) -> Result<usize, IoError> {
        let mut read = 0;
        let length = into.len();
        let take = |piece: &[u8]| {
            copy(&mut into[read..read + piece.len()], piece);
            read += piece.len();
        };
        self.read_with(length, take, cx)
    }

    /// As [`Self::read`] of up to `length` bytes, which `take` is shown in place, piece by piece.
    ///
    /// # Errors
    ///
    /// As [`Self::read`]; `take` is called only when there are bytes.
    pub fn read_with(
        &mut self,
        length: usize,
        take: impl FnMut(&[u8]),
        cx: &mut Context<'_>,
    ) -> Result<usize, IoError> {
        let count = self.receive.buffer.read_with(length, cx.pool, take);
        if count > 0 {
            self.after_read(cx);
            return Ok(count);
        }
        if length == 0 && self.receive.buffer.readable() > 0 {
            return Ok(0);
        }
        match self.failure {
            _ if self.receive.is_finished() => Ok(0),
            Some(failure) => Err(failure.into()),
            None => Err(IoError::WouldBlock),
        }
    }

    /// True when received frames wait for the reader as they came.
    pub fn holds_frames(&self) -> bool {
        self.receive.buffer.holds_frames()
    }

    /// Copies what is in such frames into the receive buffer, and gives them back.
    pub fn settle_frames(&mut self, pool: &mut FramePool) {
        self.receive.buffer.settle(pool);
    }

    /// Asks for the memory that it points to, which the next message or call will use.
    pub(crate) fn prefetch(&self, prefetch: Prefetch) {
        prefetch.value(self.views.as_slice());
        self.send.buffer.prefetch(prefetch);
        self.receive.buffer.prefetch(prefetch);
    }

    /// Asks for what that leads to.
    pub(crate) fn prefetch_parts(&self, prefetch: Prefetch) {
        for view in &self.views {
            view.ledger.prefetch(prefetch);
        }
        self.receive.buffer.prefetch_pieces(prefetch);
    }

    /// The names of its subflows.
    pub(crate) fn subflow_handles(&self) -> impl Iterator<Item = SubflowHandle> {
        self.views.iter().map(|view| view.handle)
    }

    fn after_read(&mut self, cx: &mut Context<'_>) {
        self.publish();
        let segment_size = self.views.iter().map(SubflowView::segment_size).max();
        if self.state.can_receive()
            && self
                .receive
                .take_window_update(segment_size.unwrap_or_default())
        {
            // A peer heeds each subflow's own window too, so all of them tell it.
            for view in self.views.iter().filter(|view| view.is_open()) {
                cx.out.send(view.handle, ToSubflow::Acknowledge);
            }
        }
    }

    /// Brings what the subflows stamp on their segments up to date.
    fn publish(&mut self) {
        self.published.data_ack = self.receive.data_ack();
        self.published.window_edge = self.receive.window_edge();
        self.published.share = allowance::share(self.receive.largest_window());
        self.published.multipath = match self.mode {
            Mode::Multipath { .. } | Mode::AwaitingEcho { .. } => true,
            Mode::Opening | Mode::Fallback(_) => false,
        };
    }

    /// What every subflow stamps on its segments.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// The path that the first subflow took, for the connection's life.
    pub fn first_path(&self) -> SubflowPath {
        self.paths.first()
    }

    /// What is written and not released.
    pub fn send_buffer(&self) -> &SendBuffer {
        &self.send.buffer
    }

    /// TCP_NODELAY: small writes go out at once.
    pub fn set_nodelay(&mut self, nodelay: bool, cx: &mut Context<'_>) {
        self.nodelay = nodelay;
        self.broadcast(&ToSubflow::SetNoDelay(nodelay), cx);
        self.settle(cx);
    }

    /// TCP_CORK: only full segments go out, or what has waited for 200 ms.
    pub fn set_cork(&mut self, cork: bool, cx: &mut Context<'_>) {
        self.hold.set_cork(cork);
        self.broadcast(&ToSubflow::SetCork(cork), cx);
        self.settle(cx);
    }

    /// MSG_MORE: whether what is written from now on waits for more, as with TCP_CORK.
    pub fn set_more(&mut self, more: bool, cx: &mut Context<'_>) {
        self.hold.set_more(more);
        self.settle(cx);
    }

    /// SO_SNDBUF. What is written stays, however small the buffer becomes.
    pub fn set_send_buffer(&mut self, bytes: usize, cx: &mut Context<'_>) {
        self.send.buffer.set_capacity(bytes);
        let capacity = self.send.buffer.capacity() as u64;
        for view in &mut self.views {
            if view.remarks().carries.is_some() {
                view.remarks_mut().carries = Some(capacity);
            }
        }
        if self.send.room_was_made() {
            cx.out.events.push_back(ConnectionEvent::Writable);
        }
        self.settle(cx);
    }

    /// SO_RCVBUF. The edge that the peer was told stays where it is: a smaller window follows as
    /// the application reads.
    pub fn set_receive_buffer(&mut self, bytes: usize, cx: &mut Context<'_>) {
        self.receive.set_window(bytes);
        self.after_read(cx);
        self.settle(cx);
    }

    /// Bytes that the send buffer holds at most.
    pub fn send_buffer_size(&self) -> usize {
        self.send.buffer.capacity()
    }

    /// Bytes that the peer may send ahead of the reader.
    pub fn receive_buffer_size(&self) -> usize {
        usize::try_from(self.receive.window()).unwrap_or(usize::MAX)
    }

    /// Which subflow carries the next bytes.
    pub fn scheduler(&self) -> Scheduler {
        self.config.scheduler
    }

    /// True while data sequence numbers are in use.
    pub fn uses_multipath(&self) -> bool {
        matches!(
            self.mode,
            Mode::Multipath { .. } | Mode::AwaitingEcho { .. }
        )
    }

    /// Sends a setting to every subflow there is; later ones are the stack's to set up.
    pub fn broadcast(&self, message: &ToSubflow, cx: &mut Context<'_>) {
        for view in &self.views {
            cx.out.send(view.handle, message.clone());
        }
    }

    /// Names the connection in MP_JOIN.
    pub fn local_token(&self) -> Token {
        self.local_token
    }

    /// Data-level state.
    pub fn state(&self) -> DataState {
        self.state
    }

    /// How the connection failed, if it did.
    pub fn failure(&self) -> Option<ConnectionError> {
        self.failure
    }

    /// True when a read would block: there are no bytes, no end and no failure.
    pub fn has_nothing_to_read(&self) -> bool {
        self.readable() == 0 && self.failure.is_none() && !self.receive.is_finished()
    }

    /// Bytes that can be read now.
    pub fn readable(&self) -> usize {
        self.receive.buffer.readable()
    }

    /// Bytes that can be written now.
    pub fn writable(&self) -> usize {
        if self.state.can_write() && self.send.fin == send::Fin::Open {
            self.send.buffer.free()
        } else {
            0
        }
    }

    /// The peer has sent all it will, though not all of it may have been read.
    pub fn peer_finished(&self) -> bool {
        self.receive.is_finished()
    }

    /// The state of the connection.
    pub fn info(&self) -> ConnectionInfo {
        let bytes_written = self.send.buffer.end();
        ConnectionInfo {
            state: self.state,
            role: self.role,
            fallback: match self.mode {
                Mode::Fallback(reason) => Some(reason),
                _ => None,
            },
            local_token: self.local_token,
            remote_token: self.peer.map(|peer| peer.token),
            checksum: self.checksum,
            subflows: self.views.len() as u8,
            subflows_max: self.subflows_max,
            subflows_total: self.next_subflow_id,
            add_addr_signaled: self.paths.announced(),
            add_addr_accepted: self.paths.accepted(),
            bytes_written,
            bytes_acknowledged: self.send.snd_una.min(bytes_written),
            bytes_received: self.receive.in_order(),
            bytes_read: self.receive.buffer.start(),
            bytes_reinjected: self.send.bytes_reinjected,
            send_window: self.send.window_edge.saturating_sub(self.send.snd_una),
            receive_window: self.receive.free_window(),
            write_sequence: self.send.number(bytes_written),
            unacknowledged_sequence: self.send.number(self.send.snd_una),
            next_sequence: self.receive.data_ack(),
            data_timeouts: self.send.data_timeouts,
            last_data_sent: self.send.last_sent,
            last_data_received: self.receive.last_received,
            last_acknowledgment: self.send.last_acknowledged,
        }
    }

    /// Bytes that were written and not acknowledged, and of these those not granted yet.
    pub fn send_queue(&self) -> (u64, u64) {
        let end = self.send.buffer.end();
        let not_sent = self.send.unsent();
        (
            end.saturating_sub(self.send.snd_una),
            not_sent.end.saturating_sub(not_sent.start),
        )
    }

    /// The subflows there are, in the order of their appearance.
    pub fn subflows(&self) -> impl Iterator<Item = SubflowInfo> + '_ {
        self.views.iter().map(SubflowView::info)
    }

    fn view(&self, handle: SubflowHandle) -> Option<&SubflowView> {
        self.views.iter().find(|view| view.handle == handle)
    }

    fn view_mut(&mut self, handle: SubflowHandle) -> Option<&mut SubflowView> {
        self.views.iter_mut().find(|view| view.handle == handle)
    }

    /// Changes the data-level state; an event without meaning there changes nothing.
    fn transition(&mut self, event: CloseEvent) -> bool {
        match self.state.on(event) {
            Ok(state) => {
                self.state = state;
                true
            }
            Err(IllegalTransition { .. }) => false,
        }
    }

    /// The best subflow for something that takes no room: a signal or a DATA_FIN. One other than
    /// `not`, when there is one.
    fn best_view(&self, not: Option<SubflowHandle>) -> Option<SubflowHandle> {
        self.views
            .iter()
            .filter(|view| view.is_ready())
            .min_by_key(|view| {
                let round_trip = view.progress.smoothed_rtt.unwrap_or_default();
                (
                    Some(view.handle) == not,
                    view.rank(),
                    !view.preferred,
                    round_trip,
                )
            })
            .map(|view| view.handle)
    }
}
