//! Two contenders in turn, A B A B, so that whatever the machine does meanwhile it does to both; what
//! counts is the ratio within each round. Rounds in which the machine changed its mode, or the peer came to
//! nothing, do not count, and of the others those of the mode that most of them had: figures of the two must not be mixed.

use serde::Serialize;

use crate::machine::cross_core_nanoseconds;
use crate::report::Spread;
use crate::targets::Mode;

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Compared {
    /// The first contender's figures.
    pub ours: Spread,
    /// The second's.
    pub theirs: Spread,
    /// The first's by the second's, within each round.
    pub ratio: Spread,
    /// Others', which are told and not judged.
    pub beside: Vec<Beside>,
    /// Of which mode the figures are.
    pub mode: Mode,
    /// How many rounds they are of.
    pub rounds: usize,
}

/// What is told beside the two.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Beside {
    /// Who it is.
    pub name: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub told: Told,
}

/// Figures, or why there are none.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// The figures.
    Figure(Spread),
    /// Why there are none, and what mends it.
    Skipped(String),
}

/// Somebody who is measured beside the two.
pub struct Other<'a> {
    name: &'static str,
    measure: Box<dyn FnMut() -> Result<f64, String> + 'a>,
    figures: Result<Vec<f64>, String>,
}

impl<'a> Other<'a> {
    /// Of this name. One that fails is not asked again, and the comparison goes on without it.
    pub fn new(name: &'static str, measure: impl FnMut() -> Result<f64, String> + 'a) -> Self {
        Self {
            name,
            measure: Box::new(measure),
            figures: Ok(Vec::new()),
        }
    }

    fn turn(&mut self) {
        if let Ok(figures) = &mut self.figures {
            match (self.measure)() {
                Ok(figure) => figures.push(figure),
                Err(reason) => self.figures = Err(reason),
            }
        }
    }

    /// Of the rounds that count; there was one before all of them.
    fn tell(self, counted: &[bool]) -> Beside {
        let told = match self.figures {
            Ok(figures) => {
                let rounds = figures.into_iter().skip(1).zip(counted);
                let figures = rounds.filter_map(|(figure, counted)| counted.then_some(figure));
                match Spread::of(figures) {
                    Some(spread) => Told::Figure(spread),
                    None => Told::Skipped("no round counts".into()),
                }
            }
            Err(reason) => Told::Skipped(reason),
        };
        Beside {
            name: self.name,
            told,
        }
    }
}

/// Measures both in so many rounds, after one that does not count.
///
/// # Errors
///
/// The first error of either; or no rounds, or none in which the machine kept its mode.
pub fn compare(
    rounds: u32,
    ours: impl FnMut() -> Result<f64, String>,
    theirs: impl FnMut() -> Result<f64, String>,
) -> Result<Compared, String> {
    compare_beside(rounds, ours, theirs, Vec::new())
}

/// The same with others after each pair.
///
/// # Errors
///
/// As [`compare`]; what goes wrong with another stands in its place.
pub fn compare_beside(
    rounds: u32,
    ours: impl FnMut() -> Result<f64, String>,
    theirs: impl FnMut() -> Result<f64, String>,
    others: Vec<Other<'_>>,
) -> Result<Compared, String> {
    compare_in_modes(rounds, ours, theirs, others, || {
        cross_core_nanoseconds().map(Mode::of)
    })
}

fn compare_in_modes(
    rounds: u32,
    mut ours: impl FnMut() -> Result<f64, String>,
    mut theirs: impl FnMut() -> Result<f64, String>,
    mut others: Vec<Other<'_>>,
    mut mode: impl FnMut() -> Option<Mode>,
) -> Result<Compared, String> {
    let mut figures = Vec::new();
    let mut before = None;
    for round in 0..=rounds {
        let pair = (ours()?, theirs()?);
        others.iter_mut().for_each(Other::turn);
        let after = mode();
        if round > 0 {
            // Where one of them is not known, nothing says that the mode has changed.
            let known = before.or(after).unwrap_or(Mode::Near);
            let counts = after.unwrap_or(known) == known && (pair.0 / pair.1).is_finite();
            figures.push(counts.then_some((known, pair)));
        }
        before = after;
    }
    let of_mode = |mode: Mode| figures.iter().flatten().filter(move |(of, _)| *of == mode);
    let mode = match of_mode(Mode::Near).count() >= of_mode(Mode::Far).count() {
        true => Mode::Near,
        false => Mode::Far,
    };
    let counted: Vec<bool> = figures
        .iter()
        .map(|figure| figure.is_some_and(|(of, _)| of == mode))
        .collect();
    let spread = |of: fn(&(f64, f64)) -> f64| {
        Spread::of(of_mode(mode).map(|(_, pair)| of(pair))).ok_or_else(|| match rounds {
            0 => String::from("no rounds were asked for"),
            _ => "in every round the peer came to nothing, or the machine changed between the near and \
                  the far mode: measure again"
                .into(),
        })
    };
    Ok(Compared {
        ours: spread(|pair| pair.0)?,
        theirs: spread(|pair| pair.1)?,
        ratio: spread(|pair| pair.0 / pair.1)?,
        beside: others
            .into_iter()
            .map(|other| other.tell(&counted))
            .collect(),
        mode,
        rounds: counted.iter().filter(|counted| **counted).count(),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn rounds_alternate_and_the_first_does_not_count() {
        let order = RefCell::new(String::new());
        let mut figures = [100.0, 4.0, 6.0].into_iter();
        let ours = || {
            order.borrow_mut().push('a');
            Ok(figures.next().unwrap())
        };
        let theirs = || {
            order.borrow_mut().push('b');
            Ok(2.0)
        };
        let near = || Some(Mode::Near);
        let compared = compare_in_modes(2, ours, theirs, Vec::new(), near).unwrap();
        assert_eq!(order.into_inner(), "ababab");
        let ratio = compared.ratio;
        assert_eq!((ratio.median, ratio.min, ratio.max), (2.0, 2.0, 3.0));
        assert!(compare(0, || Ok(1.0), || Ok(1.0)).is_err());
        assert_eq!(
            compare(1, || Err("no".into()), || Ok(1.0)),
            Err("no".into())
        );
    }

    #[test]
    fn others_take_their_turn_and_one_that_is_absent_is_named() {
        let mut figures = [100.0, 4.0, 6.0].into_iter();
        let others = vec![
            Other::new("there", || Ok(figures.next().unwrap())),
            Other::new("absent", || Err("not installed".into())),
        ];
        let compared = compare_in_modes(2, || Ok(3.0), || Ok(2.0), others, || None).unwrap();
        assert_eq!(compared.ratio.median, 1.5);
        let [there, absent] = compared.beside.as_slice() else {
            panic!("{compared:?}");
        };
        let Told::Figure(figure) = there.told else {
            panic!("{there:?}");
        };
        assert_eq!((figure.min, figure.max), (4.0, 6.0));
        assert_eq!(absent.told, Told::Skipped("not installed".into()));
        let json = serde_json::to_string(absent).unwrap();
        assert_eq!(json, r#"{"name":"absent","skipped":"not installed"}"#);
    }

    #[test]
    fn rounds_of_the_rarer_mode_and_those_in_which_it_changed_do_not_count() {
        let mut figures = (0..).map(f64::from);
        let mut others = (10..).map(f64::from);
        let mut modes = [
            Mode::Near,
            Mode::Near,
            Mode::Far,
            Mode::Far,
            Mode::Far,
            Mode::Near,
        ]
        .into_iter();
        let compared = compare_in_modes(
            5,
            || Ok(figures.next().unwrap()),
            || Ok(1.0),
            vec![Other::new("other", || Ok(others.next().unwrap()))],
            || modes.next(),
        );
        let compared = compared.unwrap();
        assert_eq!((compared.mode, compared.rounds), (Mode::Far, 2));
        assert_eq!((compared.ours.min, compared.ours.max), (3.0, 4.0));
        let Told::Figure(other) = compared.beside[0].told else {
            panic!("{:?}", compared.beside);
        };
        assert_eq!((other.min, other.max), (13.0, 14.0));
        let mut flipping = [Mode::Near, Mode::Far, Mode::Near].into_iter();
        let none = compare_in_modes(2, || Ok(1.0), || Ok(1.0), Vec::new(), || flipping.next());
        assert!(none.unwrap_err().contains("measure again"));
    }
}
