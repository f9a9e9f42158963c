//! Bytes of a stream in place, as containers have them: in more than one piece.

use super::copy::copy;
use super::send_buffer::SendBuffer;
use crate::wire::checksum::{Sum, copy_and_sum};
use core::ops::Range;

/// The pieces of a run of bytes, in order; none is empty.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    /// Empty only where nothing follows.
    first: &'a [u8],
    rest: Rest<'a>,
}

/// What follows the first piece.
#[derive(Clone, Debug)]
enum Rest<'a> {
    /// One more, as rings have them.
    Piece(&'a [u8]),
    /// Some offsets of a send buffer, all of which it holds.
    Blocks(&'a SendBuffer, Range<u64>),
}

impl<'a> Pieces<'a> {
    /// No bytes.
    pub const NONE: Self = Self {
        first: &[],
        rest: Rest::Piece(&[]),
    };

    /// The bytes of a ring.
    pub fn of_ring(first: &'a [u8], second: &'a [u8]) -> Self {
        Self::new(first, Rest::Piece(second))
    }

    /// Those in `range` of `buffer`, all of which it holds.
    pub(super) fn of_blocks(buffer: &'a SendBuffer, range: Range<u64>) -> Self {
        Self::new(&[], Rest::Blocks(buffer, range))
    }

    fn new(first: &'a [u8], rest: Rest<'a>) -> Self {
        let mut pieces = Self { first, rest };
        if first.is_empty() {
            pieces.refill();
        }
        pieces
    }

    /// What follows the first piece is the first now.
    fn refill(&mut self) {
        self.first = match &mut self.rest {
            Rest::Piece(piece) => core::mem::take(piece),
            Rest::Blocks(buffer, range) => {
                let first = buffer.piece(range.clone());
                range.start += first.len() as u64;
                first
            }
        };
    }

    /// How many bytes all pieces have.
    pub const fn len(&self) -> usize {
        self.first.len()
            + match &self.rest {
                Rest::Piece(piece) => piece.len(),
                Rest::Blocks(_, range) => (range.end - range.start) as usize,
            }
    }

    /// True when there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Takes off up to `length` bytes that lie together; none only where none are left.
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, left) = self.first.split_at(length.min(self.first.len()));
        self.first = left;
        if left.is_empty() {
            self.refill();
        }
        taken
    }

    /// Takes off as many bytes as `to` has room for, or all, and copies them there.
    pub fn copy_to(&mut self, to: &mut [u8]) {
        let mut done = 0;
        while done < to.len() && !self.is_empty() {
            let piece = self.take(to.len() - done);
            copy(&mut to[done..done + piece.len()], piece);
            done += piece.len();
        }
    }

    /// The same, summed in the same pass.
    pub fn copy_and_sum_to(&mut self, to: &mut [u8]) -> Sum {
        let (mut done, mut sum) = (0, Sum::ZERO);
        while done < to.len() && !self.is_empty() {
            let piece = self.take(to.len() - done);
            sum = sum.add_at(done, copy_and_sum(&mut to[done..done + piece.len()], piece));
            done += piece.len();
        }
        sum
    }

    /// The sum of all bytes.
    pub fn sum(self) -> Sum {
        let (mut at, mut sum) = (0, Sum::ZERO);
        for piece in self {
            sum = sum.add_at(at, Sum::of(piece));
            at += piece.len();
        }
        sum
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let piece = self.take(usize::MAX);
        (!piece.is_empty()).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::super::send_buffer::Layout;
    use super::*;

    /// The pieces of ten bytes in blocks of four, and of the same in a ring.
    fn check(test: impl Fn(Pieces<'_>)) {
        let mut buffer = SendBuffer::new(100);
        buffer.set_layout(Layout {
            block: 4,
            lends: false,
        });
        buffer.push(b"..0123456789");
        test(buffer.pieces(2..12));
        test(Pieces::of_ring(b"0123", b"456789"));
        test(Pieces::of_ring(b"", b"0123456789"));
    }

    #[test]
    fn what_is_taken_off_and_what_is_left_are_the_whole() {
        check(|whole| {
            assert_eq!(whole.len(), 10);
            for first in 0..12 {
                let mut left = whole.clone();
                let (mut copied, mut summed) = (vec![b'_'; first], vec![b'_'; first]);
                left.copy_to(&mut copied);
                let taken = first.min(10);
                assert_eq!(copied[..taken], b"0123456789"[..taken]);
                assert!(copied[taken..].iter().all(|byte| *byte == b'_'));
                let sum = whole.clone().copy_and_sum_to(&mut summed);
                assert_eq!(sum.finish(), Sum::of(&copied[..taken]).finish());
                assert_eq!(summed, copied);
                assert_eq!((left.len(), left.is_empty()), (10 - taken, taken == 10));
                assert!(left.clone().all(|piece| !piece.is_empty()));
                assert_eq!(left.collect::<Vec<_>>().concat(), b"0123456789"[taken..]);
            }
            assert_eq!(whole.sum().finish(), Sum::of(b"0123456789").finish());
        });
    }

    #[test]
    fn nothing_has_no_pieces() {
        let empty = SendBuffer::new(9);
        for nothing in [Pieces::NONE, Pieces::of_ring(b"", b""), empty.pieces(3..7)] {
            assert_eq!((nothing.len(), nothing.is_empty()), (0, true));
            assert_eq!(nothing.clone().next(), None);
            assert_eq!(nothing.sum().finish(), Sum::ZERO.finish());
        }
    }
}
