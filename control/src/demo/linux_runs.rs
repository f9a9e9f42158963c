//! The engine against Linux: all runs of a demonstration.

use std::thread;

use super::DemoError;
use super::application::EngineTransfer;
use super::bars::Bars;
use super::baseline;
use super::engine_host::EngineHost;
use super::linux::{LinuxPeer, PeerTransfer};
use super::measured::{Seen, measured};
use super::plan::{LinuxPlan, Plan, port_of};
use super::ports;
use super::report::{Measured, Peer, Report, Task};
use super::runs::{Series, activity};
use super::supervision::{Cut, supervise};
use crate::lab::link::Side;
use crate::peer::{PeerProtocol, Progress};

/// Makes the network, measures Linux against itself, then the engine against Linux.
///
/// A measurement that fails is complained of and spoils the report, like a run that does.
pub(super) fn run(plan: &Plan, linux: &LinuxPlan) -> Result<Report, DemoError> {
    let (peer, engine_ports) = LinuxPeer::create(plan, linux)?;
    let (engine_ports, captures) = ports::tee_all(engine_ports, plan)?;
    let mut engine = EngineHost::create(plan, Side::Engine, engine_ports)?;
    let bars = Bars::new(plan.show_progress);
    let baseline = plan
        .baseline
        .then(|| baseline::measure(plan, plan.stream(), &bars))
        .transpose()
        .inspect_err(|error| {
            bars.complain(&format!(
                "Linux to Linux: {error}; --no-baseline leaves it out"
            ));
        });
    let context = RunContext {
        plan,
        linux,
        peer: &peer,
        bars: &bars,
    };
    let series = Series {
        plan,
        peer: Peer::Linux,
        fallback: linux.protocol == PeerProtocol::Plain,
        baseline: baseline.as_ref().ok().copied().flatten(),
        bars: &bars,
        captures: &captures,
    };
    let mut report = series.make(|task| context.run(&mut engine, task));
    report.ok &= baseline.is_ok();
    Ok(report)
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
        let progress = Progress::default();
        let engine_sends = task.role.sends(task.direction);
        let cut = match self.plan.cut {
            true => Some(Cut::in_the_middle(
                self.peer.namespace(),
                self.plan.links,
                self.plan.bytes,
            )?),
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
                        activity: activity(self.plan, !engine_sends),
                        progress: &progress,
                    },
                )?;
                let transfer = EngineTransfer {
                    role: task.role,
                    port: port_of(task),
                    activity: activity(self.plan, engine_sends),
                    progress: &progress,
                };
                let engine_side = progress.of_side(|| engine.run(transfer, None));
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
            self.plan.stream(),
            engine_sends,
            engine_side,
            &linux_seen,
            link_cut,
        ))
    }
}
