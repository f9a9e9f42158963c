//! What must not outlive a fork: the thread's id, and locks that another thread held; and what is left
//! when the program ends.
//!
//! The parent's locks are taken before a fork and let go on both sides after it (pthread_atfork(3)),
//! so the child finds them free and what they guard whole. A counter tells everything else that it
//! now lives in a child.

use crate::sys::process::{SignalsBlocked, at_exit, at_fork};
use crate::{attachment, descriptor};
use braid_shm::ThreadId;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Forks between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(1);
static REGISTERED: Once = Once::new();

/// Two processes that came from one differ in it.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

thread_local! {
    /// The generation in which the id was asked for, and the id.
    static THREAD: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

struct Held {
    _pool: descriptor::PoolGuard,
    _attachment: attachment::StateGuard,
    _signals: SignalsBlocked,
}

/// The calling thread.
pub(crate) fn thread() -> ThreadId {
    let now = generation();
    let (generation, id) = THREAD.get();
    if generation == now {
        return ThreadId::new(id);
    }
    let thread = ThreadId::current();
    THREAD.set((now, thread.get()));
    thread
}

/// A mutex that a fork leaves free, and that no signal handler of its holder can want.
pub(crate) struct ForkSafe<T>(Mutex<T>);

/// It, held.
pub(crate) struct ForkSafeGuard<T: 'static> {
    // Dropped in this order: signals come back last.
    guard: MutexGuard<'static, T>,
    _signals: SignalsBlocked,
}

impl<T> ForkSafe<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&'static self) -> ForkSafeGuard<T> {
        let signals = SignalsBlocked::new();
        ForkSafeGuard {
            guard: self.0.lock().unwrap_or_else(PoisonError::into_inner),
            _signals: signals,
        }
    }
}

impl<T> std::ops::Deref for ForkSafeGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> std::ops::DerefMut for ForkSafeGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// Called before anything is made that a fork could find half done.
pub(crate) fn register() {
    REGISTERED.call_once(|| {
        at_fork(prepare, parent, child);
        at_exit(leave);
    });
}

/// A program that returns from main() closes what it has left open, as with the kernel's sockets: what
/// it sent goes out.
extern "C" fn leave() {
    descriptor::for_each(|_, socket| socket.slot().set_orderly(true));
}

extern "C" fn prepare() {
    let signals = SignalsBlocked::new();
    // The order of everybody: the attachment first.
    let attachment = attachment::lock();
    let pool = descriptor::lock();
    HELD.with(|held| {
        held.replace(Some(Held {
            _pool: pool,
            _attachment: attachment,
            _signals: signals,
        }));
    });
}

extern "C" fn parent() {
    HELD.with(|held| drop(held.take()));
}

extern "C" fn child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    HELD.with(|held| drop(held.take()));
}
