//! The engine against itself over links in memory: where Linux cannot be the peer.

use std::thread;

use super::DemoError;
use super::application::EngineTransfer;
use super::bars::Bars;
use super::engine_host::{EngineHost, Gate};
use super::measured::measured;
use super::plan::{MemoryLinks, Plan, port_of};
use super::ports;
use super::report::{Measured, Peer, Report, Role, Task};
use super::runs::{Series, activity};
use super::supervision::{Cut, supervise};
use crate::lab::link::{Link, Side};
use crate::peer::Progress;

/// Makes two engines and the links between them, and all runs of a demonstration.
pub(super) fn run(plan: &Plan, links: MemoryLinks) -> Result<Report, DemoError> {
    let (near, far) = ports::open_memory(plan.links, links, plan.workers)?;
    let (near, captures) = ports::tee_all(near, plan)?;
    let mut engine = EngineHost::create(plan, Side::Engine, near)?;
    let mut peer = EngineHost::create(plan, Side::Peer, far)?;
    let bars = Bars::new(plan.show_progress);
    let series = Series {
        plan,
        peer: Peer::Engine,
        fallback: false,
        baseline: None,
        bars: &bars,
        captures: &captures,
    };
    Ok(series.make(|task| run_once(plan, task, &mut engine, &mut peer, &bars)))
}

fn run_once(
    plan: &Plan,
    task: Task,
    engine: &mut EngineHost,
    peer: &mut EngineHost,
    bars: &Bars,
) -> Result<Measured, DemoError> {
    let progress = Progress::default();
    let engine_sends = task.role.sends(task.direction);
    let gate = Gate::of(Link(plan.links));
    let cut = plan
        .cut
        .then(|| Cut::at_gate(&gate, plan.links, plan.bytes));
    let transfer = |role, sends| EngineTransfer {
        role,
        port: port_of(task),
        activity: activity(plan, sends),
        progress: &progress,
    };
    let near = transfer(task.role, engine_sends);
    let peer_role = match task.role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    let far = transfer(peer_role, !engine_sends);
    let bar = bars.start(task.describe(), plan.bytes);
    let (result, link_cut) = supervise(&progress, &bar, cut, || {
        thread::scope(|scope| {
            let far = scope.spawn(|| progress.of_side(|| peer.run(far, Some(&gate))));
            let near = progress.of_side(|| engine.run(near, None));
            let far = match far.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            DemoError::first_cause(near, far)
        })
    })?;
    let (near, far) = result?;
    Ok(measured(
        plan.stream(),
        engine_sends,
        near,
        &far.seen,
        link_cut,
    ))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::super::report::Direction;
    use super::*;
    use crate::demo::PeerChoice;
    use crate::lab::link::Family;

    /// A link that is cut when a run ends would leave the next run with one path.
    #[test]
    fn a_run_that_ends_while_a_link_is_cut_leaves_it_whole() {
        let plan = Plan {
            bytes: 1 << 16,
            workers: NonZeroU8::MIN,
            links: 2,
            peer: PeerChoice::Engine(MemoryLinks::default()),
            roles: vec![Role::Server, Role::Client],
            family: Family::V4,
            checksum: false,
            cut: false,
            baseline: false,
            capture: None,
            show_progress: false,
        };
        let (near, far) =
            ports::open_memory(plan.links, MemoryLinks::default(), plan.workers).unwrap();
        let mut engine = EngineHost::create(&plan, Side::Engine, near).unwrap();
        let mut peer = EngineHost::create(&plan, Side::Peer, far).unwrap();
        let bars = Bars::new(false);
        let progress = Progress::default();
        let cut = Gate::of(Link(2));
        cut.set(false);
        let transfer = |role, sends| EngineTransfer {
            role,
            port: 4_999,
            activity: activity(&plan, sends),
            progress: &progress,
        };
        let sending = transfer(Role::Client, true);
        thread::scope(|scope| {
            let far = scope.spawn(|| peer.run(sending, Some(&cut)).map(drop));
            engine.run(transfer(Role::Server, false), None).unwrap();
            far.join().unwrap().unwrap();
        });
        let longer = Plan {
            bytes: 16 << 20,
            ..plan
        };
        let task = Task {
            role: Role::Server,
            direction: Direction::Upload,
        };
        let measured = run_once(&longer, task, &mut engine, &mut peer, &bars).unwrap();
        assert!(measured.sha256_match);
        assert_eq!(measured.subflows.len(), 2, "{:?}", measured.subflows);
    }
}
