//! The table from descriptors to sockets: read without locks, written under one.
//!
//! An entry points to a node; a node holds a socket and counts who uses it: every entry that points
//! to it, and every [`Descriptor`]. Nodes are never given back to the allocator, so a reader may
//! look at the count of one that has just been retired: it finds 0, or, when the node has been taken
//! for another socket meanwhile, sees after counting itself in that the entry no longer points there,
//! counts itself out, and looks again.
//!
//! The last user may be a signal handler, which must not free memory. It puts the node on a stack of
//! retired ones; who next takes the lock empties them.

use super::open_socket::OpenSocket;
use crate::errno::Errno;
use crate::fork::{ForkSafe, ForkSafeGuard};
use std::cell::UnsafeCell;
use std::ops::Deref;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Entries of a chunk; chunks are made when one of their descriptors is.
const CHUNK: usize = 1024;
/// Chunks: a million descriptors, which is the kernel's default bound.
const CHUNKS: usize = 1024;

type Chunk = [AtomicPtr<Node>; CHUNK];

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];
/// Nodes whose last user has gone, linked by `next`.
static RETIRED: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());
/// Empty nodes.
static POOL: ForkSafe<Vec<&'static Node>> = ForkSafe::new(Vec::new());

/// The lock of all writers, held over a fork.
pub(crate) type PoolGuard = ForkSafeGuard<Vec<&'static Node>>;

pub(crate) struct Node {
    users: AtomicU32,
    next: AtomicPtr<Node>,
    socket: UnsafeCell<Option<OpenSocket>>,
}

// SAFETY: `socket` is written only under the lock, by whoever has taken the node off the retired
// stack or from the pool, when no entry points to it and nobody is counted; it is read only by those
// who are counted. `OpenSocket` is `Send` and `Sync`.
unsafe impl Sync for Node {}

/// A socket, kept while this lives: another thread may close its descriptor meanwhile.
pub struct Descriptor(&'static Node);

impl Deref for Descriptor {
    type Target = OpenSocket;

    fn deref(&self) -> &OpenSocket {
        // SAFETY: this value is counted, so nobody writes `socket`, which was filled before the node
        // was put into the table.
        let socket = unsafe { &*self.0.socket.get() };
        socket
            .as_ref()
            .unwrap_or_else(|| unreachable!("a counted node is empty"))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        release(self.0);
    }
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

pub(crate) fn lock() -> PoolGuard {
    POOL.lock()
}

fn entry(fd: RawFd) -> Option<&'static AtomicPtr<Node>> {
    let number = usize::try_from(fd).ok()?;
    let chunk = TABLE.get(number / CHUNK)?.load(Ordering::Acquire);
    // SAFETY: a chunk, once there, is never freed; it was initialised before it was stored.
    unsafe { chunk.as_ref() }?.get(number % CHUNK)
}

/// Counts the caller in, unless nobody is counted any more.
fn pin(node: &'static Node) -> Option<Descriptor> {
    node.users
        .fetch_update(Ordering::Acquire, Ordering::Relaxed, |users| {
            (users > 0).then_some(users.saturating_add(1))
        })
        .ok()
        .map(|_| Descriptor(node))
}

fn release(node: &'static Node) {
    if node.users.fetch_sub(1, Ordering::AcqRel) != 1 {
        return;
    }
    let node = ptr::from_ref(node).cast_mut();
    let mut top = RETIRED.load(Ordering::Relaxed);
    loop {
        // SAFETY: nodes are never freed.
        unsafe { &*node }.next.store(top, Ordering::Relaxed);
        // Release: who takes the stack sees `next`, and all that users did before.
        match RETIRED.compare_exchange_weak(top, node, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => top = found,
        }
    }
}

pub(super) fn find(fd: RawFd) -> Option<Descriptor> {
    let entry = entry(fd)?;
    loop {
        let found = entry.load(Ordering::Acquire);
        // SAFETY: nodes are never freed.
        let node = unsafe { found.as_ref() }?;
        if let Some(descriptor) = pin(node)
            && entry.load(Ordering::Acquire) == found
        {
            return Some(descriptor);
        }
        std::hint::spin_loop();
    }
}

/// Empties the nodes that were retired. The sockets in them are dropped here.
fn sweep(pool: &mut PoolGuard) {
    let mut next = RETIRED.swap(ptr::null_mut(), Ordering::Acquire);
    // SAFETY: nodes are never freed.
    while let Some(node) = unsafe { next.as_ref() } {
        next = node.next.load(Ordering::Relaxed);
        // SAFETY: nobody is counted, no entry points here, and the stack was taken under the lock:
        // this thread alone has the node.
        drop(unsafe { &mut *node.socket.get() }.take());
        pool.push(node);
    }
}

fn entry_for_writing(fd: RawFd) -> Result<&'static AtomicPtr<Node>, Errno> {
    let number = usize::try_from(fd).map_err(|_| Errno::new(libc::EBADF))?;
    let chunk = TABLE.get(number / CHUNK).ok_or(Errno::new(libc::EMFILE))?;
    if chunk.load(Ordering::Acquire).is_null() {
        // Under the lock: nobody else makes it.
        let new: Box<Chunk> = Box::new([const { AtomicPtr::new(ptr::null_mut()) }; CHUNK]);
        chunk.store(Box::into_raw(new), Ordering::Release);
    }
    entry(fd).ok_or(Errno::new(libc::EBADF))
}

fn put(entry: &AtomicPtr<Node>, node: *mut Node) {
    let before = entry.swap(node, Ordering::AcqRel);
    // SAFETY: nodes are never freed.
    if let Some(before) = unsafe { before.as_ref() } {
        release(before);
    }
}

pub(super) fn insert(fd: RawFd, socket: OpenSocket) -> Result<(), Errno> {
    let mut pool = lock();
    sweep(&mut pool);
    let entry = entry_for_writing(fd)?;
    let node: &'static Node = match pool.pop() {
        Some(node) => node,
        None => Box::leak(Box::new(Node {
            users: AtomicU32::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            socket: UnsafeCell::new(None),
        })),
    };
    // SAFETY: the node comes from the pool or is new: nobody is counted, this thread has it alone.
    unsafe { *node.socket.get() = Some(socket) };
    // Release: who counts itself in sees the socket.
    node.users.store(1, Ordering::Release);
    put(entry, ptr::from_ref(node).cast_mut());
    Ok(())
}

pub(super) fn copy(original: RawFd, copy: RawFd) -> Result<(), Errno> {
    let descriptor = find(original).ok_or(Errno::new(libc::ENOTSOCK))?;
    let pool = lock();
    let entry = entry_for_writing(copy)?;
    let node = ptr::from_ref(descriptor.0).cast_mut();
    // The entry takes over what this value was counted for.
    std::mem::forget(descriptor);
    put(entry, node);
    drop(pool);
    Ok(())
}

pub(super) fn remove(fd: RawFd) -> bool {
    let Some(entry) = entry(fd) else {
        return false;
    };
    // SAFETY: nodes are never freed.
    let before = unsafe { entry.swap(ptr::null_mut(), Ordering::AcqRel).as_ref() };
    if let Some(node) = before {
        release(node);
    }
    before.is_some()
}

pub(super) fn for_each(mut visit: impl FnMut(RawFd, &OpenSocket)) {
    for (high, chunk) in TABLE.iter().enumerate() {
        if chunk.load(Ordering::Acquire).is_null() {
            continue;
        }
        for low in 0..CHUNK {
            let fd = RawFd::try_from(high * CHUNK + low).unwrap_or(-1);
            if let Some(descriptor) = find(fd) {
                visit(fd, &descriptor);
            }
        }
    }
}
