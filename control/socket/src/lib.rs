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

mod api;
pub mod attachment;
pub mod calls;
mod command;
pub mod descriptor;
mod errno;
pub mod ffi;
mod fork;
mod sys;
mod wait;

pub use api::{BraidListener, BraidStream, Domain, Socket};
pub use braid_shm::abi;
pub use errno::Errno;
