//! Lines over two axes, as SVG.

use std::fmt::Write;

use super::html::escaped;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 45.0;
const MARGIN: f64 = 12.0;
/// Of each name, below the axes.
const LINE: f64 = 18.0;
/// Colours that people who see few colours tell apart (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];
/// Marks of a linear axis.
const MARKS: u32 = 4;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Scale {
    Linear,
    Logarithmic,
}

/// A direction of a plot.
#[derive(Copy, Clone, Debug)]
pub(super) struct Axis {
    label: &'static str,
    scale: Scale,
}

impl Axis {
    /// From zero on.
    pub(super) const fn linear(label: &'static str) -> Self {
        let scale = Scale::Linear;
        Self { label, scale }
    }

    /// In powers of ten, of values above zero.
    pub(super) const fn logarithmic(label: &'static str) -> Self {
        let scale = Scale::Logarithmic;
        Self { label, scale }
    }

    /// Where these lie, and marks beside them.
    fn range(self, values: impl Iterator<Item = f64>) -> Range {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            least = least.min(value);
            most = most.max(value);
        }
        if !least.is_finite() || !most.is_finite() {
            (least, most) = (1.0, 1.0);
        }
        match self.scale {
            Scale::Linear => {
                let most = if most > 0.0 { most } else { 1.0 };
                let mark = |number| most * f64::from(number) / f64::from(MARKS);
                Range {
                    axis: self,
                    from: 0.0,
                    to: most,
                    marks: (0..=MARKS).map(mark).collect(),
                }
            }
            Scale::Logarithmic => {
                let first = least.log10().floor() as i32;
                let last = (most.log10().ceil() as i32).max(first + 1);
                Range {
                    axis: self,
                    from: f64::from(first),
                    to: f64::from(last),
                    marks: (first..=last).map(|power| 10_f64.powi(power)).collect(),
                }
            }
        }
    }
}

/// An axis with what it spans.
struct Range {
    axis: Axis,
    from: f64,
    to: f64,
    marks: Vec<f64>,
}

impl Range {
    /// How far along a value is, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = match self.axis.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
        };
        (value - self.from) / (self.to - self.from)
    }
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

impl Plot {
    /// The element.
    pub(super) fn as_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.range(points().map(|point| point.0));
        let y = self.y.range(points().map(|point| point.1));
        let across = |value| LEFT + x.place(value) * (WIDTH - LEFT - MARGIN);
        let down = |value| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - BOTTOM - MARGIN);
        let height = HEIGHT + LINE * self.series.len() as f64;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" font-size=\"12\" \
             font-family=\"sans-serif\" role=\"img\">\n"
        );
        for &mark in &x.marks {
            let (at, bottom) = (across(mark), HEIGHT - BOTTOM);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {MARGIN}V{bottom}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" \
                 y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                short(mark)
            );
        }
        for &mark in &y.marks {
            let at = down(mark);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                WIDTH - MARGIN,
                LEFT - 6.0,
                at + 4.0,
                short(mark)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text \
             transform=\"translate(14 {})rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (WIDTH + LEFT) / 2.0,
            HEIGHT - 10.0,
            escaped(self.x.label),
            (HEIGHT - BOTTOM) / 2.0,
            escaped(self.y.label)
        );
        for (number, (series, colour)) in self.series.iter().zip(COLOURS.iter().cycle()).enumerate()
        {
            let line: Vec<String> = series
                .points
                .iter()
                .map(|&(x, y)| format!("{:.1},{:.1}", across(x), down(y)))
                .collect();
            let at = HEIGHT + LINE * number as f64;
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
                 <text x=\"{LEFT}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                line.join(" "),
                at + 12.0,
                escaped(&series.name)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A number with its three leading digits.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if value >= 1e6 => format!("{:.0}M", value / 1e6),
        value if value >= 1e3 => format!("{:.0}k", value / 1e3),
        value if value >= 10.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_lies_within_the_picture() {
        let plot = Plot {
            x: Axis::logarithmic("a < b"),
            y: Axis::linear("c"),
            series: vec![Series {
                name: "one".into(),
                points: vec![(1.0, 0.0), (31.0, 2.0), (100.0, 8.0)],
            }],
        };
        let svg = plot.as_svg();
        assert!(svg.contains("a &lt; b"), "{svg}");
        let line = svg.split("points=\"").nth(1).unwrap();
        let points: Vec<(f64, f64)> = line
            .split('"')
            .next()
            .unwrap()
            .split(' ')
            .map(|point| {
                let (x, y) = point.split_once(',').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect();
        assert_eq!(points.len(), 3);
        assert!(
            points.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1),
            "{points:?}"
        );
        for (x, y) in points {
            assert!((LEFT..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y));
        }
    }

    #[test]
    fn a_plot_of_nothing_is_drawn() {
        let plot = Plot {
            x: Axis::logarithmic("x"),
            y: Axis::linear("y"),
            series: Vec::new(),
        };
        assert!(!plot.as_svg().contains("NaN"));
    }
}
