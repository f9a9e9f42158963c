//! A program that runs, with what it starts.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use braid_control::lab::namespace::Namespace;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::engine::within;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Names the files of what processes print.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A running program; when this is dropped before its end, it is killed with all that it started.
pub(crate) struct Process {
    child: Child,
    group: Pid,
    output: PathBuf,
    errors: PathBuf,
    /// It has been waited for.
    ended: bool,
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Process {
    pub(super) fn start(namespace: &Namespace, mut command: Command, folder: &Path) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let output = folder.join(format!("{number}.output"));
        let errors = folder.join(format!("{number}.errors"));
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(&errors).unwrap())
            .process_group(0);
        let child = namespace.run(|| command.spawn().unwrap()).unwrap();
        Self {
            group: Pid::from_raw(child.id().cast_signed()),
            child,
            output,
            errors,
            ended: false,
        }
    }

    /// All it printed so far.
    pub(crate) fn said(&self) -> String {
        self.output() + &self.errors()
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.errors).unwrap()).into_owned()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        let mut status = None;
        self.ended = within(PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(self.ended, "it does not end: {}", self.said());
        Finished {
            status: status.unwrap(),
            output: self.output(),
            errors: self.errors(),
        }
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(self, signal: Signal) -> Finished {
        nix::sys::signal::kill(self.group, signal).unwrap();
        self.finish()
    }
}

impl Finished {
    /// Asserts that it ended well and had nothing to say on standard error.
    #[track_caller]
    pub(crate) fn assert_well(&self) -> &Self {
        assert!(self.status.success() && self.errors.is_empty(), "{self:#?}");
        self
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group's number is surely this program's until it has been waited for.
        if !self.ended {
            let _ = killpg(self.group, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
