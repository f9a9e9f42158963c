//! capsule's runtime: the environment, the threads of the cores, and the workers as pipelines.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::task::{Context, Poll};
use std::thread;

use capsule::Runtime;
use capsule::batch::Pipeline;
use capsule::config::RuntimeConfig;
use serde::Deserialize;

use super::error::DpdkError;
use super::options::{DeviceOptions, EalOptions};
use super::{DpdkDevice, preflight, setup};
use crate::sys::dpdk::version;
use crate::sys::signal;

/// How often a worker steps before capsule looks whether anything else is to run on its core.
const STEPS_A_POLL: u32 = 1_024;

/// Arguments of the EAL that say whether it shares files with other processes.
const SHARING: [&str; 5] = [
    "--file-prefix",
    "--huge-dir",
    "--in-memory",
    "--no-shconf",
    "--proc-type",
];

/// Whether a worker is to step again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It is.
    Again,
    /// It has ended.
    Done,
}

/// One step of a worker, made on its core.
type Steps = Box<dyn FnMut() -> Turn>;

/// Makes a worker on its core.
type Install = Box<dyn FnOnce() -> Steps + Send>;

/// DPDK, which has been started. It lasts as long as the process.
pub struct Dpdk {
    devices: Vec<DpdkDevice>,
    /// Those of which capsule knows a queue, and so runs pipelines on.
    cores: HashSet<usize>,
    pipelines: Sender<Vec<(usize, Install)>>,
}

impl fmt::Debug for Dpdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpdk")
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

impl Dpdk {
    /// Looks whether the host is ready, starts the environment, and sets up and starts the devices.
    ///
    /// net_tap tells of what comes in by a real-time signal to the process. So that it interrupts
    /// no system call of others, real-time signals are kept from the calling thread and those made
    /// after, until one drives a port: call this before other threads are made.
    ///
    /// # Errors
    ///
    /// When something is missing, with what mends it; when DPDK was started before; when a device
    /// does not exist or cannot what is asked.
    pub fn start(eal: &EalOptions, devices: &[DeviceOptions]) -> Result<Self, DpdkError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        let config = configuration(eal, devices)?;
        let known = devices.iter().filter(|device| !device.is_set_up_once());
        let cores = known.flat_map(|device| queue_cores(eal, device)).collect();
        let findings = preflight::check(Path::new("/"), eal, devices, &version());
        if !findings.is_empty() {
            return Err(DpdkError::NotReady(findings));
        }
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err(DpdkError::AlreadyStarted);
        }
        let start_error = |reason: String| DpdkError::Start {
            devices: names(devices),
            arguments: eal.arguments.join(" "),
            reason,
        };
        if devices.iter().any(DeviceOptions::is_tap) {
            signal::block_real_time();
        }
        let (ready, started) = mpsc::sync_channel(1);
        let (pipelines, to_run) = mpsc::channel();
        let wanted = devices.to_vec();
        thread::Builder::new()
            .name("braid-dpdk".into())
            .spawn(move || host(config, &wanted, &ready, &to_run))
            .map_err(|error| start_error(error.to_string()))?;
        let devices = match started.recv() {
            Ok(Ok(devices)) => devices?,
            Ok(Err(reason)) => return Err(start_error(reason)),
            Err(_) => return Err(start_error("its thread has ended".into())),
        };
        Ok(Self {
            devices,
            cores,
            pipelines,
        })
    }

    /// Whether [`Self::run`] runs workers on this core: a device has a queue there (of one that can be
    /// set up once only, which capsule does not know, that does not count).
    pub fn has_pipelines_on(&self, core: usize) -> bool {
        self.cores.contains(&core)
    }

    /// The devices, in the order asked for; the first time it is called.
    pub fn take_devices(&mut self) -> Vec<DpdkDevice> {
        std::mem::take(&mut self.devices)
    }

    /// Runs workers as capsule's pipelines, each on a core that [has them](Self::has_pipelines_on),
    /// of [`EalOptions::worker_cores`]. `install` is called on the core
    /// and returns what is called over and over, until it says that it is done.
    ///
    /// This can be done once. A port may be driven by any other thread as well.
    pub fn run<I, S>(self, workers: impl IntoIterator<Item = (usize, I)>)
    where
        I: FnOnce() -> S + Send + 'static,
        S: FnMut() -> Turn + 'static,
    {
        let boxed = |(core, install): (usize, I)| -> (usize, Install) {
            (core, Box::new(|| Box::new(install())))
        };
        // The other end is in a thread that lasts as long as the process.
        let _ = self
            .pipelines
            .send(workers.into_iter().map(boxed).collect());
    }
}

fn names(devices: &[DeviceOptions]) -> String {
    let names: Vec<_> = devices
        .iter()
        .map(|device| device.device.as_str())
        .collect();
    names.join(", ")
}

/// The cores of the workers that have a queue of the device.
fn queue_cores(eal: &EalOptions, device: &DeviceOptions) -> impl Iterator<Item = usize> {
    let cores = match eal.worker_cores.as_slice() {
        [] => std::slice::from_ref(&eal.main_core),
        cores => cores,
    };
    cores.iter().copied().take(usize::from(device.queues.get()))
}

/// What capsule is told.
fn configuration(eal: &EalOptions, devices: &[DeviceOptions]) -> Result<RuntimeConfig, DpdkError> {
    let words = devices
        .iter()
        .flat_map(|device| [Some(&device.device), device.arguments.as_ref()])
        .flatten()
        .chain(&eal.arguments);
    for word in words {
        if word.is_empty() || word.contains(|c: char| c.is_ascii_whitespace() || c == '\0') {
            return Err(DpdkError::Argument {
                argument: word.clone(),
            });
        }
    }
    let mut arguments = eal.arguments.clone();
    let has = |name| {
        eal.arguments
            .iter()
            .any(|argument| argument.starts_with(name))
    };
    let without_huge_pages = has("--no-huge");
    if without_huge_pages && !has("-m") && !has("--socket-mem") {
        // The environment takes 64 MiB unless it is told.
        let megabytes = (setup::memory(devices) >> 20).max(64);
        arguments.extend(["-m".into(), megabytes.to_string()]);
    }
    if !SHARING.into_iter().any(has) {
        // Memory without huge pages is of this process alone, and then the option is refused.
        let alone = if without_huge_pages {
            "--no-shconf"
        } else {
            "--in-memory"
        };
        arguments.extend([alone, "--no-telemetry"].map(String::from));
    }
    // capsule would set these up, and they can be set up once.
    let (once, twice): (Vec<&DeviceOptions>, Vec<&DeviceOptions>) =
        devices.iter().partition(|device| device.is_set_up_once());
    for device in once {
        let words = [Some(&device.device), device.arguments.as_ref()];
        let words: Vec<_> = words.into_iter().flatten().map(String::as_str).collect();
        arguments.extend(["--vdev".into(), words.join(",")]);
    }
    let ports: Vec<_> = twice
        .into_iter()
        .map(|device| {
            let cores: HashSet<_> = queue_cores(eal, device).collect();
            serde_json::json!({
                "name": device.device,
                "device": device.device,
                "args": device.arguments,
                "cores": cores,
                "promiscuous": device.promiscuous,
            })
        })
        .collect();
    let document = serde_json::json!({
        "app_name": "braid",
        "master_core": eal.main_core,
        "cores": eal.worker_cores,
        "mempool": { "capacity": setup::CAPSULE_BUFFERS, "cache_size": 0 },
        "ports": ports,
        "dpdk_args": arguments.join(" "),
    });
    RuntimeConfig::deserialize(document).map_err(|error| DpdkError::Start {
        devices: names(devices),
        arguments: arguments.join(" "),
        reason: error.to_string(),
    })
}

/// What of the start is told: the outer error is capsule's.
type Started = Result<Result<Vec<DpdkDevice>, DpdkError>, String>;

/// The thread that has the runtime: capsule pins it to the main core.
fn host(
    config: RuntimeConfig,
    devices: &[DeviceOptions],
    ready: &SyncSender<Started>,
    to_run: &Receiver<Vec<(usize, Install)>>,
) {
    // So that the threads which the environment makes take none of the process's signals.
    signal::block_termination();
    let runtime = match Runtime::build(config) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever asked has gone only if the process ends.
            let _ = ready.send(Err(error.to_string()));
            return;
        }
    };
    // It would close the devices under their ports, so it lasts as long as the process.
    let mut runtime = ManuallyDrop::new(runtime);
    let _ = ready.send(Ok(devices.iter().map(setup::open).collect()));
    let Ok(workers) = to_run.recv() else {
        return;
    };
    for (core, install) in workers {
        let install = Mutex::new(Some(install));
        let installed = runtime.add_pipeline_to_core(core, move |_| WorkerPipeline {
            steps: install.into_inner().ok().flatten().map(|install| install()),
        });
        if let Err(error) = installed {
            eprintln!("braid: no worker runs on core {core}: {error}");
        }
    }
    // capsule handles termination by itself. Where the process handles it otherwise, capsule's
    // handlers are called beside that or not at all; where it does not, it ends as it would.
    let ends = signal::ended_by_termination();
    runtime.set_on_signal(move |_| {
        if ends {
            signal::end_process();
        }
        false
    });
    if let Err(error) = runtime.execute() {
        eprintln!("braid: capsule has stopped: {error}");
    }
}

/// A worker on a core of capsule's.
struct WorkerPipeline {
    steps: Option<Steps>,
}

impl Future for WorkerPipeline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(steps) = &mut self.steps else {
            return Poll::Ready(());
        };
        for _ in 0..STEPS_A_POLL {
            if steps() == Turn::Done {
                self.steps = None;
                return Poll::Ready(());
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Pipeline for WorkerPipeline {
    fn name(&self) -> &str {
        "worker"
    }

    fn run_once(&mut self) {
        if let Some(steps) = &mut self.steps
            && steps() == Turn::Done
        {
            self.steps = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eal(arguments: &[&str]) -> EalOptions {
        EalOptions {
            main_core: 0,
            worker_cores: vec![0, 1],
            arguments: arguments.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn nothing_is_left_on_the_host_unless_files_are_asked_for() {
        let told = |arguments: &[&str]| {
            let devices = [DeviceOptions::new("net_null0")];
            let config = configuration(&eal(arguments), &devices).unwrap();
            config.dpdk_args.unwrap()
        };
        assert_eq!(
            told(&["--no-huge", "-m", "128"]),
            "--no-huge -m 128 --no-shconf --no-telemetry"
        );
        assert_eq!(told(&[]), "--in-memory --no-telemetry");
        assert_eq!(told(&["--file-prefix=x"]), "--file-prefix=x");
    }

    #[test]
    fn a_device_that_can_be_set_up_once_is_kept_from_capsule() {
        let mut once = DeviceOptions::new("net_af_xdp0");
        once.arguments = Some("iface=veth0".into());
        let devices = [once, DeviceOptions::new("net_null0")];
        let config = configuration(&eal(&["--no-huge", "-m", "64"]), &devices).unwrap();
        assert_eq!(
            config.dpdk_args.unwrap(),
            "--no-huge -m 64 --no-shconf --no-telemetry --vdev net_af_xdp0,iface=veth0"
        );
        let known: Vec<_> = config.ports.iter().map(|port| &port.device).collect();
        assert_eq!(known, ["net_null0"]);
    }

    #[test]
    fn words_with_spaces_are_refused() {
        for arguments in [&["-m 64"][..], &[""]] {
            let error = configuration(&eal(arguments), &[]).unwrap_err();
            assert!(matches!(error, DpdkError::Argument { .. }), "{error}");
        }
    }
}
