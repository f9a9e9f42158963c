//! One subflow of an MPTCP connection (RFC 8684): its TCP, the options on its segments, and the two
//! mappings between its streams and the data sequence space.
//!
//! A [`Subflow`] wraps a [`Tcb`] and knows nothing of other subflows. What it must stamp on its
//! segments it reads from [`Published`]; everything else passes between it and the connection's home
//! as [`ToHome`] and
//! [`ToSubflow`](crate::mptcp::message::ToSubflow).
//!
//! A segment comes in through [`Subflow::receive`]: TCP judges and orders it, its options are read
//! (`options`), data in order meets its mapping (`inflow`) and goes to home. Grants of home become
//! mappings of the send stream (`outflow`); [`Subflow::transmit`] asks TCP what is due and puts the
//! options on it (`draft`). How far the handshake has come, and which fallback is legal from there, is
//! the table of [`Phase`].

mod allowance;
mod deliver;
mod draft;
mod handshake;
mod inflow;
mod options;
mod outbox;
mod outflow;
mod phase;
mod receive;
mod receive_mapping;
mod rest;
mod send_mapping;
mod signals;
mod timers;
mod transmit;
mod unanswered;

pub use handshake::{CapableConfig, JoinConfig, JoinRequest, capable_is_usable};
pub use outbox::Outbox;
pub use outflow::SendBytes;
pub use phase::{Input, Origin, Phase, Step};
pub use rest::RestingSubflow;
pub use transmit::{Outgoing, PathLimits, PayloadSource};

use crate::mptcp::message::{
    Establishment, FallbackReason, Progress, Published, ResetOptions, SubflowEnd, ToHome,
};
use crate::sequence::{DataSequenceNumber, SequenceNumber};
use crate::storage::pieces::Pieces;
use crate::storage::prefetch::Prefetch;
use crate::tcp::{End, Negotiated, State, Tcb, TcbConfig, TcpInfo};
use crate::time::Instant;
use crate::wire::mptcp_option::{DataNumber, Key, MptcpOption, ResetReason, Token};
use allowance::Allowance;
use handshake::Handshake;
use inflow::Inflow;
use outflow::Outflow;
use signals::Signals;
use timers::JoinAckTimer;
use unanswered::Unanswered;

/// What stands for the peer's initial data sequence number when it has no key: data received on a
/// connection that never spoke MPTCP is numbered from one after this.
pub const PLAIN_INITIAL: DataSequenceNumber = DataSequenceNumber(0);

/// The end of the peer's stream on the subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Fin {
    /// It has not come.
    Awaited,
    /// It is in order; data before it still waits here.
    InOrder,
    /// Home knows.
    Told,
}

/// One subflow.
#[derive(Debug)]
pub struct Subflow {
    tcp: Tcb,
    phase: Phase,
    handshake: Handshake,
    /// The handshake's outcome was told to home.
    established: bool,
    /// The end was told to home.
    ended: bool,
    /// Timestamps take their space on every segment.
    timestamps: bool,
    /// The peer sends 64-bit data sequence numbers; home may not have heard yet.
    long_data_ack: bool,
    /// The third ACK has gone at least once.
    third_ack_sent: bool,
    /// Home has published the data sequence numbers of the connection.
    home_ready: bool,
    /// The end of the peer's stream.
    fin: Fin,
    /// Home asked for FIN, which waits for a DATA_FIN that is still to go.
    closing: bool,
    inflow: Inflow,
    /// What may wait on the way to `inflow`.
    allowance: Allowance,
    outflow: Outflow,
    signals: Signals,
    join_ack: JoinAckTimer,
    unanswered: Unanswered,
    /// What the RST is to carry.
    reset_options: ResetOptions,
    /// The peer's MP_TCPRST: its reason, and whether that may pass.
    peer_reset: Option<(ResetReason, bool)>,
    reported: Progress,
    reported_data_ack: Option<(DataNumber, u32)>,
}

impl Subflow {
    fn new(tcp: Tcb, phase: Phase, handshake: Handshake, timestamps: bool) -> Self {
        Self {
            tcp,
            phase,
            handshake,
            established: false,
            ended: false,
            timestamps,
            long_data_ack: false,
            third_ack_sent: false,
            home_ready: false,
            fin: Fin::Awaited,
            closing: false,
            inflow: Inflow::new(PLAIN_INITIAL + 1),
            allowance: Allowance::default(),
            outflow: Outflow::default(),
            signals: Signals::default(),
            join_ack: JoinAckTimer::default(),
            unanswered: Unanswered::default(),
            reset_options: ResetOptions::new(),
            peer_reset: None,
            reported: Progress::default(),
            reported_data_ack: None,
        }
    }

    /// Opens the first subflow of a connection with MP_CAPABLE. `local_key` is this side's key;
    /// the first byte that home grants must have the data sequence number after the key's initial
    /// one.
    pub fn connect_capable(
        tcp: TcbConfig,
        now: Instant,
        iss: SequenceNumber,
        timestamp_offset: u32,
        local_key: Key,
        config: CapableConfig,
    ) -> Self {
        let handshake = Handshake::CapableClient {
            local_key,
            config,
            plain_tried: false,
            peer: None,
        };
        let timestamps = tcp.timestamps;
        let tcp = Tcb::connect(tcp, now, iss, timestamp_offset);
        Self::new(tcp, Phase::CapableSynSent, handshake, timestamps)
    }

    /// Opens a connection of regular TCP.
    pub fn connect_plain(
        tcp: TcbConfig,
        now: Instant,
        iss: SequenceNumber,
        timestamp_offset: u32,
    ) -> Self {
        let timestamps = tcp.timestamps;
        let tcp = Tcb::connect(tcp, now, iss, timestamp_offset);
        let phase = Phase::Plain(FallbackReason::Disabled);
        Self::new(tcp, phase, Handshake::Plain, timestamps)
    }

    /// Accepts the first subflow of a connection whose SYN/ACK went out with MP_CAPABLE. The third ACK
    /// is to be given to [`Self::receive`]: it brings the peer's key.
    pub fn accept_capable(
        tcp: TcbConfig,
        now: Instant,
        negotiated: Negotiated,
        local_key: Key,
        config: CapableConfig,
    ) -> Self {
        let handshake = Handshake::CapableServer {
            local_key,
            config,
            peer: None,
        };
        let timestamps = negotiated.timestamps.is_some();
        let tcp = Tcb::accept(tcp, now, negotiated);
        Self::new(tcp, Phase::CapableSynReceived, handshake, timestamps)
    }

    /// Accepts a connection of regular TCP, for `reason`. The third ACK is to be given to
    /// [`Self::receive`].
    pub fn accept_plain(
        tcp: TcbConfig,
        now: Instant,
        negotiated: Negotiated,
        reason: FallbackReason,
    ) -> Self {
        let timestamps = negotiated.timestamps.is_some();
        let tcp = Tcb::accept(tcp, now, negotiated);
        Self::new(tcp, Phase::Plain(reason), Handshake::Plain, timestamps)
    }

    /// Opens a further subflow with MP_JOIN; `token` is the peer's.
    pub fn connect_join(
        tcp: TcbConfig,
        now: Instant,
        iss: SequenceNumber,
        timestamp_offset: u32,
        token: Token,
        config: JoinConfig,
    ) -> Self {
        let handshake = Handshake::JoinClient {
            config,
            token,
            peer: None,
        };
        let timestamps = tcp.timestamps;
        let tcp = Tcb::connect(tcp, now, iss, timestamp_offset);
        Self::new(tcp, Phase::JoinSynSent, handshake, timestamps)
    }

    /// Accepts a further subflow whose SYN/ACK went out with MP_JOIN. The third ACK is to be given to
    /// [`Self::receive`]: it proves that the peer knows the keys.
    pub fn accept_join(
        tcp: TcbConfig,
        now: Instant,
        negotiated: Negotiated,
        config: JoinConfig,
        request: JoinRequest,
    ) -> Self {
        let handshake = Handshake::JoinServer {
            config,
            peer: request,
        };
        let timestamps = negotiated.timestamps.is_some();
        let tcp = Tcb::accept(tcp, now, negotiated);
        Self::new(tcp, Phase::JoinSynReceived, handshake, timestamps)
    }

    /// How far the subflow has come as one of MPTCP.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The state of TCP.
    pub fn state(&self) -> State {
        self.tcp.state()
    }

    /// The subflow's shape now.
    pub fn progress(&self) -> Progress {
        let mut progress = self.tcp.progress();
        if !self.phase.carries_data() {
            progress.room = 0;
        }
        progress
    }

    /// Asks for the memory that it points to, which the next segment or grant will use.
    pub(crate) fn prefetch(&self, prefetch: Prefetch) {
        self.tcp.prefetch(prefetch);
        self.inflow.mappings.prefetch(prefetch);
        self.inflow.prefetch(prefetch);
        self.outflow.mappings.prefetch(prefetch);
    }

    /// The state of TCP in full.
    pub fn tcp_info(&self) -> TcpInfo {
        self.tcp.info()
    }

    /// Takes the bytes of the next grant, or some of them, of a home that is another worker. It is to
    /// send all of them so, and may then let them go.
    pub fn carry(&mut self, bytes: &[u8]) {
        self.outflow.carry(bytes);
    }

    /// Bytes that [`ToSubflow::Retain`](crate::mptcp::message::ToSubflow::Retain) had copied, or that
    /// came with their grant: `length` of them from the stream's `offset` on, as
    /// [`PayloadSource::Retained`] asks for. Fewer where fewer are held.
    pub fn retained_bytes(&self, offset: u64, length: u32) -> Pieces<'_> {
        self.outflow.retained_bytes(offset, length)
    }

    /// Options that were to be signalled and were dropped for want of room.
    pub const fn dropped_signals(&self) -> u64 {
        self.signals.dropped()
    }

    /// Segments treated as lost because the mapping they brought found no room.
    pub const fn dropped_mappings(&self) -> u64 {
        self.inflow.dropped
    }

    /// ICMP said that the path takes only smaller segments; see [`Tcb::on_packet_too_big`].
    pub fn on_packet_too_big(
        &mut self,
        now: Instant,
        maximum_segment_size: u16,
        quoted: SequenceNumber,
    ) {
        self.tcp
            .on_packet_too_big(now, maximum_segment_size, quoted);
    }

    /// ICMP said that the destination is unreachable; see [`Tcb::on_unreachable`].
    pub fn on_unreachable(&mut self, hard: bool, quoted: SequenceNumber) {
        self.tcp.on_unreachable(hard, quoted);
    }

    /// Bytes of memory of received data held: by TCP, or until its mapping is complete.
    pub fn held_bytes(&self) -> usize {
        self.tcp.held_bytes() + self.inflow.memory()
    }

    /// Payloads dropped before they were acknowledged because too much was held out of order.
    pub fn dropped_out_of_order(&self) -> u64 {
        self.tcp.dropped_out_of_order()
    }

    /// Bytes of the send stream copied for retransmission.
    pub fn retained_length(&self) -> usize {
        self.outflow.retained_length()
    }

    /// How TCP ended: once, when CLOSED or TIME-WAIT was reached and nothing is left to send. To be
    /// asked after every call; the last message to home is put in `out` by then.
    pub fn take_end(&mut self, out: &mut Outbox<ToHome>) -> Option<End> {
        let end = self.tcp.take_end()?;
        let told = match &end {
            End::TimeWait(_) | End::Closed => SubflowEnd::Closed,
            End::Aborted => SubflowEnd::ResetHere(self.reset_reason()),
            End::Reset => SubflowEnd::ResetByPeer {
                reason: self.peer_reset.map(|(reason, _)| reason),
                transient: self.peer_reset.is_some_and(|(_, transient)| transient),
            },
            End::Refused => SubflowEnd::Refused,
            End::TimedOut => SubflowEnd::TimedOut,
            End::Unreachable => SubflowEnd::Unreachable,
        };
        self.tell_end(told, out);
        Some(end)
    }

    fn tell_end(&mut self, end: SubflowEnd, out: &mut Outbox<ToHome>) {
        if !self.ended {
            self.ended = true;
            out.push(ToHome::Ended(end));
        }
    }

    fn reset_reason(&self) -> Option<ResetReason> {
        self.reset_options.iter().find_map(|option| match option {
            MptcpOption::Reset { reason, .. } => Some(*reason),
            _ => None,
        })
    }

    /// Takes the step that the phase table has for `input`; true when it was a step at all.
    fn step(&mut self, input: Input, out: &mut Outbox<ToHome>) -> bool {
        match self.phase.on(input) {
            Step::Stay => false,
            Step::To(next) => {
                self.enter(next, out);
                true
            }
            Step::Refuse(reason) => {
                self.refuse(reason, out);
                true
            }
        }
    }

    fn enter(&mut self, next: Phase, out: &mut Outbox<ToHome>) {
        self.phase = next;
        match next {
            Phase::PreEstablished => self.tcp.request_ack(),
            Phase::Unconfirmed(origin) => {
                if let Some(peer) = self.handshake.capable_peer() {
                    self.inflow.start_at(peer.initial + 1);
                }
                if origin == Origin::Joined {
                    // The fourth packet, by which the peer knows that its third arrived.
                    self.tcp.request_ack();
                }
                if let Some(establishment) = self.handshake.establishment() {
                    self.tell_establishment(establishment, out);
                }
            }
            Phase::Confirmed(Origin::First) => out.push(ToHome::Confirmed),
            Phase::Plain(reason) => {
                self.fall_to(next);
                if self.established {
                    let next = self.inflow.data_sequence_at(self.inflow.offset());
                    out.push(ToHome::FellBack { reason, next });
                } else if self.tcp.state().is_synchronized() {
                    self.tell_establishment(Establishment::Plain(reason), out);
                }
            }
            _ => {}
        }
    }

    /// Goes to a phase without MPTCP.
    fn fall_to(&mut self, plain: Phase) {
        self.phase = plain;
        self.signals.keep_fail();
        self.outflow.end_multipath();
        self.inflow.unblock();
        self.close_in_turn();
    }

    /// Lets FIN go, as home asked, once no DATA_FIN waits: the peer is to hear first that the stream
    /// of the connection is complete.
    fn close_in_turn(&mut self) {
        if self.closing && self.outflow.data_fin.is_none() {
            self.closing = false;
            self.tcp.close();
        }
    }

    fn tell_establishment(&mut self, establishment: Establishment, out: &mut Outbox<ToHome>) {
        if !self.established {
            self.established = true;
            out.push(ToHome::Established(establishment));
        }
    }

    /// Ends the subflow with a RST that says why.
    fn refuse(&mut self, reason: ResetReason, out: &mut Outbox<ToHome>) {
        let mut options = ResetOptions::new();
        options.push(MptcpOption::Reset {
            transient: reason.may_pass(),
            reason,
        });
        self.reset(options, out);
    }

    fn reset(&mut self, options: ResetOptions, out: &mut Outbox<ToHome>) {
        self.phase = Phase::Reset;
        self.reset_options = options;
        self.signals.clear();
        self.inflow.clear();
        self.tcp.abort();
        self.tell_end(SubflowEnd::ResetHere(self.reset_reason()), out);
    }

    /// Tells TCP which window to advertise and how much it may hold.
    ///
    /// With DATA_ACKs the window counts from the DATA_ACK beside it. Without, it counts from the next
    /// byte of the subflow, which may be ahead of what home has taken in.
    fn adopt_window(&mut self, home: &Published) {
        self.home_ready |= home.multipath;
        self.adopt_share(home.share);
        self.tcp.set_prompt_probe(home.prompt_probe);
        let window = match self.phase {
            Phase::Plain(_) if !home.multipath => {
                let mut next = self.inflow.data_sequence_at(self.tcp.received_offset());
                if self.phase.heeds_mappings() {
                    // What this subflow carried may be behind what others have brought.
                    next = next.latest(home.data_ack);
                }
                // Home may not know yet from where this subflow counts.
                if !(0..=i64::from(i32::MAX)).contains(&(next - home.data_ack)) {
                    return;
                }
                home.window_edge.offset_from(next)
            }
            _ if home.multipath => home.window_edge.offset_from(home.data_ack),
            _ => return,
        };
        self.tcp
            .set_receive_window(u32::try_from(window).unwrap_or(u32::MAX));
    }

    fn report_progress(&mut self, out: &mut Outbox<ToHome>) {
        let progress = self.progress();
        if progress != self.reported {
            self.reported = progress;
            out.push(ToHome::Progress(progress));
        }
    }
}
