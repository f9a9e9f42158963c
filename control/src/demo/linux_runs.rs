//! The engine against Linux: all runs of a demonstration.

use std::thread;

use super::DemoError;
use super::bars::Bars;
use super::baseline;
use super::engine_host::{EngineHost, EngineTransfer};
use super::linux::{LinuxPeer, PeerTransfer};
use super::measured::{Seen, measured};
use super::plan::{LinuxPlan, Plan, port_of};
use super::ports;
use super::report::{Expected, Measured, Peer, Report, RunReport, Task};
use super::supervision::{Cut, supervise};
use crate::lab::link::Side;
use crate::peer::{Activity, PeerProtocol, Progress};

/// Makes the network, measures Linux against itself, then the engine against Linux.
pub(super) fn run(plan: &Plan, linux: &LinuxPlan) -> Result<Report, DemoError> {
    let (peer, engine_ports) = LinuxPeer::create(plan, linux)?;
    let (engine_ports, captures) = ports::tee_all(engine_ports, plan)?;
    let mut engine = EngineHost::create(plan, Side::Engine, engine_ports)?;
    let bars = Bars::new(plan.show_progress);
    let baseline = plan
        .baseline
        .then(|| baseline::measure(plan, plan.stream(), &bars))
        .transpose()?;
    let mut runs = Vec::new();
    for task in plan.tasks() {
        let context = RunContext {
            plan,
            linux,
            peer: &peer,
            bars: &bars,
        };
        let measured = context.run(&mut engine, task).unwrap_or_else(|error| {
            bars.complain(&format!("{}: {error}", task.describe()));
            Measured::default()
        });
        runs.push(RunReport::new(task, &measured));
    }
    ports::finish(&captures)?;
    let expected = Expected {
        runs: plan.tasks().count(),
        bytes: plan.bytes,
        fallback: linux.protocol == PeerProtocol::Plain,
    };
    Ok(Report::new(Peer::Linux, expected, runs, baseline))
}

/// What all runs have in common.
struct RunContext<'a> {
    plan: &'a Plan,
    linux: &'a LinuxPlan,
    peer: &'a LinuxPeer,
    bars: &'a Bars,
}

impl RunContext<'_> {
    fn run(&self, engine: &mut EngineHost, task: Task) -> Result<Measured, DemoError> {
        let stream = self.plan.stream();
        let progress = Progress::default();
        let engine_sends = task.role.sends(task.direction);
        let activity = |sends| {
            if sends {
                Activity::Send(stream)
            } else {
                Activity::Receive
            }
        };
        let cut = match self.plan.cut {
            true => Cut::in_the_middle(self.peer.namespace(), self.plan.links, self.plan.bytes)?,
            false => None,
        };
        let bar = self.bars.start(task.describe(), self.plan.bytes);
        let transfer = || {
            thread::scope(|scope| {
                let peer = self.peer.spawn(
                    scope,
                    PeerTransfer {
                        plan: self.plan,
                        protocol: self.linux.protocol,
                        task,
                        port: port_of(task),
                        activity: activity(!engine_sends),
                        progress: &progress,
                    },
                )?;
                let engine_side = engine
                    .run(EngineTransfer {
                        role: task.role,
                        port: port_of(task),
                        activity: activity(engine_sends),
                        progress: &progress,
                        gate: None,
                    })
                    .inspect_err(|_| progress.fail());
                let linux_side = match peer.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                DemoError::first_cause(engine_side, linux_side)
            })
        };
        let (result, link_cut) = supervise(&progress, &bar, cut, transfer)?;
        let (engine_side, linux_side) = result?;
        let linux_seen = Seen {
            received: linux_side.received,
            digest: linux_side.digest,
            elapsed: linux_side.elapsed,
            fallback: linux_side.fallback,
        };
        Ok(measured(
            stream,
            engine_sends,
            engine_side,
            &linux_seen,
            link_cut,
        ))
    }
}
