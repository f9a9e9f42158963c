//! dpdk-testpmd, DPDK's own program for such measurements.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use braid_dataplane::worker::allowed_cores;
#[cfg(feature = "dpdk")]
use nix::sys::signal::{Signal, kill};
#[cfg(feature = "dpdk")]
use nix::unistd::Pid;

use super::PACKET;
use crate::report::Spread;

/// Its name.
const PROGRAM: &str = "dpdk-testpmd";

/// Seconds that it runs for one figure. It tells a rate for each, but for the first.
const SECONDS: u32 = 4;

/// How long its end of a link may take to appear.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a frame that fills an MTU of 1,500.
const FULL_FRAME: usize = 1_514;

/// testpmd on this machine.
pub(crate) struct Testpmd {
    /// A core for what it measures, and one for its main thread, which sleeps.
    cores: [usize; 2],
}

impl Testpmd {
    /// Looks for it.
    pub(crate) fn find() -> Result<Self, String> {
        let found = Command::new(PROGRAM)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(format!(
                "{PROGRAM} is not installed: apt-get install dpdk-dev"
            ));
        }
        let &[main, .., work] = allowed_cores().as_slice() else {
            return Err(format!(
                "{PROGRAM} takes two cores, and this process may run on one only"
            ));
        };
        Ok(Self {
            cores: [work, main],
        })
    }

    /// Packets each second that its io mode passes on.
    pub(super) fn packets_per_second(&self, device: &str) -> Result<f64, String> {
        let [work, main] = self.cores;
        let device = match device.starts_with("net_null") {
            true => format!("{device},size={PACKET}"),
            false => device.to_owned(),
        };
        let run = start(
            SECONDS,
            &[device],
            work,
            main,
            &["--forward-mode=io", "--tx-first"],
        )?;
        rates(run, "Rx-pps:")
    }

    /// Gbit/s of frames that come in over net_memif from another testpmd.
    pub(super) fn memif_bits_per_second(&self) -> Result<f64, String> {
        let [first, second] = self.cores;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let socket = folder.path().join("memif");
        let device = |role| {
            format!(
                "net_memif0,role={role},id=0,socket={},socket-abstract=no",
                socket.display()
            )
        };
        let sink = ["--forward-mode=rxonly"];
        let sink = start(SECONDS + 2, &[device("server")], first, second, &sink)?;
        wait_for(&socket)?;
        let size = format!("--txpkts={FULL_FRAME}");
        let source = ["--forward-mode=txonly", &size];
        let source = start(SECONDS + 2, &[device("client")], second, first, &source)?;
        let bits = rates(sink, "Rx-bps:")?;
        // It has ended, or does so at once without its peer.
        let _ = source.wait_with_output();
        Ok(bits / 1e9)
    }

    #[cfg(feature = "dpdk")]
    /// Sends the packets of a file over and over into net_memif, whose other end has its socket at this
    /// path, for so many seconds.
    pub(crate) fn replay(
        &self,
        file: &Path,
        socket: &Path,
        seconds: u32,
    ) -> Result<Source, String> {
        let [work, main] = self.cores;
        let (file, socket) = (file.display(), socket.display());
        let devices = [
            format!("net_pcap0,rx_pcap={file},infinite_rx=1"),
            format!("net_memif0,role=client,id=0,socket={socket},socket-abstract=no"),
        ];
        // The engine has the core that testpmd measures on otherwise.
        start(seconds, &devices, main, work, &["--forward-mode=io"]).map(Source)
    }
}

#[cfg(feature = "dpdk")]
/// testpmd that sends, until it is dropped or its time is over.
pub(crate) struct Source(Child);

#[cfg(feature = "dpdk")]
impl Source {
    /// Ends it: by timeout(1), which passes the signal on.
    pub(crate) fn end(mut self) {
        // Fails when it has ended already.
        if let Ok(process) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(process), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// Waits for the socket in the file system by which two ends of net_memif find each other.
fn wait_for(socket: &Path) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !socket.exists() {
        if Instant::now() > deadline {
            return Err(format!("{PROGRAM} makes no end of net_memif"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Starts it for so many seconds. It writes what it has to tell once it ends.
fn start(
    seconds: u32,
    devices: &[String],
    work: usize,
    main: usize,
    forwarding: &[&str],
) -> Result<Child, String> {
    Command::new("timeout")
        .args([
            "--signal=INT",
            "--kill-after=5",
            &seconds.to_string(),
            PROGRAM,
        ])
        .args(["--no-huge", "--no-pci", "--no-shconf", "--no-telemetry"])
        .args(["-m", "256", "-l", &format!("{work},{main}")])
        .args(["--main-lcore", &main.to_string()])
        .args(devices.iter().flat_map(|device| ["--vdev", device]))
        .arg("--")
        .args(forwarding)
        .args(["--auto-start", "--nb-cores=1", "--total-num-mbufs=8191"])
        .arg("--stats-period=1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("timeout(1) cannot be run: {error}"))
}

/// The median of the rates that it told under this name.
fn rates(run: Child, name: &str) -> Result<f64, String> {
    let output = run.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    median(&text, name)
        .ok_or_else(|| format!("{PROGRAM} told no rate, and ended with {}", output.status))
}

fn median(text: &str, name: &str) -> Option<f64> {
    let rates = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(name)?;
        rest.split_whitespace().next()?.parse().ok()
    });
    let running: Vec<f64> = rates.filter(|rate| *rate > 0.0).collect();
    // In the first second it was still about to start.
    let steady = running.get(1..).filter(|rest| !rest.is_empty());
    Some(Spread::of(steady.unwrap_or(&running).iter().copied())?.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_from_what_it_prints() {
        let text = "  Throughput (since last show)\n\
                    \x20 Rx-pps:            0          Rx-bps:            0\n\
                    \x20 Rx-pps:      3249816          Rx-bps:  39361778760\n\
                    \x20 Rx-pps:      1390268          Rx-bps:  16838931208\n";
        assert_eq!(median(text, "Rx-pps:"), Some(1_390_268.0));
        assert_eq!(median(text, "Rx-bps:"), Some(16_838_931_208.0));
        assert_eq!(median("", "Rx-pps:"), None);
    }
}
