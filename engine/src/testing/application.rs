//! Programs on simulated hosts: they write bytes that can be recomputed, and check those they read.

use crate::socket::{Shutdown, SocketError};
use crate::stack::{ConnectionId, Stack};
use crate::time::Instant;

/// Bytes that a program writes or reads in one call.
const CHUNK: usize = 16 * 1024;

/// An endless byte stream that is known from its seed, at any position.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Pattern(pub u64);

impl Pattern {
    /// The byte at `position`.
    pub fn byte_at(self, position: u64) -> u8 {
        let word = self.word(position / 8);
        word.to_le_bytes()[(position % 8) as usize]
    }

    /// Fills `buffer` with the bytes from `position` on.
    pub fn fill(self, position: u64, buffer: &mut [u8]) {
        let head = misaligned(position, buffer.len());
        let (head, words) = buffer.split_at_mut(head);
        for (offset, byte) in head.iter_mut().enumerate() {
            *byte = self.byte_at(position + offset as u64);
        }
        let first = (position + head.len() as u64) / 8;
        for (index, bytes) in words.chunks_mut(8).enumerate() {
            let word = self.word(first + index as u64).to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
    }

    /// The first place where `bytes` differ from the stream at `position`.
    pub fn mismatch(self, position: u64, bytes: &[u8]) -> Option<u64> {
        let head = misaligned(position, bytes.len());
        let first = (position + head as u64) / 8;
        let (head, words) = bytes.split_at(head);
        let same_head = (position..)
            .zip(head)
            .all(|(at, byte)| self.byte_at(at) == *byte);
        let same_words = words.chunks(8).enumerate().all(|(index, bytes)| {
            let word = self.word(first + index as u64).to_le_bytes();
            word[..bytes.len()] == *bytes
        });
        if same_head && same_words {
            return None;
        }
        (position..)
            .zip(bytes)
            .find(|(at, byte)| self.byte_at(*at) != **byte)
            .map(|(at, _)| at)
    }

    /// SplitMix64 of the index: good enough to tell every position from every other.
    fn word(self, index: u64) -> u64 {
        let mut z = self
            .0
            .wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How many of `length` bytes from `position` on come before the first whole word.
fn misaligned(position: u64, length: usize) -> usize {
    ((8 - position % 8) % 8).min(length as u64) as usize
}

/// How a program ends its side of the connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Shuts its sending side down once all is written, reads to the end, then closes.
    Shutdown,
    /// Waits for the peer's end first, then closes.
    AfterPeer,
    /// Closes at once when all is written, and reads no more.
    Close,
    /// Aborts after having written that many bytes.
    Abort(u64),
}

/// What a program does on its connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The bytes it writes.
    pub writes: Pattern,
    /// How many of them.
    pub length: u64,
    /// The bytes it must read.
    pub reads: Pattern,
    /// How many the peer means to write.
    pub expected: u64,
    /// How it ends.
    pub ending: Ending,
}

/// A broken promise of the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A byte read is not the one written.
    WrongByte {
        /// Its position in the stream.
        position: u64,
    },
    /// More was read than the peer writes.
    TooLong {
        /// Bytes read.
        read: u64,
    },
    /// The stream ended early without an error.
    TooShort {
        /// Bytes read.
        read: u64,
    },
    /// Bytes came after the end of the stream.
    AfterEnd,
}

/// One program with one connection.
#[derive(Debug)]
pub struct Application {
    connection: ConnectionId,
    plan: Plan,
    written: u64,
    read: u64,
    shut_down: bool,
    reached_end: bool,
    closed: bool,
    error: Option<SocketError>,
    buffer: Vec<u8>,
}

impl Application {
    /// A program that runs `plan` on `connection`.
    pub fn new(connection: ConnectionId, plan: Plan) -> Self {
        Self {
            connection,
            plan,
            written: 0,
            read: 0,
            shut_down: false,
            reached_end: false,
            closed: false,
            error: None,
            buffer: vec![0; CHUNK],
        }
    }

    /// Does whatever the connection allows now. True when bytes moved or a side was closed.
    ///
    /// # Errors
    ///
    /// When the stream is not what the peer writes.
    pub fn run(&mut self, now: Instant, stack: &mut Stack) -> Result<bool, Violation> {
        let before = (
            self.written,
            self.read,
            self.shut_down,
            self.reached_end,
            self.closed,
        );
        if !self.closed {
            self.receive(now, stack)?;
            self.send(now, stack);
            self.end(now, stack);
        }
        Ok(before
            != (
                self.written,
                self.read,
                self.shut_down,
                self.reached_end,
                self.closed,
            ))
    }

    /// The program's connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// What the program does.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The error that ended the connection, if one did.
    pub fn error(&self) -> Option<&SocketError> {
        self.error.as_ref()
    }

    /// True when the program is through, in order or by an error.
    pub fn is_finished(&self) -> bool {
        self.closed
    }

    /// True when the whole stream of the peer was read to its end.
    pub fn has_read_all(&self) -> bool {
        self.reached_end && self.read == self.plan.expected
    }

    /// Takes note that the stack closed the connection. Once the program has closed it, that is
    /// told to watchers only, and the program sees nothing of it.
    pub fn on_closed(&mut self, result: Result<(), SocketError>) {
        if self.closed {
            return;
        }
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    /// Ends the program without a further call to the stack.
    pub fn give_up(&mut self) {
        self.closed = true;
    }

    fn receive(&mut self, now: Instant, stack: &mut Stack) -> Result<(), Violation> {
        loop {
            match stack.recv(now, self.connection, &mut self.buffer) {
                Ok(0) => {
                    self.reached_end = true;
                    if self.read < self.plan.expected && self.peer_ends_in_order() {
                        return Err(Violation::TooShort { read: self.read });
                    }
                    return Ok(());
                }
                Ok(length) => self.check(length)?,
                Err(SocketError::WouldBlock) => return Ok(()),
                Err(error) => {
                    self.fail(now, stack, error);
                    return Ok(());
                }
            }
        }
    }

    fn check(&mut self, length: usize) -> Result<(), Violation> {
        if self.reached_end {
            return Err(Violation::AfterEnd);
        }
        let bytes = &self.buffer[..length];
        if let Some(position) = self.plan.reads.mismatch(self.read, bytes) {
            return Err(Violation::WrongByte { position });
        }
        self.read += length as u64;
        if self.read > self.plan.expected {
            return Err(Violation::TooLong { read: self.read });
        }
        Ok(())
    }

    /// An expectation of `u64::MAX` bytes says that the peer may stop anywhere.
    fn peer_ends_in_order(&self) -> bool {
        self.plan.expected != u64::MAX
    }

    fn send(&mut self, now: Instant, stack: &mut Stack) {
        let end = match self.plan.ending {
            Ending::Abort(after) => after.min(self.plan.length),
            _ => self.plan.length,
        };
        while self.written < end && !self.shut_down && self.error.is_none() {
            let length = (end - self.written).min(CHUNK as u64) as usize;
            let chunk = &mut self.buffer[..length];
            self.plan.writes.fill(self.written, chunk);
            match stack.send(now, self.connection, chunk) {
                Ok(0) | Err(SocketError::WouldBlock) => return,
                Ok(length) => self.written += length as u64,
                Err(error) => self.fail(now, stack, error),
            }
        }
    }

    fn end(&mut self, now: Instant, stack: &mut Stack) {
        if self.closed {
            return;
        }
        if self.error.is_some() {
            self.close(now, stack);
            return;
        }
        let all_written = self.written == self.plan.length;
        match self.plan.ending {
            Ending::Shutdown => {
                if all_written && !self.shut_down {
                    self.shut_down = true;
                    let _ = stack.shutdown(now, self.connection, Shutdown::Write);
                }
                if self.shut_down && self.reached_end {
                    self.close(now, stack);
                }
            }
            Ending::AfterPeer => {
                if all_written && self.reached_end {
                    self.close(now, stack);
                }
            }
            Ending::Close => {
                if all_written {
                    self.close(now, stack);
                }
            }
            Ending::Abort(after) => {
                if self.written >= after.min(self.plan.length) {
                    stack.abort(now, self.connection);
                    self.closed = true;
                }
            }
        }
    }

    fn fail(&mut self, now: Instant, stack: &mut Stack, error: SocketError) {
        self.error.get_or_insert(error);
        self.close(now, stack);
    }

    fn close(&mut self, now: Instant, stack: &mut Stack) {
        stack.close(now, self.connection);
        self.closed = true;
    }
}
