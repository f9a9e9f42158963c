//! The processes of a measurement: this program once more, as the applications, and beside them as
//! their engine.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use super::links::LinksTask;
use super::{Contender, Measured, Task, serve};
use crate::load::Pace;
use crate::machine;

/// The verb of a process of applications; a [`Task`] in JSON follows.
pub const APPLICATIONS: &str = "applications";

/// The verb of a process with an engine; the path of its socket follows, and its idle policy if it is not
/// the usual one.
pub const ENGINE: &str = "engine";

/// The verb of a process with links; a [`LinksTask`] in JSON follows.
pub const LINKS: &str = "links";

/// Seconds after which a process of a measurement is ended by force.
const PATIENCE: u32 = 120;

/// The library that stands before the C library.
const LIBRARY: &str = "libbraid_preload.so";

/// Why there is no figure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It cannot be measured on this machine.
    Absent(String),
    /// It should have been.
    Failed(String),
}

pub(super) fn failed(what: &str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Failed(format!("{what}: {error}"))
}

/// To be called first in a process of a measurement: it ends with its parent, and in any case
/// some time later.
pub fn end_in_time() {
    // Should it fail, the process ends when it has measured.
    let _ = set_pdeathsig(Signal::SIGKILL);
    let _ = alarm::set(PATIENCE);
}

/// Starts processes of measurements.
#[derive(Debug)]
pub struct Processes {
    program: PathBuf,
    /// Where the engines have their socket.
    folder: TempDir,
    library: Option<PathBuf>,
    /// What the workers do that serve sleeping applications.
    idle: Option<String>,
}

impl Processes {
    /// Of this program, with the idle policy of engines that serve sleeping applications, if it is
    /// not the usual one.
    ///
    /// # Errors
    ///
    /// When it cannot be found, or no temporary folder be made.
    pub fn new(idle: Option<String>) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let folder = tempfile::Builder::new().prefix("braid-bench-").tempdir()?;
        let library = library(&program);
        Ok(Self {
            program,
            folder,
            library,
            idle,
        })
    }

    /// Whether a contender can be had here; why not.
    pub fn look_for(&self, contender: Contender) -> Result<(), String> {
        match contender {
            Contender::BraidExec if self.library.is_none() => Err(format!(
                "{LIBRARY} is not beside this program: name it in BRAID_PRELOAD_LIBRARY"
            )),
            Contender::LinuxMptcp => super::kernel::Protocol::Mptcp
                .probe()
                .map_err(|error| format!("the kernel makes no socket of Multipath TCP: {error}")),
            _ => Ok(()),
        }
    }

    /// Measures once.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] when a process did not do what it was asked.
    pub fn measure(&self, task: Task) -> Result<Measured, Failure> {
        let mut applications = Command::new(&self.program);
        applications
            .arg(APPLICATIONS)
            .arg(json(&task)?)
            .env("BRAID_SOCKET", self.socket());
        if task.contender == Contender::BraidExec {
            self.under_braid_exec(&mut applications);
        }
        let engine = match task.contender.needs_engine() {
            true => Some(self.engine(task.pace)?),
            false => None,
        };
        let output = applications
            .stderr(Stdio::inherit())
            .output()
            .map_err(failed("cannot start a process"))?;
        let sleeps_of_engine = engine.as_ref().map_or(0, Engine::sleeps);
        if !output.status.success() {
            return Err(Failure::Failed(format!(
                "a process of {} ended with {}",
                task.contender.name(),
                output.status
            )));
        }
        let mut measured: Measured = figures(&output.stdout)?;
        measured.sleeps += sleeps_of_engine;
        Ok(measured)
    }

    /// Transfers once over links of a process's own: 10^9 bits of payload a second.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] when the process did not do what it was asked; it has said why.
    pub fn transfer(&self, task: LinksTask) -> Result<f64, Failure> {
        let output = Command::new(&self.program)
            .arg(LINKS)
            .arg(json(&task)?)
            .output()
            .map_err(failed("cannot start a process"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::Failed(said.trim().to_owned()));
        }
        figures(&output.stdout)
    }

    /// Where files of a measurement may be.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// Has a program's sockets at the engine; [`Self::look_for`] says whether that can be.
    pub(super) fn under_braid_exec(&self, program: &mut Command) {
        program
            .envs(self.library.iter().map(|library| ("LD_PRELOAD", library)))
            .env("BRAID_SOCKET", self.socket())
            .env("BRAID_QUIET", "1")
            .env("BRAID_STRICT", "1");
    }

    /// Starts an engine for applications that wait so.
    pub(super) fn engine(&self, pace: Pace) -> Result<Engine, Failure> {
        let idle = match pace {
            Pace::Sleeping => self.idle.as_deref(),
            Pace::Spinning => Some("spin"),
        };
        let mut child = Command::new(&self.program)
            .arg(ENGINE)
            .arg(self.socket())
            .args(idle)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed("cannot start an engine"))?;
        let output = child.stdout.take();
        let engine = Engine(child);
        let mut line = String::new();
        if let Some(output) = output {
            BufReader::new(output)
                .read_line(&mut line)
                .map_err(failed("cannot hear from an engine"))?;
        }
        if line.trim() != serve::READY {
            return Err(Failure::Failed("an engine did not start".to_owned()));
        }
        Ok(engine)
    }
}

fn figures<T: serde::de::DeserializeOwned>(told: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(told)
        .map_err(|error| Failure::Failed(format!("a process told nonsense: {error}")))
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Failed(format!("a task cannot be told: {error}")))
}

/// Where the library is: named by BRAID_PRELOAD_LIBRARY, or where cargo puts it.
fn library(program: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("BRAID_PRELOAD_LIBRARY").map(|name: OsString| name.into());
    let built = || {
        program
            .parent()
            .map(|folder| folder.join("deps").join(LIBRARY))
    };
    named.or_else(built).filter(|path: &PathBuf| path.is_file())
}

/// An engine that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct Engine(Child);

impl Engine {
    fn sleeps(&self) -> u64 {
        machine::sleeps_of(self.0.id())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
