//! A bounded table whose keys stand in tokens of the poller: an index and a generation, so that an
//! event of something that is gone finds nothing.

/// Names an entry.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    index: u32,
    /// 28 bits, so that a token has room for what kind of thing the key names.
    generation: u32,
}

const GENERATION_BITS: u32 = 28;

impl Key {
    /// The key and four bits beside it, as one number.
    pub(super) fn token(self, kind: u8) -> u64 {
        u64::from(kind) << 60 | u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// What [`Self::token`] was made of.
    pub(super) fn of_token(token: u64) -> (u8, Self) {
        let key = Self {
            index: token as u32,
            generation: (token >> 32) as u32 & ((1 << GENERATION_BITS) - 1),
        };
        ((token >> 60) as u8, key)
    }

    /// The place in the table: a small number that is used again.
    pub(super) fn index(self) -> u32 {
        self.index
    }

    /// How often the place was used before.
    pub(super) fn generation(self) -> u32 {
        self.generation
    }

    /// The key of that index and generation.
    pub(super) fn of_parts(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    max: usize,
}

impl<T> Table<T> {
    /// An empty one that takes `max` entries.
    pub(super) fn new(max: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            max,
        }
    }

    /// Adds an entry, or gives it back when the table is full.
    pub(super) fn insert(&mut self, value: T) -> Result<Key, T> {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.places.get_mut(index as usize)
        {
            place.value = Some(value);
            let generation = place.generation;
            return Ok(Key { index, generation });
        }
        if self.places.len() >= self.max {
            return Err(value);
        }
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place {
            generation: 0,
            value: Some(value),
        });
        Ok(Key {
            index,
            generation: 0,
        })
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self
            .places
            .get_mut(key.index as usize)
            .filter(|place| place.generation == key.generation)?;
        let value = place.value.take()?;
        place.generation = (place.generation + 1) & ((1 << GENERATION_BITS) - 1);
        self.free.push(key.index);
        Some(value)
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        self.places
            .get(key.index as usize)
            .filter(|place| place.generation == key.generation)?
            .value
            .as_ref()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.places
            .get_mut(key.index as usize)
            .filter(|place| place.generation == key.generation)?
            .value
            .as_mut()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        (0..).zip(&self.places).filter_map(|(index, place)| {
            place.value.as_ref().map(|_| Key {
                index,
                generation: place.generation,
            })
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.keys()
            .filter_map(|key| self.get(key).map(|value| (key, value)))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_something_gone_finds_nothing() {
        let mut table = Table::new(2);
        let first = table.insert("first").unwrap();
        let second = table.insert("second").unwrap();
        assert_eq!(table.insert("third"), Err("third"));
        assert_eq!(table.remove(first), Some("first"));
        let third = table.insert("third").unwrap();
        assert_eq!(third.index(), first.index());
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(third), Some(&"third"));
        assert_eq!(Key::of_token(third.token(7)), (7, third));
        assert_eq!(Key::of_token(second.token(0)), (0, second));
        assert_eq!(table.len(), 2);
    }
}
