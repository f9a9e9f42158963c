//! Bytes in order that wait for their reader in the frames they came in: one who reads soon is spared the
//! copy into a buffer.

use super::frame::{Frame, FramePool};
use super::prefetch::Prefetch;
use core::ops::Range;
use std::collections::VecDeque;

/// At most so many frames wait, however few bytes they have.
const MAX_FRAMES: usize = 16;

/// A run of bytes, in the frames that brought them.
#[derive(Debug, Default)]
pub struct Landing {
    /// Apart, as most connections wait for nothing most of the time.
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: VecDeque<(Frame, Range<usize>)>,
    bytes: usize,
}

impl Landing {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// True when no frame waits.
    pub fn is_empty(&self) -> bool {
        self.frames() == 0
    }

    /// True when no frame may be added.
    pub fn is_full(&self) -> bool {
        self.frames() >= MAX_FRAMES
    }

    fn frames(&self) -> usize {
        let waiting = self.waiting.as_ref();
        waiting.map_or(0, |waiting| waiting.pieces.len())
    }

    /// Asks for the memory in which it keeps account of frames.
    pub fn prefetch(&self, prefetch: Prefetch) {
        if let Some(waiting) = self.waiting.as_deref() {
            prefetch.value(waiting);
        }
    }

    /// Asks for what that leads to.
    pub fn prefetch_pieces(&self, prefetch: Prefetch) {
        if let Some(waiting) = self.waiting.as_deref() {
            prefetch.queue(&waiting.pieces);
        }
    }

    /// Gives back the memory that no frame needs.
    pub fn release_spare(&mut self) {
        if self.is_empty() {
            self.waiting = None;
        }
    }

    /// Adds the bytes in `range` of those of `frame`, which is to be checked.
    pub fn push(&mut self, frame: Frame, range: Range<usize>) {
        let waiting = self.waiting.get_or_insert_default();
        waiting.bytes += range.len();
        waiting.pieces.push_back((frame, range));
    }

    /// Takes the oldest `length` bytes out by showing them to `take` piece by piece. Frames that are empty then
    /// return to `pool`.
    pub fn take(&mut self, length: usize, pool: &mut FramePool, mut take: impl FnMut(&[u8])) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let mut left = length.min(waiting.bytes);
        waiting.bytes -= left;
        while let Some((frame, range)) = waiting.pieces.front_mut() {
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
            if let Some((frame, _)) = waiting.pieces.pop_front() {
                pool.put(frame);
            }
        }
    }
}
