//! TIME-WAIT in compact form (RFC 9293 section 3.6.1, RFC 6191): what is left of a closed
//! connection, and how it answers.

use crate::sequence::SequenceNumber;
use crate::time::Instant;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_option::Timestamps;

/// How long TIME-WAIT lasts, as on Linux.
pub const TIME_WAIT: crate::time::Duration = crate::time::Duration::from_secs(60);

/// How far back a repeated FIN may start: the data that goes again with it is of one segment, which
/// segmentation offload makes of up to 64 KiB.
const REPEATED: i32 = 1 << 16;

/// What a connection in TIME-WAIT must remember.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TimeWaitRecord {
    /// Next sequence number expected: the one after the peer's FIN.
    pub rcv_nxt: SequenceNumber,
    /// Next sequence number to send: the one after the FIN.
    pub snd_nxt: SequenceNumber,
    /// The window field of the last acknowledgment.
    pub window: u16,
    /// Timestamps, where in use.
    pub timestamps: Option<TimeWaitTimestamps>,
}

/// Timestamps of a connection in TIME-WAIT.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TimeWaitTimestamps {
    /// The peer's last value.
    pub ts_recent: u32,
    /// What is added to the clock of milliseconds to give this side's values.
    pub offset: u32,
}

/// What a connection in TIME-WAIT does about a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Nothing.
    None,
    /// Send this acknowledgment (ports are 0), within a limit: the segment may be anybody's.
    Ack(TcpHeader),
    /// Send this acknowledgment and begin TIME-WAIT again: the peer repeated its FIN.
    Restart(TcpHeader),
    /// Forget the record and treat the segment as the SYN of a new connection, whose initial
    /// sequence number must be at or after this one.
    AllowReopen(SequenceNumber),
}

impl TimeWaitRecord {
    /// Judges a segment of the connection's 4-tuple.
    pub fn on_segment(&self, now: Instant, header: &TcpHeader) -> Reply {
        if header.flags.contains(TcpFlags::RST) {
            return Reply::None;
        }
        if header.flags.contains(TcpFlags::SYN) {
            return self.on_syn(now, header);
        }
        let behind = self.rcv_nxt - header.sequence;
        if header.flags.contains(TcpFlags::FIN) && (1..=REPEATED).contains(&behind) {
            return Reply::Restart(self.acknowledgment(now));
        }
        if header.sequence != self.rcv_nxt {
            return Reply::Ack(self.acknowledgment(now));
        }
        Reply::None
    }

    /// RFC 6191 section 2: a SYN opens anew when its timestamp, or without timestamps
    /// its sequence number, is newer than all of the former connection.
    fn on_syn(&self, now: Instant, header: &TcpHeader) -> Reply {
        let newer_sequence = header.sequence.is_after(self.rcv_nxt);
        let newer = match (self.timestamps, header.options.timestamps) {
            (Some(known), Some(theirs)) => {
                let distance = theirs.value.wrapping_sub(known.ts_recent) as i32;
                distance > 0 || (distance == 0 && newer_sequence)
            }
            _ => newer_sequence,
        };
        if newer && !header.flags.contains(TcpFlags::ACK) {
            Reply::AllowReopen(self.snd_nxt + 0x1_0000)
        } else {
            Reply::Ack(self.acknowledgment(now))
        }
    }

    /// The connection's last acknowledgment, as it goes at `now` (ports are 0).
    pub fn acknowledgment(&self, now: Instant) -> TcpHeader {
        let mut header = TcpHeader {
            sequence: self.snd_nxt,
            acknowledgment: self.rcv_nxt,
            flags: TcpFlags::ACK,
            window: self.window,
            ..TcpHeader::default()
        };
        header.options.timestamps = self.timestamps.map(|timestamps| Timestamps {
            value: timestamps.offset.wrapping_add(now.as_millis() as u32),
            echo: timestamps.ts_recent,
        });
        header
    }
}
