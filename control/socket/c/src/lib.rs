//! The C ABI as a library for C: see `include/braid.h`.

pub use braid_socket::ffi::*;
