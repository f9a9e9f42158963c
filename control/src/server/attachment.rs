//! An application's region: its memory, its slots, and who it belongs to.

use std::collections::VecDeque;
use std::fs;

use braid_dataplane::application::RegionId;
use braid_shm::layout::RegionLayout;
use braid_shm::memory::MemoryError;
use braid_shm::{CommandServer, EngineRegion, SlotFlags, SlotHandle};

use super::packets::Credentials;
use super::table::Key;
use crate::config::{Config, ProgramRule};

/// As many slots rest after their sockets before they are used again, while there are fresh ones.
const RESTING: usize = 64;

/// A region and its sockets.
#[derive(Debug)]
pub(super) struct Attachment {
    /// Unique in the engine's life, as the application knows it.
    pub(super) serial: u64,
    pub(super) region: EngineRegion,
    pub(super) commands: CommandServer,
    /// Who made it; a socket of it is handed to nobody else.
    pub(super) owner: Credentials,
    /// The name of its executable file, for the log and for the rules.
    pub(super) program: String,
    /// What its program gets in place of the defaults.
    pub(super) rule: Option<ProgramRule>,
    /// The socket in each slot.
    slots: Box<[Option<Key>]>,
    /// Slots that were given back, oldest first.
    free: VecDeque<u32>,
    /// Slots from here on have never been used.
    unused: u32,
    sockets: usize,
    /// The control connection that made it is there.
    pub(super) attached: bool,
}

impl Attachment {
    /// A new region for the process `owner`.
    pub(super) fn create(
        serial: u64,
        config: &Config,
        owner: Credentials,
    ) -> Result<Self, MemoryError> {
        let limits = config.applications;
        let layout = RegionLayout::new(limits.sockets, limits.threads, limits.ring_bytes)
            .and_then(|layout| layout.with_workers(config.workers.get().into()))
            .map_err(|_| MemoryError::Header)?;
        let region = EngineRegion::create(layout)?;
        let program = program_of(owner.process);
        Ok(Self {
            serial,
            commands: region.command_server(),
            region,
            owner,
            rule: config
                .programs
                .iter()
                .find(|rule| rule.name == program)
                .cloned(),
            program,
            slots: vec![None; limits.sockets as usize].into(),
            free: VecDeque::new(),
            unused: 0,
            sockets: 0,
            attached: true,
        })
    }

    /// Opens a free slot. `None` when all are in use.
    pub(super) fn open_slot(&mut self, flags: SlotFlags) -> Option<SlotHandle> {
        let unused = (self.unused < self.region.layout().sockets()).then_some(self.unused);
        let slot = match unused {
            // A slot rests, so that a thread that races with its own close() meets no new socket.
            Some(unused) if self.free.len() < RESTING => {
                self.unused += 1;
                unused
            }
            _ => self.free.pop_front()?,
        };
        let handle = self.region.open_slot(slot, flags)?;
        self.sockets += 1;
        Some(handle)
    }

    /// Says which socket is in a slot.
    pub(super) fn set_socket(&mut self, slot: u32, socket: Key) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(socket);
        }
    }

    /// The socket in a slot.
    pub(super) fn socket(&self, slot: u32) -> Option<Key> {
        self.slots.get(slot as usize).copied().flatten()
    }

    /// All sockets.
    pub(super) fn sockets(&self) -> Vec<Key> {
        self.slots.iter().flatten().copied().collect()
    }

    /// Gives up a slot for as long as there is the region: a worker that does not answer may yet write to it.
    pub(super) fn abandon_slot(&mut self, handle: &SlotHandle) {
        if let Some(place) = self.slots.get_mut(handle.slot() as usize) {
            *place = None;
        }
        self.sockets = self.sockets.saturating_sub(1);
    }

    /// Takes back a slot that the worker does not use any more, with its memory.
    pub(super) fn release_slot(&mut self, handle: &SlotHandle) {
        self.abandon_slot(handle);
        if let Err(error) = self.region.release_slot(handle) {
            eprintln!("braid: the memory of a socket stays in use: {error}");
        }
        self.free.push_back(handle.slot());
    }

    /// Whether nobody has it any more: who took over a socket of it has that socket.
    pub(super) fn is_deserted(&self) -> bool {
        !self.attached && self.sockets == 0
    }
}

/// The region of an attachment as the worker knows it.
pub(super) fn region_id(attachment: Key) -> RegionId {
    RegionId {
        index: attachment.index(),
        generation: attachment.generation(),
    }
}

/// The attachment of a region that the worker names.
pub(super) fn key_of(region: RegionId) -> Key {
    Key::of_parts(region.index, region.generation)
}

/// The name of the executable file of a process, or of the process itself where that is kept from
/// us.
fn program_of(process: i32) -> String {
    let file = fs::read_link(format!("/proc/{process}/exe"));
    let name = file
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.or_else(|| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        Some(name.trim_end().to_owned())
    })
    .unwrap_or_default()
}
