//! Two `Tcb`s joined by a pipe with faults, under virtual time.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::needless_pass_by_value, reason = "plain to call")]

use braid_engine::congestion::Coupling;
use braid_engine::sequence::SequenceNumber;
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::tcp::{Content, Emission, Payload, PlanKind, State, Tcb, TcbConfig};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use std::collections::BTreeMap;

/// Both ends begin just below the wrap of 2^32.
pub const ISS: SequenceNumber = SequenceNumber(u32::MAX - 1000);

/// xorshift64*: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }

    /// True in `per_mille` of 1000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// The byte at an offset of the stream of one side.
pub fn pattern(side: usize, offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 ^ side as u8
}

/// One segment of the wire.
#[derive(Clone, Debug)]
pub struct Wire {
    pub header: TcpHeader,
    pub payload: Vec<u8>,
    pub retransmission: bool,
    pub marked: bool,
    pub ecn_capable: bool,
}

impl Wire {
    pub fn has(&self, flag: TcpFlags) -> bool {
        self.header.flags.contains(flag)
    }

    pub fn size(&self) -> usize {
        self.payload.len() + self.header.options.len()
    }
}

/// What the pipe does to a segment.
#[derive(Copy, Clone, Debug)]
pub struct Faults {
    pub loss_per_mille: u64,
    pub duplicate_per_mille: u64,
    pub reorder_per_mille: u64,
    pub reorder_by: Duration,
}

impl Faults {
    pub const NONE: Self = Self {
        loss_per_mille: 0,
        duplicate_per_mille: 0,
        reorder_per_mille: 0,
        reorder_by: Duration::ZERO,
    };
}

/// One end.
pub struct End {
    pub tcb: Tcb,
    pub pool: FramePool,
    pub received: u64,
    pub fin: bool,
    pub reset: bool,
    pub established: bool,
    pub timeouts: u32,
    pub fast_retransmits: u32,
    pub written: u64,
    pub content: Content,
    /// Offset up to which the application's buffer has room; `None` reads everything at once.
    pub buffer_edge: Option<u64>,
}

impl End {
    pub fn new(tcb: Tcb) -> Self {
        Self {
            tcb,
            pool: FramePool::new(2048, 64),
            received: 0,
            fin: false,
            reset: false,
            established: false,
            timeouts: 0,
            fast_retransmits: 0,
            written: 0,
            content: Content::default(),
            buffer_edge: None,
        }
    }
}

impl End {
    /// Says how much room the application's buffer has.
    pub fn offer(&mut self) {
        if let Some(edge) = self.buffer_edge {
            let room = edge.saturating_sub(self.received);
            self.tcb.set_receive_window(room as u32);
        }
    }

    /// The application makes room up to this offset.
    pub fn set_buffer_edge(&mut self, edge: u64) {
        self.buffer_edge = Some(edge);
        self.offer();
    }
}

type Filter = Box<dyn FnMut(usize, &Wire) -> bool>;

/// Two ends, 0 and 1, and the pipe between them.
pub struct Pair {
    pub now: Instant,
    pub ends: [End; 2],
    pub delay: Duration,
    pub faults: Faults,
    pub random: Random,
    /// Time to put one byte on the wire, per direction.
    pub nanos_per_byte: u64,
    /// A segment larger than this does not pass.
    pub mtu: Option<usize>,
    /// Bytes that wait in the queue of a direction before the rest is dropped.
    pub queue_limit: Duration,
    busy_until: [Instant; 2],
    in_flight: BTreeMap<(Instant, u64), (usize, Wire)>,
    counter: u64,
    /// Returns true for a segment to be dropped: (sender, segment).
    pub drop: Option<Filter>,
    /// All segments sent, with the time and the sender.
    pub trace: Option<Vec<(Instant, usize, Wire)>>,
}

impl Pair {
    pub fn new(seed: u64, client: TcbConfig, server: TcbConfig) -> Self {
        println!("seed {seed}");
        let now = Instant::from_millis(1_000);
        let mut random = Random::new(seed);
        let client = Tcb::connect(client, now, ISS, random.next() as u32);
        let server = Tcb::connect(server, now, ISS + 77, random.next() as u32);
        Self {
            now,
            ends: [End::new(client), End::new(server)],
            delay: Duration::from_millis(10),
            faults: Faults::NONE,
            random,
            nanos_per_byte: 0,
            mtu: None,
            queue_limit: Duration::from_secs(3600),
            busy_until: [now; 2],
            in_flight: BTreeMap::new(),
            counter: 0,
            drop: None,
            trace: None,
        }
    }

    /// A client that connected to a server.
    pub fn established(seed: u64, client: TcbConfig, server: TcbConfig) -> Self {
        let mut pair = Self::new(seed, client, server.clone());
        let pair_now = pair.now;
        let plan = pair.ends[0].tcb.plan(pair_now).expect("a SYN");
        let syn = pair.ends[0].tcb.commit(pair_now, plan, Content::default());
        pair.ends[1].tcb = accept(&server, pair_now, &syn.header);
        let syn_ack = syn_ack_of(&server, pair_now, &syn.header);
        pair.now += pair.delay * 2;
        let now = pair.now;
        pair.deliver(0, Wire::bare(syn_ack));
        assert_eq!(pair.ends[0].tcb.state(), State::Established);
        pair.flush(0);
        pair.run_for(pair.delay);
        assert_eq!(pair.ends[1].tcb.state(), State::Established, "{now:?}");
        pair
    }

    /// Gives one segment to an end now.
    pub fn deliver(&mut self, to: usize, wire: Wire) {
        let now = self.now;
        let end = &mut self.ends[to];
        let payload = (!wire.payload.is_empty()).then(|| {
            let mut frame = end.pool.take();
            let length = wire.payload.len();
            if frame.capacity() < length {
                frame = Frame::with_capacity(length);
            }
            frame.buffer_mut()[..length].copy_from_slice(&wire.payload);
            frame.set_filled(0..length);
            Payload {
                frame,
                range: 0..length,
                segments: 1,
            }
        });
        let received = end.tcb.receive(
            now,
            &wire.header,
            payload,
            wire.marked,
            Coupling::default(),
            &mut end.pool,
        );
        end.reset |= received.reset;
        end.established |= received.established;
        end.fast_retransmits += u32::from(received.fast_retransmit);
        while let Some(piece) = end.tcb.take_in_order() {
            assert!(!end.fin, "data after FIN");
            assert_eq!(piece.offset, end.received, "a gap or a duplicate");
            let bytes = &piece.frame.bytes()[piece.range.clone()];
            for (index, byte) in bytes.iter().enumerate() {
                let offset = end.received + index as u64;
                assert_eq!(*byte, pattern(1 - to, offset), "byte {offset}");
            }
            end.received += bytes.len() as u64;
            end.pool.put(piece.frame);
        }
        if received.fin {
            assert!(!end.fin, "FIN twice");
            end.fin = true;
        }
        end.offer();
    }

    /// Sends what an end has to send now; returns the segments.
    pub fn flush(&mut self, from: usize) -> Vec<Wire> {
        let mut all = Vec::new();
        for round in 0.. {
            assert!(round < 100_000, "an end sends without end");
            let now = self.now;
            let end = &mut self.ends[from];
            let Some(plan) = end.tcb.plan(now) else {
                break;
            };
            if let PlanKind::Data { .. } = plan.kind {
                assert!(plan.available > 0);
            }
            let emission = end.tcb.commit(now, plan, end.content);
            assert!(emission.offset + u64::from(emission.length) <= end.written);
            for wire in split(from, &emission) {
                all.push(wire.clone());
                self.transmit(from, wire);
            }
        }
        all
    }

    /// Puts a segment into the pipe.
    pub fn transmit(&mut self, from: usize, mut wire: Wire) {
        if let Some(trace) = &mut self.trace {
            trace.push((self.now, from, wire.clone()));
        }
        if let Some(drop) = &mut self.drop
            && drop(from, &wire)
        {
            return;
        }
        if self.mtu.is_some_and(|mtu| wire.size() > mtu) {
            return;
        }
        if self.random.chance(self.faults.loss_per_mille) {
            return;
        }
        let start = self.busy_until[from].max(self.now);
        if start.saturating_since(self.now) > self.queue_limit {
            return;
        }
        let done = start + Duration::from_nanos(self.nanos_per_byte * (wire.size() as u64 + 40));
        self.busy_until[from] = done;
        let mut at = done + self.delay;
        if self.random.chance(self.faults.reorder_per_mille) {
            let by = self.faults.reorder_by.as_nanos() as u64;
            at += Duration::from_nanos(self.random.below(by));
        }
        if self.random.chance(self.faults.duplicate_per_mille) {
            let copy = wire.clone();
            self.counter += 1;
            let later = at + Duration::from_millis(self.random.below(30));
            self.in_flight.insert((later, self.counter), (from, copy));
        }
        self.counter += 1;
        wire.marked = false;
        self.in_flight.insert((at, self.counter), (from, wire));
    }

    /// Writes to the stream of an end.
    pub fn write(&mut self, end: usize, bytes: u32) {
        let end = &mut self.ends[end];
        end.tcb.queue(bytes, true);
        end.written += u64::from(bytes);
    }

    /// The next event of pipe or timers.
    fn next_event(&self) -> Option<Instant> {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        arrival
            .into_iter()
            .chain(self.ends.iter().filter_map(|end| end.tcb.next_timeout()))
            .min()
    }

    /// Processes one event at or before `until`; false when there is none.
    pub fn step(&mut self, until: Instant) -> bool {
        self.flush(0);
        self.flush(1);
        let Some(at) = self.next_event() else {
            return false;
        };
        if at > until {
            return false;
        }
        self.now = self.now.max(at);
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (from, wire) = entry.remove();
            self.deliver(1 - from, wire);
            self.flush(1 - from);
        }
        for end in &mut self.ends {
            if end.tcb.next_timeout().is_some_and(|at| at <= self.now) {
                let advanced = end.tcb.advance(self.now);
                end.timeouts += u32::from(advanced.stalled);
            }
        }
        self.flush(0);
        self.flush(1);
        true
    }

    /// Runs for a span of virtual time.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        let mut steps = 0_u64;
        while self.step(until) {
            steps += 1;
            assert!(steps < 10_000_000, "no progress of time at {:?}", self.now);
        }
        self.now = until;
    }

    /// Runs until `done`, at most for `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) {
        let until = self.now + limit;
        while !done(self) {
            assert!(
                self.step(until),
                "not done at {:?}: states {:?} {:?}, received {} {}, progress {:#?} {:#?}",
                self.now,
                self.ends[0].tcb.state(),
                self.ends[1].tcb.state(),
                self.ends[0].received,
                self.ends[1].received,
                self.ends[0].tcb.progress(),
                self.ends[1].tcb.progress(),
            );
        }
    }

    pub fn states(&self) -> [State; 2] {
        [self.ends[0].tcb.state(), self.ends[1].tcb.state()]
    }
}

impl Wire {
    pub fn bare(header: TcpHeader) -> Self {
        Self {
            header,
            payload: Vec::new(),
            retransmission: false,
            marked: false,
            ecn_capable: false,
        }
    }
}

/// What segmentation offload makes of an emission.
pub fn split(side: usize, emission: &Emission) -> Vec<Wire> {
    let size = usize::from(emission.segment_size).max(1);
    let bytes: Vec<u8> = (emission.offset..emission.offset + u64::from(emission.length))
        .map(|offset| pattern(side, offset))
        .collect();
    let whole = |header: TcpHeader, payload: Vec<u8>| Wire {
        header,
        payload,
        retransmission: emission.retransmission,
        marked: false,
        ecn_capable: emission.ecn_capable,
    };
    if bytes.len() <= size {
        return vec![whole(emission.header.clone(), bytes)];
    }
    let last = (bytes.len() - 1) / size;
    bytes
        .chunks(size)
        .enumerate()
        .map(|(index, chunk)| {
            let mut header = emission.header.clone();
            header.sequence += (index * size) as u32;
            if index != last {
                header.flags.remove(TcpFlags::FIN | TcpFlags::PSH);
            }
            whole(header, chunk.to_vec())
        })
        .collect()
}

/// What a listener would agree on with a SYN.
pub fn negotiated(config: &TcbConfig, syn: &TcpHeader) -> braid_engine::tcp::Negotiated {
    let ecn = syn.flags.contains(TcpFlags::ECE | TcpFlags::CWR);
    braid_engine::tcp::Negotiated {
        iss: ISS + 77,
        syn_ack_sent: None,
        irs: syn.sequence,
        peer_mss: syn.options.maximum_segment_size.unwrap_or(536),
        send_scale: syn.options.window_scale,
        sack: syn.options.sack_permitted && config.sack,
        timestamps: syn
            .options
            .timestamps
            .filter(|_| config.timestamps)
            .map(|stamps| stamps.value),
        timestamp_offset: 99,
        ecn,
    }
}

/// The server's side of a handshake.
pub fn accept(config: &TcbConfig, now: Instant, syn: &TcpHeader) -> Tcb {
    Tcb::accept(config.clone(), now, negotiated(config, syn))
}

/// The SYN/ACK that a listener would have sent.
pub fn syn_ack_of(config: &TcbConfig, now: Instant, syn: &TcpHeader) -> TcpHeader {
    let agreed = negotiated(config, syn);
    let mut header = TcpHeader {
        sequence: agreed.iss,
        acknowledgment: syn.sequence + 1,
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window: u16::try_from(config.receive_window).unwrap_or(u16::MAX),
        ..TcpHeader::default()
    };
    header.flags.set(TcpFlags::ECE, agreed.ecn);
    header.options.maximum_segment_size = Some(config.maximum_segment_size);
    header.options.sack_permitted = agreed.sack;
    header.options.window_scale = agreed.send_scale.map(|_| config.window_scale);
    header.options.timestamps =
        agreed
            .timestamps
            .map(|echo| braid_engine::wire::tcp_option::Timestamps {
                value: (now.as_millis() as u32).wrapping_add(99),
                echo,
            });
    header
}
