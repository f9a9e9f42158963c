//! Why a port cannot be opened or has stopped working, each with what mends it.

use std::io;
use std::path::PathBuf;

/// What keeps a port from working.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No interface has this name in the current network namespace.
    #[error("interface \"{name}\" does not exist; `ip link` lists those that do")]
    NoSuchInterface {
        /// The name asked for.
        name: String,
    },
    /// The kernel takes no such name for an interface.
    #[error(
        "\"{name}\" cannot name an interface: use 1 to 15 bytes without spaces, `/`, `:` or `%`"
    )]
    InvalidName {
        /// The name asked for.
        name: String,
    },
    /// The process lacks a capability.
    #[error("{action} needs {capability}: run as root or inside `unshare -Urn`")]
    NotPermitted {
        /// What was tried, as the subject of a sentence: "opening a TAP device".
        action: String,
        /// The capability that allows it.
        capability: &'static str,
    },
    /// The device node of the TUN/TAP driver cannot be found.
    #[error(
        "/dev/net/tun is missing: load the driver with `modprobe tun`, or pass the device into the container"
    )]
    TunMissing,
    /// The device node of the TUN/TAP driver is kept from this user, whatever its capabilities.
    #[error(
        "/dev/net/tun may not be opened by this user: run as root, allow it to read and write the device, or use packet sockets"
    )]
    TunForbidden,
    /// A TAP device of this name is held open by someone else, or is not a TAP device.
    #[error(
        "TAP device \"{name}\" is in use or not a single-queue TAP device: close what holds it, or choose another name"
    )]
    TapBusy {
        /// The name asked for.
        name: String,
    },
    /// A TAP device of this name has one queue, or is not a TAP device.
    #[error(
        "TAP device \"{name}\" takes no further queue: make it with `ip tuntap add dev {name} mode tap multi_queue vnet_hdr`, close what holds it, or choose another name"
    )]
    TapQueues {
        /// The name asked for.
        name: String,
    },
    /// The interface does not carry Ethernet frames.
    #[error(
        "interface \"{name}\" does not carry Ethernet frames: choose an Ethernet, veth or bridge interface"
    )]
    NotEthernet {
        /// The name asked for.
        name: String,
    },
    /// The kernel lacks what the port is made of.
    #[error("this kernel does not support {feature}: {fix}")]
    Unsupported {
        /// What is missing.
        feature: &'static str,
        /// What to use instead.
        fix: &'static str,
    },
    /// The interface was deleted while the port used it.
    #[error("interface \"{name}\" is gone: create it again")]
    Gone {
        /// The interface.
        name: String,
    },
    /// A worker cannot drive so many ports.
    #[error("{count} ports are more than the {limit} that one worker drives: use fewer links")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many are possible.
        limit: usize,
    },
    /// Frames that a port receives would not fit into those of the engine's pool.
    #[error(
        "the engine's frames of {capacity} bytes cannot hold what a port with segmentation receives: set the frame capacity to {needed}"
    )]
    SmallFrames {
        /// Bytes of a frame of the pool.
        capacity: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// DPDK or one of its devices cannot be used.
    #[cfg(feature = "dpdk")]
    #[error(transparent)]
    Dpdk(#[from] super::dpdk::DpdkError),
    /// A capture file cannot be written.
    #[error("cannot write the capture {}: {source}; choose another `--pcap` directory", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Any other refusal of the system.
    #[error("{action} failed: {source}")]
    System {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

impl PortError {
    /// The error for `action` that the system refused with `source`; a refusal for want of
    /// `capability` is told apart.
    pub(crate) fn refused(
        action: impl Into<String>,
        capability: &'static str,
        source: io::Error,
    ) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted {
                action: action.into(),
                capability,
            },
            _ => Self::System {
                action: action.into(),
                source,
            },
        }
    }
}
