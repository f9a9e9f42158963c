//! Letters that wait to be carried to other workers: one queue for each of them, in order.
//!
//! Letters are never lost, so these queues are bounded by what may be under way: data by the windows
//! of its subflows, the rest by a few for each subflow. Whoever carries the letters may have no
//! room: from then until the queue is empty it is full, and segments that would add data to it are
//! dropped before TCP acknowledges them. Acknowledgments and options of a peer are still taken, until
//! the queue is twice a turn's worth of letters long and overflows: a peer may send any number of them.

use super::letter::Letter;
use super::steering::{Place, WorkerId};
use std::collections::VecDeque;

/// Letters that one turn may leave for one worker before its queue counts as full.
const TURN: usize = 4_096;

/// The letters for one worker.
#[derive(Debug, Default)]
struct Queue {
    letters: VecDeque<Letter>,
    /// There was no room for one of them when it was to be carried.
    refused: bool,
    /// The worker is gone: nobody carries them.
    lost: bool,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.refused || self.letters.len() >= TURN
    }

    fn overflows(&self) -> bool {
        self.letters.len() >= 2 * TURN
    }
}

/// The letters for all other workers; a stack alone has none.
#[derive(Debug, Default)]
pub(super) struct Outboxes {
    queues: Vec<Queue>,
    own: WorkerId,
    /// Letters to workers that are gone.
    dropped: u64,
}

impl Outboxes {
    pub(super) fn new(place: &Place) -> Self {
        let workers = match place.is_alone() {
            true => 0,
            false => place.steering().workers(),
        };
        Self {
            queues: (0..workers).map(|_| Queue::default()).collect(),
            own: place.worker(),
            dropped: 0,
        }
    }

    /// Adds a letter. One to a worker that there is not goes nowhere.
    pub(super) fn push(&mut self, to: WorkerId, letter: Letter) {
        match self.queues.get_mut(to.index()) {
            Some(queue) if queue.lost => self.dropped += 1,
            Some(queue) => queue.letters.push_back(letter),
            None => {}
        }
    }

    /// Drops what waits for a worker, and all that will be written to it: it is gone. False when
    /// that is known, there is none of that number, or it is this one.
    pub(super) fn lose(&mut self, worker: WorkerId) -> bool {
        let own = worker == self.own;
        let queue = self.queues.get_mut(worker.index());
        let Some(queue) = queue.filter(|queue| !own && !queue.lost) else {
            return false;
        };
        self.dropped += queue.letters.len() as u64;
        *queue = Queue {
            lost: true,
            ..Queue::default()
        };
        true
    }

    /// A worker is gone.
    pub(super) fn is_lost(&self, worker: WorkerId) -> bool {
        self.queues
            .get(worker.index())
            .is_some_and(|queue| queue.lost)
    }

    /// Letters to workers that are gone, so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the oldest letter to a worker.
    pub(super) fn pop(&mut self, to: WorkerId) -> Option<Letter> {
        let queue = self.queues.get_mut(to.index())?;
        let letter = queue.letters.pop_front();
        queue.refused &= letter.is_some();
        letter
    }

    /// Takes back the letter last taken, for which there was no room.
    pub(super) fn refuse(&mut self, to: WorkerId, letter: Letter) {
        match self.queues.get_mut(to.index()) {
            Some(queue) if queue.lost => self.dropped += 1,
            Some(queue) => {
                queue.letters.push_front(letter);
                queue.refused = true;
            }
            None => {}
        }
    }

    /// How many letters wait for a worker.
    pub(super) fn waiting(&self, to: WorkerId) -> usize {
        self.queues
            .get(to.index())
            .map_or(0, |queue| queue.letters.len())
    }

    /// A worker takes no further data for now.
    pub(super) fn is_full(&self, to: WorkerId) -> bool {
        self.queues.get(to.index()).is_some_and(Queue::is_full)
    }

    /// A worker takes nothing more for now of what peers say.
    pub(super) fn overflows(&self, to: WorkerId) -> bool {
        self.queues.get(to.index()).is_some_and(Queue::overflows)
    }

    /// Letters that wait, and the bytes of memory of the frames of received data they carry.
    pub(super) fn usage(&self) -> (usize, usize) {
        let letters = || self.queues.iter().flat_map(|queue| &queue.letters);
        (letters().count(), letters().map(Letter::carried).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::steering::{FlowHash, Steering};
    use super::*;

    fn place(workers: u8) -> Place {
        let steering = Steering::new(workers, FlowHash::Ports).unwrap();
        Place::new(WorkerId::FIRST, steering).unwrap()
    }

    #[test]
    fn a_refused_letter_is_the_next_again_and_the_queue_full_until_it_is_empty() {
        let mut outboxes = Outboxes::new(&place(2));
        let to = WorkerId::new(1);
        for number in 1..=3 {
            outboxes.push(to, Letter::numbered(number));
        }
        assert!(!outboxes.is_full(to));
        let first = outboxes.pop(to).unwrap();
        outboxes.refuse(to, first);
        for number in 1..=3 {
            assert!(outboxes.is_full(to));
            assert_eq!(outboxes.pop(to).unwrap().number(), number);
        }
        assert!(outboxes.is_full(to), "that it is empty is not known yet");
        assert!(outboxes.pop(to).is_none());
        assert!(!outboxes.is_full(to));
    }

    #[test]
    fn letters_to_a_worker_that_is_gone_are_counted_and_kept_from_nobody_else() {
        let mut outboxes = Outboxes::new(&place(3));
        let (gone, other) = (WorkerId::new(1), WorkerId::new(2));
        outboxes.push(gone, Letter::numbered(1));
        let letter = outboxes.pop(gone).unwrap();
        outboxes.refuse(gone, letter);
        assert!(outboxes.lose(gone));
        assert!(!outboxes.lose(gone), "it is known");
        assert!(!outboxes.lose(WorkerId::FIRST), "it is this one");
        assert!(!outboxes.lose(WorkerId::new(7)), "there is none");
        outboxes.push(gone, Letter::numbered(2));
        outboxes.push(other, Letter::numbered(3));
        assert!(outboxes.is_lost(gone) && !outboxes.is_full(gone));
        assert!(outboxes.pop(gone).is_none());
        assert_eq!(outboxes.dropped(), 2);
        assert_eq!(outboxes.pop(other).unwrap().number(), 3);
    }

    #[test]
    fn a_stack_alone_has_nobody_to_write_to() {
        let mut outboxes = Outboxes::new(&place(1));
        outboxes.push(WorkerId::FIRST, Letter::numbered(1));
        assert_eq!(outboxes.usage(), (0, 0));
        assert!(outboxes.pop(WorkerId::FIRST).is_none());
    }
}
