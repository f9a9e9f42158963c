//! DPDK, started once for all ports of its kind.

use std::collections::HashMap;
use std::num::NonZeroU8;
use std::ops::ControlFlow;

use braid_dataplane::port::AnyPort;
use braid_dataplane::port::dpdk::{
    DeviceLink, DeviceOptions, Dpdk, DpdkDevice, DpdkError, EXAMPLE_KEY, EalOptions, Spread, Turn,
};
use braid_engine::stack::{FlowHash, PortId};

use super::cores::{Launch, Pipelines, own_cores};
use super::ports::{LinkProbe, OpenPort};
use crate::config::{self, Config, PortConfig, PortKind};

/// Runs workers as pipelines of DPDK's cores.
fn run(dpdk: Dpdk, workers: Vec<(usize, Launch)>) {
    dpdk.run(workers.into_iter().map(|(core, launch)| {
        let install = move || {
            let mut turns = launch();
            move || match turns() {
                ControlFlow::Continue(()) => Turn::Again,
                ControlFlow::Break(()) => Turn::Done,
            }
        };
        (core, install)
    }));
}

/// The devices that run, each until its port takes it.
pub(super) struct Devices {
    untaken: Vec<DpdkDevice>,
    links: HashMap<String, DeviceLink>,
    pipelines: Option<Pipelines>,
    /// How they spread flows, if they all do it alike.
    toeplitz: bool,
}

impl Devices {
    /// Starts the devices of all ports that have one; without any, DPDK is left alone.
    pub(super) fn start(config: &Config) -> Result<Self, DpdkError> {
        let devices: Vec<_> = config
            .ports
            .iter()
            .filter_map(|port| options(port, config.workers))
            .collect();
        if devices.is_empty() {
            return Ok(Self::running(Vec::new(), None));
        }
        let mut eal = EalOptions::on_first_core(config.dpdk.arguments.clone());
        if let Some(core) = config.dpdk.main_core {
            eal.main_core = core;
        }
        eal.worker_cores = own_cores(config);
        let mut dpdk = Dpdk::start(&eal, &devices)?;
        let devices = dpdk.take_devices();
        let cores = eal.worker_cores;
        let all = !cores.is_empty() && cores.iter().all(|core| dpdk.has_pipelines_on(*core));
        let pipelines = all.then(|| Pipelines::new(cores, |workers| run(dpdk, workers)));
        Ok(Self::running(devices, pipelines))
    }

    /// What runs the workers, the first time: the pipelines of DPDK's cores, where each worker has one
    /// to itself on which a device has a queue.
    pub(super) fn pipelines(&mut self) -> Option<Pipelines> {
        self.pipelines.take()
    }

    fn running(devices: Vec<DpdkDevice>, pipelines: Option<Pipelines>) -> Self {
        let toeplitz = |device: &DpdkDevice| device.spread == Spread::Toeplitz;
        let link = |device: &DpdkDevice| (device.name.clone(), device.link.clone());
        Self {
            toeplitz: devices.iter().all(toeplitz),
            links: devices.iter().map(link).collect(),
            untaken: devices,
            pipelines,
        }
    }

    /// The port of this device.
    pub(super) fn take(&mut self, wanted: &config::DpdkDevice) -> Result<OpenPort, DpdkError> {
        let place = self
            .untaken
            .iter()
            .position(|device| device.name == wanted.device);
        let device = place.map(|place| self.untaken.swap_remove(place));
        let device = device.ok_or_else(|| DpdkError::Device {
            device: wanted.device.clone(),
            action: "taking its port",
            reason: "another port has it".into(),
        })?;
        Ok(OpenPort {
            mac: device.ethernet_address,
            queues: device.ports.into_iter().map(AnyPort::from).collect(),
        })
    }

    /// The hash by which all ports spread flows, if they are all of this kind and do it so.
    pub(super) fn hash(&self, ports: usize) -> Option<FlowHash> {
        let all = !self.links.is_empty() && self.links.len() == ports;
        (all && self.toeplitz).then_some(FlowHash::Toeplitz(EXAMPLE_KEY))
    }

    /// The links of the ports whose device is no interface of the kernel's, which would tell by itself.
    pub(super) fn probes(&self, config: &Config) -> Vec<(PortId, LinkProbe)> {
        let probe = |(number, port): (u16, &PortConfig)| {
            let PortKind::Dpdk(device) = &port.kind else {
                return None;
            };
            if port.kind.kernel_interface().is_some() {
                return None;
            }
            let link = self.links.get(&device.device)?.clone();
            Some((PortId(number), LinkProbe::new(move || link.state().up)))
        };
        (0..).zip(&config.ports).filter_map(probe).collect()
    }
}

/// What is asked of the device of `port`, if it has one.
fn options(port: &PortConfig, queues: NonZeroU8) -> Option<DeviceOptions> {
    let PortKind::Dpdk(device) = &port.kind else {
        return None;
    };
    Some(DeviceOptions {
        arguments: device.arguments.clone(),
        queues: queues.into(),
        mtu: port.mtu,
        offload: port.offload,
        receive_descriptors: device.receive_descriptors,
        transmit_descriptors: device.transmit_descriptors,
        promiscuous: device.promiscuous,
        ..DeviceOptions::new(device.device.as_str())
    })
}
