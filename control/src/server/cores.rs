//! The cores of the workers, and threads on them that others have made.

use std::fmt;
use std::ops::ControlFlow;

use braid_dataplane::worker;

use crate::config::Config;

/// A worker's turns: called over and over, until it breaks.
pub(super) type Turns = Box<dyn FnMut() -> ControlFlow<()>>;

/// Makes a worker's turns, on its core.
pub(super) type Launch = Box<dyn FnOnce() -> Turns + Send>;

/// Runs each worker on the core that it is named with.
type Run = Box<dyn FnOnce(Vec<(usize, Launch)>) + Send>;

/// The pipelines of DPDK's cores, which run workers in the place of threads of the engine's own.
pub struct Pipelines {
    /// That of each worker.
    cores: Vec<usize>,
    run: Run,
}

impl Pipelines {
    /// Of workers on these cores.
    #[cfg_attr(
        not(feature = "dpdk"),
        expect(dead_code, reason = "DPDK alone has such threads")
    )]
    pub(super) fn new(
        cores: Vec<usize>,
        run: impl FnOnce(Vec<(usize, Launch)>) + Send + 'static,
    ) -> Self {
        Self {
            cores,
            run: Box::new(run),
        }
    }

    /// Runs the workers, in the order of their numbers.
    pub(super) fn run(self, workers: Vec<Launch>) {
        (self.run)(self.cores.into_iter().zip(workers).collect());
    }
}

impl fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipelines")
            .field("cores", &self.cores)
            .finish_non_exhaustive()
    }
}

/// The core of each worker, `None` where the system chooses.
pub(super) fn cores(config: &Config) -> Vec<Option<usize>> {
    let workers = usize::from(config.workers.get());
    let allowed = worker::allowed_cores();
    let chosen = match &config.cores {
        Some(cores) => cores.clone(),
        None if workers > 1 && workers <= allowed.len() => allowed,
        None => Vec::new(),
    };
    let chosen = chosen.into_iter().map(Some);
    chosen
        .chain(std::iter::repeat(None))
        .take(workers)
        .collect()
}

/// A core for each worker that nobody else has; empty when there are too few.
#[cfg(feature = "dpdk")]
pub(super) fn own_cores(config: &Config) -> Vec<usize> {
    let workers = usize::from(config.workers.get());
    let mut cores = config.cores.clone().unwrap_or_else(worker::allowed_cores);
    cores.truncate(workers);
    let distinct: std::collections::HashSet<_> = cores.iter().collect();
    if distinct.len() < workers {
        cores.clear();
    }
    cores
}
