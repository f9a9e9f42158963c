//! Ports over DPDK: the table `[dpdk]`, and what a `[[port]]` of kind `dpdk` has of its own.
//!
//! A build without the feature `dpdk` reads them all the same, to say in one sentence what it lacks.

use std::ops::Range;

use toml::Spanned;

use super::document::{DpdkTable, PortTable};
use super::error::Fault;
use super::{PortConfig, PortKind};

/// The largest packet that a device is asked for.
#[cfg(feature = "dpdk")]
const LARGEST_MTU: u16 = 9_000;

/// How DPDK's environment (EAL) is started, once for all devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DpdkConfig {
    /// The core of the thread that starts everything and then sleeps; the first that this process
    /// may use if none is named.
    pub main_core: Option<usize>,
    /// Arguments of the EAL, each as a word of its own.
    pub arguments: Vec<String>,
}

/// A device that DPDK drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpdkDevice {
    /// Its PCI address, or the name of a virtual device.
    pub device: String,
    /// What a virtual device is told.
    pub arguments: Option<String>,
    /// Packets that each receive queue holds.
    pub receive_descriptors: u16,
    /// Packets that each transmit queue holds.
    pub transmit_descriptors: u16,
    /// Take frames for every link address.
    pub promiscuous: bool,
}

impl DpdkDevice {
    /// The kernel's interface that a virtual device is made of, if it is made of one.
    pub fn interface(&self) -> Option<&str> {
        let arguments = self.arguments.as_deref()?.split(',');
        arguments
            .filter_map(|word| word.split_once('='))
            .find_map(|(name, value)| (name == "iface").then_some(value))
    }
}

pub(super) fn environment(table: Option<DpdkTable>) -> DpdkConfig {
    let table = table.unwrap_or_default();
    DpdkConfig {
        main_core: table.main_core,
        arguments: table.arguments,
    }
}

/// No device of this kind can be had.
#[cfg(not(feature = "dpdk"))]
pub(super) fn device(_table: &PortTable, place: &Range<usize>) -> Result<PortKind, Fault> {
    Err(Fault::new(
        place.clone(),
        "this braid was built without DPDK: build it with `--features dpdk` (README.md says what \
         that needs), or choose the kind \"af_packet\" or \"tap\"",
    ))
}

/// The device of a port of this kind.
#[cfg(feature = "dpdk")]
pub(super) fn device(table: &PortTable, place: &Range<usize>) -> Result<PortKind, Fault> {
    let fault = |sentence: String| Err(Fault::new(place.clone(), sentence));
    let Some(device) = &table.device else {
        return fault(
            "a port of kind \"dpdk\" has no device: write device = \"0000:3b:00.0\" with a PCI \
             address, or the name of a virtual device such as \"net_tap0\""
                .into(),
        );
    };
    if table.interface.is_some() {
        return fault(format!(
            "port \"{device}\": DPDK knows devices, no interfaces: drop `interface`, or write what \
             a virtual device is told in `arguments`, such as \"iface=eth0\""
        ));
    }
    let mtu = table.mtu.unwrap_or_default();
    if mtu > LARGEST_MTU {
        return fault(format!(
            "port \"{device}\": an MTU of {mtu} is more than {LARGEST_MTU}, which is what ports of \
             kind \"dpdk\" take: lower it"
        ));
    }
    Ok(PortKind::Dpdk(DpdkDevice {
        device: device.clone(),
        arguments: table.arguments.clone(),
        receive_descriptors: table.receive_descriptors.unwrap_or(1_024),
        transmit_descriptors: table.transmit_descriptors.unwrap_or(1_024),
        promiscuous: table.promiscuous.unwrap_or(true),
    }))
}

/// Refuses what only a port of kind `dpdk` has.
pub(super) fn refuse_keys(table: &PortTable, place: &Range<usize>) -> Result<(), Fault> {
    let keys = [
        ("device", table.device.is_some()),
        ("arguments", table.arguments.is_some()),
        ("receive_descriptors", table.receive_descriptors.is_some()),
        ("transmit_descriptors", table.transmit_descriptors.is_some()),
        ("promiscuous", table.promiscuous.is_some()),
    ];
    match keys.into_iter().find(|(_, written)| *written) {
        Some((key, _)) => Err(Fault::new(
            place.clone(),
            format!("`{key}` is for ports of kind \"dpdk\": drop it, or write kind = \"dpdk\""),
        )),
        None => Ok(()),
    }
}

/// Refuses an environment that nothing needs.
pub(super) fn refuse_idle(
    table: Option<&Spanned<DpdkTable>>,
    ports: &[PortConfig],
) -> Result<(), Fault> {
    let of_kernel =
        |port: &PortConfig| matches!(port.kind, PortKind::AfPacket(_) | PortKind::Tap(_));
    let needed = !ports.iter().all(of_kernel);
    match table {
        Some(table) if !needed => Err(Fault::new(
            table.span(),
            "[dpdk] is for ports of kind \"dpdk\", of which there is none: drop it",
        )),
        _ => Ok(()),
    }
}
