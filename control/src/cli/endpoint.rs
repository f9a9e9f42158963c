//! `braid endpoint`: the addresses for further subflows, while the engine runs.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::Failure;
use super::engine_socket::EngineSocket;
use super::output::{print, print_json};
use super::show;
use crate::management::{EndpointFlag, EndpointRow, NewEndpoint, Request};

/// Add and delete the addresses that a running engine uses for further subflows.
///
/// They are taken up by the connections there are and by those to come, as with `ip mptcp endpoint`.
/// The configuration file stays as it is.
///
/// Example: braid endpoint add 10.1.2.2 signal
#[derive(Debug, Args)]
pub(super) struct EndpointArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add an endpoint and show it.
    ///
    /// Example: braid endpoint add 10.1.2.2 subflow backup --id 2
    Add {
        /// The address, one of the engine's ports.
        address: IpAddr,
        /// What it is for: announced to peers, subflows opened from it, to every address of the
        /// peer, as backups only.
        #[arg(value_enum, required = true)]
        flags: Vec<EndpointFlag>,
        /// The address identifier on the wire; the lowest free one if left out.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
        id: Option<u8>,
        /// The port announced with it; that of the connection if left out.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
        #[command(flatten)]
        engine: EngineSocket,
    },
    /// Delete an endpoint: its subflows are closed, and peers are told.
    ///
    /// Example: braid endpoint del 2
    Del {
        /// The identifier, which `braid show endpoints` gives.
        #[arg(value_parser = clap::value_parser!(u8).range(1..))]
        id: u8,
        #[command(flatten)]
        engine: EngineSocket,
    },
    /// Delete every endpoint.
    ///
    /// Example: braid endpoint flush
    Flush(EngineSocket),
}

pub(super) fn run(arguments: EndpointArguments) -> Result<(), Failure> {
    let (rows, json): (Vec<EndpointRow>, bool) = match arguments.what {
        What::Add {
            address,
            flags,
            id,
            port,
            engine,
        } => {
            let request = Request::AddEndpoint(NewEndpoint {
                address,
                id,
                port,
                flags,
            });
            (vec![engine.ask(&request)?], engine.json)
        }
        What::Del { id, engine } => (
            vec![engine.ask(&Request::DeleteEndpoint { id })?],
            engine.json,
        ),
        What::Flush(engine) => (engine.ask(&Request::FlushEndpoints)?, engine.json),
    };
    if json {
        return print_json(&rows);
    }
    print(&show::endpoints(&rows).as_text())
}
