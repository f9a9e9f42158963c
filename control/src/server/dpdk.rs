//! DPDK, started once for all ports of its kind.

use std::num::NonZeroU8;

use braid_dataplane::port::AnyPort;
use braid_dataplane::port::dpdk::{
    DeviceOptions, Dpdk, DpdkDevice, DpdkError, EXAMPLE_KEY, EalOptions, Spread,
};
use braid_engine::stack::FlowHash;

use super::ports::OpenPort;
use crate::config::{self, Config, PortConfig, PortKind};

/// The devices that run, each until its port takes it.
pub(super) struct Devices(Vec<DpdkDevice>);

impl Devices {
    /// Starts the devices of all ports that have one; without any, DPDK is left alone.
    pub(super) fn start(config: &Config) -> Result<Self, DpdkError> {
        let devices: Vec<_> = config
            .ports
            .iter()
            .filter_map(|port| options(port, config.workers))
            .collect();
        if devices.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut eal = EalOptions::on_first_core(config.dpdk.arguments.clone());
        if let Some(core) = config.dpdk.main_core {
            eal.main_core = core;
        }
        Ok(Self(Dpdk::start(&eal, &devices)?.take_devices()))
    }

    /// The port of this device.
    pub(super) fn take(&mut self, wanted: &config::DpdkDevice) -> Result<OpenPort, DpdkError> {
        let place = self
            .0
            .iter()
            .position(|device| device.name == wanted.device);
        let device = place.map(|place| self.0.swap_remove(place));
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
        let all = !self.0.is_empty() && self.0.len() == ports;
        let toeplitz = |device: &DpdkDevice| device.spread == Spread::Toeplitz;
        (all && self.0.iter().all(toeplitz)).then_some(FlowHash::Toeplitz(EXAMPLE_KEY))
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
