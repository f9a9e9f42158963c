//! Values under small keys that never name a later value by mistake.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use super::prefetch::Prefetch;

/// Names one value of a [`Slab<T>`]. Once that value is removed the key finds nothing, even when
/// its place has been taken by another.
pub struct Key<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    const fn new(index: u32, generation: u32) -> Self {
        Self {
            index,
            generation,
            of: PhantomData,
        }
    }

    /// The place in the slab.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How often that place had been used before.
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// The key as one number, for a message or an event.
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key that [`Self::to_u64`] made `bits` of. Any number is a key; one that no slab gave
    /// out finds nothing.
    pub const fn from_u64(bits: u64) -> Self {
        Self::new(bits as u32, (bits >> 32) as u32)
    }
}

// Derives would ask the same of `T`, which the key does not contain.
impl<T> Copy for Key<T> {}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_u64() == other.to_u64()
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_u64().hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}v{}", self.index, self.generation)
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// About how many bytes a page of places takes.
const PAGE: usize = 16 << 10;

/// A bounded set of values of one kind, each under a [`Key`].
///
/// Memory is taken a page of places at a time: none lies idle but on the last page, and nothing moves when
/// there are more.
///
/// Places are used again last in first out and iteration is in the order of places, so the same
/// calls always give the same keys and the same order.
#[derive(Debug)]
pub struct Slab<T> {
    /// All are full but the last, which has room for a page and no more.
    pages: Vec<Vec<Place<T>>>,
    /// Places on all pages.
    places: usize,
    free: Vec<u32>,
    max: usize,
}

impl<T> Slab<T> {
    /// A page has two to this power of places.
    const PAGE_BITS: u32 = match PAGE / size_of::<Place<T>>() {
        0..8 => 3,
        places => places.ilog2(),
    };

    /// An empty slab for at most `max` values. Memory is taken as values come.
    pub const fn new(max: usize) -> Self {
        Self {
            pages: Vec::new(),
            places: 0,
            free: Vec::new(),
            max,
        }
    }

    /// Adds `value` and returns its key.
    ///
    /// # Errors
    ///
    /// Gives `value` back when the slab is full.
    pub fn insert(&mut self, value: T) -> Result<Key<T>, T> {
        if self.len() >= self.max {
            return Err(value);
        }
        if let Some(index) = self.free.pop()
            && let Some(place) = self.place_at_mut(index)
        {
            place.value = Some(value);
            return Ok(Key::new(index, place.generation));
        }
        let Ok(index) = u32::try_from(self.places) else {
            return Err(value);
        };
        let place = Place {
            generation: 0,
            value: Some(value),
        };
        let of_a_page = 1 << Self::PAGE_BITS;
        match self.pages.last_mut() {
            Some(last) if last.len() < of_a_page => last.push(place),
            _ => {
                let mut page = Vec::with_capacity(of_a_page.min(self.max));
                page.push(place);
                self.pages.push(page);
            }
        }
        self.places += 1;
        Ok(Key::new(index, 0))
    }

    /// The key that the next value added will have; `None` when the slab is full.
    pub fn vacant_key(&self) -> Option<Key<T>> {
        if self.is_full() {
            return None;
        }
        let Some(&index) = self.free.last() else {
            return Some(Key::new(u32::try_from(self.places).ok()?, 0));
        };
        let place = self.place_at(index)?;
        Some(Key::new(index, place.generation))
    }

    /// Adds the value that `make` returns when told the key it will have, or nothing (`None`)
    /// when the slab is full.
    pub fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Option<Key<T>> {
        let index = match self.free.last() {
            Some(index) => *index,
            None => u32::try_from(self.places).ok()?,
        };
        if self.is_full() {
            return None;
        }
        let generation = self.place_at(index).map_or(0, |place| place.generation);
        self.insert(make(Key::new(index, generation))).ok()
    }

    /// Takes the value of `key` out; its key and copies of it find nothing from now on.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let place = self.place_mut(key)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// The value of `key`.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        let place = self.place_at(key.index)?;
        place
            .value
            .as_ref()
            .filter(|_| place.generation == key.generation)
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        self.place_mut(key)?.value.as_mut()
    }

    /// True when `key` finds a value.
    pub fn contains(&self, key: Key<T>) -> bool {
        self.get(key).is_some()
    }

    /// Asks for the memory of `key`'s place.
    pub fn prefetch(&self, key: Key<T>, prefetch: Prefetch) {
        if let Some(place) = self.place_at(key.index) {
            prefetch.value(place);
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.places - self.free.len()
    }

    /// True when there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when no further value can be added.
    pub fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The bound.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Every value with its key, in the order of places.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        (0..)
            .zip(self.pages.iter().flatten())
            .filter_map(|(index, place)| {
                Some((Key::new(index, place.generation), place.value.as_ref()?))
            })
    }

    /// Every value with its key, to be changed, in the order of places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key<T>, &mut T)> {
        let places = self.pages.iter_mut().flatten();
        (0..).zip(places).filter_map(|(index, place)| {
            Some((Key::new(index, place.generation), place.value.as_mut()?))
        })
    }

    fn place_mut(&mut self, key: Key<T>) -> Option<&mut Place<T>> {
        self.place_at_mut(key.index)
            .filter(|place| place.generation == key.generation)
    }

    /// The page of an index, and the place there.
    const fn split(index: u32) -> (usize, usize) {
        let on_page = index & ((1 << Self::PAGE_BITS) - 1);
        ((index >> Self::PAGE_BITS) as usize, on_page as usize)
    }

    fn place_at(&self, index: u32) -> Option<&Place<T>> {
        let (page, on_page) = Self::split(index);
        self.pages.get(page)?.get(on_page)
    }

    fn place_at_mut(&mut self, index: u32) -> Option<&mut Place<T>> {
        let (page, on_page) = Self::split(index);
        self.pages.get_mut(page)?.get_mut(on_page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::new(4);
        let old = slab.insert("old").unwrap();
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new").unwrap();
        assert_eq!(new.index(), old.index());
        assert_ne!(new, old);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(new), Some(&"new"));
    }

    #[test]
    fn the_vacant_key_is_that_of_the_next_value() {
        let mut slab = Slab::new(2);
        let vacant = slab.vacant_key();
        let first = slab.insert(1).unwrap();
        assert_eq!(vacant, Some(first));
        let vacant = slab.vacant_key();
        assert_eq!(vacant, slab.insert(2).ok());
        assert_eq!(slab.vacant_key(), None);
        slab.remove(first);
        let vacant = slab.vacant_key();
        assert_eq!(vacant, slab.insert(3).ok());
        assert_ne!(vacant, Some(first));
    }

    #[test]
    fn the_bound_holds_and_the_value_comes_back() {
        let mut slab = Slab::new(1);
        let key = slab.insert(1).unwrap();
        assert_eq!(slab.insert(2), Err(2));
        assert_eq!(slab.insert_with(|_| 3), None);
        slab.remove(key);
        let mut told = None;
        let key = slab.insert_with(|key| {
            told = Some(key);
            4
        });
        assert_eq!(key, told);
        assert_eq!(key.and_then(|key| slab.get(key)), Some(&4));
    }

    #[test]
    fn a_key_survives_being_a_number() {
        for bits in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(Key::<u8>::from_u64(bits).to_u64(), bits);
        }
        assert_eq!(Slab::<u8>::new(8).get(Key::from_u64(u64::MAX)), None);
    }

    #[test]
    fn values_on_many_pages_are_all_found() {
        let mut slab = Slab::new(100_000);
        let keys: Vec<_> = (0..100_000).map(|n| slab.insert(n).unwrap()).collect();
        assert!(slab.pages.len() > 10);
        for (n, key) in (0..).zip(&keys) {
            assert_eq!(slab.get(*key), Some(&n));
        }
        assert!(slab.iter().map(|(key, _)| key).eq(keys.iter().copied()));
        assert_eq!(slab.remove(keys[70_000]), Some(70_000));
        assert_eq!(slab.insert(7).map(Key::index), Ok(70_000));
        assert_eq!(slab.insert(8), Err(8));
    }

    proptest! {
        #[test]
        fn iteration_finds_exactly_what_is_there(
            steps in prop::collection::vec((any::<bool>(), 0..8_usize), 0..100),
        ) {
            let mut slab = Slab::new(6);
            let mut live: Vec<(Key<usize>, usize)> = Vec::new();
            for (number, (insert, which)) in steps.into_iter().enumerate() {
                if insert {
                    match slab.insert(number) {
                        Ok(key) => live.push((key, number)),
                        Err(_) => prop_assert_eq!(live.len(), 6),
                    }
                } else if which < live.len() {
                    let (key, value) = live.remove(which);
                    prop_assert_eq!(slab.remove(key), Some(value));
                }
                live.sort();
                let found: Vec<_> = slab.iter().map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(&found, &live);
                prop_assert_eq!(slab.len(), live.len());
            }
        }
    }
}
