//! What a workload is counted in, and how long one of them took: from the report of the run.

use serde_json::Value;

/// Bytes of payload that count as a packet where goodput is told: a full segment at an MTU of 1,500.
const PAYLOAD: f64 = 1_448.0;

/// One of what a workload does again and again.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Unit {
    /// What it is.
    pub name: &'static str,
    /// Nanoseconds from one to the next.
    pub nanoseconds: f64,
}

impl Unit {
    /// Of a report in JSON, by `braid bench` or `bench/compare`, with one workload or row that tells a rate;
    /// `None` for any other.
    pub fn of_report(text: &str) -> Option<Self> {
        let report: Value = serde_json::from_str(text).ok()?;
        if let Some(rows) = report.get("rows").and_then(Value::as_object) {
            let mut measured = rows.values().filter(|row| row.get("braid").is_some());
            let row = measured.next()?;
            let alone = measured.next().is_none();
            let unit = Self::of_row(row.get("what")?.as_str()?, row.get("braid")?.as_f64()?)?;
            return alone.then_some(unit);
        }
        let [workload] = report.get("workloads")?.as_array()?.as_slice() else {
            return None;
        };
        let goodput = workload.get("gbit_per_second")?.get("median")?.as_f64()?;
        Some(Self::packet_at(goodput))
    }

    /// Of a row that is told in the unit at the end of its description.
    fn of_row(what: &str, figure: f64) -> Option<Self> {
        let (_, unit) = what.rsplit_once(": ")?;
        let unit = match unit {
            "Gbit/s" => Self::packet_at(figure),
            "million each second" => Self {
                name: "packet",
                nanoseconds: 1e3 / figure,
            },
            "thousands a second" => Self {
                name: "connection",
                nanoseconds: 1e6 / figure,
            },
            "requests/s" => Self {
                name: "request",
                nanoseconds: 1e9 / figure,
            },
            "ns" => Self {
                name: "message",
                nanoseconds: figure,
            },
            _ => return None,
        };
        unit.nanoseconds.is_finite().then_some(unit)
    }

    fn packet_at(gbit_per_second: f64) -> Self {
        Self {
            name: "1,448 bytes",
            nanoseconds: PAYLOAD * 8.0 / gbit_per_second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Target;

    #[test]
    fn goodput_tells_what_a_full_segment_takes() {
        let row = r#"{"rows": {"T1": {"what": "4 MiB: Gbit/s", "braid": 28.96}}}"#;
        assert_eq!(Unit::of_report(row).unwrap().nanoseconds, 400.0);
        let bench = r#"{"workloads": [{"gbit_per_second": {"median": 57.92}}]}"#;
        assert_eq!(Unit::of_report(bench).unwrap().nanoseconds, 200.0);
    }

    #[test]
    fn of_several_or_none_nothing_is_told() {
        let rows = r#"{"rows": {"T1": {"what": "a: ns", "braid": 1.0},
                                "T2": {"what": "a: ns", "braid": 1.0}}}"#;
        assert_eq!(Unit::of_report(rows), None);
        let skipped = r#"{"rows": {"T3": {"skipped": "no testpmd"}}}"#;
        assert_eq!(Unit::of_report(skipped), None);
        assert_eq!(Unit::of_report(r#"{"workloads": []}"#), None);
        assert_eq!(Unit::of_report("no JSON"), None);
    }

    #[test]
    fn rows_of_rates_and_times_are_understood() {
        // Memory is not a matter of time, and a round trip's percentile is not what one costs.
        let others = Target::ALL
            .iter()
            .filter(|target| Unit::of_row(target.what, 1.0).is_none())
            .map(|target| target.number);
        let mut others: Vec<u8> = others.collect();
        others.dedup();
        assert_eq!(others, [4, 6]);
    }
}
