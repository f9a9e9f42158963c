//! Two contenders in turn, A B A B, so that whatever the machine does meanwhile it does to both; what
//! counts is the ratio within each round.

use serde::Serialize;

use crate::report::Spread;

/// What came of it.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Compared {
    /// The first contender's figures.
    pub ours: Spread,
    /// The second's.
    pub theirs: Spread,
    /// The first's by the second's, within each round.
    pub ratio: Spread,
    /// A third's, which is told and not judged.
    pub beside: Option<Beside>,
}

/// What is told beside the two.
#[derive(Copy, Clone, PartialEq, Debug, Serialize)]
pub struct Beside {
    /// Who it is.
    pub name: &'static str,
    /// Its figures.
    pub figure: Spread,
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
        beside: None,
    })
}

/// The same with a third after each pair.
///
/// # Errors
///
/// As [`compare`].
pub fn compare_beside(
    rounds: u32,
    ours: impl FnMut() -> Result<f64, String>,
    mut theirs: impl FnMut() -> Result<f64, String>,
    name: &'static str,
    mut third: impl FnMut() -> Result<f64, String>,
) -> Result<Compared, String> {
    let mut figures = Vec::new();
    let both = || {
        let figure = theirs()?;
        figures.push(third()?);
        Ok(figure)
    };
    let compared = compare(rounds, ours, both)?;
    // The first round does not count.
    let figure = Spread::of(figures.into_iter().skip(1));
    Ok(Compared {
        beside: figure.map(|figure| Beside { name, figure }),
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
}
