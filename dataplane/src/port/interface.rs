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

/// The MTU of an interface of the current network namespace, in bytes without the Ethernet
/// header.
///
/// # Errors
///
/// When it does not exist.
pub fn mtu(name: &str) -> Result<usize, PortError> {
    Interface::find(name)?.mtu()
}
