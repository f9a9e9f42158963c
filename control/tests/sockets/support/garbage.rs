//! Random bytes for the words that a program shares with the engine.

use std::ops::Range;

use super::client::{Client, Socket};

/// Header, doorbells, thread blocks and the first slots.
const WORDS: Range<u64> = 0..48 * PAGES;
/// How much is written over at once.
const PAGES: u64 = 64 << 10;
/// The words that say which thread blocks and, for each worker, which slots want to be looked at.
const BELLS: [Range<u64>; 2] = [192..320, 4096..8192];

/// How a program writes over what it shares.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Whole pages, one after the other: soon nothing makes sense any more.
    Pages,
    /// One word at a time, most of them of one socket, while its bytes go on: everything else makes
    /// sense.
    Words,
}

/// A source of random words, always the same for a seed.
pub(crate) struct Garbage {
    state: u64,
    /// Where the next pages are.
    offset: u64,
}

impl Garbage {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            offset: WORDS.start,
        }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.state ^ self.state >> 29
    }

    /// Writes once, and rings, so that the engine looks.
    pub(crate) fn write(&mut self, way: Way, program: &Client, socket: &Socket) {
        match way {
            Way::Pages => self.write_pages(program),
            Way::Words => self.write_word(program, socket),
        }
        socket.slot.kick();
    }

    fn write_pages(&mut self, program: &Client) {
        let garbage: Vec<u8> = (0..PAGES / 8)
            .flat_map(|_| self.word().to_ne_bytes())
            .collect();
        rustix::io::pwrite(&program.memory, &garbage, self.offset).unwrap();
        self.offset = (self.offset + PAGES) % WORDS.end;
        for bell in BELLS {
            let ones: Vec<u8> = bell.clone().map(|_| 0xff).collect();
            rustix::io::pwrite(&program.memory, &ones, bell.start).unwrap();
        }
    }

    fn write_word(&mut self, program: &Client, socket: &Socket) {
        let layout = program.region.layout();
        let slot = socket.slot.slot();
        let start = layout.slot_offset(slot).unwrap();
        let end = layout.slot_offset(slot + 1).unwrap();
        let within = match self.word() % 8 {
            0..4 => start..end,
            4 => 0..8192,
            5 => layout.thread_offset(0).unwrap()..layout.thread_offset(1).unwrap(),
            6 => WORDS,
            _ => layout.transmit_ring_offset(slot).unwrap()..layout.total_bytes(),
        };
        // Values that are wrong by little come farther than others.
        let value = match self.word() % 3 {
            0 => self.word() % 4,
            1 => self.word() % (4 * layout.ring_bytes()),
            _ => self.word(),
        };
        let words = (within.end - within.start) / 4;
        let offset = within.start + 4 * (self.word() % words);
        let bytes = value.to_ne_bytes();
        rustix::io::pwrite(&program.memory, &bytes[..4], offset).unwrap();
    }
}
