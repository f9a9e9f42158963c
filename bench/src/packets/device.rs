//! A worker over a virtual device of DPDK, in a process of its own.

use braid_dataplane::port::dpdk::{DeviceOptions, Dpdk, DpdkPort, EalOptions};
use braid_dataplane::worker::{allowed_cores, pin};

use super::{PACKET, forwarding, launch, rate};

/// Which of this process's cores a worker has: the other is that of the environment's main thread,
/// which sleeps.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Core {
    /// The first.
    First,
    /// The last.
    Last,
}

/// Starts the device, and keeps the calling thread on a core.
pub(crate) fn open(device: DeviceOptions, core: Core) -> Result<DpdkPort, String> {
    let cores = allowed_cores();
    let (first, last) = cores.first().zip(cores.last()).ok_or("no core is known")?;
    let (worker, main) = match core {
        Core::First => (*first, *last),
        Core::Last => (*last, *first),
    };
    let eal = EalOptions {
        main_core: main,
        worker_cores: Vec::new(),
        arguments: ["--no-huge", "--no-pci", "--log-level=error"]
            .map(String::from)
            .into(),
    };
    let mut dpdk = Dpdk::start(&eal, &[device]).map_err(|error| error.to_string())?;
    pin(worker).map_err(|error| error.to_string())?;
    let mut ports = dpdk
        .take_devices()
        .into_iter()
        .flat_map(|device| device.ports);
    ports.next().ok_or_else(|| "the device has no port".into())
}

/// Passes packets on, and tells how many a second.
pub(super) fn forward(device: &str) -> Result<(), String> {
    let mut options = DeviceOptions::new(device);
    options.arguments = device
        .starts_with("net_null")
        .then(|| format!("size={PACKET}"));
    let mut port = open(options, Core::Last)?;
    if !device.starts_with("net_null") {
        launch(&mut port)?;
    }
    let mut worker = [forwarding(port.into())?];
    println!("{}", rate(&mut worker));
    Ok(())
}
