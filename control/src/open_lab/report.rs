//! What is told of a run when it is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use crate::cli::output::{Table, bytes, or_dash, round_trip};
use crate::management::{EventKind, SubflowRow};

/// Subflows with a line of their own; more are summed up by link only.
const LINES: usize = 32;

/// A run, as `--json` writes it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The command's, or 128 and the number of the signal that ended it.
    pub exit_status: u8,
    /// Every subflow of every connection of the engine.
    pub subflows: Vec<UsedSubflow>,
    /// Events that could not be told: subflows may be missing when it is not 0.
    pub lost_events: u64,
}

/// A subflow and what it carried, as the engine saw it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UsedSubflow {
    /// Its connection, by the engine's number.
    pub connection: u64,
    /// Its number within the connection; 0 is the first.
    pub id: u32,
    /// The number of its link.
    pub link: Option<u8>,
    /// The address of the engine's side.
    pub local: SocketAddr,
    /// The address of Linux's side.
    pub remote: SocketAddr,
    /// Its handshake was completed.
    pub established: bool,
    /// How it ended, or `open`.
    pub end: String,
    /// Payload bytes given to it.
    pub bytes_sent: u64,
    /// Payload bytes received on it.
    pub bytes_received: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Smoothed round trip in microseconds; `null` without a sample.
    pub srtt_us: Option<u64>,
}

impl UsedSubflow {
    pub(super) fn of_open(row: &SubflowRow) -> Self {
        Self {
            connection: row.connection,
            id: row.id,
            link: None,
            local: row.local,
            remote: row.remote,
            established: row.state != "handshake",
            end: "open".into(),
            bytes_sent: row.bytes_sent,
            bytes_received: row.bytes_received,
            retransmissions: row.retransmissions,
            srtt_us: row.srtt_us,
        }
    }

    pub(super) fn of_closed(event: EventKind) -> Option<Self> {
        let EventKind::SubflowClosed {
            connection,
            subflow,
            local,
            remote,
            reason,
            totals,
        } = event
        else {
            return None;
        };
        Some(Self {
            connection,
            id: subflow,
            link: None,
            local,
            remote,
            established: totals.established,
            end: reason,
            bytes_sent: totals.bytes_sent,
            bytes_received: totals.bytes_received,
            retransmissions: totals.retransmissions,
            srtt_us: totals.srtt_us,
        })
    }
}

impl Report {
    /// The subflows that were used, for people.
    pub fn as_text(&self) -> String {
        let used: Vec<&UsedSubflow> = self
            .subflows
            .iter()
            .filter(|subflow| subflow.established)
            .collect();
        if used.is_empty() {
            return "braid lab: no subflow was used\n".into();
        }
        let mut table = Table::new(&[
            ">connection",
            ">id",
            ">link",
            "local",
            "remote",
            ">sent",
            ">received",
            ">RTT",
            ">rexmit",
            "end",
        ]);
        for subflow in used.iter().take(LINES) {
            table.row([
                subflow.connection.to_string(),
                subflow.id.to_string(),
                or_dash(subflow.link),
                subflow.local.to_string(),
                subflow.remote.to_string(),
                bytes(subflow.bytes_sent),
                bytes(subflow.bytes_received),
                round_trip(subflow.srtt_us),
                subflow.retransmissions.to_string(),
                subflow.end.clone(),
            ]);
        }
        let mut text = table.as_text();
        if used.len() > LINES {
            text.push_str(&format!("... and {} more\n", used.len() - LINES));
        }
        let mut links: BTreeMap<Option<u8>, (u64, u64, u64)> = BTreeMap::new();
        for subflow in used {
            let link = links.entry(subflow.link).or_default();
            link.0 += 1;
            link.1 += subflow.bytes_sent;
            link.2 += subflow.bytes_received;
        }
        for (link, (subflows, sent, received)) in links {
            text.push_str(&format!(
                "link {}: {subflows} {}, {} sent, {} received\n",
                or_dash(link),
                if subflows == 1 { "subflow" } else { "subflows" },
                bytes(sent),
                bytes(received)
            ));
        }
        if self.lost_events > 0 {
            text.push_str(&format!(
                "{} events came too fast: subflows may be missing here\n",
                self.lost_events
            ));
        }
        text
    }
}
