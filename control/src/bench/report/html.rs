//! The report as a page of HTML that needs no other file.

use std::fmt::Write;

use super::plot::{Axis, Plot, Series};
use super::{Entry, Measured, Report};
use crate::bench::workload::{Goodput, Outcome, Paced, Workload};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#222}h2{font-size:1.1rem;margin:2rem 0 .3rem}pre{margin:0;font-size:14px}svg{max-width:100%}\
p{color:#555;margin:.2rem 0}";

impl Report {
    /// The page.
    pub fn as_html(&self) -> String {
        let mut page = String::new();
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>braid bench</title>\n\
             <style>{STYLE}</style>\n<h1>braid bench</h1>\n<p>{}</p>\n<p>{}</p>\n",
            escaped(&self.setting()),
            escaped(&self.surroundings())
        );
        if let Some(plot) = self.latencies() {
            let _ = write!(
                page,
                "<h2>Latency, from when each was due</h2>\n{}\n",
                plot.as_svg()
            );
        }
        for entry in &self.workloads {
            page.push_str(&entry.as_html());
        }
        page.push_str("</html>\n");
        page
    }

    /// The latencies of all paced workloads in one plot; none without one.
    fn latencies(&self) -> Option<Plot> {
        let curve = |entry: &Entry| {
            let Measured::Done(Outcome::Paced(paced)) = &entry.result else {
                return None;
            };
            Some(Series {
                name: entry.workload.describe(),
                points: tail(paced),
            })
        };
        let series: Vec<Series> = self.workloads.iter().filter_map(curve).collect();
        (!series.is_empty()).then(|| Plot {
            x: Axis::logarithmic("1 / share that took longer (10 = p90, 100 = p99)"),
            y: Axis::logarithmic("microseconds"),
            series,
        })
    }
}

/// How long requests took at most, over the inverse of the share that took longer.
fn tail(paced: &Paced) -> Vec<(f64, f64)> {
    let latency = &paced.latency;
    let rest = 1.0 / latency.count.max(1) as f64;
    let points = latency.curve.iter();
    points
        .map(|&(share, microseconds)| (1.0 / (1.0 - share).max(rest), microseconds.max(0.001)))
        .collect()
}

impl Entry {
    fn as_html(&self) -> String {
        let mut html = format!("<h2>{}</h2>\n", escaped(&self.workload.describe()));
        match &self.result {
            Measured::Done(outcome) => {
                let _ = writeln!(
                    html,
                    "<pre>{}</pre>",
                    escaped(outcome.to_string().trim_end())
                );
            }
            Measured::Failed { failed } => {
                let _ = writeln!(html, "<p>failed: {}</p>", escaped(failed));
            }
        }
        if let Measured::Done(outcome) = &self.result
            && let Some(plot) = over_time(&self.workload, outcome)
        {
            html.push_str(&plot.as_svg());
        }
        html
    }
}

/// What was measured part by part.
fn over_time(workload: &Workload, outcome: &Outcome) -> Option<Plot> {
    let (unit, parts) = match outcome {
        Outcome::Goodput(Goodput { samples, .. }) => ("Gbit/s", samples),
        Outcome::Gaps(gaps) => ("ms without an arrival", &gaps.gaps_ms),
        _ => return None,
    };
    let points = (1_u32..).map(f64::from).zip(parts.iter().copied());
    Some(Plot {
        x: Axis::linear("part"),
        y: Axis::linear(unit),
        series: vec![Series {
            name: workload.describe(),
            points: points.collect(),
        }],
    })
}

/// Text that means itself in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
