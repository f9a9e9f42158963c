//! Subflows that may have something to send, each in its turn. They wait by the port they send by: where one
//! port takes no more, its subflows keep their places without being asked one after the other, and those of
//! other ports have their turns.

use super::batch::PortId;
use super::subflow::SubflowKey;
use std::collections::VecDeque;

/// One order of all, in a queue for each port.
#[derive(Debug, Default)]
pub(super) struct Ready {
    ports: Vec<OfPort>,
    /// How many were ever added: the place of the next one.
    added: u64,
}

#[derive(Debug)]
struct OfPort {
    port: PortId,
    subflows: VecDeque<Waiting>,
    /// Nothing more goes out by it in this transmission.
    full: bool,
    /// How many went while they may have waited here, since the last were taken out.
    gone: usize,
}

/// A subflow, and its place in the order of all.
#[derive(Copy, Clone, Debug)]
pub(super) struct Waiting {
    place: u64,
    pub(super) key: SubflowKey,
}

impl Ready {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ports.iter().map(|of| of.subflows.len()).sum()
    }

    fn of(&mut self, port: PortId) -> &mut OfPort {
        let known = self.ports.iter().position(|of| of.port == port);
        let index = known.unwrap_or_else(|| {
            self.ports.push(OfPort {
                port,
                subflows: VecDeque::new(),
                full: false,
                gone: 0,
            });
            self.ports.len() - 1
        });
        &mut self.ports[index]
    }

    /// Adds one behind all others.
    pub(super) fn push(&mut self, port: PortId, key: SubflowKey) {
        let place = self.added;
        self.added += 1;
        self.of(port).subflows.push_back(Waiting { place, key });
    }

    /// All ports are asked again.
    pub(super) fn begin(&mut self) {
        for of in &mut self.ports {
            of.full = false;
        }
    }

    /// The next one whose port may take something.
    pub(super) fn pop(&mut self) -> Option<(PortId, Waiting)> {
        let open = self.ports.iter_mut().filter(|of| !of.full);
        let first = |of: &&mut OfPort| of.subflows.front().map_or(u64::MAX, |first| first.place);
        let of = open.min_by_key(first)?;
        Some((of.port, of.subflows.pop_front()?))
    }

    /// The port has no room for this one: it keeps its place, and until the next [`Self::begin`] the port is
    /// not asked for others.
    pub(super) fn put_back(&mut self, port: PortId, waiting: Waiting) {
        let of = self.of(port);
        of.subflows.push_front(waiting);
        of.full = true;
    }

    /// A subflow is gone that may have waited for the port. Once many are, those that are not `left` lose
    /// their places.
    pub(super) fn note_gone(&mut self, port: PortId, left: impl Fn(SubflowKey) -> bool) {
        let of = self.of(port);
        of.gone += 1;
        if of.gone > of.subflows.len() / 2 {
            of.gone = 0;
            of.subflows.retain(|waiting| left(waiting.key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::slab::Key;

    const PORTS: [PortId; 2] = [PortId(0), PortId(1)];

    fn key(number: u64) -> SubflowKey {
        Key::from_u64(number)
    }

    fn ready(subflows: impl IntoIterator<Item = (usize, u64)>) -> Ready {
        let mut ready = Ready::default();
        for (port, number) in subflows {
            ready.push(PORTS[port], key(number));
        }
        ready
    }

    fn popped(ready: &mut Ready) -> Vec<u64> {
        let next = || ready.pop().map(|(_, waiting)| waiting.key.to_u64());
        core::iter::from_fn(next).collect()
    }

    #[test]
    fn all_have_their_turn_in_the_order_they_came() {
        let mut ready = ready([(0, 1), (0, 2), (1, 3), (0, 4), (1, 5)]);
        assert_eq!(ready.len(), 5);
        assert_eq!(popped(&mut ready), [1, 2, 3, 4, 5]);
        assert_eq!(ready.len(), 0);
    }

    #[test]
    fn a_full_port_holds_up_its_own_alone_which_keep_their_places() {
        let mut ready = ready([(0, 1), (1, 2), (0, 3), (1, 4), (0, 5)]);
        let (port, first) = ready.pop().unwrap();
        assert_eq!(port, PORTS[0]);
        ready.put_back(port, first);
        assert_eq!(popped(&mut ready), [2, 4]);
        ready.begin();
        assert_eq!(popped(&mut ready), [1, 3, 5]);
    }

    #[test]
    fn those_that_are_gone_take_no_more_places_than_those_that_are_left() {
        let mut ready = ready([(0, 0)]);
        for number in 1..1_000 {
            ready.push(PORTS[0], key(number));
            ready.note_gone(PORTS[0], |key| key.to_u64() == 0);
            assert!(ready.len() <= 3, "{} places", ready.len());
        }
        assert_eq!(popped(&mut ready)[0], 0);
    }
}
