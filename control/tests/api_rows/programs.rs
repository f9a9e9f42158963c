//! C programs that are compiled by the tests and run beside the engine.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::engine::Net;

/// How a program comes to the engine's sockets.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// It calls libbraid.
    BraidH,
    /// It calls the C library, and the preload library takes over.
    Preload,
}

impl Driver {
    /// Compiles the rows, runs them and asserts that all hold.
    pub(crate) fn run(self, net: &Net, arguments: &[&str], rows: usize) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api_rows/rows");
        let mut sources: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
            .collect();
        sources.sort();
        let program = self.compile("rows", &sources);
        let shown = self.start(net, &program, arguments).end();
        let held = shown.lines().filter(|line| line.starts_with("ok ")).count();
        assert_eq!(held, rows, "rows are missing:\n{shown}");
    }

    /// Starts a program beside the engine.
    pub(crate) fn start(self, net: &Net, program: &Path, arguments: &[&str]) -> Running {
        let descriptor = net.peer.as_fd().as_raw_fd();
        let peer = format!("/proc/{}/fd/{descriptor}", std::process::id());
        let child = net.engine.run(|| {
            let mut command = Command::new(program);
            if self == Self::Preload {
                command.env("LD_PRELOAD", library("libbraid_preload.so"));
                command.env("BRAID_QUIET", "1");
            }
            command
                .args(arguments)
                .env("BRAID_SOCKET", net.socket())
                // What the rows look at the other side and at the engine through.
                .env("BRAID", env!("CARGO_BIN_EXE_braid"))
                .env("PEER_NAMESPACE", &peer)
                // Cargo's own goes before the program's, and to a libbraid of some other build.
                .env_remove("LD_LIBRARY_PATH")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        Running(child.unwrap())
    }

    /// Compiles an example of `deploy/examples`.
    pub(crate) fn example(self, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
        self.compile(name, &[folder.join(name).with_extension("c")])
    }

    /// The program of these sources.
    fn compile(self, name: &str, sources: &[PathBuf]) -> PathBuf {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{self:?}"));
        let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("socket/include");
        let mut command = Command::new("cc");
        command.args([
            "-std=gnu11",
            "-O1",
            "-pthread",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
        ]);
        command.arg(include).args(sources).arg("-o").arg(&program);
        if self == Self::BraidH {
            let folder = library("libbraid.so").parent().unwrap().to_owned();
            command.arg("-DBY_BRAID_H").arg("-L").arg(&folder);
            command
                .arg("-lbraid")
                .arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        let output = command.output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {complaints}");
        program
    }
}

/// A program that runs.
pub(crate) struct Running(Child);

impl Running {
    /// Waits for its end, which has to be a good one, and gives what it said.
    pub(crate) fn end(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{}\n{shown}", output.status);
        shown
    }
}

/// A library that was built with the tests: cargo puts those that they depend on beside them.
fn library(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}
