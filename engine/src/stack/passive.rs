//! Connections that peers open: from the SYN to the accept queue (RFC 9293 sections 3.10.7.2 and
//! 3.10.7.4, RFC 8684 section 3.1).

use super::Stack;
use super::admit::NewConnection;
use super::connection::ConnectionKey;
use super::event::Event;
use super::flow::Flow;
use super::handshake::{SynOffer, SynWish};
use super::listener::ListenerKey;
use super::receive::ReceivedSegment;
use super::request::{JoinTarget, Request, RequestKey, RequestKind, Verdict, capable_syn_ack};
use super::route::Path;
use super::subflow::SubflowKey;
use super::syn_cookie;
use super::timer::{Deadline, Timer};
use super::{ListenerId, SynCookies};
use crate::mptcp::connection::Role;
use crate::mptcp::message::FallbackReason;
use crate::mptcp::subflow::{CapableConfig, Subflow, capable_is_usable};
use crate::sequence::SequenceNumber;
use crate::socket::ListenOptions;
use crate::storage::frame::Frame;
use crate::tcp::Negotiated;
use crate::time::{Duration, Instant};
use crate::wire::mptcp_option::{CapableFlags, Key, MptcpOption};
use crate::wire::tcp::TcpFlags;

/// How long ACKs are looked at for cookies after the last one was given out.
const COOKIE_LIFETIME: Duration = Duration::from_secs(128);

/// How the first subflow of an accepted connection speaks.
#[derive(Copy, Clone, Debug)]
pub(super) enum Speech {
    /// With MPTCP.
    Capable {
        /// The key of this side.
        local_key: Key,
        /// What both sides ask for.
        config: CapableConfig,
    },
    /// Regular TCP.
    Plain(FallbackReason),
}

impl Stack {
    /// Takes a segment for which there is no flow. Returns the frame when nobody keeps it.
    pub(super) fn receive_without_flow(
        &mut self,
        now: Instant,
        segment: ReceivedSegment,
    ) -> Option<Frame> {
        let flags = segment.header.flags;
        if flags.contains(TcpFlags::RST) {
            return Some(segment.payload.frame);
        }
        if flags.contains(TcpFlags::SYN) && !flags.intersects(TcpFlags::ACK | TcpFlags::FIN) {
            self.receive_syn(now, &segment, None);
            return Some(segment.payload.frame);
        }
        if flags.contains(TcpFlags::ACK) && !flags.contains(TcpFlags::SYN) {
            return self.receive_stray_ack(now, segment);
        }
        self.send_reset(now, &segment, None);
        Some(segment.payload.frame)
    }

    /// Peers that ask a listener with these options for MPTCP get it.
    fn offers_multipath(&self, options: &ListenOptions) -> bool {
        self.config.multipath
            && options.multipath
            && !self.is_too_small_for_multipath(&options.socket)
    }

    /// MP_JOIN means something here: also to connections from before MPTCP was switched off.
    fn takes_joins(&self) -> bool {
        self.config.multipath || !self.tokens.is_empty() || !self.config.place.is_alone()
    }

    /// True when a SYN names a connection or a listener here.
    pub(super) fn has_taker(&self, segment: &ReceivedSegment) -> bool {
        let joined = segment
            .header
            .options
            .mptcp
            .iter()
            .find_map(|option| match option {
                MptcpOption::JoinSyn { token, .. } => Some(*token),
                _ => None,
            });
        match joined.filter(|_| self.takes_joins()) {
            // Of a connection elsewhere nothing is known here.
            Some(token) => self.tokens.contains(token),
            None => self.listeners.find(&segment.flow, segment.port).is_some(),
        }
    }

    /// Takes a SYN that opens a flow. The initial sequence number of this side is to be at or
    /// after `floor`, past the former connection of the same flow.
    pub(super) fn receive_syn(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        floor: Option<SequenceNumber>,
    ) {
        let options = &segment.header.options.mptcp;
        if self.takes_joins()
            && let Some(join) = options
                .iter()
                .find(|option| matches!(option, MptcpOption::JoinSyn { .. }))
        {
            self.counters.syns_received += 1;
            self.receive_join_syn(now, segment, join, floor);
            return;
        }
        let Some(listener_key) = self.listeners.find(&segment.flow, segment.port) else {
            self.send_reset(now, segment, None);
            return;
        };
        let Some(listener) = self.listeners.get(listener_key) else {
            return;
        };
        self.counters.syns_received += 1;
        if listener.is_full() {
            self.counters.accept_queue_full += 1;
            return;
        }
        let capable = options.iter().find_map(|option| match option {
            MptcpOption::CapableSyn { version, flags } => {
                capable_is_usable(*version, *flags).then_some(*flags)
            }
            _ => None,
        });
        if capable.is_some() {
            self.counters.capable_syns += 1;
        }
        let multipath = self.offers_multipath(&listener.options);
        let capable = capable.filter(|_| multipath).map(|flags| CapableConfig {
            checksum: self.config.checksum || flags.contains(CapableFlags::CHECKSUM_REQUIRED),
            long_sequence: self.config.long_data_sequence,
            ..CapableConfig::default()
        });
        let cookie = match self.config.syn_cookies {
            SynCookies::Always => true,
            SynCookies::WhenFull => self.requests.is_full(),
            SynCookies::Never => false,
        };
        if cookie {
            self.send_cookie(now, segment, listener_key, capable.as_ref());
            return;
        }
        let kind = match capable {
            Some(config) => match self.draw_key() {
                Some(local_key) => RequestKind::Capable {
                    listener: listener_key,
                    local_key: local_key.key,
                    config,
                },
                None => return,
            },
            None => {
                let reason = if multipath {
                    FallbackReason::PeerNotCapable
                } else {
                    FallbackReason::Disabled
                };
                RequestKind::Plain {
                    listener: listener_key,
                    reason,
                }
            }
        };
        self.add_request(now, segment, kind, floor);
    }

    /// Keeps a half-open connection and answers its SYN.
    pub(super) fn add_request(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        kind: RequestKind,
        floor: Option<SequenceNumber>,
    ) {
        let flow = segment.flow;
        let wish = match &kind {
            RequestKind::Plain { listener, .. } | RequestKind::Capable { listener, .. } => self
                .listeners
                .get(*listener)
                .map(|listener| SynWish::from(&listener.options.socket)),
            RequestKind::Join(join) => match &join.target {
                JoinTarget::Here(connection) => self
                    .connections
                    .get(*connection)
                    .map(|slot| SynWish::from(&*slot.options)),
                JoinTarget::Elsewhere(distant) => Some(SynWish::from(&distant.options)),
            },
        };
        let (chosen, timestamp_offset) = self.secrets.numbers(&flow, now);
        let request = Request {
            flow,
            kind,
            offer: SynOffer::of(&flow, &segment.header),
            answer: self.syn_answer(segment.port, &flow, wish.unwrap_or_default()),
            iss: floor.map_or(chosen, |floor| floor.latest(chosen)),
            timestamp_offset,
            syn_ack_sent: Some(now),
            repetitions: 0,
            deadline: Deadline::default(),
        };
        let syn_ack = request.syn_ack(now);
        let due = now + request.timeout();
        let Ok(key) = self.requests.insert(request) else {
            self.counters.syn_queue_full += 1;
            return;
        };
        if self.flows.insert(flow, Flow::Request(key)).is_err() {
            self.requests.remove(key);
            self.counters.table_full += 1;
            return;
        }
        if let Some(request) = self.requests.get_mut(key) {
            self.timers
                .set(&mut request.deadline, Timer::Request(key), Some(due));
        }
        self.send_segment(segment.port, &flow, syn_ack);
    }

    /// Answers a SYN without keeping anything.
    fn send_cookie(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        listener: ListenerKey,
        capable: Option<&CapableConfig>,
    ) {
        let flow = segment.flow;
        let offer = SynOffer::of(&flow, &segment.header);
        let wish = self
            .listeners
            .get(listener)
            .map(|listener| SynWish::from(&listener.options.socket));
        let answer = self.syn_answer(segment.port, &flow, wish.unwrap_or_default());
        let iss = syn_cookie::encode(&self.secrets, &flow, &offer, now);
        let offset = self.secrets.timestamp_offset(&flow);
        let timestamp = syn_cookie::encode_timestamp(&offer, now, offset);
        // Without timestamps nothing can remember what else was offered.
        let answered = if offer.timestamp.is_some() {
            offer
        } else {
            SynOffer {
                window_scale: None,
                sack: false,
                ecn: false,
                ..offer
            }
        };
        let option = capable.map(|config| {
            capable_syn_ack(
                syn_cookie::local_key(&self.secrets, &self.config.place, &flow, iss),
                config,
            )
        });
        self.counters.cookies_sent += 1;
        self.cookies_until = Some(now + COOKIE_LIFETIME);
        let syn_ack = answer.syn_ack(&flow, &answered, iss, timestamp, option);
        self.send_segment(segment.port, &flow, syn_ack);
    }

    /// An ACK of no flow may bring back a cookie; otherwise it is answered with a RST.
    fn receive_stray_ack(&mut self, now: Instant, segment: ReceivedSegment) -> Option<Frame> {
        let expected = self.cookies_until.is_some_and(|until| now <= until);
        let listener = self.listeners.find(&segment.flow, segment.port);
        let (true, Some(listener)) = (expected, listener) else {
            self.send_reset(now, &segment, None);
            return Some(segment.payload.frame);
        };
        let cookie = syn_cookie::decode(&self.secrets, &segment.flow, &segment.header, now);
        let Some(cookie) = cookie else {
            self.counters.cookies_failed += 1;
            self.send_reset(now, &segment, None);
            return Some(segment.payload.frame);
        };
        self.counters.cookies_received += 1;
        let offset = self.secrets.timestamp_offset(&segment.flow);
        let negotiated = cookie.offer.negotiated(cookie.iss, offset, None, None);
        let local_key =
            syn_cookie::local_key(&self.secrets, &self.config.place, &segment.flow, cookie.iss);
        let speech = self.speech_of_cookie(&segment, listener, local_key);
        self.complete(now, segment, listener, negotiated, speech)
    }

    /// The third ACK repeats the key that came with the cookie, or the peer has none.
    fn speech_of_cookie(
        &self,
        segment: &ReceivedSegment,
        listener: ListenerKey,
        local_key: Key,
    ) -> Speech {
        let offered = self
            .listeners
            .get(listener)
            .is_some_and(|listener| self.offers_multipath(&listener.options));
        if !offered {
            return Speech::Plain(FallbackReason::Disabled);
        }
        let flags = segment
            .header
            .options
            .mptcp
            .iter()
            .find_map(|option| match option {
                MptcpOption::CapableAck {
                    flags,
                    receiver_key,
                    ..
                } => (*receiver_key == local_key).then_some(*flags),
                _ => None,
            });
        match flags {
            Some(flags) => {
                let checksum =
                    self.config.checksum || flags.contains(CapableFlags::CHECKSUM_REQUIRED);
                let config = CapableConfig {
                    checksum,
                    long_sequence: self.config.long_data_sequence,
                    ..CapableConfig::default()
                };
                Speech::Capable { local_key, config }
            }
            None => Speech::Plain(FallbackReason::PeerNotCapable),
        }
    }

    /// Takes a segment of a half-open connection. Returns the frame when nobody keeps it.
    pub(super) fn receive_on_request(
        &mut self,
        now: Instant,
        key: RequestKey,
        segment: ReceivedSegment,
    ) -> Option<Frame> {
        let Some(request) = self.requests.get_mut(key) else {
            return Some(segment.payload.frame);
        };
        match request.judge(&segment.header) {
            Verdict::Ignore => {}
            Verdict::Repeat => {
                request.syn_ack_sent = None;
                let syn_ack = request.syn_ack(now);
                self.counters.syn_ack_retransmissions += 1;
                self.send_segment(segment.port, &segment.flow, syn_ack);
            }
            Verdict::Drop => self.remove_request(key),
            Verdict::Reset => self.send_reset(now, &segment, None),
            Verdict::Complete => {
                let negotiated = request.negotiated(&segment.header);
                let (listener, speech) = match request.kind.clone() {
                    RequestKind::Plain { listener, reason } => (listener, Speech::Plain(reason)),
                    RequestKind::Capable {
                        listener,
                        local_key,
                        config,
                    } => (listener, Speech::Capable { local_key, config }),
                    RequestKind::Join(join) => {
                        return self.receive_join_ack(now, key, segment, negotiated, &join);
                    }
                };
                return self.complete(now, segment, listener, negotiated, speech);
            }
        }
        Some(segment.payload.frame)
    }

    /// The handshake of a connection is complete: makes it, and puts it into the accept queue.
    fn complete(
        &mut self,
        now: Instant,
        segment: ReceivedSegment,
        listener_key: ListenerKey,
        negotiated: Negotiated,
        speech: Speech,
    ) -> Option<Frame> {
        let Some(listener) = self.listeners.get(listener_key) else {
            // It was closed meanwhile.
            if let Some(Flow::Request(key)) = self.flows.get(&segment.flow).copied() {
                self.remove_request(key);
            }
            self.send_reset(now, &segment, None);
            return Some(segment.payload.frame);
        };
        if listener.is_full() {
            // The peer sends again; by then there may be room (RFC 1122 section 4.2.3.4 allows
            // to drop what cannot be taken).
            self.counters.accept_queue_full += 1;
            return Some(segment.payload.frame);
        }
        let made = self.make_accepted(now, &segment, listener_key, negotiated, speech);
        let Some((connection, subflow)) = made else {
            self.counters.table_full += 1;
            return Some(segment.payload.frame);
        };
        self.counters.passive_opens += 1;
        if let Some(listener) = self.listeners.get_mut(listener_key) {
            listener.push(connection);
            if !core::mem::replace(&mut listener.announced, true) {
                self.events
                    .push(Event::Acceptable(ListenerId(listener_key)));
            }
        }
        self.receive_on_subflow(now, subflow, segment);
        None
    }

    fn make_accepted(
        &mut self,
        now: Instant,
        segment: &ReceivedSegment,
        listener_key: ListenerKey,
        negotiated: Negotiated,
        speech: Speech,
    ) -> Option<(ConnectionKey, SubflowKey)> {
        let flow = segment.flow;
        let path = self.path_of(segment)?;
        let listener = self.listeners.get(listener_key)?;
        let options = listener.options.socket.clone();
        let single_path = listener.is_single_path();
        let local_key = match speech {
            Speech::Capable { local_key, .. } => local_key,
            Speech::Plain(_) => Key(self.random.next_u64()),
        };
        let tcp = self.tcb_config(path.port, &flow, &options);
        let subflow = match speech {
            Speech::Capable { local_key, config } => Box::new(Subflow::accept_capable(
                tcp, now, negotiated, local_key, config,
            )),
            Speech::Plain(reason) => Box::new(Subflow::accept_plain(tcp, now, negotiated, reason)),
        };
        self.add_connection(
            now,
            NewConnection {
                subflow,
                flow,
                path,
                role: Role::Server,
                local_key: local_key.into(),
                multipath: matches!(speech, Speech::Capable { .. }),
                options,
                single_path,
            },
        )
    }

    /// The way back to the sender of a segment.
    pub(super) fn path_of(&self, segment: &ReceivedSegment) -> Option<Path> {
        let constraint = super::route::Constraint {
            source: Some(segment.flow.local.ip()),
            port: Some(segment.port),
        };
        self.routes
            .lookup(&self.interfaces, segment.flow.remote.ip(), constraint)
    }

    pub(super) fn remove_request(&mut self, key: RequestKey) {
        let Some(mut request) = self.requests.remove(key) else {
            return;
        };
        self.timers
            .set(&mut request.deadline, Timer::Request(key), None);
        if self.flows.get(&request.flow) == Some(&Flow::Request(key)) {
            self.flows.remove(&request.flow);
        }
    }

    /// No third ACK came: the SYN/ACK goes again, or the half-open connection is given up.
    pub(super) fn repeat_syn_ack(&mut self, now: Instant, key: RequestKey) {
        let Some(request) = self.requests.get_mut(key) else {
            return;
        };
        if request.repetitions >= self.config.syn_ack_retries {
            self.counters.syn_ack_timeouts += 1;
            self.remove_request(key);
            return;
        }
        request.repetitions += 1;
        request.syn_ack_sent = None;
        let syn_ack = request.syn_ack(now);
        let flow = request.flow;
        let due = now + request.timeout();
        self.timers
            .set(&mut request.deadline, Timer::Request(key), Some(due));
        self.counters.syn_ack_retransmissions += 1;
        if let Some(port) = self
            .interfaces
            .owner(flow.local.ip())
            .map(|found| found.port())
        {
            self.send_segment(port, &flow, syn_ack);
        }
    }
}
