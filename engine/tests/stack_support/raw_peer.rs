//! One hand-made TCP connection to port 80 of a [`Bench`]: it keeps sequence numbers and leaves
//! everything else to the test.

use super::raw::{Bench, Seen, arp_reply, peer_segment, syn, third_ack};
use super::{Side, mac, v4};
use braid_engine::sequence::SequenceNumber;
use braid_engine::socket::ListenOptions;
use braid_engine::stack::{ConnectionId, ListenerId, StackConfig};
use braid_engine::time::Duration;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port of the peer.
const PORT: u16 = 5_000;

pub struct Peer {
    pub bench: Bench,
    pub listener: ListenerId,
    pub connection: ConnectionId,
    /// Sequence number of the peer's next segment.
    pub next: SequenceNumber,
    /// What the peer acknowledges.
    pub next_expected: SequenceNumber,
    /// The window field.
    pub window: u16,
}

/// The segments among what was sent.
pub fn segments(seen: &[Seen]) -> Vec<TcpHeader> {
    seen.iter().filter_map(Seen::tcp).collect()
}

impl Peer {
    /// A connection that was accepted.
    pub fn connected(config: StackConfig) -> Self {
        let mut peer = Self::waiting(config);
        peer.accept();
        peer
    }

    /// A connection in the accept queue.
    pub fn waiting(config: StackConfig) -> Self {
        Self::waiting_from(config, 100)
    }

    /// A connection in the accept queue whose peer numbers from `irs`.
    pub fn waiting_from(config: StackConfig, irs: u32) -> Self {
        Self::waiting_after(config, &syn(PORT, irs), &ListenOptions::default())
    }

    /// A connection in the accept queue, opened by `syn`.
    pub fn waiting_after(config: StackConfig, syn: &TcpHeader, options: &ListenOptions) -> Self {
        let mut bench = Bench::new(config);
        bench.introduce();
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);
        let listener = bench.stack.listen(address, options.clone());
        let listener = listener.expect("the port is free");
        let answers = segments(&bench.give(&peer_segment(syn, b"")));
        let [syn_ack] = &answers[..] else {
            panic!("one SYN/ACK, not {answers:?}")
        };
        let ack = third_ack(syn_ack);
        bench.give(&peer_segment(&ack, b""));
        Self {
            bench,
            listener,
            connection: ConnectionId::from_u64(u64::MAX),
            next: ack.sequence,
            next_expected: ack.acknowledgment,
            window: u16::MAX,
        }
    }

    /// Takes the connection out of the accept queue.
    pub fn accept(&mut self) {
        let accepted = self.bench.stack.accept(self.listener);
        self.connection = accepted.expect("the handshake is complete");
    }

    /// Has the stack's application send `data`.
    #[track_caller]
    pub fn application_sends(&mut self, data: &[u8]) {
        let sent = self.bench.stack.send(self.bench.now, self.connection, data);
        assert_eq!(sent, Ok(data.len()));
    }

    /// The header of the peer's next segment.
    pub fn header(&self, flags: TcpFlags) -> TcpHeader {
        TcpHeader {
            source_port: PORT,
            destination_port: 80,
            sequence: self.next,
            acknowledgment: self.next_expected,
            flags,
            window: self.window,
            ..TcpHeader::default()
        }
    }

    /// Gives the stack a segment and returns the segments it answers with.
    pub fn give(&mut self, flags: TcpFlags, data: &[u8]) -> Vec<TcpHeader> {
        let header = self.header(flags);
        segments(&self.bench.give(&peer_segment(&header, data)))
    }

    /// The segments the stack has to send.
    pub fn sent(&mut self) -> Vec<TcpHeader> {
        let mut sent = self.bench.sent();
        if sent.iter().any(|seen| seen.arp().is_some()) {
            // It asks whether the peer is still there.
            let answer = arp_reply(mac(Side::Client, 0), v4(Side::Client, 0));
            sent.extend(self.bench.give(&answer));
        }
        segments(&sent)
    }

    /// The one segment the stack has to send.
    #[track_caller]
    pub fn one_sent(&mut self) -> TcpHeader {
        let sent = self.sent();
        let [header] = &sent[..] else {
            panic!("one segment, not {sent:?}")
        };
        header.clone()
    }

    /// Lets time pass, timer by timer.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.bench.now + duration;
        while let Some(next) = self.bench.stack.poll_timeout().filter(|at| *at <= until) {
            self.bench.now = self.bench.now.max(next);
            self.bench.stack.advance(self.bench.now);
        }
        self.bench.now = until;
        self.bench.stack.advance(until);
    }
}
