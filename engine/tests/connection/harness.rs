//! A connection with made-up subflows: the test plays each of them.

use braid_engine::mptcp::connection::{
    Connection, ConnectionConfig, ConnectionEvent, Context, Outbox, Request, Role, SubflowHandle,
    SubflowPath,
};
use braid_engine::mptcp::counters::MptcpCounters;
use braid_engine::mptcp::crypto::KeyDigest;
use braid_engine::mptcp::message::{
    Establishment, Numbering, Progress, SubflowEnd, ToHome, ToSubflow,
};
use braid_engine::mptcp::path_manager::{Endpoints, Limits};
use braid_engine::sequence::DataSequenceNumber;
use braid_engine::storage::frame::{Frame, FramePool};
use braid_engine::time::{Duration, Instant};
use braid_engine::wire::mptcp_option::{DataNumber, Key};

/// The keys of the capture whose known answers the protocol notes give.
pub(crate) const LOCAL_KEY: Key = Key(0xff2e_c3a2_f615_1881);
pub(crate) const REMOTE_KEY: Key = Key(0x54f0_4ad5_bd2d_9f42);

/// Payload of a full segment on every made-up subflow.
pub(crate) const SEGMENT: u32 = 1000;

/// The handle of subflow `n`.
pub(crate) const fn handle(n: u64) -> SubflowHandle {
    SubflowHandle(n)
}

/// The path of subflow `n`: 10.0.n.1 to 10.0.n.2.
pub(crate) fn path(n: u8) -> SubflowPath {
    SubflowPath {
        local: ([10, 0, n, 1], 5000).into(),
        remote: ([10, 0, n, 2], 80).into(),
        local_address_id: n,
        remote_address_id: n,
        backup: false,
    }
}

pub(crate) struct Home {
    pub(crate) connection: Connection,
    pub(crate) endpoints: Endpoints,
    pub(crate) counters: MptcpCounters,
    pub(crate) now: Instant,
    pub(crate) out: Outbox,
    pool: FramePool,
}

impl Home {
    /// In the handshake of subflow 0.
    pub(crate) fn opening(role: Role, config: ConnectionConfig) -> Self {
        let first = path(0);
        let connection = match role {
            Role::Client => Connection::connect(config, LOCAL_KEY, handle(0), first),
            Role::Server => Connection::accept(config, LOCAL_KEY, handle(0), first),
        };
        Self {
            connection,
            endpoints: Endpoints::new(Limits {
                subflows: 31,
                add_addr_accepted: 8,
            }),
            counters: MptcpCounters::default(),
            now: Instant::from_millis(1000),
            out: Outbox::default(),
            pool: FramePool::new(2048, 8),
        }
    }

    /// Established with MPTCP and confirmed, on `subflows` subflows with room on each; subflow
    /// `n` has a round trip of `10 * (n + 1)` milliseconds. What this said and did is forgotten.
    pub(crate) fn established(role: Role, config: ConnectionConfig, subflows: u8) -> Self {
        let mut home = Self::opening(role, config);
        home.establish_capable(false);
        home.deliver(0, ToHome::Confirmed);
        for n in 1..subflows {
            home.join(n);
        }
        for n in 0..subflows {
            home.progress(n.into(), |_| {});
        }
        home.forget();
        home
    }

    pub(crate) fn establish_capable(&mut self, checksum: bool) {
        self.deliver(
            0,
            ToHome::Established(Establishment::Capable {
                remote_key: REMOTE_KEY.into(),
                checksum,
                join_to_this_address: true,
            }),
        );
    }

    pub(crate) fn join(&mut self, n: u8) {
        let limits = self.endpoints.limits;
        self.connection.can_accept_join(&limits).expect("allowed");
        self.connection.join_accepted(handle(n.into()), path(n));
        self.deliver(
            n.into(),
            ToHome::Established(Establishment::Joined {
                remote_address_id: n,
                backup: false,
            }),
        );
    }

    pub(crate) fn call<R>(
        &mut self,
        act: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> R {
        let mut cx = Context {
            now: self.now,
            endpoints: &self.endpoints,
            pool: &mut self.pool,
            counters: &mut self.counters,
            out: &mut self.out,
        };
        act(&mut self.connection, &mut cx)
    }

    pub(crate) fn deliver(&mut self, from: u64, message: ToHome) {
        self.call(|connection, cx| connection.deliver(handle(from), message, cx));
    }

    /// Lets time pass, firing each timer when it is due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        for _ in 0..10_000 {
            match self.connection.next_timeout() {
                Some(due) if due <= until => {
                    self.now = self.now.max(due);
                    self.call(|connection, cx| connection.advance(cx));
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("the timers never come to rest");
    }

    /// The local number of the data byte at `offset`.
    pub(crate) fn local(&self, offset: u64) -> DataSequenceNumber {
        KeyDigest::from(LOCAL_KEY).initial_data_sequence_number + 1 + offset
    }

    /// The peer's number of the data byte at `offset`.
    pub(crate) fn remote(&self, offset: u64) -> DataSequenceNumber {
        KeyDigest::from(REMOTE_KEY).initial_data_sequence_number + 1 + offset
    }

    /// The bytes `bytes` of the peer's stream arrive at `offset` on subflow `from`, with a mapping.
    pub(crate) fn data(&mut self, from: u64, offset: u64, bytes: &[u8]) {
        let data_sequence = self.remote(offset);
        self.data_as(from, data_sequence, bytes, Numbering::Mapped);
    }

    /// Bytes arrive on subflow `from` that nothing numbers.
    pub(crate) fn data_by_order(&mut self, from: u64, bytes: &[u8]) {
        let data_sequence = DataSequenceNumber(0);
        self.data_as(from, data_sequence, bytes, Numbering::Identity);
    }

    pub(crate) fn data_as(
        &mut self,
        from: u64,
        data_sequence: DataSequenceNumber,
        bytes: &[u8],
        numbering: Numbering,
    ) {
        self.deliver(
            from,
            ToHome::Data {
                data_sequence,
                numbering,
                frame: Frame::from(bytes),
                range: 0..bytes.len(),
                long: true,
            },
        );
    }

    pub(crate) fn data_fin(&mut self, from: u64, offset: u64) {
        let data_sequence = self.remote(offset);
        self.deliver(from, ToHome::DataFin { data_sequence });
    }

    /// The peer acknowledges everything before `offset` with a window of `window` bytes.
    pub(crate) fn data_ack(&mut self, from: u64, offset: u64, window: u32) {
        let data_ack = DataNumber::Long(self.local(offset));
        self.deliver(from, ToHome::DataAck { data_ack, window });
    }

    /// A report of subflow `n`: by default all it was granted is seen, nothing is acknowledged,
    /// and there is room for 100 segments.
    pub(crate) fn progress(&mut self, n: u64, change: impl FnOnce(&mut Progress)) {
        let info = self
            .connection
            .subflows()
            .find(|info| info.handle == handle(n))
            .expect("the subflow lives");
        let mut progress = Progress {
            granted: info.bytes_sent,
            acknowledged: info.bytes_acknowledged,
            room: 100 * SEGMENT,
            window: 1 << 20,
            segment_size: SEGMENT,
            congestion_window: 100 * SEGMENT,
            smoothed_rtt: Some(Duration::from_millis(10 * (n + 1))),
            retransmission_timeout: Duration::from_millis(300),
            ..Progress::default()
        };
        change(&mut progress);
        self.deliver(n, ToHome::Progress(progress));
    }

    pub(crate) fn end(&mut self, n: u64, end: SubflowEnd) {
        self.deliver(n, ToHome::Ended(end));
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        self.call(|connection, cx| connection.write(bytes, cx))
            .expect("room")
    }

    pub(crate) fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut piece = [0; 700];
        while let Ok(count @ 1..) = self.call(|connection, cx| connection.read(&mut piece, cx)) {
            all.extend_from_slice(&piece[..count]);
        }
        all
    }

    /// The messages since the last call.
    pub(crate) fn sent(&mut self) -> Vec<(u64, ToSubflow)> {
        self.out
            .messages
            .drain(..)
            .map(|(to, message)| (to.0, message))
            .collect()
    }

    /// The grants since the last call as (subflow, offset of the first byte, length); other
    /// messages are dropped.
    pub(crate) fn grants(&mut self) -> Vec<(u64, u64, u64)> {
        let first = self.local(0);
        self.sent()
            .into_iter()
            .filter_map(|(to, message)| match message {
                ToSubflow::Grant(grant) => {
                    let offset = grant.data_sequence.offset_from(first);
                    Some((to, offset, grant.length.into()))
                }
                _ => None,
            })
            .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<ConnectionEvent> {
        self.out.events.drain(..).collect()
    }

    pub(crate) fn requests(&mut self) -> Vec<Request> {
        self.out.requests.drain(..).collect()
    }

    pub(crate) fn forget(&mut self) {
        self.out = Outbox::default();
    }
}

/// `length` bytes that differ from place to place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 31 + index / 251) as u8)
        .collect()
}
