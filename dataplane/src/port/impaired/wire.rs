//! What the frames of a port pass after it, whichever queue they were sent by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use braid_engine::random::Random;
use braid_engine::stack::ReceiveMeta;
use braid_engine::testing::link::{Link, Transit};
use braid_engine::testing::middlebox::{Direction, Middlebox};
use braid_engine::time::Instant;

use super::Impairments;

/// What every frame passes that a port sends.
pub(super) struct Wire {
    direction: Direction,
    pub(super) middleboxes: Vec<Middlebox>,
    pub(super) link: Link,
}

impl Wire {
    pub(super) fn new(impairments: &Impairments) -> Self {
        let random = Random::from_u64(impairments.seed);
        let fork = |label: &str| random.fork(&format!("{label} {:?}", impairments.direction));
        let mut middleboxes: Vec<Middlebox> = impairments
            .middleboxes
            .iter()
            .enumerate()
            .map(|(index, kind)| Middlebox::new(kind.clone(), fork(&format!("box {index}"))))
            .collect();
        if impairments.direction == Direction::Back {
            middleboxes.reverse();
        }
        Self {
            direction: impairments.direction,
            middleboxes,
            link: Link::new(impairments.link, fork("link")),
        }
    }

    /// Puts a frame on its way.
    pub(super) fn send(&mut self, now: Instant, frame: Vec<u8>) {
        self.pass(now, 0, frame);
    }

    /// Passes a frame through the middleboxes from number `first` on, and onto the link.
    fn pass(&mut self, now: Instant, first: usize, frame: Vec<u8>) {
        let mut frames = vec![frame];
        for middlebox in self.middleboxes.iter_mut().skip(first) {
            let enter = |frame| middlebox.process(now, self.direction, frame);
            frames = frames.into_iter().flat_map(enter).collect();
        }
        for bytes in frames {
            let meta = ReceiveMeta::default();
            self.link.send(now, &Transit { bytes, meta });
        }
    }

    /// Lets go what middleboxes held back for long enough.
    pub(super) fn release(&mut self, now: Instant) {
        for index in 0..self.middleboxes.len() {
            while let Some((_, frame)) = self.middleboxes[index].release(now) {
                self.pass(now, index + 1, frame);
            }
        }
    }

    /// When something that was sent moves on.
    pub(super) fn due(&self) -> Option<Instant> {
        let releases = self.middleboxes.iter().map(Middlebox::next_release);
        releases.chain([self.link.next_arrival()]).flatten().min()
    }
}

/// The same for all queues of a port.
#[derive(Clone)]
pub(super) struct SharedWire(Arc<Mutex<Wire>>);

impl SharedWire {
    pub(super) fn new(impairments: &Impairments) -> Self {
        Self(Arc::new(Mutex::new(Wire::new(impairments))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Wire> {
        // A panic in the thread of another queue leaves at worst a frame that is lost.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
