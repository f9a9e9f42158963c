//! A program on both kinds of sockets.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use braid_control::lab::namespace::Namespace;

use crate::engine::{Net, linux};
use crate::{far, namespaces};

/// The port of the far end.
pub(crate) const FAR_PORT: u16 = 7000;
/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/unmodified/programs")
        .join(format!("{name}.c"))
}

/// Compiles a program as a distribution would, fortified.
pub(crate) fn compile(name: &str) -> PathBuf {
    let program = std::env::temp_dir().join(format!("braid-program-{}-{name}", std::process::id()));
    let compiler = Command::new("cc")
        .args(["-O2", "-D_FORTIFY_SOURCE=2", "-pthread", "-w", "-o"])
        .arg(&program)
        .arg(source(name))
        .output()
        .expect("these tests need a C compiler as `cc`");
    let errors = String::from_utf8_lossy(&compiler.stderr);
    assert!(compiler.status.success(), "{name}.c: {errors}");
    program
}

/// Runs `command` in a namespace to its end, with the far end's address.
pub(crate) fn run(namespace: &Namespace, mut command: Command) -> Output {
    command
        .env("FAR", linux(FAR_PORT).ip().to_string())
        .env("FAR_PORT", FAR_PORT.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // With its children it is killed together.
        .process_group(0);
    let child = namespace.run(|| command.spawn().unwrap()).unwrap();
    let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let waiting = thread::spawn(move || child.wait_with_output().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !waiting.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    if !waiting.is_finished() {
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    waiting.join().unwrap()
}

/// `braid exec` for a program.
pub(crate) fn under_braid(net: &Net, program: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command
        .arg("exec")
        .args(flags)
        .arg("--socket")
        .arg(net.socket())
        .arg("--")
        .arg(program);
    command
}

/// A network with the far end at its peer's side.
pub(crate) fn network(name: &str) -> Net {
    let net = Net::create(name);
    net.configure("");
    let listener = net
        .peer
        .run(|| TcpListener::bind(linux(FAR_PORT)).unwrap())
        .unwrap();
    // Its threads are the namespace's, for they dial from there.
    net.peer.run(|| far::serve(listener)).unwrap();
    net
}

/// Runs the program of that name on both kinds of sockets and compares what it prints.
pub(crate) fn same_as_kernel(name: &str) {
    namespaces::run(name, || {
        let net = network(name);
        let program = compile(name);
        let kernel = run(&net.peer, Command::new(&program));
        let engine = net.start();
        let ours = run(
            &net.engine,
            under_braid(&net, &program, &["--quiet", "--strict"]),
        );
        drop(engine);
        let _ = std::fs::remove_file(&program);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(kernel.status.success(), "{name} on the kernel: {kernel:?}");
        let (expected, found) = (text(&kernel.stdout), text(&ours.stdout));
        assert!(
            expected == found && ours.status == kernel.status,
            "{name}: on the kernel's sockets\n{expected}\non the engine's ({})\n{found}{}",
            ours.status,
            text(&ours.stderr)
        );
    });
}
