//! The application's side of a region: it is handed it, and reaches its sockets through it.

use crate::descriptor::Bell;
use crate::doorbell::{Doorbell, ring_owner};
use crate::layout::{RegionHeader, RegionLayout};
use crate::lock::{Guard, ThreadId};
use crate::memory::{MemoryError, Shared, SharedMemory};
use crate::region::worker::SlotDoorbell;
use crate::slot::application::{ApplicationSide, Done};
use crate::slot::ends::ApplicationEnd;
use crate::slot::{Linger, ReadEnd, SlotFlags, SlotState, SocketSlot, Splitting, Unsent};
use crate::sync::{AtomicU32, AtomicU64, Ordering, SharedBytes};
use crate::violation::Violation;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A region that an engine made. Clones are the same region, and so are those of a forked child.
#[derive(Clone, Debug)]
pub struct ApplicationRegion {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) layout: RegionLayout,
    pub(super) memory: Arc<SharedMemory>,
    header: Shared<RegionHeader>,
    doorbells: Vec<SlotDoorbell>,
    ready: SlotDoorbell,
    worker_bells: Vec<Bell>,
    control_bell: Bell,
}

impl ApplicationRegion {
    /// Maps what came with `Attached` or `Adopted`: checks seals, size, header, and that there is a
    /// bell for each worker.
    pub fn open(
        layout: RegionLayout,
        memfd: OwnedFd,
        control_bell: OwnedFd,
        worker_bells: impl IntoIterator<Item = OwnedFd>,
    ) -> Result<Self, MemoryError> {
        let worker_bells: Vec<Bell> = worker_bells
            .into_iter()
            .map(Bell::from_descriptor)
            .collect();
        if worker_bells.len() != usize::from(layout.workers()) {
            return Err(MemoryError::Bells(worker_bells.len()));
        }
        let memory = Arc::new(SharedMemory::open(memfd, layout.total_bytes())?);
        let header = Shared::<RegionHeader>::at(&memory, 0).ok_or(MemoryError::Header)?;
        if !header.is_whole(&layout) {
            return Err(MemoryError::Header);
        }
        let doorbells = SlotDoorbell::of_workers(&memory, &layout).ok_or(MemoryError::Header)?;
        let ready = SlotDoorbell::of_application(&memory, &layout).ok_or(MemoryError::Header)?;
        let inner = Inner {
            layout,
            memory,
            header,
            doorbells,
            ready,
            worker_bells,
            control_bell: Bell::from_descriptor(control_bell),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Its layout.
    pub fn layout(&self) -> RegionLayout {
        self.inner.layout
    }

    /// Whether the engine has not said farewell. One that was killed has not: see the descriptors.
    pub fn engine_alive(&self) -> bool {
        self.inner.header.engine_alive.0.load(Ordering::Acquire) != 0
    }

    /// A socket of the region, as named by `Opened`, `Adopted` or an `AcceptedMessage`. `None`: no
    /// such slot.
    pub fn slot(&self, slot: u32, generation: u32) -> Option<ApplicationSlot> {
        let inner = &self.inner;
        let bytes = |offset: Option<u64>| -> Option<SharedBytes> {
            inner
                .memory
                .shared_bytes(offset?, inner.layout.ring_bytes())
        };
        Some(ApplicationSlot {
            words: Shared::at(&inner.memory, inner.layout.slot_offset(slot)?)?,
            transmit: bytes(inner.layout.transmit_ring_offset(slot))?,
            receive: bytes(inner.layout.receive_ring_offset(slot))?,
            region: self.clone(),
            slot,
            generation,
        })
    }

    /// Hands every slot that the engine has noted since ([`ApplicationSlot::list`]) to `look`, each
    /// once; whether there was any. One thread of one process at a time.
    pub fn take_ready(&self, mut look: impl FnMut(u32)) -> bool {
        let sockets = self.inner.layout.sockets();
        self.inner.ready.doorbell().take(|slot| {
            if slot < sockets {
                look(slot);
            }
        })
    }

    /// Announces a sleep, which the first slot that is noted ends by a token. `false`: some are to be
    /// taken first.
    #[must_use = "sleep only if this says so"]
    pub fn prepare_sleep(&self) -> bool {
        self.inner.ready.doorbell().prepare_sleep()
    }

    /// The caller is awake, and nobody need wake it.
    pub fn awake(&self) {
        self.inner.ready.doorbell().awake();
    }

    /// Has the worker that `owner` names look at a slot; one that there is not is asked nothing.
    fn kick(&self, slot: u32, owner: &AtomicU32) {
        let Inner {
            doorbells,
            worker_bells,
            ..
        } = &*self.inner;
        let doorbell = |worker| Some(doorbells.get(worker as usize)?.doorbell());
        ring_owner(owner, slot, doorbell, |worker| {
            if let Some(bell) = worker_bells.get(worker as usize) {
                bell.ring();
            }
        });
    }

    pub(super) fn ring_control(&self, thread: u32) {
        let doorbell = Doorbell {
            summary: &self.inner.header.command_summary.0,
            words: &self.inner.header.command_bits.0,
            sleeping: &self.inner.header.control_sleeping.0,
        };
        if doorbell.ring(thread) {
            self.inner.control_bell.ring();
        }
    }
}

/// One socket, from its application. Any thread may use it; clones are the same socket.
#[derive(Clone, Debug)]
pub struct ApplicationSlot {
    region: ApplicationRegion,
    words: Shared<SocketSlot>,
    transmit: SharedBytes,
    receive: SharedBytes,
    slot: u32,
    generation: u32,
}

impl ApplicationSlot {
    fn side(&self) -> ApplicationSide<'_> {
        ApplicationSide {
            slot: &self.words,
            transmit: self.transmit,
            receive: self.receive,
        }
    }

    fn finish(&self, done: Done) -> usize {
        if done.kick {
            self.kick();
        }
        done.bytes
    }

    /// The region it lies in.
    pub fn region(&self) -> &ApplicationRegion {
        &self.region
    }

    /// The slot's number.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The generation that names this socket.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether the slot still holds this socket, and not none or a later one.
    pub fn is_current(&self) -> bool {
        self.words.identity.generation.load(Ordering::Acquire) == self.generation
    }

    /// The socket's state.
    pub fn state(&self) -> SlotState {
        SlotState::parse(self.words.identity.state.load(Ordering::Acquire))
    }

    /// Facts about the socket.
    pub fn flags(&self) -> SlotFlags {
        SlotFlags(self.words.identity.flags.load(Ordering::Acquire))
    }

    /// Takes the pending error (an errno) away, as SO_ERROR and a failing call do.
    pub fn take_error(&self) -> Option<i32> {
        let error = &self.words.status.error;
        if error.load(Ordering::Relaxed) == 0 {
            return None;
        }
        i32::try_from(error.swap(0, Ordering::AcqRel))
            .ok()
            .filter(|errno| *errno != 0)
    }

    /// Whether an error is pending, without taking it: poll's `POLLERR`.
    pub fn has_error(&self) -> bool {
        self.words.status.error.load(Ordering::Acquire) != 0
    }

    /// How the stream ends behind what is in the ring. Ask first, then look at the ring: what was
    /// there before the end is then seen.
    pub fn read_end(&self) -> ReadEnd {
        ReadEnd::parse(self.words.status.read_end.load(Ordering::Acquire))
    }

    /// Whether sends fail with EPIPE.
    pub fn write_closed(&self) -> bool {
        self.words.status.write_closed.load(Ordering::Acquire) != 0
    }

    /// Puts as much of `from` into the ring as there is room for, and kicks the engine. 0 for bytes
    /// that are not empty: no room; see [`block`](Self::block).
    pub fn send(&self, thread: ThreadId, from: &[u8]) -> Result<usize, Violation> {
        self.send_from(thread, &mut Unsent::one(from), Splitting::AsNeeded)
    }

    /// Puts bytes of several buffers into the ring, and kicks the engine; how many. 0: no room; see
    /// [`block`](Self::block) and [`has_room_for`](Self::has_room_for).
    pub fn send_from<'b, I: Iterator<Item = &'b [u8]> + Clone>(
        &self,
        thread: ThreadId,
        from: &mut Unsent<'b, I>,
        splitting: Splitting,
    ) -> Result<usize, Violation> {
        self.side()
            .send(thread, from, splitting)
            .map(|done| self.finish(done))
    }

    /// Whether a send of `length` bytes would put some into the ring. Asked after
    /// [`block`](Self::block) and answered with no, the sender is woken when it would.
    pub fn has_room_for(&self, length: usize, splitting: Splitting) -> bool {
        self.side().has_room_for(length, splitting)
    }

    /// Makes the descriptor unwritable, because the ring is full or the connection not yet made.
    /// The room there is by now: 0 (or no [room for](Self::has_room_for) what is to be sent), then
    /// poll for `POLLOUT`, or fail with EAGAIN; otherwise go on.
    /// A call of connect() blocks before it gives its command.
    pub fn block(&self, thread: ThreadId, end: &impl ApplicationEnd) -> Result<usize, Violation> {
        self.side().block(thread, end).map(|done| self.finish(done))
    }

    /// Fills `into` from the ring as far as it goes, and brings the descriptor's readiness up to
    /// date. 0: the ring is empty; see [`read_end`](Self::read_end) and [`watch`](Self::watch).
    pub fn receive(
        &self,
        thread: ThreadId,
        into: &mut [u8],
        end: &impl ApplicationEnd,
    ) -> Result<usize, Violation> {
        self.side()
            .receive(thread, into, end)
            .map(|done| self.finish(done))
    }

    /// Fills `into` from `skip` bytes behind the next one, and takes nothing: MSG_PEEK.
    pub fn peek(&self, thread: ThreadId, skip: usize, into: &mut [u8]) -> Result<usize, Violation> {
        self.side().peek(thread, skip, into)
    }

    /// Bytes that wait to be read: FIONREAD, and poll's `POLLIN`.
    pub fn unread(&self) -> Result<usize, Violation> {
        self.side().unread()
    }

    /// Room for a send.
    pub fn room(&self) -> Result<usize, Violation> {
        self.side().room()
    }

    /// Whether there is room for a while's work, or no sense in the words, which the send tells:
    /// poll's `POLLOUT`. While somebody waits for room it takes more of it.
    pub fn is_writable(&self) -> bool {
        let quarter = self.transmit.length() / 4;
        self.has_room_for(quarter, Splitting::OnlyLong)
    }

    /// Bytes sent that the engine has not taken yet.
    pub fn unsent(&self) -> Result<usize, Violation> {
        self.room()
            .map(|room| self.transmit.length().saturating_sub(room))
    }

    /// Has the threads and processes that share a listener take its packets one after the other, while
    /// the answer lives: its ring of received bytes has no other use.
    pub fn take_turns(&self, thread: ThreadId) -> Turn<'_> {
        let words = &self.words;
        Turn(words.receive_lock.enter(thread, &words.receive_head.0))
    }

    /// Has the engine make the descriptor readable when bytes come, while the answer lives. Then look
    /// at [`unread`](Self::unread) and [`read_end`](Self::read_end) once more, and only then poll.
    pub fn watch(&self) -> Watch<'_> {
        self.words.readiness.watch();
        Watch { slot: self }
    }

    /// The same for good, and for what is there already: the descriptor was given to an epoll,
    /// `edge`-triggered or not, or is polled by code that knows nothing of Braid.
    pub fn watch_for_good(&self, edge: bool) {
        if self.words.readiness.watch_for_good(edge) {
            self.kick();
        }
    }

    /// Has the engine note the socket on the region's list when bytes come, and make the descriptor
    /// readable only when who reads the list sleeps ([`ApplicationRegion::prepare_sleep`]); by an edge
    /// of its own if `edge`. Then look at the socket.
    pub fn list(&self, edge: bool) {
        self.words.readiness.list(edge);
    }

    /// Ends that: the descriptor follows the socket's readiness, as after
    /// [`watch_for_good`](Self::watch_for_good).
    pub fn unlist(&self) {
        self.words.readiness.unlist();
        if self.unread() != Ok(0) {
            self.kick();
        }
    }

    /// Sets the descriptor's readiness anew. For a poll that says readable again and again while
    /// there is nothing to read: a thread that shared the socket has died inside a call.
    pub fn resynchronize(&self, thread: ThreadId, end: &impl ApplicationEnd) {
        self.side().resynchronize(thread, end);
        self.kick();
    }

    /// Has the engine look at the socket: bytes, room, readiness.
    pub fn kick(&self) {
        self.region.kick(self.slot, &self.words.identity.worker);
    }

    /// O_NONBLOCK.
    pub fn nonblocking(&self) -> bool {
        self.words.settings.nonblocking.load(Ordering::Relaxed) != 0
    }

    /// Sets O_NONBLOCK, for all descriptors of this socket.
    pub fn set_nonblocking(&self, on: bool) {
        self.words
            .settings
            .nonblocking
            .store(on.into(), Ordering::Relaxed);
    }

    /// Whether the descriptor's end would be taken for a close.
    pub fn orderly(&self) -> bool {
        self.words.settings.orderly.load(Ordering::Relaxed) != 0
    }

    /// Says whether the end of the last descriptor is a close (set it before close, exit or exec) or
    /// the death of the program (clear it when the socket is used again).
    pub fn set_orderly(&self, on: bool) {
        // A load first: it is asked at every use, and almost never changes.
        if self.orderly() != on {
            self.words
                .settings
                .orderly
                .store(on.into(), Ordering::Release);
        }
    }

    /// Says that connect() was called and has not told its caller yet how it ended, or that it has;
    /// whether it was so.
    pub fn set_connect_untold(&self, untold: bool) -> bool {
        self.words
            .settings
            .connect_untold
            .swap(untold.into(), Ordering::AcqRel)
            != 0
    }

    /// Whether connect() has failed and its caller does not know yet.
    pub fn has_untold_failure(&self) -> bool {
        self.state() == SlotState::Open
            && self.words.settings.connect_untold.load(Ordering::Acquire) != 0
    }

    /// MSG_MORE: whether what is sent from now on waits for more. To be called before each send.
    pub fn hold_back(&self, on: bool) {
        let word = &self.words.settings.held_from;
        // A load first: almost every send finds what it wants.
        let held = word.load(Ordering::Relaxed) != 0;
        if held != on {
            let tail = self.words.transmit_tail.0.load(Ordering::Relaxed);
            let from = if on { tail.wrapping_add(1) } else { 0 };
            word.store(from, Ordering::Relaxed);
        }
    }

    /// SO_LINGER.
    pub fn linger(&self) -> Linger {
        Linger::parse(self.words.settings.linger.load(Ordering::Relaxed))
    }

    /// Sets SO_LINGER.
    pub fn set_linger(&self, linger: Linger) {
        self.words
            .settings
            .linger
            .store(linger.word(), Ordering::Relaxed);
    }

    /// SO_RCVLOWAT, 1 at least.
    pub fn receive_low_water(&self) -> u32 {
        self.words
            .settings
            .receive_low_water
            .load(Ordering::Relaxed)
            .max(1)
    }

    /// Sets SO_RCVLOWAT, and has the engine judge the descriptor by it.
    pub fn set_receive_low_water(&self, bytes: u32) {
        self.words
            .settings
            .receive_low_water
            .store(bytes, Ordering::Relaxed);
        self.kick();
    }

    /// SO_RCVTIMEO; none: wait for ever.
    pub fn receive_timeout(&self) -> Option<Duration> {
        timeout(&self.words.settings.receive_timeout)
    }

    /// Sets SO_RCVTIMEO.
    pub fn set_receive_timeout(&self, timeout: Option<Duration>) {
        set_timeout(&self.words.settings.receive_timeout, timeout);
    }

    /// SO_SNDTIMEO; none: wait for ever.
    pub fn send_timeout(&self) -> Option<Duration> {
        timeout(&self.words.settings.send_timeout)
    }

    /// Sets SO_SNDTIMEO.
    pub fn set_send_timeout(&self, timeout: Option<Duration>) {
        set_timeout(&self.words.settings.send_timeout, timeout);
    }
}

fn timeout(word: &AtomicU64) -> Option<Duration> {
    Some(word.load(Ordering::Relaxed))
        .filter(|nanos| *nanos != 0)
        .map(Duration::from_nanos)
}

fn set_timeout(word: &AtomicU64, timeout: Option<Duration>) {
    let nanos = timeout.map_or(0, |time| {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
    });
    word.store(nanos, Ordering::Relaxed);
}

/// While it lives, no other thread has its turn.
#[derive(Debug)]
pub struct Turn<'a>(#[expect(dead_code, reason = "it is held, and dropped")] Guard<'a>);

/// While it lives, bytes that come make the descriptor readable.
#[derive(Debug)]
pub struct Watch<'a> {
    slot: &'a ApplicationSlot,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.slot.words.readiness.unwatch();
    }
}
