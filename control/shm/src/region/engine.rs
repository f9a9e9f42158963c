//! The engine's side of a region: it makes it, serves commands (control thread) and bytes (worker),
//! and gives memory back.

use crate::abi::{ABI_VERSION, Command, Completion, REGION_MAGIC};
use crate::descriptor::Bell;
use crate::doorbell::Doorbell;
use crate::layout::{RegionHeader, RegionLayout};
use crate::memory::{MemoryError, Shared, SharedMemory};
use crate::region::worker::{SlotDoorbell, WorkerRegion};
use crate::slot::ends::EngineEnd;
use crate::slot::engine::EngineSide;
use crate::slot::readiness::{Occasion, ReadyList};
use crate::slot::{Linger, ReadEnd, SlotFlags, SlotState, SocketSlot};
use crate::sync::{Ordering, SharedBytes, fence, futex_wake};
use crate::thread_block::{ARGUMENT_BYTES, ThreadBlockWords};
use crate::violation::Violation;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// A region that this engine has made. Clones are the same region.
#[derive(Clone, Debug)]
pub struct EngineRegion {
    layout: RegionLayout,
    memory: Arc<SharedMemory>,
    header: Shared<RegionHeader>,
    doorbells: Vec<SlotDoorbell>,
    ready: SlotDoorbell,
    worker_bells: Vec<Arc<Bell>>,
    control_bell: Arc<Bell>,
}

impl EngineRegion {
    /// A new region with its own bells. Errors: memfd_create, mmap, eventfd.
    pub fn create(layout: RegionLayout) -> Result<Self, MemoryError> {
        let bell = || match Bell::new() {
            Ok(bell) => Ok(Arc::new(bell)),
            Err(error) => Err(MemoryError::System("eventfd", error)),
        };
        let worker_bells = (0..layout.workers()).map(|_| bell());
        Self::with_bells(layout, worker_bells.collect::<Result<_, _>>()?, bell()?)
    }

    /// A new region whose applications ring these bells, one for each worker and the control
    /// thread's: many regions may share one.
    pub fn with_bells(
        layout: RegionLayout,
        worker_bells: Vec<Arc<Bell>>,
        control_bell: Arc<Bell>,
    ) -> Result<Self, MemoryError> {
        if worker_bells.len() != usize::from(layout.workers()) {
            return Err(MemoryError::Bells(worker_bells.len()));
        }
        let memory = Arc::new(SharedMemory::create("braid-region", layout.total_bytes())?);
        let header = Shared::<RegionHeader>::at(&memory, 0).ok_or(MemoryError::Header)?;
        let doorbells = SlotDoorbell::of_workers(&memory, &layout).ok_or(MemoryError::Header)?;
        let ready = SlotDoorbell::of_application(&memory, &layout).ok_or(MemoryError::Header)?;
        header.magic.store(REGION_MAGIC, Ordering::Relaxed);
        header.sockets.store(layout.sockets(), Ordering::Relaxed);
        header.threads.store(layout.threads(), Ordering::Relaxed);
        let workers = layout.workers().into();
        header.workers.store(workers, Ordering::Relaxed);
        header
            .ring_bytes
            .store(layout.ring_bytes(), Ordering::Relaxed);
        header.engine_alive.0.store(1, Ordering::Relaxed);
        header.version.store(ABI_VERSION, Ordering::Release);
        Ok(Self {
            layout,
            memory,
            header,
            doorbells,
            ready,
            worker_bells,
            control_bell,
        })
    }

    /// Its layout.
    pub fn layout(&self) -> RegionLayout {
        self.layout
    }

    /// The memfd.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.memory.descriptor()
    }

    /// The side of the worker of this number. `None`: the region is for fewer workers.
    pub fn worker(&self, number: u8) -> Option<WorkerRegion> {
        Some(WorkerRegion {
            region: self.clone(),
            doorbell: self.doorbells.get(usize::from(number))?.clone(),
            bell: Arc::clone(self.worker_bells.get(usize::from(number))?),
        })
    }

    /// All descriptors that go with `Attached`, in their order.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let first = [self.descriptor(), self.control_bell.as_fd()];
        let bells = self.worker_bells.iter().map(|bell| bell.as_fd());
        first.into_iter().chain(bells).collect()
    }

    /// The bell that ends the control thread's sleep; the control thread polls and clears it.
    pub fn control_bell(&self) -> &Bell {
        &self.control_bell
    }

    /// Bytes of memory the region takes now.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        self.memory.resident_bytes()
    }

    /// Says that nobody serves the region any more: threads that wait for a completion end their
    /// wait. Descriptors tell of it by their hang-up.
    pub fn retire(&self) {
        self.header.engine_alive.0.store(0, Ordering::Release);
        for thread in 0..self.layout.threads() {
            if let Some(block) = self.block(thread) {
                block.doorbell.0.fetch_add(1, Ordering::Release);
                futex_wake(&block.doorbell.0, u32::MAX >> 1);
            }
        }
    }

    fn block(&self, thread: u32) -> Option<Shared<ThreadBlockWords>> {
        Shared::at(&self.memory, self.layout.thread_offset(thread)?)
    }

    fn command_doorbell(&self) -> Doorbell<'_> {
        Doorbell {
            summary: &self.header.command_summary.0,
            words: &self.header.command_bits.0,
            sleeping: &self.header.control_sleeping.0,
        }
    }

    /// Control thread: the server of this region's commands. Make one a region: it holds the indices.
    pub fn command_server(&self) -> CommandServer {
        CommandServer {
            indices: vec![BlockIndices::default(); self.layout.threads() as usize],
            region: self.clone(),
        }
    }

    /// Control thread: makes a socket in a free slot: words at zero, a new generation. The engine
    /// keeps its own list of free slots. `None`: no such slot.
    pub fn open_slot(&self, slot: u32, flags: SlotFlags) -> Option<SlotHandle> {
        let words: Shared<SocketSlot> = Shared::at(&self.memory, self.layout.slot_offset(slot)?)?;
        words.reset();
        let generation = words
            .identity
            .generation
            .load(Ordering::Relaxed)
            .wrapping_add(1);
        words.identity.flags.store(flags.0, Ordering::Relaxed);
        words
            .identity
            .state
            .store(SlotState::Open.word(), Ordering::Relaxed);
        words
            .identity
            .generation
            .store(generation, Ordering::Release);
        Some(SlotHandle {
            words,
            ready: self.ready.clone(),
            slot,
            generation,
        })
    }

    /// Worker: the rings of a socket that has carried nothing yet.
    pub fn engine_slot(&self, handle: &SlotHandle) -> Option<EngineSlot> {
        let bytes = |offset: Option<u64>| -> Option<SharedBytes> {
            self.memory.shared_bytes(offset?, self.layout.ring_bytes())
        };
        let side = EngineSide::new(
            bytes(self.layout.transmit_ring_offset(handle.slot))?,
            bytes(self.layout.receive_ring_offset(handle.slot))?,
        );
        Some(EngineSlot {
            handle: handle.clone(),
            side,
        })
    }

    /// Control thread, once the worker has dropped its [`EngineSlot`]: the slot is free, a view of
    /// an application that still looks at it finds another generation, and its memory goes back.
    pub fn release_slot(&self, handle: &SlotHandle) -> io::Result<()> {
        let words = &handle.words;
        words
            .identity
            .state
            .store(SlotState::Free.word(), Ordering::Relaxed);
        let next = handle.generation.wrapping_add(1);
        words.identity.generation.store(next, Ordering::Release);
        match self.layout.transmit_ring_offset(handle.slot) {
            Some(offset) => self.memory.punch(offset, 2 * self.layout.ring_bytes()),
            None => Ok(()),
        }
    }
}

/// The engine's hold on one socket of a region: what it says of it and what its application asks
/// for. Clones are the same socket. All of it may be called from any thread.
#[derive(Clone, Debug)]
pub struct SlotHandle {
    words: Shared<SocketSlot>,
    ready: SlotDoorbell,
    slot: u32,
    generation: u32,
}

impl SlotHandle {
    fn ready_list(&self) -> ReadyList<'_> {
        ReadyList {
            doorbell: self.ready.doorbell(),
            slot: self.slot,
        }
    }

    /// The slot's number.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The generation that applications must name.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Names the worker that serves the socket's connection from now on, before it is bound there: its
    /// application kicks that one.
    pub fn set_worker(&self, worker: u8) {
        let word = &self.words.identity.worker;
        word.store(worker.into(), Ordering::Release);
    }

    /// Shows the socket's state.
    pub fn set_state(&self, state: SlotState) {
        self.words
            .identity
            .state
            .store(state.word(), Ordering::Release);
    }

    /// Shows facts about the socket.
    pub fn set_flags(&self, flags: SlotFlags) {
        self.words.identity.flags.store(flags.0, Ordering::Release);
    }

    /// The error (an errno) that the next call, or SO_ERROR, takes.
    pub fn set_error(&self, errno: u32) {
        self.words.status.error.store(errno, Ordering::Release);
    }

    /// Says that sends fail with EPIPE: shut down, or over.
    pub fn close_write(&self) {
        self.words.status.write_closed.store(1, Ordering::Release);
    }

    /// Whether the application has closed, shut down or exited in order: a hang-up then means close,
    /// otherwise abort.
    pub fn orderly(&self) -> bool {
        self.words.settings.orderly.load(Ordering::Acquire) != 0
    }

    /// SO_LINGER.
    pub fn linger(&self) -> Linger {
        Linger::parse(self.words.settings.linger.load(Ordering::Relaxed))
    }

    /// O_NONBLOCK as it stands.
    pub fn nonblocking(&self) -> bool {
        self.words.settings.nonblocking.load(Ordering::Relaxed) != 0
    }

    /// Ends the stream to the application: behind the bytes that were published, reads give 0 or
    /// the error; poll says `POLLIN | POLLRDHUP` for good. Set an error before it.
    pub fn finish_receive(&self, how: ReadEnd, end: &impl EngineEnd) {
        // Release: who sees the end sees the tail before it, too.
        self.words
            .status
            .read_end
            .store(how.word(), Ordering::Release);
        end.finish();
    }

    /// After a connect that failed, once no worker serves the socket: it is as before, with an error
    /// (an errno) pending, and pollers are told. Nothing was carried by its rings.
    pub fn reopen(&self, errno: u32, end: &impl EngineEnd) {
        self.set_error(errno);
        fence(Ordering::SeqCst);
        // Before the state: who sees that takes the token out.
        self.words
            .readiness
            .signal(Occasion::Kick, self.ready_list(), end);
        self.set_state(SlotState::Open);
        self.force_writable(end);
    }

    /// Makes the descriptor writable whatever the ring holds: connected, failed, or over. Call it
    /// after the state is set.
    pub fn force_writable(&self, end: &impl EngineEnd) {
        self.words.writability.unblock(end);
    }
}

/// A socket's two rings, with the engine's private indices. One worker owns it.
///
/// A turn: [`refresh_transmit`](Self::refresh_transmit), [`peek`](Self::peek) and
/// [`advance`](Self::advance); [`refresh_receive`](Self::refresh_receive) and
/// [`write`](Self::write); then [`publish`](Self::publish), once. After a kick:
/// [`answer_kick`](Self::answer_kick) first. With bytes left and no room: [`stall`](Self::stall).
#[derive(Debug)]
pub struct EngineSlot {
    handle: SlotHandle,
    side: EngineSide,
}

impl EngineSlot {
    /// The socket.
    pub fn handle(&self) -> &SlotHandle {
        &self.handle
    }

    /// Looks how much the application has sent; bytes that wait.
    pub fn refresh_transmit(&mut self) -> Result<usize, Violation> {
        self.side.refresh_transmit(&self.handle.words)
    }

    /// Bytes that wait, as of the last look.
    pub fn transmit_available(&self) -> usize {
        self.side.transmit_available()
    }

    /// MSG_MORE: of the bytes that wait, those that are to go at once; what follows waits for more.
    /// `None`: nothing is held back.
    pub fn transmit_unheld(&self) -> Option<usize> {
        self.side.transmit_unheld(&self.handle.words)
    }

    /// Copies bytes that stand `skip` behind the next one, as of the last look; how many.
    pub fn peek(&self, skip: usize, into: &mut [u8]) -> usize {
        self.side.peek(skip, into)
    }

    /// Takes bytes away that were copied.
    pub fn advance(&mut self, count: usize) {
        self.side.advance(count);
    }

    /// Looks how much the application has read; bytes of room.
    pub fn refresh_receive(&mut self) -> Result<usize, Violation> {
        self.side.refresh_receive(&self.handle.words)
    }

    /// Room for the application's bytes, as of the last look.
    pub fn receive_room(&self) -> usize {
        self.side.receive_room()
    }

    /// Bytes that the application has not read, as of the last look.
    pub fn receive_unread(&self) -> usize {
        self.side.receive_unread()
    }

    /// Writes bytes for the application, as many as there is room for; how many.
    pub fn write(&mut self, from: &[u8]) -> usize {
        self.side.write(from)
    }

    /// Shows the application what was taken and written since the last call, and wakes it if it
    /// sleeps for that.
    pub fn publish(&mut self, end: &impl EngineEnd) {
        let handle = &self.handle;
        self.side.publish(&handle.words, handle.ready_list(), end);
    }

    /// As [`publish`](Self::publish), but leaves a reader asleep while less than half the ring is
    /// unread. `true`: one may sleep there; call `publish` soon.
    #[must_use = "somebody may be left asleep"]
    pub fn publish_without_waking(&mut self, end: &impl EngineEnd) -> bool {
        let handle = &self.handle;
        self.side
            .publish_without_waking(&handle.words, handle.ready_list(), end)
    }

    /// Looks at both indices, and brings the descriptor's readiness up to date, as an application
    /// that kicks may want: it has sent, has read what we stalled for, or watches from now on.
    pub fn answer_kick(&mut self, end: &impl EngineEnd) -> Result<(), Violation> {
        let handle = &self.handle;
        self.side
            .answer_kick(&handle.words, handle.ready_list(), end)
    }

    /// Asks for a kick once there is room again. `false`: there is room now, go on.
    pub fn stall(&mut self) -> Result<bool, Violation> {
        self.side.stall(&self.handle.words)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct BlockIndices {
    commands_head: u64,
    completions_tail: u64,
}

/// The control thread's side of all thread blocks of a region.
#[derive(Debug)]
pub struct CommandServer {
    region: EngineRegion,
    indices: Vec<BlockIndices>,
}

impl CommandServer {
    /// Hands every thread block that has rung to `serve`, once; whether there was any.
    pub fn take_calls(&self, mut serve: impl FnMut(u32)) -> bool {
        let threads = self.region.layout.threads();
        self.region.command_doorbell().take(|thread| {
            if thread < threads {
                serve(thread);
            }
        })
    }

    /// Announces a sleep. `false`: there are calls to take first.
    #[must_use = "sleep only if this says so"]
    pub fn prepare_sleep(&self) -> bool {
        self.region.command_doorbell().prepare_sleep()
    }

    /// The control thread is awake, and nobody need ring.
    pub fn awake(&self) {
        self.region.command_doorbell().awake();
    }

    /// The next command of a thread block. A command that does not parse is a violation.
    pub fn next_command(&mut self, thread: u32) -> Result<Option<Command>, Violation> {
        let (Some(block), Some(indices)) = (
            self.region.block(thread),
            self.indices.get_mut(thread as usize),
        ) else {
            return Ok(None);
        };
        let Some(entry) = block.commands.pop(&mut indices.commands_head)? else {
            return Ok(None);
        };
        Command::parse(&entry).map(Some)
    }

    /// Copies what came with a command. The length is that of the command, as parsed.
    pub fn argument(&self, thread: u32, command: &Command) -> Vec<u8> {
        let mut argument = vec![0; (command.data_length as usize).min(ARGUMENT_BYTES)];
        if let Some(bytes) = self.argument_bytes(thread) {
            bytes.read(0, &mut argument);
        }
        argument
    }

    /// Answers a command, with `data` (at most [`ARGUMENT_BYTES`]) beside it, and wakes the thread.
    /// A ring that is full belongs to an application that asks and never listens: a violation.
    pub fn complete(
        &mut self,
        thread: u32,
        id: u64,
        result: i64,
        data: &[u8],
    ) -> Result<(), Violation> {
        let bytes = self.argument_bytes(thread);
        let (Some(block), Some(bytes), Some(indices)) = (
            self.region.block(thread),
            bytes,
            self.indices.get_mut(thread as usize),
        ) else {
            return Ok(());
        };
        let data = data
            .get(..data.len().min(ARGUMENT_BYTES))
            .unwrap_or_default();
        bytes.write(0, data);
        let completion = Completion {
            id,
            result,
            data_length: data.len() as u32,
        };
        let tail = &mut indices.completions_tail;
        if !block.completions.push(tail, &completion.entry())? {
            return Err(Violation::new(
                "a ring of completions is full",
                *tail,
                *tail,
            ));
        }
        block.doorbell.0.fetch_add(1, Ordering::Release);
        futex_wake(&block.doorbell.0, u32::MAX >> 1);
        Ok(())
    }

    fn argument_bytes(&self, thread: u32) -> Option<SharedBytes> {
        let block = self.region.layout.thread_offset(thread)?;
        let offset = block + offset_of!(ThreadBlockWords, argument) as u64;
        self.region
            .memory
            .shared_bytes(offset, ARGUMENT_BYTES as u64)
    }
}
