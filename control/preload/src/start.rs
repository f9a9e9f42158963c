//! Before main() and after it.

use crate::policy::{Mode, policy};
use crate::{exports, guarded, process, real};
use braid_socket::descriptor;
use std::fs;
use std::os::fd::RawFd;

/// Descriptors looked at where /proc is not there.
const WITHOUT_PROC: RawFd = 1024;

extern "C" fn begin() {
    real::resolve();
    process::note_fork();
    if policy().mode == Mode::KernelMultipath {
        return;
    }
    guarded::register();
    recognise_inherited();
    exports::stdio::replace_standard_streams();
    // SAFETY: the function lives as long as the program.
    unsafe { at_quick_exit(end) };
}

/// Sockets of the engine that the program before this one left open (execve(2)).
fn recognise_inherited() {
    let listed: Option<Vec<RawFd>> = fs::read_dir("/proc/self/fd").ok().map(|entries| {
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    });
    for fd in listed.unwrap_or_else(|| (0..WITHOUT_PROC).collect()) {
        // Those that are none fail by one system call.
        let _ = descriptor::recognise(fd);
    }
}

extern "C" fn end() {
    process::mark_all_orderly();
}

unsafe extern "C" {
    fn at_quick_exit(function: extern "C" fn()) -> libc::c_int;
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;
