//! Bytes in order that wait for their reader in the frames they came in: one who reads soon is spared the
//! copy into a buffer.

use super::frame::{Frame, FramePool};
use core::ops::Range;
use std::collections::VecDeque;

/// At most so many frames wait, however few bytes they have.
const MAX_FRAMES: usize = 16;

/// A run of bytes, in the frames that brought them.
#[derive(Debug, Default)]
pub struct Landing {
    pieces: VecDeque<(Frame, Range<usize>)>,
    bytes: usize,
}

impl Landing {
    /// How many bytes there are.
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// True when no frame waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// True when no frame may be added.
    pub fn is_full(&self) -> bool {
        self.pieces.len() >= MAX_FRAMES
    }

    /// Gives back the memory that no frame needs.
    pub fn release_spare(&mut self) {
        self.pieces.shrink_to_fit();
    }

    /// Adds the bytes in `range` of those of `frame`, which is to be checked.
    pub fn push(&mut self, frame: Frame, range: Range<usize>) {
        self.bytes += range.len();
        self.pieces.push_back((frame, range));
    }

    /// Takes the oldest `length` bytes out by showing them to `take` piece by piece. Frames that are empty then
    /// return to `pool`.
    pub fn take(&mut self, length: usize, pool: &mut FramePool, mut take: impl FnMut(&[u8])) {
        let mut left = length.min(self.bytes);
        self.bytes -= left;
        while let Some((frame, range)) = self.pieces.front_mut() {
            let count = left.min(range.len());
            if count > 0 {
                let piece = range.start..range.start + count;
                take(frame.bytes().get(piece).unwrap_or_default());
            }
            left -= count;
            range.start += count;
            if range.start < range.end {
                return;
            }
            if let Some((frame, _)) = self.pieces.pop_front() {
                pool.put(frame);
            }
        }
    }
}
