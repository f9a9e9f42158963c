//! `braid stats`: the counters of a running engine by stable names.

use std::collections::BTreeMap;

use clap::Args;

use super::Failure;
use super::engine_socket::EngineSocket;
use super::output::{print, print_json};
use crate::management::{Request, Statistics};

/// Show the counters of a running engine, by the names of `nstat` (TcpExt, MPTcpExt) and those of
/// its ports.
///
/// Example: braid stats MPTcpExt PortIn
#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    /// Only counters whose names begin with one of these.
    #[arg(value_name = "PREFIX")]
    prefixes: Vec<String>,

    /// Those that are zero, too.
    #[arg(long)]
    zeros: bool,

    #[command(flatten)]
    engine: EngineSocket,
}

pub(super) fn run(arguments: &StatsArguments) -> Result<(), Failure> {
    let mut statistics: Statistics = arguments.engine.ask(&Request::Statistics)?;
    let wanted = |name: &String, value: &mut u64| {
        // Whoever reads JSON looks for names, be they zero.
        let counts = *value > 0 || arguments.zeros || arguments.engine.json;
        let named = arguments.prefixes.is_empty()
            || arguments
                .prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()));
        counts && named
    };
    statistics.counters.retain(wanted);
    for counters in statistics.ports.values_mut() {
        counters.retain(wanted);
    }
    if arguments.engine.json {
        return print_json(&statistics);
    }
    let mut text = lines("", &statistics.counters);
    for (port, counters) in &statistics.ports {
        text.push_str(&lines(&format!("{port}."), counters));
    }
    print(&text)
}

fn lines(prefix: &str, counters: &BTreeMap<String, u64>) -> String {
    counters
        .iter()
        .map(|(name, value)| format!("{:<40} {value}\n", format!("{prefix}{name}")))
        .collect()
}
