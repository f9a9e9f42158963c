//! The bytes that a test transfer carries, and the proof that they arrived.
//!
//! The stream is a pseudo-random function of the position, so that a byte lost, repeated or moved
//! changes the digest, and the sender needs to hold none of it.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// A stream of `length` bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    seed: u64,
    length: u64,
}

/// The SHA-256 of a stream, or of the part of it that arrived.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Stream {
    /// The stream of `length` bytes that belongs to `seed`.
    pub fn new(seed: u64, length: u64) -> Self {
        Self { seed, length }
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` with the bytes from `position` on; returns how many there were.
    pub fn fill(&self, position: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.length.saturating_sub(position)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let buffer = &mut buffer[..count];
        let skip = (position % 8) as usize;
        let mut word = position / 8;
        let (head, rest) = buffer.split_at_mut(count.min((8 - skip) % 8));
        if !head.is_empty() {
            let bytes = self.word(word);
            head.copy_from_slice(&bytes[skip..skip + head.len()]);
            word += 1;
        }
        let mut words = rest.chunks_exact_mut(8);
        for eight in &mut words {
            eight.copy_from_slice(&self.word(word));
            word += 1;
        }
        let tail = words.into_remainder();
        tail.copy_from_slice(&self.word(word)[..tail.len()]);
        count
    }

    /// Writes all of it, `piece` bytes at a time.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_to(&self, mut writer: impl Write, piece: usize) -> io::Result<()> {
        let mut buffer = vec![0; piece];
        let mut position = 0;
        loop {
            let count = self.fill(position, &mut buffer);
            if count == 0 {
                return Ok(());
            }
            writer.write_all(&buffer[..count])?;
            position += count as u64;
        }
    }

    /// The digest that a receiver of the whole stream must reach.
    pub fn digest(&self) -> Digest {
        let mut receiver = Receiver::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = self.fill(receiver.received(), &mut buffer);
            if count == 0 {
                return receiver.finish();
            }
            receiver.absorb(&buffer[..count]);
        }
    }

    /// Eight bytes of the stream: SplitMix64 (Steele, Lea, Flood 2014) of their position.
    fn word(&self, index: u64) -> [u8; 8] {
        let mut z = self
            .seed
            .wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

/// What a receiver has seen of a stream.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    hasher: Sha256,
    received: u64,
}

impl Receiver {
    /// Reads to the end, at most `piece` bytes at a time, and says after each how many came so far.
    ///
    /// # Errors
    ///
    /// Those of `reader`.
    pub fn read_from(
        mut reader: impl Read,
        piece: usize,
        mut so_far: impl FnMut(u64),
    ) -> io::Result<Self> {
        let mut receiver = Self::default();
        let mut buffer = vec![0; piece];
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                return Ok(receiver);
            }
            receiver.absorb(&buffer[..count]);
            so_far(receiver.received);
        }
    }

    /// Takes the next bytes.
    pub fn absorb(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
    }

    /// How many bytes came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The digest of all of them.
    pub fn finish(self) -> Digest {
        Digest(self.hasher.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_stream_gives_the_same_bytes() {
        let stream = Stream::new(7, 1_003);
        let mut whole = vec![0; 2_000];
        assert_eq!(stream.fill(0, &mut whole), 1_003);
        for step in 1..40 {
            let mut pieces = Vec::new();
            let mut buffer = vec![0; step];
            loop {
                let count = stream.fill(pieces.len() as u64, &mut buffer);
                if count == 0 {
                    break;
                }
                pieces.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(pieces, whole[..1_003], "read {step} bytes at a time");
        }
    }

    #[test]
    fn a_swap_of_two_bytes_changes_the_digest() {
        let stream = Stream::new(7, 1_003);
        let mut bytes = vec![0; 1_003];
        stream.fill(0, &mut bytes);
        let mut faithful = Receiver::default();
        faithful.absorb(&bytes);
        assert_eq!(faithful.finish(), stream.digest());
        bytes.swap(100, 900);
        let mut swapped = Receiver::default();
        swapped.absorb(&bytes);
        assert_ne!(swapped.finish(), stream.digest());
    }

    #[test]
    fn another_seed_is_another_stream() {
        assert_ne!(Stream::new(1, 64).digest(), Stream::new(2, 64).digest());
    }
}
