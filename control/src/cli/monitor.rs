//! `braid monitor`: what happens in a running engine, as it happens.

use clap::Args;

use super::Failure;
use super::engine_socket::EngineSocket;
use super::output::{bytes, or_dash, print, print_json, round_trip};
use crate::management::{EventKind, EventRecord};

/// Print what happens to connections, subflows and links of a running engine, a line for each event, until
/// it is interrupted.
///
/// A monitor that cannot keep up is told how many events it missed.
///
/// Example: braid monitor --json
#[derive(Debug, Args)]
pub(super) struct MonitorArguments {
    #[command(flatten)]
    engine: EngineSocket,
}

pub(super) fn run(arguments: &MonitorArguments) -> Result<(), Failure> {
    let mut monitor = arguments.engine.connect()?.monitor()?;
    loop {
        let record = monitor.next_event()?;
        if arguments.engine.json {
            print_json(&record)?;
        } else {
            print(&line(&record))?;
        }
    }
}

fn line(record: &EventRecord) -> String {
    let worker = record.worker;
    let worker = worker.map_or_else(String::new, |worker| format!(" worker={worker}"));
    format!(
        "[{:.6}] {} {}{worker}\n",
        record.time,
        record.event.name(),
        details(&record.event)
    )
}

fn details(event: &EventKind) -> String {
    match event {
        EventKind::Connected {
            connection,
            local,
            remote,
            multipath,
        } => {
            let protocol = if *multipath { "mptcp" } else { "tcp" };
            let (local, remote) = (or_dash(*local), or_dash(*remote));
            format!("connection={connection} local={local} remote={remote} protocol={protocol}")
        }
        EventKind::Closed { connection, error } => {
            let error = error.as_deref();
            let error = error.map_or_else(String::new, |error| format!(" error={error:?}"));
            format!("connection={connection}{error}")
        }
        EventKind::SubflowEstablished {
            connection,
            subflow,
            local,
            remote,
            backup,
        } => {
            let (local, remote) = (or_dash(*local), or_dash(*remote));
            let backup = if *backup { " backup" } else { "" };
            format!(
                "connection={connection} subflow={} local={local} remote={remote}{backup}",
                or_dash(*subflow)
            )
        }
        EventKind::SubflowClosed {
            connection,
            subflow,
            local,
            remote,
            reason,
            totals,
        } => format!(
            "connection={connection} subflow={subflow} local={local} remote={remote} \
             reason={reason} sent={:?} received={:?} rtt={:?} rexmit={}",
            bytes(totals.bytes_sent),
            bytes(totals.bytes_received),
            round_trip(totals.srtt_us),
            totals.retransmissions
        ),
        EventKind::FellBack { connection, reason } => {
            format!("connection={connection} reason={reason}")
        }
        EventKind::AddressAnnounced {
            connection,
            address_id,
            address,
        } => format!("connection={connection} id={address_id} address={address}"),
        EventKind::AddressRemoved {
            connection,
            address_id,
        } => format!("connection={connection} id={address_id}"),
        EventKind::LinkDown { port, reason } => format!("port={port} reason={reason}"),
        EventKind::LinkUp { port } => format!("port={port}"),
        EventKind::Lost { events } => format!("events={events}"),
    }
}
