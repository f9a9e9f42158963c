//! What the environment asks for; read once, before main().
//!
//! - `BRAID_STRICT=1`: a TCP socket that the engine does not take fails, instead of being the kernel's.
//! - `BRAID_QUIET=1`: nothing is said on standard error.
//! - `BRAID_PEER=mptcp`: this process is the far end of a test: its TCP sockets become the kernel's own
//!   Multipath TCP, and no engine is looked for.

use std::env;
use std::sync::OnceLock;

/// How TCP sockets are dealt with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// The engine's where it owns the address, else the kernel's.
    Engine,
    /// The engine's, or none.
    EngineOnly,
    /// The kernel's, with Multipath TCP.
    KernelMultipath,
}

/// All of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) mode: Mode,
    pub(crate) quiet: bool,
}

static POLICY: OnceLock<Policy> = OnceLock::new();

fn is_on(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// What is asked for.
pub(crate) fn policy() -> Policy {
    *POLICY.get_or_init(|| Policy {
        mode: if env::var_os("BRAID_PEER").is_some_and(|peer| peer == "mptcp") {
            Mode::KernelMultipath
        } else if is_on("BRAID_STRICT") {
            Mode::EngineOnly
        } else {
            Mode::Engine
        },
        quiet: is_on("BRAID_QUIET"),
    })
}

/// Whether sockets of the kernel are to be refused.
pub(crate) fn is_strict() -> bool {
    policy().mode == Mode::EngineOnly
}
