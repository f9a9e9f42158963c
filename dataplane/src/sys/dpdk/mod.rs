//! DPDK by capsule-ffi: the calls for which capsule has no counterpart, or one that allocates a
//! burst or knows no offloads.
//!
//! Everything here is called after capsule has started the environment (EAL), which happens once
//! a process.

pub(crate) mod device;
mod mbuf;
pub(crate) mod pool;
pub(crate) mod queue;

use std::ffi::{CStr, c_int};
use std::fmt;

use capsule_ffi as ffi;

pub(crate) use mbuf::Packet;

/// What a call of DPDK failed with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal(c_int);

impl Refusal {
    /// Judges what a call returned: a negative number of `errno.h`, or -1 with the number beside.
    pub(super) fn check(returned: c_int) -> Result<u32, Self> {
        match returned {
            // SAFETY: reads a variable of this thread.
            -1 => Err(Self(unsafe { ffi::_rte_errno() })),
            code => u32::try_from(code).map_err(|_| Self(-code)),
        }
    }

    /// Of the last call of this thread.
    pub(super) fn last() -> Self {
        // SAFETY: reads a variable of this thread.
        Self(unsafe { ffi::_rte_errno() })
    }

    /// Whether the driver has no such function.
    pub(crate) fn is_unsupported(self) -> bool {
        matches!(self.0, libc::ENOTSUP | libc::ENOSYS)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: takes any number and returns a string that lives until the next call of this
        // thread.
        let text = unsafe { CStr::from_ptr(ffi::rte_strerror(self.0)) };
        f.write_str(&text.to_string_lossy())
    }
}

/// The version of libdpdk that this process runs with, as "DPDK 22.11.11".
pub(crate) fn version() -> String {
    // SAFETY: returns a string that lives as long as the library.
    let text = unsafe { CStr::from_ptr(ffi::rte_version()) };
    text.to_string_lossy().into_owned()
}

/// A thread of ours that DPDK knows, until it ends.
struct Registration {
    known: bool,
}

impl Registration {
    fn new() -> Self {
        // SAFETY: takes nothing, and a thread that is known already is left as it is. A refusal
        // (too many threads) costs the cache only.
        let known = unsafe { ffi::rte_thread_register() } == 0;
        Self { known }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.known {
            // SAFETY: takes nothing, and is called by the thread that was registered.
            unsafe { ffi::rte_thread_unregister() };
        }
    }
}

/// Makes DPDK know this thread, so that it has a cache of its own in every pool. Without it
/// everything works, over the pools' shared rings.
pub(crate) fn register_thread() {
    thread_local! {
        static REGISTRATION: Registration = Registration::new();
    }
    // A thread whose variables are gone already is about to end.
    let _ = REGISTRATION.try_with(|_| ());
}
