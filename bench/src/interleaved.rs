//! Two contenders in turn, A B A B, so that whatever the machine does meanwhile it does to both; what
//! counts is the ratio within each round.

use serde::Serialize;

use crate::report::Spread;

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

    fn tell(self) -> Beside {
        let told = match self.figures {
            // The first round does not count.
            Ok(figures) => match Spread::of(figures.into_iter().skip(1)) {
                Some(spread) => Told::Figure(spread),
                None => Told::Skipped("no rounds were asked for".into()),
            },
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
/// The first error of either; or no rounds.
pub fn compare(
    rounds: u32,
    mut ours: impl FnMut() -> Result<f64, String>,
    mut theirs: impl FnMut() -> Result<f64, String>,
) -> Result<Compared, String> {
    let mut figures = Vec::new();
    for round in 0..=rounds {
        let pair = (ours()?, theirs()?);
        if round > 0 {
            figures.push(pair);
        }
    }
    let spread = |of: fn(&(f64, f64)) -> f64| {
        Spread::of(figures.iter().map(of)).ok_or_else(|| String::from("no rounds were asked for"))
    };
    Ok(Compared {
        ours: spread(|pair| pair.0)?,
        theirs: spread(|pair| pair.1)?,
        ratio: spread(|pair| pair.0 / pair.1)?,
        beside: Vec::new(),
    })
}

/// The same with others after each pair.
///
/// # Errors
///
/// As [`compare`]; what goes wrong with another stands in its place.
pub fn compare_beside(
    rounds: u32,
    ours: impl FnMut() -> Result<f64, String>,
    mut theirs: impl FnMut() -> Result<f64, String>,
    mut others: Vec<Other<'_>>,
) -> Result<Compared, String> {
    let both = || {
        let figure = theirs()?;
        others.iter_mut().for_each(Other::turn);
        Ok(figure)
    };
    let compared = compare(rounds, ours, both)?;
    Ok(Compared {
        beside: others.into_iter().map(Other::tell).collect(),
        ..compared
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
        let compared = compare(2, ours, theirs).unwrap();
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
        let compared = compare_beside(2, || Ok(3.0), || Ok(2.0), others).unwrap();
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
}
