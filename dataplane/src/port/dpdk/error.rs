//! Why DPDK cannot be used, each with what mends it.

use super::preflight::Finding;

/// What keeps the DPDK ports from working.
#[derive(Debug, thiserror::Error)]
pub enum DpdkError {
    /// The host is not ready.
    #[error("{}", list(.0))]
    NotReady(Vec<Finding>),
    /// The environment exists once a process, and cannot be started again.
    #[error("DPDK was started in this process before: start the engine anew")]
    AlreadyStarted,
    /// An argument cannot be passed on.
    #[error(
        "the EAL argument \"{argument}\" is empty or has a space: write each word as an argument of its own"
    )]
    Argument {
        /// The argument.
        argument: String,
    },
    /// The environment or one of its devices was refused.
    #[error(
        "DPDK cannot be started: {reason}; what it wrote above says more (devices: {devices}, EAL arguments: {arguments})"
    )]
    Start {
        /// The devices asked for.
        devices: String,
        /// The arguments given.
        arguments: String,
        /// What capsule said.
        reason: String,
    },
    /// The device has fewer queues.
    #[error(
        "device {device} ({driver}) has {possible} pairs of queues and {asked} are asked for: lower `queues` of this port{}",
        hint(.driver)
    )]
    Queues {
        /// The device.
        device: String,
        /// Its driver.
        driver: String,
        /// Pairs of queues asked for.
        asked: u16,
        /// Pairs of queues it has.
        possible: u16,
    },
    /// The device takes no such frames.
    #[error(
        "device {device} ({driver}) takes an MTU of {possible} at most and {asked} is asked for: lower `mtu` of this port"
    )]
    Mtu {
        /// The device.
        device: String,
        /// Its driver.
        driver: String,
        /// Asked for.
        asked: u16,
        /// Possible.
        possible: u16,
    },
    /// There is no memory for the buffers of a device.
    #[error(
        "no memory for {count} buffers of {bytes} bytes for device {device}: reserve more huge pages, or with `--no-huge` give more memory by `-m MEGABYTES` ({reason})"
    )]
    Memory {
        /// The device.
        device: String,
        /// Buffers.
        count: usize,
        /// Bytes of each.
        bytes: usize,
        /// What DPDK said.
        reason: String,
    },
    /// A call for a device was refused.
    #[error("device {device}: {action} failed: {reason}")]
    Device {
        /// The device.
        device: String,
        /// What was tried.
        action: &'static str,
        /// What DPDK said.
        reason: String,
    },
}

fn list(findings: &[Finding]) -> String {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn hint(driver: &str) -> &'static str {
    match driver {
        "net_af_packet" => ", or give it more by `qpairs=N`",
        _ => "",
    }
}
