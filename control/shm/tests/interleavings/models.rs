//! A socket whose descriptor is two counters.

use crate::doorbell::Doorbell;
use crate::lock::ThreadId;
use crate::slot::application::{ApplicationSide, Done};
use crate::slot::ends::{ApplicationEnd, EngineEnd};
use crate::slot::engine::EngineSide;
use crate::slot::readiness::ReadyList;
use crate::slot::unsent::{Splitting, Unsent};
use crate::slot::words::SocketSlot;
use crate::sync::{AtomicU32, AtomicU64, Ordering, SharedBytes};
use loom::sync::Arc;

/// Both directions' packets in a socket's pair of ends.
#[derive(Debug, Default)]
pub(crate) struct Descriptor {
    tokens: AtomicU32,
    filler: AtomicU32,
}

impl Descriptor {
    pub(crate) fn is_readable(&self) -> bool {
        self.tokens() > 0
    }

    pub(crate) fn tokens(&self) -> u32 {
        self.tokens.load(Ordering::Acquire)
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.filler.load(Ordering::Acquire) == 0
    }
}

fn take_packet(packets: &AtomicU32) -> bool {
    packets
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |packets| {
            packets.checked_sub(1)
        })
        .is_ok()
}

impl EngineEnd for Descriptor {
    fn put_token(&self) {
        self.tokens.fetch_add(1, Ordering::AcqRel);
    }

    fn take_filler(&self) -> bool {
        take_packet(&self.filler)
    }

    fn finish(&self) {}
}

impl ApplicationEnd for Descriptor {
    fn take_token(&self) -> bool {
        take_packet(&self.tokens)
    }

    fn fill(&self) {
        if self.is_writable() {
            self.filler.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The application's doorbell.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    summary: [AtomicU64; 1],
    words: [AtomicU64; 1],
    sleeping: AtomicU32,
}

impl Ready {
    pub(crate) fn doorbell(&self) -> Doorbell<'_> {
        Doorbell {
            summary: &self.summary,
            words: &self.words,
            sleeping: &self.sleeping,
        }
    }
}

/// A socket with rings of `capacity` bytes.
#[derive(Clone)]
pub(crate) struct Socket {
    pub(crate) slot: Arc<SocketSlot>,
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) ready: Arc<Ready>,
    transmit: SharedBytes,
    receive: SharedBytes,
}

pub(crate) const READER: ThreadId = ThreadId::new(1);
pub(crate) const SECOND: ThreadId = ThreadId::new(2);

impl Socket {
    pub(crate) fn new(capacity: usize) -> (Self, EngineSide) {
        let bytes = || SharedBytes::holding(&vec![0; capacity]);
        let (transmit, receive) = (bytes(), bytes());
        let (slot, descriptor, ready) = (Arc::default(), Arc::default(), Arc::default());
        (
            Self {
                slot,
                descriptor,
                ready,
                transmit,
                receive,
            },
            EngineSide::new(transmit, receive),
        )
    }

    pub(crate) fn list(&self) -> ReadyList<'_> {
        ReadyList {
            doorbell: self.ready.doorbell(),
            slot: 0,
        }
    }

    pub(crate) fn application(&self) -> ApplicationSide<'_> {
        ApplicationSide {
            slot: &self.slot,
            transmit: self.transmit,
            receive: self.receive,
        }
    }

    /// A send of as much as there is room for.
    pub(crate) fn send(&self, thread: ThreadId, bytes: &[u8]) -> Done {
        self.send_as(thread, bytes, Splitting::AsNeeded)
    }

    pub(crate) fn send_as(&self, thread: ThreadId, bytes: &[u8], splitting: Splitting) -> Done {
        self.application()
            .send(thread, &mut Unsent::one(bytes), splitting)
            .expect("honest words")
    }

    /// A receive of at most `most` bytes: what it gave, and whether it kicks.
    pub(crate) fn receive(&self, thread: ThreadId, most: usize) -> (Vec<u8>, bool) {
        let mut bytes = vec![0; most];
        let done = self
            .application()
            .receive(thread, &mut bytes, &*self.descriptor)
            .expect("honest words");
        bytes.truncate(done.bytes);
        (bytes, done.kick)
    }

    /// The engine writes and publishes.
    pub(crate) fn arrive(&self, engine: &mut EngineSide, bytes: &[u8]) -> usize {
        engine.refresh_receive(&self.slot).expect("honest words");
        let count = engine.write(bytes);
        engine.publish(&self.slot, self.list(), &*self.descriptor);
        count
    }

    /// The engine writes and publishes, and wakes who sleeps only afterwards.
    pub(crate) fn arrive_quietly(&self, engine: &mut EngineSide, bytes: &[u8]) {
        engine.refresh_receive(&self.slot).expect("honest words");
        engine.write(bytes);
        if engine.publish_without_waking(&self.slot, self.list(), &*self.descriptor) {
            engine.refresh_receive(&self.slot).expect("honest words");
            engine.publish(&self.slot, self.list(), &*self.descriptor);
        }
    }

    /// The engine takes what there is, up to `most`, and publishes.
    pub(crate) fn take(&self, engine: &mut EngineSide, most: usize) -> Vec<u8> {
        engine.refresh_transmit(&self.slot).expect("honest words");
        let mut bytes = vec![0; most];
        let count = engine.peek(0, &mut bytes);
        bytes.truncate(count);
        engine.advance(count);
        engine.publish(&self.slot, self.list(), &*self.descriptor);
        bytes
    }
}

/// Tries all interleavings with at most `preemptions` switches that no thread asked for.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
