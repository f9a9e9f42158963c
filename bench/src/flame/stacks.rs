//! Stacks that a profiler saw, and how often each.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write;

use super::unit::Unit;

/// Stacks in the form of flame graphs: functions from the outermost to the innermost, with `;` between
/// them, and behind a space how often it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stacks(Vec<String>);

impl Stacks {
    /// Those of `folded`, a line each, that have `within` and none of `without` in them.
    pub fn of(folded: &str, within: Option<&str>, without: &[String]) -> Self {
        let lines = folded.lines().filter(|line| {
            within.is_none_or(|within| line.contains(within))
                && !without
                    .iter()
                    .any(|without| line.contains(without.as_str()))
        });
        Self(lines.map(without_hashes).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stacks, a line each.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Functions by the samples that were taken in themselves, not in what they call: the hottest so many,
    /// each with its share, and its part of what a unit took where that is known.
    pub fn table(&self, top: usize, unit: Option<Unit>) -> String {
        let mut functions: HashMap<&str, u64> = HashMap::new();
        for (path, count) in self.lines().filter_map(|line| line.rsplit_once(' ')) {
            let function = path.rsplit(';').next().unwrap_or(path);
            *functions.entry(function).or_default() += count.parse().unwrap_or(0);
        }
        let total: u64 = functions.values().sum();
        let mut functions: Vec<(&str, u64)> = functions.into_iter().collect();
        functions.sort_by_key(|&(name, count)| (Reverse(count), name));
        let mut table = String::new();
        // Writing to a string does not fail.
        let _ = match unit {
            None => writeln!(table, "| function | share |\n|---|---:|"),
            Some(unit) => writeln!(
                table,
                "{:.0} ns each {}\n\n| function | share | ns each {} |\n|---|---:|---:|",
                unit.nanoseconds, unit.name, unit.name
            ),
        };
        for (name, count) in functions.into_iter().take(top) {
            let share = count as f64 / total.max(1) as f64;
            let _ = write!(table, "| `{name}` | {:.1} % |", share * 100.0);
            let _ = match unit {
                None => writeln!(table),
                Some(unit) => writeln!(table, " {:.1} |", share * unit.nanoseconds),
            };
        }
        table
    }
}

/// A line of stacks without the hashes that the compiler puts behind names, by which one function would be
/// several.
fn without_hashes(line: &str) -> String {
    /// Of `::h` and sixteen digits.
    const LENGTH: usize = 19;
    let mut rest = line;
    let mut clean = String::with_capacity(line.len());
    while let Some(start) = rest.find("::h") {
        let (before, from) = rest.split_at(start);
        clean.push_str(before);
        let is_hash = from
            .get(3..LENGTH)
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            && !from[LENGTH..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let kept = if is_hash { "" } else { "::h" };
        clean.push_str(kept);
        rest = &from[if is_hash { LENGTH } else { 3 }..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDED: &str = "compare;main;stack::receive::h0123456789abcdef;memcpy 30\n\
                          compare;main;stack::receive::hfedcba9876543210 50\n\
                          compare;main;stack::handle 10\n\
                          compare;main;smoltcp::poll;memcpy 100\n\
                          compare;other 10\n";

    #[test]
    fn functions_are_ranked_by_what_they_take_themselves() {
        let unit = Unit {
            name: "packet",
            nanoseconds: 200.0,
        };
        let stacks = Stacks::of(FOLDED, Some("main"), &["smoltcp".into()]);
        let table = stacks.table(2, Some(unit));
        let rows: Vec<&str> = table.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| `stack::receive` | 55.6 % | 111.1 |",
                "| `memcpy` | 33.3 % | 66.7 |"
            ]
        );
    }

    #[test]
    fn a_share_is_told_where_nothing_is_known_of_units() {
        let stacks = Stacks::of(FOLDED, None, &[]);
        let table = stacks.table(1, None);
        assert_eq!(table.lines().last(), Some("| `memcpy` | 65.0 % |"));
        assert!(Stacks::of(FOLDED, Some("nowhere"), &[]).is_empty());
    }
}
