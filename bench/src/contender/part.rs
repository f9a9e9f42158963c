//! What a process of a measurement was asked to be.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::links::LinksTask;
use super::process::{APPLICATIONS, ENGINE, LINKS, end_in_time};
use super::{Task, serve};

/// A part in a measurement.
#[derive(Debug)]
pub enum Part {
    /// The applications of a load.
    Applications(Task),
    /// The engine of their sockets: its socket, and its idle policy if that is not the usual one.
    Engine(PathBuf, Option<String>),
    /// A transfer over links of its own.
    Links(LinksTask),
}

impl Part {
    /// `None` in the process that the user has started.
    pub fn of_this_process() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            [APPLICATIONS, task] => serde_json::from_str(task).ok().map(Self::Applications),
            [ENGINE, path] => Some(Self::Engine(path.into(), None)),
            [ENGINE, path, idle] => Some(Self::Engine(path.into(), Some((*idle).to_owned()))),
            [LINKS, task] => serde_json::from_str(task).ok().map(Self::Links),
            _ => None,
        }
    }

    /// Plays it.
    ///
    /// # Errors
    ///
    /// Why there is no figure.
    pub fn play(self) -> io::Result<()> {
        end_in_time();
        match self {
            Self::Applications(task) => tell(&task.run()?),
            Self::Engine(path, idle) => serve::run(&path, idle.as_deref()),
            Self::Links(task) => tell(&task.run()?),
        }
    }
}

/// Tells what was measured to the process that asked for it.
fn tell(figures: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(io::stdout(), figures).map_err(io::Error::other)
}
