//! Equal values kept once, where many owners have the same.

use std::sync::Arc;

/// How many values are remembered. Whoever sets up many connections sets up few kinds of them.
const REMEMBERED: usize = 8;

/// The values asked for last.
#[derive(Debug)]
pub struct Interned<T> {
    values: Vec<Arc<T>>,
    /// Which of them gives way next.
    next: usize,
}

impl<T: Clone + PartialEq> Interned<T> {
    /// None so far.
    pub const fn new() -> Self {
        Self {
            values: Vec::new(),
            next: 0,
        }
    }

    /// The value, shared with those who asked for an equal one.
    pub fn share(&mut self, value: &T) -> Arc<T> {
        if let Some(known) = self.values.iter().find(|known| ***known == *value) {
            return Arc::clone(known);
        }
        let new = Arc::new(value.clone());
        match self.values.get_mut(self.next) {
            Some(former) => *former = Arc::clone(&new),
            None => self.values.push(Arc::clone(&new)),
        }
        self.next = (self.next + 1) % REMEMBERED;
        new
    }
}

impl<T: Clone + PartialEq> Default for Interned<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_few_are_remembered() {
        let mut interned = Interned::new();
        let first = interned.share(&String::from("one"));
        assert!(Arc::ptr_eq(&first, &interned.share(&String::from("one"))));
        for other in 0..100 {
            assert_eq!(*interned.share(&other.to_string()), other.to_string());
        }
        assert!(interned.values.len() <= REMEMBERED);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
