//! `braid lab`: the demonstration's topology left open for a user's own programs.
//!
//! An engine in this process on a socket of its own, links to a namespace in which Linux's Multipath
//! TCP is the peer, one program at the engine and one over there. `topology` makes the network,
//! `programs` runs the two, `readiness` finds out when a server listens, `used` gathers what became
//! of the subflows, `report` tells it.

mod programs;
mod readiness;
mod report;
mod topology;
mod used;

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

pub use report::{Report, UsedSubflow};

use crate::demo::{DemoError, MemoryLinks};
use crate::lab::LabError;
use crate::lab::link::Family;
use crate::management::ClientError;
use crate::server::{self, ServerError};
use programs::Program;
use topology::Topology;

/// What is to be run, and over what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How each link behaves in either direction; there are as many links, 1 to 8.
    pub links: Vec<MemoryLinks>,
    /// How many workers the engine has, 1 to 32.
    pub workers: NonZeroU8,
    /// The internet protocol of the addresses that the programs are told.
    pub family: Family,
    /// The command, run directly.
    pub command: Vec<OsString>,
    /// The command of the other side, for `sh -c`.
    pub peer: Option<String>,
    /// The command runs in the peer's namespace, and the other one at the engine.
    pub reverse: bool,
    /// The command begins once the other side listens there.
    pub wait_port: Option<u16>,
    /// libbraid_preload.so.
    pub library: PathBuf,
}

/// Why the programs could not be run.
#[derive(Debug, thiserror::Error)]
pub enum OpenLabError {
    /// The network could not be made; nothing was begun.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The engine's way to a link is barred; nothing was begun.
    #[error(transparent)]
    Ports(#[from] DemoError),
    /// The engine cannot start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The engine is of another mind than this program.
    #[error("the engine of the laboratory was told something wrong: {0}")]
    Configuration(#[from] crate::config::ConfigError),
    /// A program cannot be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing listens where --wait-port says.
    #[error("nothing listens at port {port}: {reason}")]
    NobodyListens {
        /// The port.
        port: u16,
        /// What was seen instead.
        reason: String,
    },
    /// The engine does not answer.
    #[error(transparent)]
    Engine(#[from] ClientError),
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What it was for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl OpenLabError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Runs the programs and waits for the command's end.
///
/// Call it before the process has a second thread: it may enter a user namespace, and takes over
/// signals.
///
/// # Errors
///
/// When the network, the engine or a program could not be started.
pub fn run(plan: Plan) -> Result<Report, OpenLabError> {
    let topology = Topology::create(&plan)?;
    let (config, ports) = topology.engine(&plan)?;
    let programs = Arc::new(programs::Running::default());
    let mut visit = None;
    let ready = || {
        let programs = Arc::clone(&programs);
        let spawned = thread::Builder::new()
            .name("braid-lab".into())
            .spawn(move || {
                let report = conduct(&plan, &topology, &programs);
                // The engine, in the main thread, has nothing more to do.
                let _ = kill_process(getpid(), Signal::TERM);
                report
            });
        visit = Some(spawned?);
        Ok(())
    };
    let served = server::run_on(config, ports, ready);
    // When the user has ended the engine, the programs are to end too.
    programs.end_all();
    let report = visit.map(thread::JoinHandle::join);
    served?;
    match report {
        Some(Ok(report)) => report,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => Err(OpenLabError::System {
            what: "cannot start a thread",
            source: io::ErrorKind::Other.into(),
        }),
    }
}

/// Starts the peer's program, then the command, and waits for both.
fn conduct(
    plan: &Plan,
    topology: &Topology,
    running: &programs::Running,
) -> Result<Report, OpenLabError> {
    let watcher = used::Watcher::start(topology.socket())?;
    let command = Program::command(plan, topology);
    let mut peer = match Program::peer(plan, topology) {
        Some(program) => Some(running.start_peer(topology, &program)?),
        None => None,
    };
    if let Some(peer) = &mut peer {
        readiness::wait(plan, topology, peer)?;
    }
    let status = running.run_command(topology, &command)?;
    watcher.settle();
    if let Some(peer) = peer {
        peer.finish();
    }
    let (subflows, lost_events) = watcher.finish(topology)?;
    Ok(Report {
        exit_status: status,
        subflows,
        lost_events,
    })
}
