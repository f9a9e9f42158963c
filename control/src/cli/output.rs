//! Results on standard output: tables, or JSON.

use std::io::Write;

use serde::Serialize;

use super::Failure;

/// Prints a result. Whoever was to read it may be gone, or its disk full.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| Failure::Run(format!("cannot print the result: {error}")))
}

/// Prints a result as one line of JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::Run(format!("cannot print the result: {error}")))?;
    print(&format!("{text}\n"))
}

/// On which side of its column a cell stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows of cells under titles, in columns as wide as their widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows yet. A title that begins with `>` stands, with its cells, on the right
    /// of its column, as numbers do.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('>') {
            Some(title) => (title, Side::Right),
            None => (*title, Side::Left),
        };
        Self {
            columns: titles.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, a cell for each title.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines, titles first. Nothing at all when there are no rows, as programs of this kind do.
    pub(crate) fn as_text(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let titles: Vec<String> = self
            .columns
            .iter()
            .map(|(title, _)| (*title).into())
            .collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&titles).chain(&self.rows).collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in lines {
            let cells = line.iter().zip(&self.columns).zip(&widths);
            let padded: Vec<String> = cells
                .map(|((cell, (_, side)), &width)| match side {
                    Side::Left => format!("{cell:<width$}"),
                    Side::Right => format!("{cell:>width$}"),
                })
                .collect();
            text.push_str(padded.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A cell that may be empty.
pub(crate) fn or_dash(cell: Option<impl ToString>) -> String {
    cell.map_or_else(|| "-".into(), |cell| cell.to_string())
}

/// A round trip for people.
pub(crate) fn round_trip(micros: Option<u64>) -> String {
    or_dash(micros.map(|micros| format!("{:.2} ms", micros as f64 / 1_000.0)))
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=10_239_999 => format!("{:.1} KiB", value / 1_024.0),
        10_240_000..=10_485_759_999 => format!("{:.1} MiB", value / 1_048_576.0),
        _ => format!("{:.1} GiB", value / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["name", ">bytes", "state"]);
        assert_eq!(table.as_text(), "");
        table.row(["a".into(), "12345".into(), "up".into()]);
        table.row(["longer".into(), "1".into(), "-".into()]);
        assert_eq!(
            table.as_text(),
            "name    bytes  state\na       12345  up\nlonger      1  -\n"
        );
    }

    #[test]
    fn bytes_keep_four_digits() {
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(10_240), "10.0 KiB");
        assert_eq!(bytes(256 << 20), "256.0 MiB");
        assert_eq!(bytes(20 << 30), "20.0 GiB");
    }
}
