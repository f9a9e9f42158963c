//! What a send still has to put into the ring.

/// Whether a send may put a part of its bytes into the ring now and wait for room for the rest,
/// between which other threads' bytes may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Splitting {
    /// As many as there is room for.
    AsNeeded,
    /// All of them or none; of more than half the ring, half of it at least. Once a sender waits for
    /// room nobody overtakes it so: there has to be room for half the ring then.
    OnlyLong,
}

/// The buffers of a send, less what went already.
#[derive(Clone, Debug)]
pub struct Unsent<'a, I> {
    rest: &'a [u8],
    behind: I,
    length: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]> + Clone> Unsent<'a, I> {
    /// All of the buffers, in order.
    pub fn new(buffers: I) -> Self {
        Self {
            rest: &[],
            length: buffers.clone().fold(0, |length: usize, buffer| {
                length.saturating_add(buffer.len())
            }),
            behind: buffers,
        }
    }

    /// Bytes that are left.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether all went.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Hands the next `count` bytes to `put`, piece by piece, each with its distance from the first.
    pub(crate) fn take(&mut self, count: usize, mut put: impl FnMut(usize, &[u8])) {
        let mut taken = 0;
        while taken < count {
            if self.rest.is_empty() {
                match self.behind.next() {
                    Some(next) => self.rest = next,
                    None => break,
                }
            }
            let (piece, rest) = self.rest.split_at(self.rest.len().min(count - taken));
            put(taken, piece);
            taken += piece.len();
            self.rest = rest;
        }
        self.length = self.length.saturating_sub(taken);
    }
}

impl<'a> Unsent<'a, std::iter::Once<&'a [u8]>> {
    /// One buffer.
    pub fn one(buffer: &'a [u8]) -> Self {
        Self::new(std::iter::once(buffer))
    }
}
