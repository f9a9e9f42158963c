//! When the descriptor is readable: tokens.
//!
//! A token is a packet of one byte that the engine has sent and the application has not taken. The
//! aim: while somebody sleeps in poll or keeps the descriptor in an epoll, there is a token if the
//! receive ring is not empty, and, once things are quiet, none if it is.
//!
//! - `interest`: how many threads are about to sleep in poll, plus two sticky bits, set when the
//!   descriptor was given to an epoll: level-triggered, or edge-triggered. A count, because a flag that
//!   the first sleeper takes away leaves the second one asleep. A third bit says that the descriptor is
//!   in an epoll whose only waiter looks at a list first.
//! - `token`: tokens that were put and not yet claimed back.
//! - `owed`: tokens that were claimed back but were not in the queue yet. Under the receive lock.
//!
//! At every moment: tokens in the queue = `token` + `owed` − those the engine has counted and is just
//! sending. Every step below keeps that.
//!
//! **No wake-up is lost.** Two pairs of sequentially consistent fences, each "store, fence, load":
//!
//! | One side stores | and loads | The other stores | and loads |
//! |---|---|---|---|
//! | engine: ring's tail | `interest` | sleeper: `interest` | ring's tail |
//! | engine: ring's tail | `token` | reader: `token` = 0 | ring's tail |
//!
//! Of two fences one is first, so at least one load sees the other side's store. Sleeper: either the
//! engine sees the interest and goes on to the token, or the sleeper sees the bytes and does not sleep.
//! Reader, who found the ring empty and claims the tokens back: either the engine sees `token` = 0 and
//! puts one, or the reader sees the bytes, and gives back what it claimed before it takes any.
//!
//! **Edges.** Edge-triggered epoll reports a descriptor once per packet that arrives, and TCP's does
//! so for data that arrives behind unread data, too. So with the edge bit the engine puts a token
//! per arrival, up to `MAX_TOKENS`; a reader who leaves data behind and finds that many claims
//! them back and asks the engine (by a kick) for a new one.

//!
//! **A list instead of tokens.** A token costs a system call to put, one to take, and one to hear of. A
//! program that waits for many sockets by one epoll set is told by the application's doorbell instead
//! ([`crate::doorbell`]), and a token is put only if it sleeps. It must ask the kernel whether the
//! socket is readable while it sleeps. That it sleeps only it takes back itself: whoever puts a token
//! cannot know that the sleeper sees it, as another thread may read the socket first, so the next socket
//! has a token, too, until the sleeper is awake. What is noted stands for a look at the
//! ring behind the fence of whoever noted it: `list`, fence, look on one side, ring's tail, fence,
//! `interest` on the other.

use crate::doorbell::Doorbell;
use crate::slot::ends::{ApplicationEnd, EngineEnd};
use crate::sync::{AtomicU32, Ordering, fence};

/// Most tokens of a socket in edge-triggered use.
pub(crate) const MAX_TOKENS: u32 = 8;
/// On a list.
const LISTED: u32 = 1 << 29;
const LEVEL: u32 = 1 << 30;
const EDGE: u32 = 1 << 31;

/// The words of the protocol.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    interest: AtomicU32,
    token: AtomicU32,
    owed: AtomicU32,
}

/// Why the engine looks at a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Occasion {
    /// Bytes were just put into the ring.
    Arrival,
    /// The application asked whether there are any.
    Kick,
}

/// What a reader leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// Nothing more is to do.
    Quiet,
    /// Bytes have come meanwhile.
    Refilled,
    /// The engine is to put a token: kick it.
    Kick,
}

/// The application's doorbell, and which of its items a socket is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyList<'a> {
    pub(crate) doorbell: Doorbell<'a>,
    pub(crate) slot: u32,
}

impl Readiness {
    /// Engine: after the tail of a ring that is not empty was published, and a sequentially
    /// consistent fence.
    pub(crate) fn signal(&self, occasion: Occasion, list: ReadyList<'_>, end: &impl EngineEnd) {
        let interest = self.interest.load(Ordering::Relaxed);
        if interest == 0 {
            return;
        }
        let most = match occasion {
            Occasion::Arrival if interest & EDGE != 0 => MAX_TOKENS,
            Occasion::Arrival | Occasion::Kick => 1,
        };
        // The engine alone adds here, apart from a reader that gives back what it has just taken;
        // one token too many is taken out like any other.
        let may_put = self.token.load(Ordering::Relaxed) < most;
        let mut wanted = interest & !(LISTED | EDGE) != 0;
        if interest & LISTED != 0 && list.doorbell.mark(list.slot) && may_put {
            // Not taken: another thread may read this token away, and the sleeper sleeps on.
            wanted |= list.doorbell.is_sleeping();
        }
        if wanted && may_put {
            self.token.fetch_add(1, Ordering::AcqRel);
            end.put_token();
        }
    }

    /// Engine: after a sequentially consistent fence behind the ring's tail: tells those who are
    /// awake; whether anybody may sleep.
    pub(crate) fn note_without_waking(&self, list: ReadyList<'_>) -> bool {
        let interest = self.interest.load(Ordering::Relaxed);
        let listed = interest & LISTED != 0 && list.doorbell.mark(list.slot);
        interest & !(LISTED | EDGE) != 0 || (listed && list.doorbell.is_sleeping())
    }

    /// Application, before it looks at the ring for the last time and sleeps.
    pub(crate) fn watch(&self) {
        self.interest.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Application, after the sleep.
    pub(crate) fn unwatch(&self) {
        self.interest.fetch_sub(1, Ordering::Relaxed);
    }

    /// Application, when the descriptor is given to an epoll. `true`: the engine is to be kicked
    /// afterwards; otherwise it was so before.
    pub(crate) fn watch_for_good(&self, edge: bool) -> bool {
        let bits = if edge { EDGE | LEVEL } else { LEVEL };
        let before = self.interest.fetch_or(bits, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        before & bits != bits
    }

    /// Application, before it looks at the ring: it reads the list from now on.
    pub(crate) fn list(&self, edge: bool) {
        let bits = if edge { EDGE | LISTED } else { LISTED };
        self.interest.fetch_or(bits, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Application: the descriptor is to say it. If there are bytes, the engine is to be kicked
    /// afterwards.
    pub(crate) fn unlist(&self) {
        self.interest.fetch_or(LEVEL, Ordering::Relaxed);
        self.interest.fetch_and(!LISTED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Application, under the receive lock, when a receive has left the ring empty.
    pub(crate) fn settle_empty(
        &self,
        is_empty: impl Fn() -> bool,
        end: &impl ApplicationEnd,
    ) -> Settled {
        let mut due = self.owed.load(Ordering::Relaxed);
        // A stale 0 does no harm: the token that is missed here stands for bytes that were read, so
        // it wakes somebody for nothing, who then sees it.
        if self.token.load(Ordering::Relaxed) != 0 {
            let claimed = self.token.swap(0, Ordering::AcqRel);
            fence(Ordering::SeqCst);
            if !is_empty() {
                self.token.fetch_add(claimed, Ordering::AcqRel);
                return Settled::Refilled;
            }
            due = due.saturating_add(claimed);
            self.owed.store(due, Ordering::Relaxed);
        }
        while due > 0 && end.take_token() {
            due -= 1;
            self.owed.store(due, Ordering::Relaxed);
        }
        Settled::Quiet
    }

    /// Application, under the receive lock, when a receive has left bytes in the ring.
    pub(crate) fn settle_rest(&self, end: &impl ApplicationEnd) -> Settled {
        if self.token.load(Ordering::Relaxed) < MAX_TOKENS {
            return Settled::Quiet;
        }
        let mut due = self.owed.load(Ordering::Relaxed);
        due = due.saturating_add(self.token.swap(0, Ordering::AcqRel));
        self.owed.store(due, Ordering::Relaxed);
        while due > 0 && end.take_token() {
            due -= 1;
            self.owed.store(due, Ordering::Relaxed);
        }
        Settled::Kick
    }

    /// Application, under the receive lock: takes every token, whatever the words say, for the
    /// counts may be wrong since a thread died between two of its steps. Kick the engine afterwards.
    pub(crate) fn resynchronize(&self, end: &impl ApplicationEnd) {
        self.token.store(0, Ordering::Relaxed);
        self.owed.store(0, Ordering::Relaxed);
        for _ in 0..1024 {
            if !end.take_token() {
                break;
            }
        }
    }

    /// Sets the words back, for a new socket.
    pub(crate) fn reset(&self) {
        for word in [&self.interest, &self.token, &self.owed] {
            word.store(0, Ordering::Relaxed);
        }
    }
}
