//! Median, minimum and maximum.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Of the same figure in each round.
#[derive(Copy, Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spread {
    /// The one in the middle; the lower one of two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of these; `None` of none.
    pub fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Some(Self {
            median: *figures.get((figures.len().checked_sub(1)?) / 2)?,
            min: *figures.first()?,
            max: *figures.last()?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max } = self;
        write!(f, "{median:.2} ({min:.2} to {max:.2})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        let of = |median, min, max| Some(Spread { median, min, max });
        assert_eq!(spread(&[3.0, 1.0, 2.0]), of(2.0, 1.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), of(2.0, 1.0, 4.0));
        assert_eq!(spread(&[5.0]), of(5.0, 5.0, 5.0));
        assert_eq!(spread(&[]), None);
    }
}
