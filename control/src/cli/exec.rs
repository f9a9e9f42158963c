//! `braid exec`: runs an unmodified program with its sockets at the engine.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::Failure;

/// The library that stands before the C library.
const LIBRARY: &str = "libbraid_preload.so";

/// Run a program with its TCP sockets at the engine.
///
/// The program is not changed: libbraid_preload.so goes before the C library (LD_PRELOAD). Sockets
/// with an address that the engine owns are the engine's, all others stay the kernel's.
///
/// Example: braid exec -- curl http://192.0.2.1/
#[derive(Debug, Args)]
pub(super) struct ExecArguments {
    /// The engine's socket [default: BRAID_SOCKET, or /run/braid/engine.sock].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Let TCP sockets fail which the engine does not take, instead of leaving them to the kernel.
    #[arg(long)]
    strict: bool,

    /// Do not say on standard error what the engine takes.
    #[arg(long)]
    quiet: bool,

    /// The program and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    program: Vec<OsString>,
}

pub(super) fn run(arguments: &ExecArguments) -> Result<(), Failure> {
    let [program, rest @ ..] = arguments.program.as_slice() else {
        return Err(Failure::Configuration("no program is named".to_owned()));
    };
    let library = library()?;
    let socket = arguments
        .socket
        .clone()
        .or_else(|| env::var_os("BRAID_SOCKET").map(PathBuf::from))
        .unwrap_or_else(|| crate::config::DEFAULT_SOCKET.into());
    // The program may change its directory.
    let socket = std::path::absolute(&socket).unwrap_or(socket);
    look_for_engine(&socket)?;
    let mut command = Command::new(program);
    command
        .args(rest)
        .env("LD_PRELOAD", preload(&library, env::var_os("LD_PRELOAD")))
        .env("BRAID_SOCKET", &socket);
    if arguments.strict {
        command.env("BRAID_STRICT", "1");
    }
    if arguments.quiet {
        command.env("BRAID_QUIET", "1");
    }
    let error = command.exec();
    Err(Failure::Configuration(format!(
        "cannot run {}: {error}",
        Path::new(program).display()
    )))
}

/// LD_PRELOAD with the library behind what is there already.
pub(crate) fn preload(library: &Path, set: Option<OsString>) -> OsString {
    let mut list = set.unwrap_or_default();
    // ld.so(8) takes spaces and colons.
    let present = |name: &OsStr| {
        let bytes = list.as_encoded_bytes();
        bytes
            .split(|byte| *byte == b':' || *byte == b' ')
            .any(|entry| entry == name.as_encoded_bytes())
    };
    if present(library.as_os_str()) {
        return list;
    }
    if !list.is_empty() {
        list.push(":");
    }
    list.push(library);
    list
}

/// Where the library is: named by BRAID_PRELOAD_LIBRARY, where cargo puts it, beside this program, or
/// in `../lib/braid`.
///
/// # Errors
///
/// [`Failure::Configuration`]: it is in none of these.
pub(crate) fn library() -> Result<PathBuf, Failure> {
    let named = env::var_os("BRAID_PRELOAD_LIBRARY").map(PathBuf::from);
    let program = env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("/"));
    let places = [
        // Before the one beside the program, which only a build of the library itself renews.
        folder.join("deps").join(LIBRARY),
        folder.join(LIBRARY),
        folder.join("..").join("lib").join("braid").join(LIBRARY),
    ];
    let found = match named {
        Some(named) => Some(named).filter(|path| path.is_file()),
        None => places.into_iter().find(|path| path.is_file()),
    };
    let found = found.ok_or_else(|| {
        Failure::Configuration(format!(
            "{LIBRARY} is not beside {}: build it with `cargo build`, copy it there, or name it in \
             BRAID_PRELOAD_LIBRARY",
            program.display()
        ))
    })?;
    let found = found.canonicalize().unwrap_or(found);
    if found
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|byte| b": ".contains(byte))
    {
        return Err(Failure::Configuration(format!(
            "{} has a space or a colon in its path, which LD_PRELOAD cannot hold: name a copy elsewhere \
             in BRAID_PRELOAD_LIBRARY",
            found.display()
        )));
    }
    Ok(found)
}

/// Whether an engine listens there.
fn look_for_engine(path: &Path) -> Result<(), Failure> {
    let try_it = || -> std::io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let probe =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        match rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) {
            // Its queue is full: it is there.
            Err(rustix::io::Errno::AGAIN) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    try_it().map_err(|error| {
        Failure::Configuration(format!(
            "no engine answers at {} ({error}): start one with `braid engine --config FILE`, or name \
             its socket with --socket",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_goes_behind_what_is_preloaded_already() {
        let library = Path::new("/lib/braid.so");
        assert_eq!(preload(library, None), "/lib/braid.so");
        assert_eq!(
            preload(library, Some("/lib/a.so /lib/b.so".into())),
            "/lib/a.so /lib/b.so:/lib/braid.so"
        );
    }

    #[test]
    fn the_library_is_preloaded_once() {
        let library = Path::new("/lib/braid.so");
        let set = OsString::from("/lib/braid.so:/lib/a.so");
        assert_eq!(preload(library, Some(set.clone())), set);
    }
}
