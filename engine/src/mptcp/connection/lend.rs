//! The bytes of granted segments, to be copied or to be sent as they are.

use super::Connection;
use super::schedule::MAX_GRANT;
use crate::sequence::DataSequenceNumber;
use crate::storage::pieces::Pieces;
use crate::storage::send_block::Loan;
use crate::storage::send_buffer::Layout;

impl Connection {
    /// The `length` bytes from `from` on in place; fewer where they are not held.
    pub fn send_pieces(&self, from: DataSequenceNumber, length: usize) -> Pieces<'_> {
        self.send.pieces(from, length)
    }

    /// Lends the `length` bytes from `from` on, with headers before them; see
    /// [`SendBuffer::lend`](crate::storage::send_buffer::SendBuffer::lend).
    pub fn lend<T>(
        &mut self,
        from: DataSequenceNumber,
        length: usize,
        headers: usize,
        write: impl FnOnce(&mut [u8]) -> T,
    ) -> Option<(Loan, T)> {
        let range = self.send.range(from, length)?;
        self.send.buffer.lend(range, headers, write)
    }

    /// As many segments with `segment_size` bytes of payload as a grant has are lent together from now on.
    pub fn set_lending(&mut self, segment_size: u16) {
        let segment_size = u32::from(segment_size.max(1));
        let segments = (MAX_GRANT as u32 / segment_size).max(1);
        self.send.buffer.set_layout(Layout {
            block: segments * segment_size,
            lends: true,
        });
    }
}
