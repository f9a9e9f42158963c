//! What a demonstration says at its end, as one JSON object or as text.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

/// Who was at the other end.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// Linux's own Multipath TCP.
    Linux,
    /// A second engine.
    Engine,
}

/// What the engine was in a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It listened.
    Server,
    /// It connected.
    Client,
}

/// Which way the data went.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From client to server.
    Upload,
    /// From server to client.
    Download,
}

impl Role {
    /// Whether the engine is the one that sends.
    pub fn sends(self, direction: Direction) -> bool {
        matches!(
            (self, direction),
            (Self::Server, Direction::Download) | (Self::Client, Direction::Upload)
        )
    }
}

/// One subflow as the engine saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubflowRow {
    /// The engine's number of the subflow within its connection.
    pub id: u32,
    /// The engine's worker whose packets it carried.
    pub worker: u8,
    /// The engine's end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Payload bytes sent, retransmissions left out.
    pub tx_bytes: u64,
    /// Payload bytes received in order.
    pub rx_bytes: u64,
    /// The smoothed round-trip time in microseconds; 0 where none was measured.
    pub srtt_us: u64,
    /// Segments sent again.
    pub retransmits: u64,
}

/// A row of the table, with what it is of the whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubflowReport {
    id: u32,
    worker: u8,
    local: SocketAddr,
    remote: SocketAddr,
    tx_bytes: u64,
    rx_bytes: u64,
    share: f64,
    srtt_us: u64,
    retransmits: u64,
}

/// One transfer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// What the engine was.
    pub role: Role,
    /// Which way the data went.
    pub direction: Direction,
    /// Bytes that arrived.
    pub bytes: u64,
    /// From the connection's establishment at the receiver to the end of the stream.
    pub seconds: f64,
    /// Whether the receiver's digest is that of the stream.
    pub sha256_match: bool,
    /// Whether either end saw the connection go on as plain TCP.
    pub fallback: bool,
    /// The engine's subflows, in the order of their numbers.
    pub subflows: Vec<SubflowReport>,
    /// Whether a link was cut and restored meanwhile.
    pub link_cut: bool,
    /// Bits of payload a second.
    pub goodput_bps: u64,
}

/// What a run was asked to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What the engine is.
    pub role: Role,
    /// Which way the data goes.
    pub direction: Direction,
}

impl Task {
    /// The four runs of a whole demonstration, in their order.
    pub const ALL: [Self; 4] = [
        Self {
            role: Role::Server,
            direction: Direction::Upload,
        },
        Self {
            role: Role::Server,
            direction: Direction::Download,
        },
        Self {
            role: Role::Client,
            direction: Direction::Upload,
        },
        Self {
            role: Role::Client,
            direction: Direction::Download,
        },
    ];

    /// The run in words.
    pub fn describe(self) -> &'static str {
        match (self.role, self.direction) {
            (Role::Server, Direction::Upload) => "engine serves an upload",
            (Role::Server, Direction::Download) => "engine serves a download",
            (Role::Client, Direction::Upload) => "engine uploads",
            (Role::Client, Direction::Download) => "engine downloads",
        }
    }
}

/// What came of a run; the default is that nothing did.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Bytes that arrived.
    pub bytes: u64,
    /// How long they took.
    pub elapsed: Duration,
    /// Whether the digests agree.
    pub sha256_match: bool,
    /// Whether either end fell back.
    pub fallback: bool,
    /// Whether a link was cut.
    pub link_cut: bool,
    /// The engine's subflows.
    pub subflows: Vec<SubflowRow>,
}

impl RunReport {
    /// The report of what came of `task`.
    pub fn new(task: Task, measured: &Measured) -> Self {
        let carried = |row: &SubflowRow| row.tx_bytes + row.rx_bytes;
        let total: u64 = measured.subflows.iter().map(carried).sum();
        let subflows = measured
            .subflows
            .iter()
            .map(|row| SubflowReport {
                id: row.id,
                worker: row.worker,
                local: row.local,
                remote: row.remote,
                tx_bytes: row.tx_bytes,
                rx_bytes: row.rx_bytes,
                share: if total == 0 {
                    0.0
                } else {
                    carried(row) as f64 / total as f64
                },
                srtt_us: row.srtt_us,
                retransmits: row.retransmits,
            })
            .collect();
        Self {
            role: task.role,
            direction: task.direction,
            bytes: measured.bytes,
            seconds: measured.elapsed.as_secs_f64(),
            sha256_match: measured.sha256_match,
            fallback: measured.fallback,
            subflows,
            link_cut: measured.link_cut,
            goodput_bps: goodput(measured.bytes, measured.elapsed),
        }
    }

    fn as_text(&self) -> String {
        let task = Task {
            role: self.role,
            direction: self.direction,
        };
        let mut text = format!(
            "{}: {} in {:.2} s, {}, SHA-256 {}{}{}\n",
            task.describe(),
            bytes(self.bytes),
            self.seconds,
            rate(self.goodput_bps),
            if self.sha256_match {
                "matches"
            } else {
                "DIFFERS"
            },
            if self.fallback {
                ", FELL BACK to TCP"
            } else {
                ""
            },
            if self.link_cut {
                ", one link cut and restored"
            } else {
                ""
            },
        );
        let _ = writeln!(
            text,
            "  {:>3} {:>6}  {:<24} {:<24} {:>11} {:>11} {:>6} {:>9} {:>6}",
            "id", "worker", "local", "remote", "sent", "received", "share", "RTT", "rexmit"
        );
        for row in &self.subflows {
            let _ = writeln!(
                text,
                "  {:>3} {:>6}  {:<24} {:<24} {:>11} {:>11} {:>5.1}% {:>9} {:>6}",
                row.id,
                row.worker,
                row.local.to_string(),
                row.remote.to_string(),
                bytes(row.tx_bytes),
                bytes(row.rx_bytes),
                row.share * 100.0,
                round_trip(row.srtt_us),
                row.retransmits,
            );
        }
        text
    }
}

/// What runs that went well look like.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How many there are.
    pub runs: usize,
    /// What each delivered.
    pub bytes: u64,
    /// Whether each went on as plain TCP, as it has to with a peer that speaks nothing else.
    pub fallback: bool,
}

/// A whole demonstration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Who was at the other end.
    pub peer: Peer,
    /// The transfers, in the order they were made.
    pub runs: Vec<RunReport>,
    /// Linux to Linux Multipath TCP, in bits of payload a second: the same number of links, the
    /// same bytes, the same cut. None where it was left out or failed.
    pub baseline_bps: Option<u64>,
    /// Whether every run delivered every byte, over Multipath TCP if the peer speaks it, and all
    /// else that was asked for is there: the measurement of Linux against itself, the captures.
    pub ok: bool,
}

impl Report {
    /// The report of `runs`, to be judged by `expected`.
    pub fn new(
        peer: Peer,
        expected: Expected,
        runs: Vec<RunReport>,
        baseline_bps: Option<u64>,
    ) -> Self {
        let ok = runs.len() == expected.runs
            && runs.iter().all(|run| {
                run.sha256_match && run.bytes == expected.bytes && run.fallback == expected.fallback
            });
        Self {
            peer,
            runs,
            baseline_bps,
            ok,
        }
    }

    /// The tables, and the goodput as the last line.
    pub fn as_text(&self) -> String {
        let mut text = String::new();
        for run in &self.runs {
            text.push_str(&run.as_text());
            text.push('\n');
        }
        if !self.ok {
            text.push_str("FAILED: see above\n");
        }
        let mean = |engine_sends: bool| {
            let runs = self
                .runs
                .iter()
                .filter(|run| run.role.sends(run.direction) == engine_sends);
            let (bytes, seconds) = runs.fold((0, 0.0), |sum, run| {
                (sum.0 + run.bytes, sum.1 + run.seconds)
            });
            rate(goodput(
                bytes,
                Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            ))
        };
        match (self.peer, self.baseline_bps) {
            (Peer::Linux, Some(baseline)) => {
                let _ = writeln!(
                    text,
                    "goodput: engine to kernel {}, kernel to engine {}, kernel to kernel {}",
                    mean(true),
                    mean(false),
                    rate(baseline)
                );
            }
            (Peer::Linux, None) => {
                let _ = writeln!(
                    text,
                    "goodput: engine to kernel {}, kernel to engine {}",
                    mean(true),
                    mean(false)
                );
            }
            (Peer::Engine, _) => {
                let _ = writeln!(text, "goodput: engine to engine {}", mean(true));
            }
        }
        text
    }
}

/// Bits a second.
pub(super) fn goodput(bytes: u64, elapsed: Duration) -> u64 {
    if elapsed.is_zero() {
        return 0;
    }
    (bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64
}

fn rate(bits_per_second: u64) -> String {
    let value = bits_per_second as f64;
    if value >= 1e9 {
        format!("{:.2} Gbit/s", value / 1e9)
    } else {
        format!("{:.1} Mbit/s", value / 1e6)
    }
}

/// A side that sends nothing measures no round trip.
fn round_trip(micros: u64) -> String {
    match micros {
        0 => "-".to_owned(),
        _ => format!("{:.2} ms", micros as f64 / 1_000.0),
    }
}

fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=10_239_999 => format!("{:.1} KiB", value / 1024.0),
        _ => format!("{:.1} MiB", value / (1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Expected = Expected {
        runs: 4,
        bytes: 4_000_000,
        fallback: false,
    };

    fn run(task: Task) -> RunReport {
        let row = |id, tx_bytes| SubflowRow {
            id,
            worker: id as u8,
            local: "10.1.1.2:5001".parse().unwrap(),
            remote: "10.1.1.1:40000".parse().unwrap(),
            tx_bytes,
            rx_bytes: 0,
            srtt_us: 1_250,
            retransmits: 3,
        };
        RunReport::new(
            task,
            &Measured {
                bytes: 4_000_000,
                elapsed: Duration::from_millis(500),
                sha256_match: true,
                fallback: false,
                link_cut: true,
                subflows: vec![row(0, 3_000_000), row(1, 1_000_000)],
            },
        )
    }

    #[test]
    fn the_object_has_the_fields_that_scripts_read() {
        let report = Report::new(Peer::Linux, FOUR, vec![run(Task::ALL[0])], Some(7));
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "peer": "linux",
                "runs": [{
                    "role": "server", "direction": "upload", "bytes": 4_000_000, "seconds": 0.5,
                    "sha256_match": true, "fallback": false, "link_cut": true,
                    "goodput_bps": 64_000_000,
                    "subflows": [
                        {"id": 0, "worker": 0, "local": "10.1.1.2:5001", "remote": "10.1.1.1:40000",
                         "tx_bytes": 3_000_000, "rx_bytes": 0, "share": 0.75,
                         "srtt_us": 1_250, "retransmits": 3},
                        {"id": 1, "worker": 1, "local": "10.1.1.2:5001", "remote": "10.1.1.1:40000",
                         "tx_bytes": 1_000_000, "rx_bytes": 0, "share": 0.25,
                         "srtt_us": 1_250, "retransmits": 3},
                    ],
                }],
                "baseline_bps": 7,
                "ok": false,
            })
        );
    }

    #[test]
    fn only_four_faithful_runs_are_all_well() {
        let faithful: Vec<RunReport> = Task::ALL.into_iter().map(run).collect();
        let ok = |runs: &[RunReport]| Report::new(Peer::Engine, FOUR, runs.to_vec(), None).ok;
        assert!(ok(&faithful));
        assert!(!ok(&faithful[..3]));
        for spoil in [
            (|run| run.sha256_match = false) as fn(&mut RunReport),
            |run| run.fallback = true,
            |run| run.bytes -= 1,
        ] {
            let mut runs = faithful.clone();
            spoil(&mut runs[2]);
            assert!(!ok(&runs));
        }
    }

    #[test]
    fn the_last_line_is_the_goodput() {
        let runs: Vec<RunReport> = Task::ALL.into_iter().map(run).collect();
        let text = Report::new(Peer::Linux, FOUR, runs, Some(2_500_000_000)).as_text();
        assert_eq!(
            text.lines().last(),
            Some(
                "goodput: engine to kernel 64.0 Mbit/s, kernel to engine 64.0 Mbit/s, \
                 kernel to kernel 2.50 Gbit/s"
            )
        );
    }
}
