//! Sockets of Braid's engine, from the application's side.
//!
//! A socket is a real descriptor of the kernel, and a slot in memory that is shared with the engine: its
//! bytes go through there, and while both sides are busy without a system call. [`BraidStream`] and
//! [`BraidListener`] are what a program in Rust uses, `braid.h` what one in C does; [`calls`] is what
//! both, and the preload library, are made of.
//!
//! ```no_run
//! use braid_socket::BraidStream;
//! use std::io::{Read, Write};
//!
//! let mut stream = BraidStream::connect("192.0.2.1:80".parse()?)?;
//! stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//! let mut answer = Vec::new();
//! stream.read_to_end(&mut answer)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Two things that the kernel's sockets bear, these do not:
//!
//! - **Processes in different PID namespaces that use one socket** (pid_namespaces(7)). The locks of a
//!   socket and of the memory for calls name the thread that holds them, and who finds one held asks the
//!   kernel whether that thread lives. In another namespace the number names another thread, or none: a
//!   lock may be taken from a thread that is at work, which can mix up the bytes of this socket, or wait
//!   for one that has died until another thread of that number ends. Processes that are each in a
//!   namespace of their own and do not share a socket are not concerned. A socket that is passed across
//!   is safe once the sender has closed its copy, and no call is under way on it.
//! - **siglongjmp(3) out of a call**, from a handler that interrupted it. What the call holds is not given
//!   back until its thread ends: other threads wait for the socket until then, and what the thread itself
//!   sends or receives there does not take effect. Set a flag in the handler and install it without
//!   SA_RESTART, so that the call ends with EINTR, or poll(2) first and call with MSG_DONTWAIT. The C
//!   library's own functions that are not async-signal-safe have the same limit.

mod api;
pub mod attachment;
pub mod calls;
mod command;
pub mod descriptor;
mod errno;
pub mod ffi;
mod fork;
mod ready_list;
mod sys;
mod wait;

pub use api::{BraidListener, BraidStream, Domain, Socket};
pub use braid_shm::abi;
pub use errno::Errno;
pub use ready_list::ReadyList;
