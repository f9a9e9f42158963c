//! The doorbell: which slots (or thread blocks) of a region want to be looked at. There is one for
//! each worker, one for the control thread, and one that the engine rings for the application.
//!
//! One bit an item in `words`, and one bit a word in `summary`, so that an idle look is one load.
//! Bits cannot overflow, name nothing that does not exist, and a second ring before the first is
//! answered costs nothing more.
//!
//! **No ring is lost.** The ringer publishes what it wants seen, sets the item's bit, then the
//! word's; both by read-modify-write with release. The answerer takes the summary by `swap(0)`,
//! then the words it names, both with acquire. Either the ringer's summary bit precedes the swap:
//! then the swap has synchronised with it, and the word's bit and what was published are seen. Or it
//! follows: then the summary is non-zero again, for the next look. The summary bit is set even when
//! the item's bit was found set, so that a ringer that died between the two does not silence its item.
//!
//! **No sleep is entered past a ring.** The answerer stores `sleeping`, fences, looks at the summary
//! once more, and only then sleeps. The ringer sets the summary, fences, and looks at `sleeping`. Of
//! two sequentially consistent fences one is first: either the answerer sees the summary, or the
//! ringer sees `sleeping` and writes the bell. `swap` on `sleeping` lets one ringer of many pay for
//! the system call. (One that is killed between the two leaves a sleeper that others do not wake: a
//! worker with regions sleeps a quarter of a second at most.)
//!
//! **No ring goes to the wrong worker.** A slot that comes to a connection may change its worker while
//! somebody rings for it. The engine stores the new worker, and that worker fences before it looks
//! at the slot for the first time; the ringer publishes, rings, which ends with a fence, and then
//! looks whether the worker is still the one that it rang. Of the two fences one is first: either the
//! worker sees what was published, or the ringer sees the new worker and rings there, too. A ring at a
//! worker that does not serve the slot means nothing.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// The words of a doorbell, wherever they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doorbell<'a> {
    pub(crate) summary: &'a [AtomicU64],
    pub(crate) words: &'a [AtomicU64],
    pub(crate) sleeping: &'a AtomicU32,
}

impl Doorbell<'_> {
    /// Asks for `item` to be looked at. `true`: the answerer sleeps, and the caller is to wake it.
    #[must_use = "the answerer may sleep: write its bell"]
    pub(crate) fn ring(&self, item: u32) -> bool {
        self.mark(item) && self.take_sleeper()
    }

    /// The first half of a ring; whether there is such an item.
    pub(crate) fn mark(&self, item: u32) -> bool {
        let word = item as usize / 64;
        let (Some(bits), Some(summary)) = (self.words.get(word), self.summary.get(word / 64))
        else {
            return false;
        };
        bits.fetch_or(1 << (item % 64), Ordering::AcqRel);
        summary.fetch_or(1 << (word % 64), Ordering::AcqRel);
        fence(Ordering::SeqCst);
        true
    }

    /// The second half: whether the answerer sleeps, and the caller is the one to wake it.
    pub(crate) fn take_sleeper(&self) -> bool {
        self.is_sleeping() && self.sleeping.swap(0, Ordering::AcqRel) != 0
    }

    /// Whether the answerer sleeps, or is about to. Behind [`mark`](Self::mark).
    pub(crate) fn is_sleeping(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed) != 0
    }

    /// Hands every item that was rung for to `answer`, once; whether there was any. Bounded by the
    /// number of items.
    pub(crate) fn take(&self, mut answer: impl FnMut(u32)) -> bool {
        let mut any = false;
        for (high, summary) in self.summary.iter().enumerate() {
            if summary.load(Ordering::Relaxed) == 0 {
                continue;
            }
            for middle in ones(summary.swap(0, Ordering::AcqRel)) {
                let word = high * 64 + middle as usize;
                let Some(bits) = self.words.get(word) else {
                    continue;
                };
                for low in ones(bits.swap(0, Ordering::AcqRel)) {
                    any = true;
                    answer(word as u32 * 64 + low);
                }
            }
        }
        any
    }

    /// Announces that the answerer is about to sleep. `false`: it must not, something was rung for.
    #[must_use = "sleep only if this says so"]
    pub(crate) fn prepare_sleep(&self) -> bool {
        self.sleeping.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self
            .summary
            .iter()
            .all(|summary| summary.load(Ordering::Relaxed) == 0)
        {
            return true;
        }
        self.awake();
        false
    }

    /// Says that the answerer looks again by itself.
    pub(crate) fn awake(&self) {
        self.sleeping.store(0, Ordering::Relaxed);
    }
}

/// How often a ringer follows a slot from worker to worker: it changes when a connection is begun.
const MOVES: usize = 4;

/// Rings for `item` at the worker whose number `owner` holds. `doorbell` gives a worker's doorbell,
/// where there is one; `wake` is told who is to be woken.
pub(crate) fn ring_owner<'a>(
    owner: &AtomicU32,
    item: u32,
    doorbell: impl Fn(u32) -> Option<Doorbell<'a>>,
    wake: impl Fn(u32),
) {
    let mut worker = owner.load(Ordering::Relaxed);
    for _ in 0..MOVES {
        let Some(doorbell) = doorbell(worker) else {
            return;
        };
        if doorbell.ring(item) {
            wake(worker);
        }
        // Behind the fence that ends a ring.
        let current = owner.load(Ordering::Relaxed);
        if current == worker {
            return;
        }
        worker = current;
    }
}

/// The positions of the ones of a word, lowest first.
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(lowest)
    })
}
