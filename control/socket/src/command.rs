//! Commands to the engine's control thread: a thread block is claimed, a command put into it, and
//! its completion waited for (`braid_shm::thread_block`).

use crate::attachment::Region;
use crate::errno::Errno;
use crate::fork;
use crate::sys::poll;
use braid_shm::ClaimedBlock;
use braid_shm::abi::Operation;
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

/// How often, and with which pauses, a block is asked for when all are in use.
const CLAIM_ATTEMPTS: usize = 5_000;
const CLAIM_PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    /// The block that this thread had last.
    static HINT: Cell<u32> = const { Cell::new(0) };
}

/// What the engine answered: 0 or more, and data.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: i64,
    pub(crate) data: Vec<u8>,
}

/// Asks, and waits for the answer. The engine's death ends the wait: it is seen on the socket's own
/// descriptor `fd`, or without one on the control connection.
pub(crate) fn call(
    region: &Region,
    (slot, generation): (u32, u32),
    fd: Option<BorrowedFd<'_>>,
    operation: Operation,
    argument: &[u8],
) -> Result<Answer, Errno> {
    if region.is_dead() {
        return Err(Errno::new(libc::ECONNRESET));
    }
    let mut block = claim(region)?;
    HINT.set(block.number());
    let mut data = Vec::new();
    let gone = || match fd {
        Some(fd) => poll::has_hung_up(fd),
        None => region.connection().has_hung_up(),
    };
    let result = block
        .call(slot, generation, operation, argument, &mut data, gone)
        .inspect_err(|error| {
            if *error == braid_shm::CallError::EngineGone {
                region.mark_dead();
            }
        })?;
    if result < 0 {
        let errno = i32::try_from(-result).unwrap_or(libc::EIO);
        return Err(Errno::new(errno));
    }
    Ok(Answer { result, data })
}

fn claim(region: &Region) -> Result<ClaimedBlock, Errno> {
    for _ in 0..CLAIM_ATTEMPTS {
        if let Some(block) = region.memory().claim(fork::thread(), HINT.get()) {
            return Ok(block);
        }
        if region.look_for_death() {
            return Err(Errno::new(libc::ECONNRESET));
        }
        thread::sleep(CLAIM_PAUSE);
    }
    Err(Errno::new(libc::ENOBUFS))
}
