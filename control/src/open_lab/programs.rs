//! The two programs: their environments, how they start, and how they end.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::topology::Topology;
use super::{OpenLabError, Plan};
use crate::cli::exec;
use crate::lab::link::Side;

/// How long the peer's program may take to end by itself once the command has.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long it may take to end once it was asked to.
const NOTICE: Duration = Duration::from_secs(1);

/// How often a program is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// A program that is yet to start.
#[derive(Debug)]
pub(super) struct Program {
    name: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// It runs in the namespace of Linux's Multipath TCP.
    over_there: bool,
}

impl Program {
    /// The command.
    pub(super) fn command(plan: &Plan, topology: &Topology) -> Self {
        let mut words = plan.command.iter().cloned();
        let name = words.next().unwrap_or_default();
        Self::on(plan.reverse, name, words.collect(), plan, topology)
    }

    /// The program of the other side, if there is one.
    pub(super) fn peer(plan: &Plan, topology: &Topology) -> Option<Self> {
        let arguments = vec!["-c".into(), plan.peer.as_ref()?.into()];
        Some(Self::on(
            !plan.reverse,
            "sh".into(),
            arguments,
            plan,
            topology,
        ))
    }

    fn on(
        over_there: bool,
        name: OsString,
        arguments: Vec<OsString>,
        plan: &Plan,
        topology: &Topology,
    ) -> Self {
        let (own, other) = if over_there {
            (Side::Peer, Side::Engine)
        } else {
            (Side::Engine, Side::Peer)
        };
        let address = |side| OsString::from(topology.address(side).to_string());
        let preload = exec::preload(&plan.library, std::env::var_os("LD_PRELOAD"));
        let mut environment = vec![
            ("BRAID_LAB_SELF", address(own)),
            ("BRAID_LAB_PEER", address(other)),
            ("LD_PRELOAD", preload),
        ];
        if over_there {
            // Sockets of the kernel, which speak Multipath TCP only when asked to.
            environment.push(("BRAID_PEER", "mptcp".into()));
        } else {
            environment.push(("BRAID_SOCKET", topology.socket().into()));
        }
        Self {
            name,
            arguments,
            environment,
            over_there,
        }
    }

    fn start(&self, topology: &Topology, group: bool) -> Result<Child, OpenLabError> {
        let mut command = Command::new(&self.name);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if group {
            // So that what it starts can be ended with it; the terminal stays the command's.
            command.process_group(0).stdin(Stdio::null());
        }
        let started = if self.over_there {
            topology.peer().run(|| command.spawn())?
        } else {
            command.spawn()
        };
        started.map_err(|source| OpenLabError::Start {
            program: self.name.to_string_lossy().into_owned(),
            source,
        })
    }
}

/// The programs that run, for whoever has to end them.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    command: Option<Pid>,
    over: bool,
}

impl Running {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the program of the other side.
    pub(super) fn start_peer(
        &self,
        topology: &Topology,
        program: &Program,
    ) -> Result<PeerProgram, OpenLabError> {
        Ok(PeerProgram {
            child: program.start(topology, true)?,
            status: None,
        })
    }

    /// Runs the command to its end; gives its exit status, as a shell would.
    pub(super) fn run_command(
        &self,
        topology: &Topology,
        program: &Program,
    ) -> Result<u8, OpenLabError> {
        let mut child = {
            let mut state = self.state();
            let child = program.start(topology, false)?;
            if state.over {
                end(&child);
            }
            state.command = Pid::from_raw(child.id().cast_signed());
            child
        };
        // Its number stays its own until it was waited for, which is done under the lock.
        let status = loop {
            let mut state = self.state();
            let ended = child
                .try_wait()
                .map_err(OpenLabError::system("cannot wait for the command"))?;
            if let Some(status) = ended {
                state.command = None;
                break status;
            }
            drop(state);
            thread::sleep(INTERVAL);
        };
        Ok(code_of(status))
    }

    /// Asks the command to end, now or as soon as it starts.
    pub(super) fn end_all(&self) {
        let mut state = self.state();
        state.over = true;
        if let Some(command) = state.command {
            // It may have ended without having been waited for, and takes no signal then.
            let _ = kill_process(command, Signal::TERM);
        }
    }
}

fn end(child: &Child) {
    if let Some(process) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process(process, Signal::TERM);
    }
}

/// The status that a shell gives: 128 and the number of the signal that ended it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The program of the other side while it runs. It is ended when it is dropped.
#[derive(Debug)]
pub(super) struct PeerProgram {
    child: Child,
    status: Option<ExitStatus>,
}

impl PeerProgram {
    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            // A child that cannot be waited for is none any more.
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits a little for its end, then ends it.
    pub(super) fn finish(mut self) {
        self.wait(PATIENCE);
    }

    fn wait(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while self.ended().is_none() {
            if start.elapsed() > patience {
                return false;
            }
            thread::sleep(INTERVAL);
        }
        true
    }

    /// Sends a signal to it and to what it has started.
    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for PeerProgram {
    fn drop(&mut self) {
        if self.ended().is_some() {
            // What it started and left behind is of its group, whose number nobody else gets while
            // there is one of them.
            self.signal(Signal::TERM);
            return;
        }
        self.signal(Signal::TERM);
        if !self.wait(NOTICE) {
            self.signal(Signal::KILL);
            self.wait(NOTICE);
        }
    }
}
