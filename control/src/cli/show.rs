//! `braid show`: what a running engine has.

use clap::{Args, Subcommand};

use super::Failure;
use super::engine_socket::EngineSocket;
use super::output::{Table, bytes, or_dash, print, print_json, round_trip};
use crate::management::{
    ConnectionRow, EndpointFlag, EndpointRow, ListenerRow, PortRow, Request, SubflowRow,
};

/// Show what a running engine has: connections, subflows, listeners, ports or endpoints.
///
/// Example: braid show connections
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every connection, its program and its settings.
    ///
    /// Example: braid show connections --json
    Connections(EngineSocket),
    /// The subflows of every connection, or of one.
    ///
    /// Example: braid show subflows --connection 3
    Subflows {
        /// The connection, by the id that `braid show connections` gives.
        #[arg(long, value_name = "ID")]
        connection: Option<u64>,
        #[command(flatten)]
        engine: EngineSocket,
    },
    /// Every listening socket.
    ///
    /// Example: braid show listeners
    Listeners(EngineSocket),
    /// Every port with its addresses and counters.
    ///
    /// Example: braid show ports
    Ports(EngineSocket),
    /// The addresses for further subflows.
    ///
    /// Example: braid show endpoints
    Endpoints(EngineSocket),
}

pub(super) fn run(arguments: &ShowArguments) -> Result<(), Failure> {
    match &arguments.what {
        What::Connections(engine) => {
            let rows: Vec<ConnectionRow> = engine.ask(&Request::ShowConnections)?;
            if engine.json {
                return print_json(&rows);
            }
            print(&connections(&rows).as_text())
        }
        What::Subflows { connection, engine } => {
            let rows: Vec<SubflowRow> = engine.ask(&Request::ShowSubflows {
                connection: *connection,
            })?;
            if engine.json {
                return print_json(&rows);
            }
            print(&subflows(&rows).as_text())
        }
        What::Listeners(engine) => {
            let rows: Vec<ListenerRow> = engine.ask(&Request::ShowListeners)?;
            if engine.json {
                return print_json(&rows);
            }
            print(&listeners(&rows).as_text())
        }
        What::Ports(engine) => {
            let rows: Vec<PortRow> = engine.ask(&Request::ShowPorts)?;
            if engine.json {
                return print_json(&rows);
            }
            print(&ports(&rows).as_text())
        }
        What::Endpoints(engine) => {
            let rows: Vec<EndpointRow> = engine.ask(&Request::ShowEndpoints)?;
            if engine.json {
                return print_json(&rows);
            }
            print(&endpoints(&rows).as_text())
        }
    }
}

fn program(name: Option<&String>, process: Option<i32>) -> String {
    match (name, process) {
        (Some(name), Some(process)) => format!("{name}/{process}"),
        _ => "-".into(),
    }
}

fn connections(rows: &[ConnectionRow]) -> Table {
    let mut table = Table::new(&[
        ">id",
        ">worker",
        "state",
        "local",
        "remote",
        "protocol",
        ">subflows",
        ">sent",
        ">received",
        "profile",
        "scheduler",
        "congestion",
        "program",
    ]);
    for row in rows {
        let protocol = match (&row.fallback, row.multipath) {
            (Some(reason), _) => format!("tcp ({reason})"),
            (None, true) => "mptcp".into(),
            (None, false) => "-".into(),
        };
        table.row([
            row.id.to_string(),
            row.worker.to_string(),
            row.state.clone(),
            row.local.to_string(),
            row.remote.to_string(),
            protocol,
            row.subflows.to_string(),
            bytes(row.bytes_sent),
            bytes(row.bytes_received),
            row.settings.profile.clone(),
            row.settings.scheduler.clone(),
            row.settings.congestion.clone(),
            program(row.program.as_ref(), row.process),
        ]);
    }
    table
}

fn subflows(rows: &[SubflowRow]) -> Table {
    let mut table = Table::new(&[
        ">connection",
        ">id",
        ">worker",
        "state",
        "local",
        "remote",
        "priority",
        ">sent",
        ">received",
        ">RTT",
        ">window",
        ">rexmit",
    ]);
    for row in rows {
        let priority = if row.backup { "backup" } else { &row.priority };
        table.row([
            row.connection.to_string(),
            row.id.to_string(),
            row.worker.to_string(),
            row.state.clone(),
            row.local.to_string(),
            row.remote.to_string(),
            priority.to_owned(),
            bytes(row.bytes_sent),
            bytes(row.bytes_received),
            round_trip(row.srtt_us),
            bytes(row.congestion_window.into()),
            row.retransmissions.to_string(),
        ]);
    }
    table
}

fn listeners(rows: &[ListenerRow]) -> Table {
    let mut table = Table::new(&[
        "address", "protocol", "port", ">waiting", ">backlog", "program",
    ]);
    for row in rows {
        table.row([
            row.address.to_string(),
            if row.multipath { "mptcp" } else { "tcp" }.into(),
            or_dash(row.port.as_ref()),
            row.waiting.to_string(),
            row.backlog.to_string(),
            program(row.program.as_ref(), row.process),
        ]);
    }
    table
}

fn ports(rows: &[PortRow]) -> Table {
    let mut table = Table::new(&[
        "name",
        "link",
        "mac",
        ">mtu",
        "addresses",
        ">received",
        ">sent",
        ">dropped",
    ]);
    for row in rows {
        let counter = |name: &str| row.counters.get(name).copied().unwrap_or(0);
        table.row([
            row.name.clone(),
            if row.up { "up" } else { "down" }.into(),
            row.mac.clone(),
            row.mtu.to_string(),
            row.addresses.join(","),
            bytes(counter("PortInBytes")),
            bytes(counter("PortOutBytes")),
            (counter("PortInDropped") + counter("PortOutDropped")).to_string(),
        ]);
    }
    table
}

/// The rows of endpoints as a table.
pub(super) fn endpoints(rows: &[EndpointRow]) -> Table {
    let mut table = Table::new(&[">id", "address", "port", "flags"]);
    for row in rows {
        let flags: Vec<&str> = row.flags.iter().copied().map(EndpointFlag::name).collect();
        table.row([
            row.id.to_string(),
            row.address.to_string(),
            or_dash(row.port),
            if flags.is_empty() {
                "-".into()
            } else {
                flags.join(",")
            },
        ]);
    }
    table
}
