//! Deadlines of many owners: a hierarchical timing wheel (Varghese and Lauck, 1987).
//!
//! An owner has at most one entry here, its earliest deadline; what is due at that point it knows
//! itself. Setting, moving and cancelling take constant time; a timer is touched again only when
//! it comes nearer than a sixty-fourth of its distance, at most eight times in all.

use super::slab::{Key, Slab};
use crate::time::Instant;

/// A tick is 2^10 ns, about a microsecond. Nine levels of 64 slots then cover all 64 bits of an
/// [`Instant`], so no deadline lies beyond the wheel.
const TICK_SHIFT: u32 = 10;
const LEVELS: usize = 9;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// Names one pending timer.
pub type TimerId<T> = Key<Entry<T>>;

/// A pending timer as the wheel keeps it.
#[derive(Debug)]
pub struct Entry<T> {
    token: T,
    at: Instant,
    /// Breaks ties: the timer set first fires first.
    order: u64,
    level: u8,
    slot: u8,
    previous: Option<TimerId<T>>,
    next: Option<TimerId<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    first: Option<TimerId<T>>,
    last: Option<TimerId<T>>,
}

impl<T> Slot<T> {
    const EMPTY: Self = Self {
        first: None,
        last: None,
    };
}

#[derive(Debug)]
struct Level<T> {
    /// Bit `n` is set while slot `n` has an entry.
    occupied: u64,
    slots: [Slot<T>; SLOTS],
}

/// Pending timers, each with a token that says whose it is.
///
/// Timers fire never early and, if asked in time, never late: in the order of their deadlines,
/// and those of the same deadline in the order in which they were set.
#[derive(Debug)]
pub struct TimerWheel<T> {
    entries: Slab<Entry<T>>,
    levels: Box<[Level<T>; LEVELS]>,
    /// Everything before this tick has fired. An entry sits on the level of the highest group of
    /// six bits in which its tick differs from this one, so it lies ahead of the wheel's hand.
    current: u64,
    next_order: u64,
}

impl<T: Copy> TimerWheel<T> {
    /// A wheel without timers that takes at most `max` of them, its hand at `now`.
    pub fn new(now: Instant, max: usize) -> Self {
        let level = || Level {
            occupied: 0,
            slots: [const { Slot::EMPTY }; SLOTS],
        };
        Self {
            entries: Slab::new(max),
            levels: Box::new(core::array::from_fn(|_| level())),
            current: tick(now),
            next_order: 0,
        }
    }

    /// Sets a timer. `None` when the wheel holds as many as it may.
    pub fn schedule(&mut self, token: T, at: Instant) -> Option<TimerId<T>> {
        let order = self.take_order();
        let entry = Entry {
            token,
            at,
            order,
            level: 0,
            slot: 0,
            previous: None,
            next: None,
        };
        let id = self.entries.insert(entry).ok()?;
        self.link(id);
        Some(id)
    }

    /// Moves a timer. False when it has fired or was cancelled: then set a new one.
    pub fn reschedule(&mut self, id: TimerId<T>, at: Instant) -> bool {
        match self.entries.get(id) {
            None => return false,
            Some(entry) if entry.at == at => return true,
            Some(_) => self.unlink(id),
        }
        let order = self.take_order();
        if let Some(entry) = self.entries.get_mut(id) {
            entry.at = at;
            entry.order = order;
        }
        self.link(id);
        true
    }

    /// Takes a timer back and returns its token, if it is still pending.
    pub fn cancel(&mut self, id: TimerId<T>) -> Option<T> {
        if self.entries.contains(id) {
            self.unlink(id);
        }
        self.entries.remove(id).map(|entry| entry.token)
    }

    /// Makes the owner's one timer agree with its earliest deadline: sets, moves or cancels it.
    /// `timer` may name one that has fired. False when the wheel is full and nothing was set.
    pub fn set(&mut self, timer: &mut Option<TimerId<T>>, token: T, at: Option<Instant>) -> bool {
        let Some(at) = at else {
            if let Some(id) = timer.take() {
                self.cancel(id);
            }
            return true;
        };
        if timer.is_some_and(|id| self.reschedule(id, at)) {
            return true;
        }
        *timer = self.schedule(token, at);
        timer.is_some()
    }

    /// The next timer due by `now`, which is pending no more, or `None` when all have fired.
    pub fn pop_expired(&mut self, now: Instant) -> Option<T> {
        let present = tick(now);
        while let Some((level, slot, start)) = self.next_slot() {
            if start > present {
                break;
            }
            self.current = self.current.max(start);
            if level == 0 {
                let id = self.levels[0].slots[slot].first?;
                if self.entries.get(id)?.at > now {
                    return None;
                }
                self.unlink(id);
                return self.entries.remove(id).map(|entry| entry.token);
            }
            self.spread(level, slot);
        }
        self.current = self.current.max(present);
        None
    }

    /// Fires every timer due by `now`. `expired` cannot set timers: use [`Self::pop_expired`] in a
    /// loop where that is needed.
    pub fn expire(&mut self, now: Instant, mut expired: impl FnMut(T)) {
        while let Some(token) = self.pop_expired(now) {
            expired(token);
        }
    }

    /// When to call [`Self::pop_expired`] next. It may be before the next deadline, by less than
    /// a sixty-fourth part of its distance at the time it was set, and is never after it.
    pub fn next_timeout(&self) -> Option<Instant> {
        let (level, slot, start) = self.next_slot()?;
        if level == 0 {
            let id = self.levels[0].slots[slot].first?;
            return self.entries.get(id).map(|entry| entry.at);
        }
        Some(Instant::from_nanos(start << TICK_SHIFT))
    }

    /// How many timers are pending.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when none is pending.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The earliest occupied slot: its level, its number and its first tick. Whatever sits on a
    /// lower level comes before whatever sits on a higher one.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let (index, level) = self
            .levels
            .iter()
            .enumerate()
            .find(|(_, level)| level.occupied != 0)?;
        let slot = level.occupied.trailing_zeros();
        let shift = index as u32 * SLOT_BITS;
        let above = self.current >> shift >> SLOT_BITS << SLOT_BITS;
        Some((index, slot as usize, (above | u64::from(slot)) << shift))
    }

    /// Moves the entries of a slot that the hand has reached to the levels below.
    fn spread(&mut self, level: usize, slot: usize) {
        let emptied = core::mem::replace(&mut self.levels[level].slots[slot], Slot::EMPTY);
        self.levels[level].occupied &= !(1 << slot);
        let mut following = emptied.first;
        while let Some(id) = following {
            following = self.entries.get_mut(id).and_then(|entry| entry.next.take());
            self.link(id);
        }
    }

    /// Puts an entry into the slot of its deadline.
    fn link(&mut self, id: TimerId<T>) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let (at, order) = (entry.at, entry.order);
        let due = tick(at).max(self.current);
        let differing = (due ^ self.current) | (SLOTS as u64 - 1);
        let level = (differing.ilog2() / SLOT_BITS) as usize;
        let slot = (due >> (level as u32 * SLOT_BITS)) as usize % SLOTS;
        let previous = self.predecessor(level, slot, at, order);
        let next = match previous {
            Some(previous) => self.entries.get(previous).and_then(|entry| entry.next),
            None => self.levels[level].slots[slot].first,
        };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.level = level as u8;
            entry.slot = slot as u8;
            entry.previous = previous;
            entry.next = next;
        }
        self.levels[level].occupied |= 1 << slot;
        self.connect(level, slot, previous, Some(id));
        self.connect(level, slot, Some(id), next);
    }

    /// After which entry of a slot a new one belongs. Only the lowest level is kept in order: its
    /// slots are a microsecond wide and hold a handful, and most timers belong at the end.
    fn predecessor(
        &self,
        level: usize,
        slot: usize,
        at: Instant,
        order: u64,
    ) -> Option<TimerId<T>> {
        let mut previous = self.levels[level].slots[slot].last;
        while level == 0
            && let Some(entry) = previous.and_then(|id| self.entries.get(id))
            && (entry.at, entry.order) > (at, order)
        {
            previous = entry.previous;
        }
        previous
    }

    /// Takes an entry out of its slot; it stays in the slab.
    fn unlink(&mut self, id: TimerId<T>) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let (level, slot) = (entry.level as usize, entry.slot as usize);
        let (previous, next) = (entry.previous.take(), entry.next.take());
        self.connect(level, slot, previous, next);
        if self.levels[level].slots[slot].first.is_none() {
            self.levels[level].occupied &= !(1 << slot);
        }
    }

    /// Makes two entries of a slot neighbours; `None` stands for its beginning or end.
    fn connect(
        &mut self,
        level: usize,
        slot: usize,
        before: Option<TimerId<T>>,
        after: Option<TimerId<T>>,
    ) {
        match before.and_then(|id| self.entries.get_mut(id)) {
            Some(entry) => entry.next = after,
            None => self.levels[level].slots[slot].first = after,
        }
        match after.and_then(|id| self.entries.get_mut(id)) {
            Some(entry) => entry.previous = before,
            None => self.levels[level].slots[slot].last = before,
        }
    }

    fn take_order(&mut self) -> u64 {
        let order = self.next_order;
        self.next_order += 1;
        order
    }
}

const fn tick(at: Instant) -> u64 {
    at.as_nanos() >> TICK_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    fn nanos(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn fired(wheel: &mut TimerWheel<u32>, now: Instant) -> Vec<u32> {
        core::iter::from_fn(|| wheel.pop_expired(now)).collect()
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_not_a_nanosecond_before() {
        for deadline in [
            1,
            1_023,
            1_024,
            65_536,
            1_000_000_007,
            u64::MAX / 3,
            u64::MAX - 1,
        ] {
            let mut wheel = TimerWheel::new(Instant::ZERO, 8);
            wheel.schedule(7, nanos(deadline)).unwrap();
            assert_eq!(fired(&mut wheel, nanos(deadline - 1)), [], "{deadline}");
            assert_eq!(fired(&mut wheel, nanos(deadline)), [7], "{deadline}");
            assert_eq!(wheel.next_timeout(), None);
        }
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once() {
        let mut wheel = TimerWheel::new(nanos(5_000_000), 8);
        wheel.schedule(1, nanos(10)).unwrap();
        wheel.schedule(2, nanos(4)).unwrap();
        assert_eq!(wheel.next_timeout(), Some(nanos(4)));
        assert_eq!(fired(&mut wheel, nanos(5_000_000)), [2, 1]);
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_they_were_set() {
        let mut wheel = TimerWheel::new(Instant::ZERO, 8);
        let at = Instant::from_millis(200);
        let first = wheel.schedule(1, at).unwrap();
        wheel.schedule(2, at).unwrap();
        wheel.schedule(3, at).unwrap();
        assert!(wheel.reschedule(first, Instant::from_millis(300)));
        assert!(wheel.reschedule(first, at));
        assert_eq!(fired(&mut wheel, at), [2, 3, 1]);
    }

    #[test]
    fn a_fired_or_cancelled_timer_is_gone() {
        let mut wheel = TimerWheel::new(Instant::ZERO, 1);
        let id = wheel.schedule(1, nanos(5)).unwrap();
        assert_eq!(wheel.schedule(2, nanos(5)), None);
        assert_eq!(wheel.cancel(id), Some(1));
        assert_eq!(wheel.cancel(id), None);
        assert!(!wheel.reschedule(id, nanos(9)));
        let mut timer = Some(id);
        assert!(wheel.set(&mut timer, 3, Some(nanos(9))));
        assert_eq!(fired(&mut wheel, nanos(9)), [3]);
        assert!(wheel.set(&mut timer, 3, None));
        assert!(wheel.is_empty() && timer.is_none());
    }

    #[test]
    fn waiting_for_a_far_deadline_wakes_a_few_times_only() {
        let deadline = Instant::from_millis(3_600_000);
        let mut wheel = TimerWheel::new(nanos(12_345), 8);
        wheel.schedule(1, deadline).unwrap();
        let mut wakeups = 0;
        while let Some(at) = wheel.next_timeout() {
            assert!(at <= deadline);
            wheel.pop_expired(at);
            wakeups += 1;
        }
        assert!(wakeups <= LEVELS, "{wakeups}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Schedule(u64),
        Reschedule(usize, u64),
        Cancel(usize),
        Advance(u64),
        AdvanceToTimeout,
    }

    /// Distances of every scale, so that all levels of the wheel take part.
    fn distance() -> impl Strategy<Value = u64> {
        (0..44_u32, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => distance().prop_map(Step::Schedule),
            2 => (any::<usize>(), distance()).prop_map(|(which, at)| Step::Reschedule(which, at)),
            1 => any::<usize>().prop_map(Step::Cancel),
            2 => distance().prop_map(Step::Advance),
            2 => Just(Step::AdvanceToTimeout),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_heap(steps in prop::collection::vec(step(), 1..200)) {
            let mut now = nanos(987_654_321);
            let mut wheel = TimerWheel::new(now, 1_000);
            // The model: a heap of (deadline, order, token) with entries that are out of date.
            let mut heap = BinaryHeap::new();
            let mut pending: Vec<(u32, TimerId<u32>, (Instant, usize))> = Vec::new();
            for (order, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Schedule(distance) => {
                        let at = nanos(now.as_nanos() + distance);
                        let token = order as u32;
                        let id = wheel.schedule(token, at).unwrap();
                        pending.push((token, id, (at, order)));
                        heap.push(Reverse((at, order, token)));
                    }
                    Step::Reschedule(which, distance) if !pending.is_empty() => {
                        let which = which % pending.len();
                        let at = nanos(now.as_nanos() + distance);
                        let (token, id, key) = &mut pending[which];
                        prop_assert!(wheel.reschedule(*id, at));
                        if key.0 != at {
                            *key = (at, order);
                            heap.push(Reverse((at, order, *token)));
                        }
                    }
                    Step::Cancel(which) if !pending.is_empty() => {
                        let (token, id, _) = pending.remove(which % pending.len());
                        prop_assert_eq!(wheel.cancel(id), Some(token));
                    }
                    Step::Advance(distance) => now = nanos(now.as_nanos() + distance),
                    Step::AdvanceToTimeout => now = wheel.next_timeout().unwrap_or(now).max(now),
                    Step::Reschedule(..) | Step::Cancel(_) => {}
                }
                let mut wanted = Vec::new();
                while let Some(Reverse((at, order, token))) = heap.peek().copied()
                    && at <= now
                {
                    heap.pop();
                    let held = pending.iter().position(|(held, _, key)| {
                        *held == token && *key == (at, order)
                    });
                    if let Some(held) = held {
                        pending.remove(held);
                        wanted.push(token);
                    }
                }
                prop_assert_eq!(fired(&mut wheel, now), wanted);
                prop_assert_eq!(wheel.len(), pending.len());
                let earliest = pending.iter().map(|(_, _, (at, _))| *at).min();
                prop_assert_eq!(wheel.next_timeout().is_some(), earliest.is_some());
                if let (Some(timeout), Some(earliest)) = (wheel.next_timeout(), earliest) {
                    prop_assert!(now < timeout && timeout <= earliest);
                }
            }
        }
    }
}
