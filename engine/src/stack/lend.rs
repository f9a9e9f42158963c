//! Large segments that are sent as they lie in a send buffer, with their headers written before them: over a
//! port that hands frames over, where the reader of the bytes is the next to look at them.
//!
//! A block of the buffer has one owner more for each frame that shows it, and each is one more word that
//! processors synchronize on, with all they have stored before. For 64 KiB that is little, for
//! the payload of one small segment as much as its copy: so those are copied.

use super::batch::TransmitMeta;
use super::connection::{ConnectionKey, ConnectionSlot};
use super::emit::{Envelope, emit_headers, header_length};
use crate::mptcp::subflow::{Outgoing, PayloadSource};
use crate::storage::send_block::Loan;
use crate::storage::slab::Slab;
use crate::wire::EmitError;

/// A segment that the port takes as it lies, of a connection at home here, and what the port is to do with it.
/// `None` where it is to be copied. What is written from now on is laid out for segments like it.
pub(super) fn lend(
    connections: &mut Slab<ConnectionSlot>,
    home: ConnectionKey,
    outgoing: &Outgoing,
    envelope: &Envelope,
) -> Option<Result<(Loan, TransmitMeta), EmitError>> {
    let PayloadSource::SendBuffer(start) = outgoing.payload else {
        return None;
    };
    let segment_size = outgoing.segment_size.max(1);
    if outgoing.length <= segment_size.into() {
        return None;
    }
    let connection = &mut connections.get_mut(home)?.connection;
    connection.set_lending(segment_size);
    let (header, length) = (&outgoing.header, outgoing.length as usize);
    let write =
        |headers: &mut [u8]| emit_headers(envelope, header, (length, None), segment_size, headers);
    let headers = header_length(envelope, header);
    let (loan, written) = connection.lend(start, length, headers, write)?;
    Some(written.map(|meta| (loan, meta)))
}
