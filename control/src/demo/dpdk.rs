//! The engine's ports to the links over virtual devices of DPDK.

use std::num::NonZeroU8;

use braid_dataplane::port::AnyPort;
use braid_dataplane::port::dpdk::{
    DeviceOptions, Dpdk, DpdkDevice, DpdkError, EalOptions, keep_signals_away,
};
use braid_dataplane::port::interface::finish_frames;

use super::DemoError;
use super::plan::{VirtualDevices, VirtualDriver};
use super::ports::{Queues, add_veths};
use crate::lab::link::Link;
use crate::lab::namespace::Namespace;

/// Makes a device for each link, whose other end is the kernel in `peer`. The devices that are an
/// end of a veth pair have it in a namespace of the engine's own.
pub(super) fn open(
    devices: &VirtualDevices,
    peer: &Namespace,
    links: u8,
    queues: NonZeroU8,
) -> Result<(Option<Namespace>, Vec<Queues>), DemoError> {
    keep_signals_away();
    let start = || start(devices, links, queues);
    let (engine, started) = match devices.driver {
        VirtualDriver::Tap => (None, peer.run(start)??),
        VirtualDriver::AfPacket | VirtualDriver::AfXdp => {
            let engine = Namespace::create()?;
            add_veths(&engine, peer, links)?;
            peer.run(|| Link::all(links).try_for_each(|link| finish_frames(&link.interface())))??;
            let started = engine.run(start)??;
            (Some(engine), started)
        }
    };
    let queues = |device: DpdkDevice| device.ports.into_iter().map(AnyPort::from).collect();
    Ok((engine, started.into_iter().map(queues).collect()))
}

/// Starts DPDK in the namespace that the calling thread is in.
fn start(
    devices: &VirtualDevices,
    links: u8,
    queues: NonZeroU8,
) -> Result<Vec<DpdkDevice>, DpdkError> {
    let eal = EalOptions::on_first_core(["--no-huge", "--no-pci"].map(String::from).into());
    let options = |link: Link| {
        let name = format!("{}{}", devices.driver.name(), link.0);
        let mut arguments = format!("iface={}", link.interface());
        if let Some(word) = devices.driver.queues() {
            arguments += &format!(",{word}={queues}");
        }
        if let Some(further) = &devices.arguments {
            arguments += &format!(",{further}");
        }
        DeviceOptions {
            arguments: Some(arguments),
            queues: queues.into(),
            ..DeviceOptions::new(name)
        }
    };
    let options: Vec<_> = Link::all(links).map(options).collect();
    Ok(Dpdk::start(&eal, &options)?.take_devices())
}
