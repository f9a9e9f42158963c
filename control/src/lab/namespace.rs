//! A network namespace held open by a file descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use super::LabError;
use super::netlink::{PathManagerSocket, RouteSocket};

/// A network namespace of this process; gone when the last descriptor and socket of it is.
#[derive(Debug)]
pub struct Namespace {
    descriptor: File,
}

impl Namespace {
    /// Makes an empty namespace and brings its loopback interface up.
    pub fn create() -> Result<Self, LabError> {
        // A thread's own namespace can be changed at will, so one is made in a thread that ends.
        let made = thread::spawn(|| -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let descriptor = match made.join() {
            Ok(result) => result.map_err(|reason| LabError::NamespacesForbidden { reason })?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let namespace = Self { descriptor };
        namespace.routes()?.set_up("lo", true)?;
        Ok(namespace)
    }

    /// Runs `task` inside the namespace, in a thread of its own, and waits for it.
    ///
    /// Sockets and ports that the task opens stay in the namespace wherever they are used later.
    pub fn run<T: Send>(&self, task: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()?;
                Ok(task())
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Moves the calling thread into the namespace for good.
    pub fn enter(&self) -> Result<(), LabError> {
        setns(&self.descriptor, CloneFlags::CLONE_NEWNET)
            .map_err(|error| LabError::Enter(error.into()))
    }

    /// A socket to this namespace's interfaces and addresses.
    pub fn routes(&self) -> Result<RouteSocket, LabError> {
        self.run(RouteSocket::open)?
    }

    /// A socket to this namespace's Multipath TCP path manager.
    pub fn path_manager(&self) -> Result<PathManagerSocket, LabError> {
        self.run(PathManagerSocket::open)?
    }

    /// Sets a kernel setting inside the namespace; see [`super::sysctl::write`].
    pub fn set(&self, name: &str, value: &str) -> Result<(), LabError> {
        self.run(|| super::sysctl::write(name, value))?
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
