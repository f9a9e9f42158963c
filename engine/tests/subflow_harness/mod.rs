//! Two subflows back to back: a virtual clock, a wire that a test can cut or edit, and on each side
//! the least of a home.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this module"
)]

use braid_engine::mptcp::crypto::KeyDigest;
use braid_engine::mptcp::message::{
    Establishment, Grant, Published, SubflowEnd, ToHome, ToSubflow,
};
use braid_engine::mptcp::subflow::{
    CapableConfig, JoinConfig, JoinRequest, Outbox, PLAIN_INITIAL, PathLimits, PayloadSource,
    SendBytes, Subflow,
};
use braid_engine::sequence::{DataSequenceNumber, SequenceNumber};
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::storage::pieces::Pieces;
use braid_engine::tcp::{Negotiated, Payload, TcbConfig};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::mptcp_option::{DataNumber, Key, MptcpOption};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use braid_engine::wire::tcp_option::{OPTION_SPACE, Timestamps};
use std::collections::VecDeque;

/// The keys of the Linux capture that the known answers come from.
pub const CLIENT_KEY: Key = Key(0xff2e_c3a2_f615_1881);
pub const SERVER_KEY: Key = Key(0x54f0_4ad5_bd2d_9f42);

pub const CLIENT_ISS: SequenceNumber = SequenceNumber(u32::MAX - 2000);
pub const SERVER_ISS: SequenceNumber = SequenceNumber(7);

pub const WINDOW: u64 = 1 << 20;

/// A segment on the wire.
#[derive(Clone, Debug)]
pub struct Segment {
    pub header: TcpHeader,
    pub payload: Vec<u8>,
}

impl Segment {
    pub fn has(&self, flags: TcpFlags) -> bool {
        self.header.flags.contains(flags)
    }

    pub fn options(&self) -> &[MptcpOption] {
        &self.header.options.mptcp
    }

    pub fn strip(mut self) -> Self {
        self.header.options.mptcp.clear();
        self
    }
}

/// What a subflow told its home, without the data itself.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Established(Establishment),
    Confirmed,
    FellBack(braid_engine::mptcp::message::FallbackReason),
    DataFin(DataSequenceNumber),
    DataAck(DataNumber),
    Option(MptcpOption),
    ChecksumFailed(DataSequenceNumber),
    BadMapping,
    Finished,
    Stalled,
    Retained,
    Ended(SubflowEnd),
}

/// A send buffer that never forgets, and starts at a data sequence number.
#[derive(Default)]
pub struct Bytes {
    pub start: DataSequenceNumber,
    pub bytes: Vec<u8>,
}

impl SendBytes for Bytes {
    fn pieces(&self, start: DataSequenceNumber, length: usize) -> Pieces<'_> {
        let from = start.offset_from(self.start) as usize;
        let all = self.bytes.get(from..).unwrap_or_default();
        let all = &all[..length.min(all.len())];
        let (front, back) = all.split_at(all.len() / 2);
        Pieces::of_ring(front, back)
    }
}

/// One end.
pub struct Side {
    pub subflow: Subflow,
    pub home: Published,
    pub told: Vec<Told>,
    pub source: Bytes,
    /// Data sequence number and bytes of every piece that came.
    pub pieces: Vec<(DataSequenceNumber, Vec<u8>)>,
    pub room: u32,
    pub progress_messages: usize,
    pool: FramePool,
    out: Outbox<ToHome>,
}

impl Side {
    pub fn new(subflow: Subflow, local_key: Key) -> Self {
        Self {
            subflow,
            home: Published {
                data_ack: PLAIN_INITIAL + 1,
                window_edge: PLAIN_INITIAL + 1 + WINDOW,
                long_data_ack: false,
                multipath: false,
                coupling: Default::default(),
                prompt_probe: false,
                share: WINDOW,
            },
            told: Vec::new(),
            source: Bytes {
                start: initial(local_key) + 1,
                bytes: Vec::new(),
            },
            pieces: Vec::new(),
            room: 0,
            progress_messages: 0,
            pool: FramePool::new(2048, 16),
            out: Outbox::new(),
        }
    }

    /// Publishes what home knows of a connection whose next expected number this is.
    pub fn publish(&mut self, data_ack: DataSequenceNumber) {
        self.home.data_ack = data_ack;
        self.home.window_edge = self.home.window_edge.latest(data_ack + WINDOW);
    }

    pub fn join_home(&mut self, remote_key: Key) {
        self.home.multipath = true;
        self.home.data_ack = initial(remote_key) + 1;
        self.home.window_edge = self.home.data_ack + WINDOW;
    }

    pub fn receive(&mut self, now: Instant, segment: &Segment) {
        let payload = (!segment.payload.is_empty()).then(|| Payload {
            frame: Frame::from(segment.payload.as_slice()),
            range: 0..segment.payload.len(),
            segments: 1,
        });
        self.subflow.receive(
            now,
            &segment.header,
            payload,
            false,
            &self.home,
            &mut self.pool,
            &mut self.out,
        );
        self.settle();
    }

    pub fn advance(&mut self, now: Instant) {
        self.subflow.advance(now, &mut self.pool, &mut self.out);
        self.settle();
    }

    pub fn deliver(&mut self, now: Instant, message: ToSubflow) {
        self.subflow
            .deliver(now, message, &self.source, &mut self.pool, &mut self.out);
        self.settle();
    }

    /// Appends to the send stream and grants it as one mapping, without a checksum.
    pub fn grant(&mut self, now: Instant, bytes: &[u8]) {
        let data_sequence = self.source.start + self.source.bytes.len() as u64;
        self.source.bytes.extend_from_slice(bytes);
        self.grant_at(now, data_sequence, bytes.len(), None);
    }

    pub fn grant_at(
        &mut self,
        now: Instant,
        data_sequence: DataSequenceNumber,
        length: usize,
        checksum: Option<u16>,
    ) {
        let message = ToSubflow::Grant(Grant {
            data_sequence,
            length: length as u16,
            checksum,
            push: true,
        });
        self.deliver(now, message);
    }

    pub fn transmit(&mut self, now: Instant) -> Option<Segment> {
        let limits = PathLimits {
            max_segments: 1,
            max_frame_payload: 65_000,
        };
        let outgoing = self.subflow.transmit(now, &self.home, limits)?;
        let length = outgoing.length as usize;
        let payload = match outgoing.payload {
            PayloadSource::None => Vec::new(),
            PayloadSource::SendBuffer(start) => {
                let held = self.source.pieces(start, length);
                held.collect::<Vec<_>>().concat()
            }
            PayloadSource::Retained { offset } => {
                let held = self.subflow.retained_bytes(offset, outgoing.length);
                held.collect::<Vec<_>>().concat()
            }
        };
        assert_eq!(payload.len(), length, "the source holds what is sent");
        assert!(
            outgoing.header.options.len() <= OPTION_SPACE,
            "options fit: {:?}",
            outgoing.header.options
        );
        self.settle();
        Some(Segment {
            header: outgoing.header,
            payload,
        })
    }

    pub fn transmit_all(&mut self, now: Instant) -> Vec<Segment> {
        let mut segments = Vec::new();
        while let Some(segment) = self.transmit(now) {
            segments.push(segment);
            assert!(segments.len() < 1000, "{segments:?}");
        }
        segments
    }

    /// Everything received so far, which must be contiguous from `start`.
    pub fn stream(&self, start: DataSequenceNumber) -> Vec<u8> {
        let mut stream = Vec::new();
        for (data_sequence, bytes) in &self.pieces {
            assert_eq!(*data_sequence, start + stream.len() as u64);
            stream.extend_from_slice(bytes);
        }
        stream
    }

    pub fn has_told(&self, wanted: &Told) -> bool {
        self.told.contains(wanted)
    }

    pub fn count(&self, wanted: &Told) -> usize {
        self.told.iter().filter(|&told| told == wanted).count()
    }

    fn settle(&mut self) {
        let _ = self.subflow.take_end(&mut self.out);
        let mut progress = 0;
        let mut data_acked = false;
        while let Some(message) = self.out.pop() {
            match message {
                ToHome::Established(establishment) => {
                    if let Establishment::Capable { remote_key, .. } = establishment {
                        self.join_home(remote_key.key);
                    }
                    self.told.push(Told::Established(establishment));
                }
                ToHome::Data {
                    data_sequence,
                    frame,
                    range,
                    long,
                    ..
                } => {
                    let bytes = frame.bytes()[range].to_vec();
                    assert!(!bytes.is_empty());
                    self.home.long_data_ack |= long;
                    self.publish(data_sequence + bytes.len() as u64);
                    self.pieces.push((data_sequence, bytes));
                }
                ToHome::DataAck { data_ack, .. } => {
                    data_acked = true;
                    self.told.push(Told::DataAck(data_ack));
                }
                ToHome::Progress(shape) => {
                    assert!(!data_acked, "what is acknowledged here, then at data level");
                    self.room = shape.room;
                    progress += 1;
                }
                ToHome::Confirmed => self.told.push(Told::Confirmed),
                ToHome::FellBack { reason, .. } => {
                    self.home.multipath = false;
                    self.told.push(Told::FellBack(reason));
                }
                ToHome::DataFin { data_sequence } => self.told.push(Told::DataFin(data_sequence)),
                ToHome::Option(option) => self.told.push(Told::Option(option)),
                ToHome::ChecksumFailed { data_sequence } => {
                    self.told.push(Told::ChecksumFailed(data_sequence));
                }
                ToHome::BadMapping => self.told.push(Told::BadMapping),
                ToHome::Finished => self.told.push(Told::Finished),
                // The share is the window: there is no need of more.
                ToHome::Allowance { .. } => {}
                ToHome::Stalled => self.told.push(Told::Stalled),
                ToHome::Retained => self.told.push(Told::Retained),
                ToHome::Ended(end) => self.told.push(Told::Ended(end)),
            }
        }
        assert!(progress <= 1, "one Progress a call at most");
        self.progress_messages += progress;
    }
}

pub fn initial(key: Key) -> DataSequenceNumber {
    KeyDigest::from(key).initial_data_sequence_number
}

pub fn tcp_config() -> TcbConfig {
    TcbConfig {
        receive_window: WINDOW as u32,
        ..TcbConfig::default()
    }
}

/// What a listener notes of a SYN, and the SYN/ACK that it answers, with `option`.
pub fn answer(syn: &Segment, now: Instant, option: Option<MptcpOption>) -> (Negotiated, Segment) {
    let options = &syn.header.options;
    let negotiated = Negotiated {
        iss: SERVER_ISS,
        syn_ack_sent: None,
        irs: syn.header.sequence,
        peer_mss: options.maximum_segment_size.unwrap_or(536),
        send_scale: options.window_scale,
        sack: options.sack_permitted,
        timestamps: options.timestamps.map(|timestamps| timestamps.value),
        timestamp_offset: 0,
        ecn: false,
    };
    let mut header = TcpHeader {
        sequence: SERVER_ISS,
        acknowledgment: syn.header.sequence + 1,
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window: u16::MAX,
        ..TcpHeader::default()
    };
    header.options.maximum_segment_size = Some(1460);
    header.options.window_scale = options.window_scale.map(|_| tcp_config().window_scale);
    header.options.sack_permitted = options.sack_permitted;
    header.options.timestamps = options.timestamps.map(|timestamps| Timestamps {
        value: now.as_millis() as u32,
        echo: timestamps.value,
    });
    header.options.mptcp.extend(option);
    let segment = Segment {
        header,
        payload: Vec::new(),
    };
    (negotiated, segment)
}

pub fn capable_client(config: CapableConfig) -> Side {
    let subflow = Subflow::connect_capable(
        tcp_config(),
        Instant::ZERO,
        CLIENT_ISS,
        0,
        CLIENT_KEY,
        config,
    );
    Side::new(subflow, CLIENT_KEY)
}

pub fn capable_syn_ack(config: CapableConfig) -> MptcpOption {
    MptcpOption::CapableSynAck {
        version: 1,
        flags: config.flags(),
        sender_key: SERVER_KEY,
    }
}

pub fn client_join() -> JoinConfig {
    JoinConfig {
        local_key: CLIENT_KEY,
        remote_key: SERVER_KEY,
        nonce: 0xc0d3_46f6,
        address_id: 2,
        backup: false,
        checksum: false,
        long_sequence: true,
    }
}

pub fn server_join() -> JoinConfig {
    JoinConfig {
        local_key: SERVER_KEY,
        remote_key: CLIENT_KEY,
        nonce: 0x0a54_f9af,
        address_id: 3,
        backup: true,
        checksum: false,
        long_sequence: true,
    }
}

pub fn join_request() -> JoinRequest {
    JoinRequest {
        nonce: client_join().nonce,
        address_id: client_join().address_id,
        backup: client_join().backup,
    }
}

/// The SYN/ACK's MP_JOIN as the capture has it.
pub fn join_syn_ack() -> MptcpOption {
    MptcpOption::JoinSynAck {
        backup: true,
        address_id: 3,
        hmac: 0xc748_9cf7_0564_28b4,
        nonce: 0x0a54_f9af,
    }
}

pub fn join_client() -> Side {
    let token = KeyDigest::from(SERVER_KEY).token;
    let config = client_join();
    let subflow = Subflow::connect_join(tcp_config(), Instant::ZERO, CLIENT_ISS, 0, token, config);
    let mut side = Side::new(subflow, CLIENT_KEY);
    side.join_home(SERVER_KEY);
    side
}

/// Two ends and the segments between them.
pub struct Pair {
    pub now: Instant,
    pub client: Side,
    pub server: Side,
    pub to_server: VecDeque<Segment>,
    pub to_client: VecDeque<Segment>,
    /// Everything that was put on the wire.
    pub trace: Vec<Segment>,
}

impl Pair {
    /// A connection whose third ACK is on its way.
    pub fn capable(client: CapableConfig, server: CapableConfig) -> Self {
        let mut side = capable_client(client);
        let now = Instant::from_millis(1);
        let syn = side.transmit(now).expect("a SYN");
        let (negotiated, syn_ack) = answer(&syn, now, Some(capable_syn_ack(server)));
        side.receive(now, &syn_ack);
        let subflow = Subflow::accept_capable(tcp_config(), now, negotiated, SERVER_KEY, server);
        Self::of(now, side, Side::new(subflow, SERVER_KEY))
    }

    /// A join whose third ACK is on its way.
    pub fn join() -> Self {
        let mut side = join_client();
        let now = Instant::from_millis(1);
        let syn = side.transmit(now).expect("a SYN");
        let (negotiated, syn_ack) = answer(&syn, now, Some(join_syn_ack()));
        side.receive(now, &syn_ack);
        let subflow =
            Subflow::accept_join(tcp_config(), now, negotiated, server_join(), join_request());
        let mut server = Side::new(subflow, SERVER_KEY);
        server.join_home(CLIENT_KEY);
        Self::of(now, side, server)
    }

    pub fn of(now: Instant, client: Side, server: Side) -> Self {
        Self {
            now,
            client,
            server,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            trace: Vec::new(),
        }
    }

    /// A confirmed connection: data went both ways.
    pub fn confirmed(config: CapableConfig) -> Self {
        let mut pair = Self::capable(config, config);
        pair.run();
        assert!(!config.checksum, "grant with checksums");
        pair.client.grant(pair.now, b"ping");
        pair.run();
        pair.server.grant(pair.now, b"pong");
        pair.run();
        assert!(pair.client.has_told(&Told::Confirmed));
        assert!(pair.server.has_told(&Told::Confirmed));
        pair
    }

    /// A join that is ready both ways and confirmed.
    pub fn joined() -> Self {
        let mut pair = Self::join();
        pair.run();
        pair
    }

    /// Moves segments until both sides are silent; acknowledgments that are held back come due.
    pub fn run(&mut self) {
        self.run_edited(|_, segment| Some(segment));
    }

    /// As [`Self::run`], over a path that strips the options of Multipath TCP from all that the
    /// client sends.
    pub fn run_stripping_client(&mut self) {
        self.run_edited(|from_client, segment| {
            Some(if from_client {
                segment.strip()
            } else {
                segment
            })
        });
    }

    /// The same, from all that the server sends.
    pub fn run_stripping_server(&mut self) {
        self.run_edited(|from_client, segment| {
            Some(if from_client {
                segment
            } else {
                segment.strip()
            })
        });
    }

    /// As [`Self::run`], with a middlebox: `edit` gets whether the client sent the segment.
    pub fn run_edited(&mut self, mut edit: impl FnMut(bool, Segment) -> Option<Segment>) {
        for _ in 0..200 {
            let mut moved = false;
            for segment in self.client.transmit_all(self.now) {
                self.trace.push(segment.clone());
                self.to_server.extend(edit(true, segment));
                moved = true;
            }
            for segment in self.server.transmit_all(self.now) {
                self.trace.push(segment.clone());
                self.to_client.extend(edit(false, segment));
                moved = true;
            }
            self.now += Duration::from_millis(1);
            while let Some(segment) = self.to_server.pop_front() {
                self.server.receive(self.now, &segment);
                moved = true;
            }
            while let Some(segment) = self.to_client.pop_front() {
                self.client.receive(self.now, &segment);
                moved = true;
            }
            if !moved {
                let soon = self.now + Duration::from_millis(60);
                let timeouts = [&self.client, &self.server].map(|s| s.subflow.next_timeout());
                match timeouts
                    .into_iter()
                    .flatten()
                    .min()
                    .filter(|at| *at <= soon)
                {
                    None => return,
                    Some(at) => self.now = at.max(self.now),
                }
            }
            self.client.advance(self.now);
            self.server.advance(self.now);
        }
        panic!("no rest after 200 rounds; last: {:?}", self.trace.last());
    }

    /// Lets time pass and timers fire, and runs.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            let timeouts = [&self.client, &self.server].map(|s| s.subflow.next_timeout());
            let next = timeouts.into_iter().flatten().min().unwrap_or(until);
            self.now = next.clamp(self.now, until);
            if next >= until {
                self.now = until;
            }
            self.client.advance(self.now);
            self.server.advance(self.now);
            self.run();
        }
    }
}
