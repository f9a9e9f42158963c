//! `--port` of `braid demo` and `braid bench`.

use std::str::FromStr;

use crate::demo::PortKind;

/// How the engine reaches its peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// Links within the process.
    Memory,
    /// Links to Linux.
    Linux(PortKind),
}

impl FromStr for Port {
    type Err = String;

    /// Reads `memory`, `tap`, `af_packet` or `dpdk:DRIVER[,ARGUMENT...]`.
    fn from_str(written: &str) -> Result<Self, String> {
        match (written, written.strip_prefix("dpdk:")) {
            ("memory", _) => Ok(Self::Memory),
            ("tap", _) => Ok(Self::Linux(PortKind::Tap)),
            ("af_packet", _) => Ok(Self::Linux(PortKind::AfPacket)),
            (_, Some(devices)) => parse_devices(devices).map(Self::Linux),
            _ => Err(
                "use memory, tap, af_packet, or dpdk: and a driver, such as dpdk:net_tap".into(),
            ),
        }
    }
}

#[cfg(not(feature = "dpdk"))]
fn parse_devices(_text: &str) -> Result<PortKind, String> {
    Err(
        "dpdk needs the Cargo feature `dpdk`, without which this braid was built: install \
         libdpdk-dev and clang, and build it with `--features dpdk`"
            .into(),
    )
}

#[cfg(feature = "dpdk")]
fn parse_devices(text: &str) -> Result<PortKind, String> {
    use crate::demo::{VirtualDevices, VirtualDriver};

    let (driver, arguments) = match text.split_once(',') {
        Some((driver, arguments)) => (driver, Some(arguments.to_owned())),
        None => (text, None),
    };
    let known = [
        VirtualDriver::Tap,
        VirtualDriver::AfPacket,
        VirtualDriver::AfXdp,
    ];
    let driver = known
        .into_iter()
        .find(|known| known.name() == driver)
        .ok_or_else(|| {
            format!("{driver:?} reaches no kernel: write net_tap, net_af_packet or net_af_xdp")
        })?;
    Ok(PortKind::Dpdk(VirtualDevices { driver, arguments }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_by_their_names() {
        assert_eq!("memory".parse(), Ok(Port::Memory));
        assert_eq!("tap".parse(), Ok(Port::Linux(PortKind::Tap)));
        assert_eq!("af_packet".parse(), Ok(Port::Linux(PortKind::AfPacket)));
        let refused = |text: &str| text.parse::<Port>().unwrap_err();
        assert!(refused("veth").contains("af_packet"));
        assert!(refused("dpdk").contains("dpdk:net_tap"));
    }

    #[cfg(not(feature = "dpdk"))]
    #[test]
    fn without_dpdk_the_feature_is_named() {
        let refused = "dpdk:net_tap".parse::<Port>().unwrap_err();
        assert!(refused.contains("--features dpdk"));
    }

    #[cfg(feature = "dpdk")]
    #[test]
    fn devices_are_read_with_their_arguments() {
        use crate::demo::{VirtualDevices, VirtualDriver};

        let devices = |driver, arguments: Option<&str>| {
            let arguments = arguments.map(String::from);
            let devices = VirtualDevices { driver, arguments };
            Ok(Port::Linux(PortKind::Dpdk(devices)))
        };
        assert_eq!("dpdk:net_tap".parse(), devices(VirtualDriver::Tap, None));
        assert_eq!(
            "dpdk:net_af_packet,framesz=4096,blocksz=8192".parse(),
            devices(VirtualDriver::AfPacket, Some("framesz=4096,blocksz=8192"))
        );
        let refused = "dpdk:net_null".parse::<Port>().unwrap_err();
        assert!(refused.contains("net_tap"));
    }
}
