//! What home knows of one subflow: its path, its last report, and what it was granted.

use super::context::{SubflowHandle, SubflowPath};
use super::ledger::Ledger;
use crate::congestion::PathSample;
use crate::mptcp::info::{SubflowInfo, SubflowPriority};
use crate::mptcp::message::{Doubt, Progress};
use crate::time::Instant;

/// How far a subflow is in its life, as home sees it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The handshake is under way.
    Handshake,
    /// Ready for data.
    Ready,
    /// Told to close: what was granted still goes out, nothing more is granted.
    Closing,
    /// Told to reset: only its last message is awaited.
    Reset,
}

/// Who opened a subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Opener {
    /// It is the first one.
    First,
    /// The path manager, by this attempt.
    PathManager(u32),
    /// The application asked for it.
    Application,
    /// The peer joined.
    Peer,
}

impl Opener {
    /// The attempt of the path manager.
    pub(super) const fn attempt(self) -> Option<u32> {
        match self {
            Self::PathManager(attempt) => Some(attempt),
            Self::First | Self::Application | Self::Peer => None,
        }
    }
}

/// The order in which subflows are considered: all of one rank before any of the next.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rank {
    /// Alive and for regular use.
    Regular,
    /// Alive, but to be used when no regular one is.
    Backup,
    /// Its last timeouts went unanswered or its link is down.
    Stale,
}

/// What home notes of few subflows only: those that lose or hold much, or are to end.
#[derive(Debug)]
pub(super) struct Remarks {
    /// Bytes that it carries at most, where it is on another worker: what is granted to it goes with
    /// the grant, and home needs to hold nothing for it.
    pub(super) carries: Option<u64>,
    pub(super) bytes_reinjected: u64,
    /// Asked to keep its own copy of what lies before this offset.
    pub(super) retain_asked: Option<u64>,
    /// It holds its own copy of what lies before this offset.
    pub(super) retained_until: u64,
    /// How much it holds a copy of at most.
    pub(super) retained_bytes: u64,
    /// Bytes of memory that received data may take on it, beside the share that each subflow has.
    pub(super) allowance: u64,
    /// When the head of the window may be repeated on it again.
    pub(super) repeat_allowed: Instant,
    /// When it may be slowed again for the sake of a faster path.
    pub(super) slow_down_allowed: Instant,
    /// OLIA's alpha of this subflow, as it was last told.
    pub(super) shift: f64,
    /// The peer removed the address: it must answer a probe before then.
    pub(super) answer_due: Option<Instant>,
    /// Told to close: it must have ended by then.
    pub(super) close_due: Option<Instant>,
}

impl Remarks {
    const NONE: Self = Self {
        carries: None,
        bytes_reinjected: 0,
        retain_asked: None,
        retained_until: 0,
        retained_bytes: 0,
        allowance: 0,
        repeat_allowed: Instant::ZERO,
        slow_down_allowed: Instant::ZERO,
        shift: 0.0,
        answer_due: None,
        close_due: None,
    };
}

/// One subflow.
#[derive(Debug)]
pub(super) struct SubflowView {
    pub(super) handle: SubflowHandle,
    pub(super) id: u32,
    pub(super) path: SubflowPath,
    pub(super) phase: Phase,
    /// The peer wants it used as backup only.
    pub(super) remote_backup: bool,
    pub(super) progress: Progress,
    pub(super) ledger: Ledger,
    /// Where further copies of what other subflows carry begin: before that it was offered them.
    pub(super) copied_to: u64,
    /// Bytes granted so far.
    pub(super) granted: u64,
    /// It seems dead, and home has heard of no acknowledgment since.
    pub(super) stalled: bool,
    pub(super) link_down: bool,
    /// The peer has sent its FIN on the subflow.
    pub(super) finished: bool,
    pub(super) opener: Opener,
    /// When the peer was last heard on it, by data or by an acknowledgment of some.
    pub(super) heard_at: Instant,
    /// When it last brought data.
    pub(super) data_at: Instant,
    /// The application ranks it before others.
    pub(super) preferred: bool,
    /// It is a backup because the profile wants one.
    pub(super) standby: bool,
    /// A backup that the peer was told to use as a regular one.
    pub(super) called_up: bool,
    /// The path became a backup, or no longer is one, during the handshake: the peer is told after it.
    pub(super) priority_due: bool,
    /// The connection may not use its local address any more: to be closed once another works.
    pub(super) retiring: bool,
    pub(super) bytes_received: u64,
    /// Apart, as most connections are idle most of the time.
    remarks: Option<Box<Remarks>>,
}

impl SubflowView {
    /// What is noted of it.
    pub(super) fn remarks(&self) -> &Remarks {
        self.remarks.as_deref().unwrap_or(const { &Remarks::NONE })
    }

    /// The same, to be changed.
    pub(super) fn remarks_mut(&mut self) -> &mut Remarks {
        self.remarks.get_or_insert_with(|| Box::new(Remarks::NONE))
    }

    pub(super) fn new(handle: SubflowHandle, id: u32, path: SubflowPath, opener: Opener) -> Self {
        Self {
            handle,
            id,
            path,
            phase: Phase::Handshake,
            remote_backup: false,
            progress: Progress::default(),
            ledger: Ledger::default(),
            copied_to: 0,
            granted: 0,
            stalled: false,
            link_down: false,
            finished: false,
            opener,
            heard_at: Instant::ZERO,
            data_at: Instant::ZERO,
            preferred: false,
            standby: false,
            called_up: false,
            priority_due: false,
            retiring: false,
            bytes_received: 0,
            remarks: None,
        }
    }

    /// It takes grants.
    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// It carries segments either way.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Closing)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stalled || self.link_down
    }

    /// An acknowledgment is overdue on it.
    pub(super) fn is_doubted(&self) -> bool {
        self.progress.doubt > Doubt::None
    }

    pub(super) fn is_backup(&self) -> bool {
        self.path.backup || self.remote_backup
    }

    pub(super) fn rank(&self) -> Rank {
        if self.is_stale() {
            Rank::Stale
        } else if self.is_backup() {
            Rank::Backup
        } else {
            Rank::Regular
        }
    }

    /// Bytes it could send at once: what it reported, less what was granted since.
    pub(super) fn room(&self) -> u32 {
        if self.ledger.is_full() {
            return 0;
        }
        let unseen = self.granted.saturating_sub(self.progress.granted);
        let room = u64::from(self.progress.room).saturating_sub(unseen);
        let room = match self.remarks().carries {
            Some(most) => room.min(most.saturating_sub(self.in_flight())),
            None => room,
        };
        u32::try_from(room).unwrap_or(u32::MAX)
    }

    /// Bytes granted and not acknowledged on the subflow.
    pub(super) fn in_flight(&self) -> u64 {
        self.granted.saturating_sub(self.progress.acknowledged)
    }

    /// Payload bytes of a full segment; before the first report, those of the smallest path.
    pub(super) fn segment_size(&self) -> u32 {
        match self.progress.segment_size {
            0 => 536,
            size => size,
        }
    }

    /// How much it holds a copy of now, at most.
    pub(super) fn retained_now(&self) -> u64 {
        self.remarks().retained_bytes.min(self.ledger.bytes())
    }

    /// The lowest offset that the send buffer must hold for it.
    pub(super) fn lowest_held(&self) -> Option<u64> {
        if self.remarks().carries.is_some() {
            return None;
        }
        Some(self.ledger.lowest()?.max(self.remarks().retained_until))
    }

    /// What the coupling of congestion control needs to know of it.
    pub(super) fn path_sample(&self) -> PathSample {
        let progress = &self.progress;
        PathSample {
            window: if progress.in_recovery {
                progress.slow_start_threshold
            } else {
                progress.congestion_window
            },
            srtt: progress.smoothed_rtt.unwrap_or_default(),
            between_losses: progress.between_losses,
        }
    }

    /// What this side makes of it.
    pub(super) fn priority(&self) -> SubflowPriority {
        match (self.path.backup, self.preferred) {
            (true, _) => SubflowPriority::Backup,
            (false, true) => SubflowPriority::Preferred,
            (false, false) => SubflowPriority::Normal,
        }
    }

    pub(super) fn info(&self) -> SubflowInfo {
        SubflowInfo {
            handle: self.handle,
            id: self.id,
            path: self.path,
            established: self.is_open(),
            initial: self.id == 0,
            opened_by_peer: self.opener == Opener::Peer,
            closing: self.retiring || self.phase == Phase::Closing,
            priority: self.priority(),
            backup: self.is_backup(),
            stale: self.is_stale(),
            bytes_sent: self.granted,
            bytes_acknowledged: self.progress.acknowledged,
            bytes_received: self.bytes_received,
            bytes_reinjected: self.remarks().bytes_reinjected,
            retransmissions: self.progress.retransmissions,
            smoothed_rtt: self.progress.smoothed_rtt,
            rtt_variation: self.progress.rtt_variation,
            congestion_window: self.progress.congestion_window,
            slow_start_threshold: self.progress.slow_start_threshold,
            in_flight: self.progress.in_flight,
            tcp: None,
        }
    }
}
