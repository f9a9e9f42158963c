//! Processes that drive devices of DPDK, of which one process can start a set once: this program once more.

#[cfg(not(feature = "dpdk"))]
pub use absent::*;
#[cfg(feature = "dpdk")]
pub use present::*;

#[cfg(not(feature = "dpdk"))]
mod absent {
    const ABSENT: &str = "this program was built without DPDK: apt-get install libdpdk-dev clang, then \
                          build it with --features dpdk";

    /// Of this process: nothing, without DPDK.
    pub fn run_if_asked() -> Option<Result<(), String>> {
        None
    }

    pub(in super::super) fn packets_per_second(_device: &str) -> Result<f64, String> {
        Err(ABSENT.into())
    }

    pub(in super::super) fn goodput() -> Result<f64, String> {
        Err(ABSENT.into())
    }
}

#[cfg(feature = "dpdk")]
mod present {
    use std::io::{BufRead, BufReader, Lines};
    use std::process::{Child, ChildStdout, Command, Stdio};

    use serde::{Deserialize, Serialize};

    use super::super::{device, memif};
    use crate::contender::process::end_in_time;

    /// Names what a process of this program is to do.
    const VARIABLE: &str = "BRAID_BENCH_PART";

    /// What one process does.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(in super::super) enum Part {
        /// Passes packets on by a device, and tells how many a second.
        Forward {
            /// The name of the device.
            device: String,
        },
        /// Takes a stream over net_memif, and tells how many Gbit/s.
        Receive {
            /// The path of the socket of both ends.
            socket: String,
        },
        /// Sends it.
        Send {
            /// The path of the socket of both ends.
            socket: String,
        },
    }

    /// Does what this process was started for, if it is such a one. To be called first in `main`.
    pub fn run_if_asked() -> Option<Result<(), String>> {
        let text = std::env::var(VARIABLE).ok()?;
        end_in_time();
        let part: Result<Part, _> = serde_json::from_str(&text);
        Some(part.map_err(|error| error.to_string()).and_then(Part::run))
    }

    impl Part {
        fn run(self) -> Result<(), String> {
            match self {
                Self::Forward { device } => device::forward(&device),
                Self::Receive { socket } => memif::receive(&socket),
                Self::Send { socket } => memif::send(&socket),
            }
        }

        fn start(&self) -> Result<Process, String> {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let part = serde_json::to_string(self).map_err(|error| error.to_string())?;
            let mut child = Command::new(program)
                .env(VARIABLE, part)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())?;
            let told = child.stdout.take().ok_or("a process without output")?;
            let told = BufReader::new(told).lines();
            Ok(Process { child, told })
        }
    }

    /// A process that is ended with this.
    struct Process {
        child: Child,
        told: Lines<BufReader<ChildStdout>>,
    }

    impl Process {
        /// The next line that it tells.
        fn hear(&mut self) -> Result<String, String> {
            match self.told.next() {
                Some(Ok(line)) => Ok(line),
                Some(Err(error)) => Err(error.to_string()),
                None => Err("a process with a device of DPDK failed: it says above why".into()),
            }
        }

        fn hear_figure(&mut self) -> Result<f64, String> {
            let line = self.hear()?;
            line.parse().map_err(|_| format!("no figure: {line}"))
        }
    }

    impl Drop for Process {
        fn drop(&mut self) {
            // Fails when it has ended already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    pub(in super::super) fn packets_per_second(device: &str) -> Result<f64, String> {
        let device = device.to_owned();
        Part::Forward { device }.start()?.hear_figure()
    }

    pub(in super::super) fn goodput() -> Result<f64, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("memif");
        let socket = path.to_string_lossy().into_owned();
        let mut sink = Part::Receive {
            socket: socket.clone(),
        }
        .start()?;
        // That it is there for the source to find.
        sink.hear()?;
        let _source = Part::Send { socket }.start()?;
        sink.hear_figure()
    }
}
