//! Subflows that may have something to send, by the port it goes out by: where one port takes no more, its
//! subflows wait without being asked one after the other, and those of other ports have their turns.

use super::batch::PortId;
use super::subflow::SubflowKey;
use std::collections::VecDeque;

/// A queue for each port, of which each has its turn.
#[derive(Debug, Default)]
pub(super) struct Ready {
    ports: Vec<OfPort>,
    /// Whose turn is next.
    turn: usize,
}

#[derive(Debug)]
struct OfPort {
    port: PortId,
    subflows: VecDeque<SubflowKey>,
    /// Nothing more goes out by it in this transmission.
    full: bool,
}

impl Ready {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ports.iter().map(|of| of.subflows.len()).sum()
    }

    /// Adds one behind those of the same port.
    pub(super) fn push(&mut self, port: PortId, key: SubflowKey) {
        let known = self.ports.iter_mut().find(|of| of.port == port);
        match known {
            Some(of) => of.subflows.push_back(key),
            None => self.ports.push(OfPort {
                port,
                subflows: VecDeque::from([key]),
                full: false,
            }),
        }
    }

    /// All ports are asked again.
    pub(super) fn begin(&mut self) {
        for of in &mut self.ports {
            of.full = false;
        }
    }

    /// The port takes no more until the next [`Self::begin`].
    pub(super) fn note_full(&mut self, port: PortId) {
        for of in self.ports.iter_mut().filter(|of| of.port == port) {
            of.full = true;
        }
    }

    /// The next one whose port may take something.
    pub(super) fn pop(&mut self) -> Option<(PortId, SubflowKey)> {
        for _ in 0..self.ports.len() {
            self.turn = (self.turn + 1) % self.ports.len();
            let of = self.ports.get_mut(self.turn).filter(|of| !of.full);
            if let Some(of) = of
                && let Some(key) = of.subflows.pop_front()
            {
                return Some((of.port, key));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::slab::Key;

    fn key(number: u64) -> SubflowKey {
        Key::from_u64(number)
    }

    fn popped(ready: &mut Ready) -> Vec<(u16, u64)> {
        let next = || ready.pop().map(|(port, key)| (port.0, key.to_u64()));
        core::iter::from_fn(next).collect()
    }

    #[test]
    fn ports_take_turns_and_those_of_a_port_keep_their_order() {
        let mut ready = Ready::default();
        for (port, number) in [(0, 1), (0, 2), (1, 3), (0, 4), (1, 5)] {
            ready.push(PortId(port), key(number));
        }
        assert_eq!(ready.len(), 5);
        let expected = [(1, 3), (0, 1), (1, 5), (0, 2), (0, 4)];
        assert_eq!(popped(&mut ready), expected);
        assert_eq!(ready.len(), 0);
    }

    #[test]
    fn a_full_port_holds_up_its_own_alone_and_no_longer_than_it_is_full() {
        let mut ready = Ready::default();
        for number in 0..3 {
            ready.push(PortId(0), key(number));
            ready.push(PortId(1), key(10 + number));
        }
        ready.note_full(PortId(0));
        assert_eq!(popped(&mut ready), [(1, 10), (1, 11), (1, 12)]);
        assert_eq!(ready.len(), 3);
        ready.begin();
        assert_eq!(popped(&mut ready), [(0, 0), (0, 1), (0, 2)]);
    }
}
