//! A call of the control thread, from the application's side: a thread block is claimed, the command
//! and its argument go there, and its completion is waited for.

use crate::abi::{Command, Completion, Operation};
use crate::lock::ThreadId;
use crate::memory::Shared;
use crate::region::application::ApplicationRegion;
use crate::sync::{Ordering, SharedBytes, futex_wait, pause, thread_is_dead};
use crate::thread_block::{ARGUMENT_BYTES, ThreadBlockWords};
use crate::violation::Violation;
use std::error::Error;
use std::fmt;
use std::mem::offset_of;
use std::time::Duration;

/// How long a call sleeps at most before it asks whether the engine still lives.
const CALL_PATIENCE: Duration = Duration::from_millis(50);
/// How often a call looks for its completion before it sleeps.
const CALL_SPINS: u32 = 200;

impl ApplicationRegion {
    /// Claims a thread block for one call. `hint`: the block to try first, such as the last one this
    /// thread had. `None`: all are in use, try again a little later.
    pub fn claim(&self, thread: ThreadId, hint: u32) -> Option<ClaimedBlock> {
        let threads = self.inner.layout.threads();
        let order = || (0..threads).map(|n| hint.wrapping_add(n) % threads);
        order()
            .find_map(|block| self.claim_block(thread, block, false))
            .or_else(|| order().find_map(|block| self.claim_block(thread, block, true)))
    }

    fn claim_block(&self, thread: ThreadId, number: u32, dead: bool) -> Option<ClaimedBlock> {
        let words: Shared<ThreadBlockWords> =
            Shared::at(&self.inner.memory, self.inner.layout.thread_offset(number)?)?;
        let owner = &words.owner;
        let found = match owner.thread.load(Ordering::Relaxed) {
            0 => 0,
            found if dead && owner.is_quiet(&words) && thread_is_dead(found) => found,
            _ => return None,
        };
        // Acquire, against the release of `ClaimedBlock::drop`.
        owner
            .thread
            .compare_exchange(found, thread.get(), Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let block = ClaimedBlock {
            region: self.clone(),
            words,
            number,
        };
        // Nobody else pushes now. An answer that is still to come would fall into the new owner's
        // argument area.
        block.words.owner.is_quiet(&block.words).then_some(block)
    }
}

/// Why a call got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The engine is gone: ECONNRESET.
    EngineGone,
    /// The argument is longer than [`ARGUMENT_BYTES`]: EINVAL.
    TooLong,
    /// The shared words make no sense.
    Violation(Violation),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EngineGone => f.write_str("the engine is gone; open the socket again"),
            Self::TooLong => write!(f, "an argument of more than {ARGUMENT_BYTES} bytes"),
            Self::Violation(violation) => violation.fmt(f),
        }
    }
}

impl Error for CallError {}

impl From<Violation> for CallError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// A thread block, claimed for one call after the other by one thread; let go when dropped.
#[derive(Debug)]
pub struct ClaimedBlock {
    region: ApplicationRegion,
    words: Shared<ThreadBlockWords>,
    number: u32,
}

impl ClaimedBlock {
    /// The block's number, as a hint for the next claim.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Asks the control thread and waits for its answer; `reply` becomes the data that came with it.
    /// `engine_gone` is asked every 50 ms: whether the control connection has hung up.
    ///
    /// The result is 0 or more, or a negative errno, as the engine gave it.
    pub fn call(
        &mut self,
        slot: u32,
        generation: u32,
        operation: Operation,
        argument: &[u8],
        reply: &mut Vec<u8>,
        engine_gone: impl Fn() -> bool,
    ) -> Result<i64, CallError> {
        let bytes = self.argument_bytes()?;
        if argument.len() > ARGUMENT_BYTES {
            return Err(CallError::TooLong);
        }
        bytes.write(0, argument);
        let words = &self.words;
        let mut tail = words.owner.commands.load(Ordering::Relaxed);
        let id = tail.wrapping_add(1);
        let data_length = argument.len() as u32;
        let command = Command {
            id,
            slot,
            generation,
            data_length,
            operation,
        };
        if !words.commands.push(&mut tail, &command.entry())? {
            return Err(Violation::new("a ring of commands is full", tail, tail).into());
        }
        words.owner.commands.store(tail, Ordering::Relaxed);
        self.region.ring_control(self.number);
        let completion = self.wait(id, engine_gone)?;
        reply.clear();
        reply.resize((completion.data_length as usize).min(ARGUMENT_BYTES), 0);
        bytes.read(0, reply);
        Ok(completion.result)
    }

    fn wait(&self, id: u64, engine_gone: impl Fn() -> bool) -> Result<Completion, CallError> {
        let words = &self.words;
        let mut looks = 0;
        loop {
            let rung = words.doorbell.0.load(Ordering::Acquire);
            let mut head = words.completions.head.0.load(Ordering::Relaxed);
            while let Some(entry) = words.completions.pop(&mut head)? {
                let completion = Completion::parse(&entry);
                if completion.id == id {
                    return Ok(completion);
                }
            }
            if looks < CALL_SPINS {
                looks += 1;
                pause();
                continue;
            }
            if !self.region.engine_alive() || engine_gone() {
                return Err(CallError::EngineGone);
            }
            // A completion that came since `rung` was read has changed the word.
            futex_wait(&words.doorbell.0, rung, CALL_PATIENCE);
        }
    }

    fn argument_bytes(&self) -> Result<SharedBytes, CallError> {
        let inner = &self.region.inner;
        let offset = inner
            .layout
            .thread_offset(self.number)
            .map(|block| block + offset_of!(ThreadBlockWords, argument) as u64);
        offset
            .and_then(|offset| inner.memory.shared_bytes(offset, ARGUMENT_BYTES as u64))
            .ok_or(CallError::TooLong)
    }
}

impl Drop for ClaimedBlock {
    fn drop(&mut self) {
        // Release: the next owner finds the counters as they are.
        self.words.owner.thread.store(0, Ordering::Release);
    }
}
