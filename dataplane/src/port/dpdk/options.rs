//! What an operator says of the DPDK ports.

use std::num::NonZeroU16;

/// How the environment (EAL) is started, once for all devices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EalOptions {
    /// The core of the thread that starts everything and then sleeps.
    pub main_core: usize,
    /// The cores of the workers, one after the other.
    pub worker_cores: Vec<usize>,
    /// Further arguments of the EAL, each as one word: `--no-huge`, `--no-pci`, `-m`, `64`.
    ///
    /// `--no-telemetry` and `--in-memory` (with `--no-huge`: `--no-shconf`) are given beside them,
    /// unless they say otherwise of files (`--file-prefix`, `--huge-dir`, `--proc-type`): nothing
    /// then stays behind on the host, and several engines may run.
    pub arguments: Vec<String>,
}

impl EalOptions {
    /// On the first core that this thread may use, which is that of a worker too, with these
    /// arguments.
    pub fn on_first_core(arguments: Vec<String>) -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        Self {
            main_core: cores.first().map_or(0, |core| core.id),
            worker_cores: Vec::new(),
            arguments,
        }
    }
}

/// One device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceOptions {
    /// Its PCI address, as `0000:3b:00.0`, or the name of a virtual device, as `net_tap0`.
    pub device: String,
    /// What a virtual device is told, as `iface=tap0`.
    pub arguments: Option<String>,
    /// Pairs of queues, one for each worker that has one.
    pub queues: NonZeroU16,
    /// The largest IP packet in bytes, up to 9,000.
    pub mtu: u16,
    /// Leave segmentation and checksums to the device, where it can.
    pub offload: bool,
    /// Packets that each receive queue holds; rounded to what the device takes. net_pcap with
    /// `infinite_rx` keeps all packets of its file, which may be no more than these.
    pub receive_descriptors: u16,
    /// Packets that each transmit queue holds; rounded to what the device takes.
    pub transmit_descriptors: u16,
    /// Take frames for every link address, not only for the device's own.
    pub promiscuous: bool,
    /// The key of the hash by which a device with several queues chooses one (Toeplitz).
    pub hash_key: [u8; 40],
}

impl DeviceOptions {
    /// One pair of queues, frames of 1,500 bytes, and every offload that the device has.
    pub fn new(device: impl Into<String>) -> Self {
        Self {
            device: device.into(),
            arguments: None,
            queues: NonZeroU16::MIN,
            mtu: 1_500,
            offload: true,
            receive_descriptors: 1_024,
            transmit_descriptors: 1_024,
            promiscuous: true,
            hash_key: EXAMPLE_KEY,
        }
    }

    /// What a virtual device is told of `name`, as `tap0` of `iface`.
    pub(super) fn argument(&self, name: &str) -> Option<&str> {
        let arguments = self.arguments.as_deref()?.split(',');
        arguments
            .filter_map(|word| word.split_once('='))
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Whether its driver is net_tap, which signals what comes in.
    pub(super) fn is_tap(&self) -> bool {
        self.device.starts_with("net_tap")
    }

    /// Whether its driver can set it up once only: net_af_xdp would bind the same queue of the interface
    /// twice, and net_pcap, which reads its file over and over from buffers (`infinite_rx`), finds the
    /// file read to its end.
    pub(super) fn is_set_up_once(&self) -> bool {
        let repeats = self
            .argument("infinite_rx")
            .is_some_and(|value| value != "0");
        self.is_af_xdp() || self.device.starts_with("net_pcap") && repeats
    }

    /// Whether its driver is net_af_xdp, which keeps as many buffers as its rings have room for.
    pub(super) fn is_af_xdp(&self) -> bool {
        self.device.starts_with("net_af_xdp")
    }

    /// Whether the device is one of the PCI bus, rather than a virtual one.
    pub fn is_pci(&self) -> bool {
        is_pci_address(&self.device)
    }
}

/// Whether this is a PCI address with its domain, as `0000:3b:00.0`.
pub fn is_pci_address(text: &str) -> bool {
    let hex = |part: &str, digits| {
        part.len() == digits && part.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let Some((bus, function)) = text.rsplit_once('.') else {
        return false;
    };
    let mut parts = bus.split(':');
    let mut next = |digits| parts.next().is_some_and(|part| hex(part, digits));
    next(4) && next(2) && next(2) && parts.next().is_none() && hex(function, 1)
}

/// The key of Microsoft's documents, for which they give hashes to check against.
pub const EXAMPLE_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_pci_bus_are_told_from_virtual_devices() {
        for address in ["0000:3b:00.0", "0000:02:00.1", "0001:FF:1f.7"] {
            assert!(is_pci_address(address), "{address}");
        }
        for other in [
            "net_tap0",
            "3b:00.0",
            "0000:3b:00",
            "0000:3g:00.0",
            "0000:3b:00:0.0",
            "",
        ] {
            assert!(!is_pci_address(other), "{other}");
        }
    }
}
