//! `braid set`: profile, scheduler, congestion controller and path manager, of a live connection or
//! of those to come.

use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::path_manager::PathManagement;
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::Profile;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::Failure;
use super::engine_socket::EngineSocket;
use super::output::{or_dash, print, print_json};
use super::size::Size;
use crate::management::{Request, Settings, SettingsRow};

/// Set profile, scheduler, congestion controller or path manager of a live connection, or of those
/// to come; without any of them, show those in effect.
///
/// Example: braid set --connection 3 --scheduler redundant --controller lia
#[derive(Debug, Args)]
pub(super) struct SetArguments {
    /// The connection, by the id that `braid show connections` gives; without it, the default of
    /// connections to come.
    #[arg(long, value_name = "ID")]
    connection: Option<u64>,

    /// What the connection is to be good at; brings its own scheduler along.
    #[arg(long, value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name)))]
    profile: Option<String>,

    /// Which subflow carries the next bytes.
    #[arg(long, value_parser = PossibleValuesParser::new(Scheduler::ALL.map(Scheduler::name)))]
    scheduler: Option<String>,

    /// The congestion controller.
    #[arg(long,
          value_parser = PossibleValuesParser::new(ControllerKind::ALL.map(ControllerKind::name)))]
    controller: Option<String>,

    /// Which endpoints are made use of.
    #[arg(long, value_parser = PossibleValuesParser::new(PathManagement::NAMES))]
    path_manager: Option<String>,

    /// With --path-manager ondemand: bytes sent and received before the first further subflow.
    #[arg(long, value_name = "SIZE")]
    threshold: Option<Size>,

    #[command(flatten)]
    engine: EngineSocket,
}

pub(super) fn run(arguments: SetArguments) -> Result<(), Failure> {
    let engine = arguments.engine;
    let settings: SettingsRow = engine.ask(&Request::Set {
        connection: arguments.connection,
        settings: Settings {
            profile: arguments.profile,
            scheduler: arguments.scheduler,
            congestion: arguments.controller,
            path_manager: arguments.path_manager,
            threshold: arguments.threshold.map(|size| size.0),
        },
    })?;
    if engine.json {
        return print_json(&settings);
    }
    let SettingsRow {
        profile,
        scheduler,
        congestion,
        path_manager,
        threshold,
    } = settings;
    let threshold = or_dash(threshold);
    print(&format!(
        "profile {profile} scheduler {scheduler} controller {congestion} path_manager \
         {path_manager} threshold {threshold}\n"
    ))
}
