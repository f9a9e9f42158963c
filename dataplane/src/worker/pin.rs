//! On which core a worker's thread runs (sched_setaffinity(2)).

/// Why a thread cannot be kept on a core.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the thread cannot be kept on core {core}: this process may run on {allowed} cores (the line \
     Cpus_allowed_list in /proc/self/status names them); choose one of these, or allow it that core"
)]
pub struct PinError {
    /// The core that was asked for.
    pub core: usize,
    /// How many cores the thread may run on.
    pub allowed: usize,
}

/// The numbers of the cores that the calling thread may run on, in rising order. Empty when the
/// system does not say.
pub fn allowed_cores() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.into_iter().map(|core| core.id).collect()
}

/// Keeps the calling thread on a core from now on, and threads that it starts later.
///
/// # Errors
///
/// [`PinError`] when the thread may not run there; it runs where it did.
pub fn pin(core: usize) -> Result<(), PinError> {
    let allowed = allowed_cores();
    let error = PinError {
        core,
        allowed: allowed.len(),
    };
    if !allowed.contains(&core) {
        return Err(error);
    }
    match core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        true => Ok(()),
        false => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core_and_others_are_refused() {
        let before = allowed_cores();
        let core = *before.last().expect("it runs somewhere");
        let after = std::thread::spawn(move || {
            pin(core).expect("an allowed core");
            allowed_cores()
        });
        assert_eq!(after.join().expect("no panic"), [core]);
        assert_eq!(
            allowed_cores(),
            before,
            "other threads stay where they were"
        );
        let refused = PinError {
            core: 100_000,
            allowed: before.len(),
        };
        assert_eq!(pin(100_000), Err(refused));
    }
}
