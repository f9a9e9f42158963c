//! What an operator has to know of an interface before giving it to the engine.

use braid_engine::wire::ethernet::MacAddress;

use super::PortError;
use crate::sys::interface::Interface;

/// The Ethernet address of an interface of the current network namespace.
///
/// # Errors
///
/// When it does not exist or is not Ethernet.
pub fn ethernet_address(name: &str) -> Result<MacAddress, PortError> {
    Interface::find(name)?.ethernet_address()
}

/// The index of an interface of the current network namespace, by which rtnetlink(7) names it.
///
/// # Errors
///
/// When it does not exist.
pub fn index(name: &str) -> Result<u32, PortError> {
    Ok(Interface::find(name)?.index()?.unsigned_abs())
}

/// Has the kernel finish the checksums and segments of what it sends by an interface of the
/// current network namespace, as a receiver needs it that is told of neither: net_af_packet and
/// net_af_xdp on the other end of a veth pair.
///
/// # Errors
///
/// When it does not exist, or this process may not change it.
#[cfg(feature = "dpdk")]
pub fn finish_frames(name: &str) -> Result<(), PortError> {
    Interface::find(name)?.finish_frames()
}

/// The MTU of an interface of the current network namespace, in bytes without the Ethernet
/// header.
///
/// # Errors
///
/// When it does not exist.
pub fn mtu(name: &str) -> Result<usize, PortError> {
    Interface::find(name)?.mtu()
}
