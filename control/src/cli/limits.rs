//! `braid limits`: how many subflows and announced addresses each connection takes.

use clap::{Args, Subcommand};

use super::Failure;
use super::engine_socket::EngineSocket;
use super::output::{print, print_json};
use crate::management::{LimitsRow, Request};

/// Show or set how many subflows each connection of a running engine takes, as `ip mptcp limits`.
///
/// Example: braid limits set --subflows 4 --add-addr-accepted 4
#[derive(Debug, Args)]
pub(super) struct LimitsArguments {
    #[command(subcommand)]
    change: Option<Change>,
    #[command(flatten)]
    engine: EngineSocket,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Set limits, at once and until the engine ends. What there is beyond a lower one stays.
    ///
    /// Example: braid limits set --subflows 4
    Set {
        /// Subflows beyond the first, opened here or accepted.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=31),
              required_unless_present = "add_addr_accepted")]
        subflows: Option<u8>,
        /// Addresses announced by the peer that subflows are opened to.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=31))]
        add_addr_accepted: Option<u8>,
        #[command(flatten)]
        engine: EngineSocket,
    },
}

pub(super) fn run(arguments: &LimitsArguments) -> Result<(), Failure> {
    let (request, engine) = match &arguments.change {
        None => (Request::ShowLimits, &arguments.engine),
        Some(Change::Set {
            subflows,
            add_addr_accepted,
            engine,
        }) => (
            Request::SetLimits {
                subflows: *subflows,
                add_addr_accepted: *add_addr_accepted,
            },
            engine,
        ),
    };
    let limits: LimitsRow = engine.ask(&request)?;
    if engine.json {
        return print_json(&limits);
    }
    let LimitsRow {
        subflows,
        add_addr_accepted,
    } = limits;
    print(&format!(
        "subflows {subflows} add_addr_accepted {add_addr_accepted}\n"
    ))
}
