//! What is said on standard error: once for each listener, and once for the first connection of a
//! process. Not to a standard error that is a socket, which may be a protocol's.

use braid_shm::abi::{SocketAddressStorage, sockaddr_multipath};
use braid_socket::Errno;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static CONNECTS: AtomicBool = AtomicBool::new(false);
static NO_ENGINE: AtomicBool = AtomicBool::new(false);

/// A sockaddr in words.
fn name(address: &[u8]) -> String {
    let one = SocketAddressStorage::from_sockaddr(address).and_then(|storage| storage.address());
    match (one, sockaddr_multipath::parse(address)) {
        (Some(address), _) => address.to_string(),
        (None, Some(addresses)) => addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        (None, None) => "an address of its own".to_owned(),
    }
}

fn say(what: &str) {
    if crate::policy::policy().quiet {
        return;
    }
    // SAFETY: all-zero is a valid stat, and it is live for the call.
    let is_socket = unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        libc::fstat(libc::STDERR_FILENO, &raw mut found) != 0
            || found.st_mode & libc::S_IFMT == libc::S_IFSOCK
    };
    if is_socket {
        return;
    }
    let mut line = String::new();
    let _ = writeln!(line, "braid: process {}: {what}", std::process::id());
    // SAFETY: the bytes are live for the call. What cannot be written is not said.
    unsafe { crate::real::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// A listener was taken.
pub(crate) fn listens(address: &[u8]) {
    say(&format!("the engine listens at {}", name(address)));
}

/// A connection was taken.
pub(crate) fn connects(address: &[u8]) {
    if !CONNECTS.swap(true, Ordering::Relaxed) {
        say(&format!(
            "the engine connects to {}; later connections are not told",
            name(address)
        ));
    }
}

/// There is no engine, or none for this user.
pub(crate) fn no_engine(errno: Errno) {
    if NO_ENGINE.swap(true, Ordering::Relaxed) {
        return;
    }
    let path = braid_socket::attachment::engine_path();
    let why = braid_socket::attachment::last_refusal().unwrap_or_else(|| errno.to_string());
    let then = if crate::policy::is_strict() {
        "its sockets fail"
    } else {
        "its sockets are the kernel's"
    };
    say(&format!(
        "no engine at {} ({why}), so {then}; start one with `braid engine`, or name its socket in \
         BRAID_SOCKET",
        path.display()
    ));
}
