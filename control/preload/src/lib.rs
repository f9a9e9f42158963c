//! `libbraid_preload.so`: sockets of Braid's engine for unmodified programs (LD_PRELOAD, ld.so(8)).
//!
//! It stands before the C library and looks at every call that may concern a socket. A descriptor of
//! the engine's goes to `braid_socket`, all others to the next library unchanged.
//!
//! - `real`: the functions behind ours; `exports`: ours, by topic, which parse what C passes and
//!   leave the rest to what follows;
//! - `candidate`: TCP sockets of the kernel whose address is not known yet; `takeover`: how one of
//!   them becomes a socket of the engine under the same number;
//! - `epoll_sets`: what is in which epoll set, because a descriptor that changes under its number has
//!   to be put there again, the kernel does not know of errors of ours, and need not know of what a
//!   program changes and takes back;
//! - `readiness`: poll(2) and select(2) over descriptors of both kinds;
//! - `copy`: sendfile(2) and splice(2); `process`: exec, exit, and who shares whose memory;
//! - `guarded`: state that signal handlers and forks leave whole; `signals`: whether there are handlers;
//!   `policy`: what the environment asks
//!   for; `report`: what is said on standard error; `start`: before main() and after it.
//!
//! # What cannot be seen from here
//!
//! Calls that glibc makes internally, and system calls without it. A stream of stdio over a socket
//! has functions of ours (`exports::stdio`), also the standard ones, whether their descriptors were
//! sockets when the program started or became so by dup2(2); a pointer to `stdout` that was taken
//! before that, as iostreams of C++ do, still means the stream of the C library. dprintf(3) and
//! execl(3), whose arguments Rust cannot name, are served on x86-64 (`exports::variadic`); elsewhere
//! bytes of dprintf(3) are lost, and a socket that execl(3) closes is reset.
//!
//! aio_read(3) and io_uring(7) on a socket of the engine, statically linked programs and Go's runtime are
//! not served: the former meet the engine's descriptor, where what is written is ignored, and the
//! others never come by here, so their sockets are the kernel's.

mod arguments;
mod candidate;
mod copy;
mod epoll_sets;
mod exports;
mod guarded;
mod outcome;
mod policy;
mod process;
mod readiness;
mod real;
mod report;
mod signals;
mod start;
mod takeover;
