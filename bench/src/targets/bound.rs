//! What a target asks for, and whether a figure is that.

use serde::Serialize;

use crate::interleaved::Compared;

/// The two modes that virtual machines change between, by what a line of cache costs that goes from one
/// core to the other. Figures of the two must not be mixed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Some 30 ns: the cores share a cache.
    Near,
    /// Some 170 ns: they do not.
    Far,
}

impl Mode {
    /// Nanoseconds between the two.
    const BETWEEN: f64 = 75.0;

    /// The mode in which a line costs so much.
    pub fn of(cross_core_nanoseconds: f64) -> Self {
        if cross_core_nanoseconds < Self::BETWEEN {
            Self::Near
        } else {
            Self::Far
        }
    }
}

/// Which figure is judged.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Judged {
    Ratio,
    Ours,
}

/// On which side of the limit it is to be.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Side {
    Least,
    Most,
}

/// What is asked for.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Bound {
    judged: Judged,
    side: Side,
    near: f64,
    far: f64,
}

impl Bound {
    /// Ours is to be at least so many times the peer's.
    pub const fn ratio_at_least(limit: f64) -> Self {
        Self::new(Judged::Ratio, Side::Least, limit)
    }

    /// Ours is to be at most so many times the peer's.
    pub const fn ratio_at_most(limit: f64) -> Self {
        Self::new(Judged::Ratio, Side::Most, limit)
    }

    /// Ours is to be at most so much, whatever the peer's is.
    pub const fn ours_at_most(limit: f64) -> Self {
        Self::new(Judged::Ours, Side::Most, limit)
    }

    const fn new(judged: Judged, side: Side, limit: f64) -> Self {
        Self {
            judged,
            side,
            near: limit,
            far: limit,
        }
    }

    /// With another limit in the far mode.
    #[must_use]
    pub const fn in_the_far_mode(mut self, limit: f64) -> Self {
        self.far = limit;
        self
    }

    /// The limit in this mode.
    pub const fn limit(&self, mode: Mode) -> f64 {
        match mode {
            Mode::Near => self.near,
            Mode::Far => self.far,
        }
    }

    /// Whether the median of what is judged keeps to the limit of its mode.
    pub fn is_met(&self, compared: &Compared) -> bool {
        let limit = self.limit(compared.mode);
        let judged = match self.judged {
            Judged::Ratio => compared.ratio.median,
            Judged::Ours => compared.ours.median,
        };
        match self.side {
            Side::Least => judged >= limit,
            Side::Most => judged <= limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Spread;

    fn compared(ours: f64, theirs: f64, mode: Mode) -> Compared {
        let spread = |figure| Spread::of([figure].into_iter()).unwrap();
        Compared {
            ours: spread(ours),
            theirs: spread(theirs),
            ratio: spread(ours / theirs),
            beside: Vec::new(),
            mode,
            rounds: 1,
        }
    }

    #[test]
    fn a_bound_judges_its_figure_on_its_side() {
        let least = Bound::ratio_at_least(1.2);
        assert!(least.is_met(&compared(12.0, 10.0, Mode::Near)));
        assert!(!least.is_met(&compared(11.0, 10.0, Mode::Near)));
        let most = Bound::ratio_at_most(0.35);
        assert!(most.is_met(&compared(3.0, 10.0, Mode::Far)));
        assert!(!most.is_met(&compared(4.0, 10.0, Mode::Far)));
        let ours = Bound::ours_at_most(10.0).in_the_far_mode(25.0);
        assert!(ours.is_met(&compared(10.0, 1.0, Mode::Near)));
        assert!(!ours.is_met(&compared(20.0, 100.0, Mode::Near)));
        assert!(ours.is_met(&compared(20.0, 1.0, Mode::Far)));
    }

    #[test]
    fn modes_are_told_apart_by_the_cost_of_a_line() {
        assert_eq!(Mode::of(30.0), Mode::Near);
        assert_eq!(Mode::of(170.0), Mode::Far);
    }
}
