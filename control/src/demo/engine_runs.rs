//! The engine against itself over links in memory: where Linux cannot be the peer.

use std::thread;

use super::DemoError;
use super::bars::Bars;
use super::engine_host::{EngineHost, EngineTransfer, Gate};
use super::measured::measured;
use super::plan::{Plan, port_of};
use super::ports;
use super::report::{Expected, Measured, Peer, Report, Role, RunReport, Task};
use super::supervision::{Cut, supervise};
use crate::lab::link::{Link, Side};
use crate::peer::{Activity, Progress};

/// Makes two engines and the links between them, and all runs of a demonstration.
pub(super) fn run(plan: &Plan) -> Result<Report, DemoError> {
    let (near, far) = ports::open_memory(plan.links)?;
    let (near, captures) = ports::tee_all(near, plan)?;
    let mut engine = EngineHost::create(plan, Side::Engine, near)?;
    let mut peer = EngineHost::create(plan, Side::Peer, far)?;
    let bars = Bars::new(plan.show_progress);
    let mut runs = Vec::new();
    for task in plan.tasks() {
        let measured =
            run_once(plan, task, &mut engine, &mut peer, &bars).unwrap_or_else(|error| {
                bars.complain(&format!("{}: {error}", task.describe()));
                Measured::default()
            });
        runs.push(RunReport::new(task, &measured));
    }
    ports::finish(&captures)?;
    let expected = Expected {
        runs: plan.tasks().count(),
        bytes: plan.bytes,
        fallback: false,
    };
    Ok(Report::new(Peer::Engine, expected, runs, None))
}

fn run_once(
    plan: &Plan,
    task: Task,
    engine: &mut EngineHost,
    peer: &mut EngineHost,
    bars: &Bars,
) -> Result<Measured, DemoError> {
    let stream = plan.stream();
    let progress = Progress::default();
    let engine_sends = task.role.sends(task.direction);
    let gate = Gate::of(Link(plan.links));
    let cut = (plan.cut && plan.links > 1).then(|| Cut::at_gate(&gate, plan.bytes));
    let transfer = |role, sends| EngineTransfer {
        role,
        port: port_of(task),
        activity: if sends {
            Activity::Send(stream)
        } else {
            Activity::Receive
        },
        progress: &progress,
        gate: None,
    };
    let near = transfer(task.role, engine_sends);
    let peer_role = match task.role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let far = EngineTransfer {
        gate: Some(&gate),
        ..transfer(peer_role, !engine_sends)
    };
    let bar = bars.start(task.describe(), plan.bytes);
    let (result, link_cut) = supervise(&progress, &bar, cut, || {
        thread::scope(|scope| {
            let far = scope.spawn(|| peer.run(far).inspect_err(|_| progress.fail()));
            let near = engine.run(near).inspect_err(|_| progress.fail());
            let far = match far.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            DemoError::first_cause(near, far)
        })
    })?;
    let (near, far) = result?;
    Ok(measured(stream, engine_sends, near, &far.seen, link_cut))
}
