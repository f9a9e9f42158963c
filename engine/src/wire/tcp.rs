//! The TCP header (RFC 9293 section 3.1).

use super::tcp_option::TcpOptions;
use crate::sequence::SequenceNumber;

bitflags::bitflags! {
    /// The control bits of a segment.
    #[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
    pub struct TcpFlags: u8 {
        /// No more data from the sender.
        const FIN = 0x01;
        /// Synchronize sequence numbers.
        const SYN = 0x02;
        /// Reset the connection.
        const RST = 0x04;
        /// Push.
        const PSH = 0x08;
        /// The acknowledgment field is significant.
        const ACK = 0x10;
        /// The urgent pointer is significant.
        const URG = 0x20;
        /// ECN echo (RFC 3168).
        const ECE = 0x40;
        /// Congestion window reduced (RFC 3168).
        const CWR = 0x80;
    }
}

/// A TCP header with its options, checked and in host form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TcpHeader {
    /// The port the segment comes from.
    pub source_port: u16,
    /// The port the segment goes to.
    pub destination_port: u16,
    /// Sequence number of the first byte (of the SYN, if there is one).
    pub sequence: SequenceNumber,
    /// Next sequence number expected; meaningful with [`TcpFlags::ACK`].
    pub acknowledgment: SequenceNumber,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field as sent, not scaled.
    pub window: u16,
    /// The options.
    pub options: TcpOptions,
}
