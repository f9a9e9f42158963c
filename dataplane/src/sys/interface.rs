//! What the kernel says about a network interface (netdevice(7)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use braid_engine::wire::ethernet::MacAddress;

use crate::port::PortError;

/// A name that the kernel would take for an interface, ended by a zero byte.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct InterfaceName([u8; libc::IFNAMSIZ]);

impl InterfaceName {
    /// Checks `name`; a `%` is refused because TUN would put a number in its place.
    pub(crate) fn parse(name: &str) -> Result<Self, PortError> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/:%".contains(&byte);
        if name.is_empty()
            || name.len() >= libc::IFNAMSIZ
            || matches!(name, "." | "..")
            || !name.bytes().all(allowed)
        {
            return Err(PortError::InvalidName { name: name.into() });
        }
        let mut bytes = [0; libc::IFNAMSIZ];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }

    /// The name without the zero byte.
    pub(crate) fn as_str(&self) -> &str {
        self.0
            .split(|&byte| byte == 0)
            .next()
            .and_then(|b| str::from_utf8(b).ok())
            .unwrap_or("")
    }

    /// A request about the interface, all else being zero.
    pub(crate) fn request(&self) -> libc::ifreq {
        // SAFETY: every member of `ifreq` is an integer, an array of integers or a pointer, for
        // which zero bytes are a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.0) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request
    }

    /// The name that the kernel wrote into `request`.
    pub(crate) fn of(request: &libc::ifreq) -> Self {
        let mut bytes = request
            .ifr_name
            .map(|byte| u8::from_ne_bytes(byte.to_ne_bytes()));
        bytes[libc::IFNAMSIZ - 1] = 0;
        Self(bytes)
    }
}

/// An interface of the network namespace that the calling thread is in.
#[derive(Debug)]
pub(crate) struct Interface {
    name: InterfaceName,
    socket: OwnedFd,
}

impl Interface {
    pub(crate) fn find(name: &str) -> Result<Self, PortError> {
        let interface = Self {
            name: InterfaceName::parse(name)?,
            socket: query_socket()?,
        };
        interface.index()?;
        Ok(interface)
    }

    /// Its index, as `ip link` shows it.
    pub(crate) fn index(&self) -> Result<libc::c_int, PortError> {
        let request = self.query(libc::SIOCGIFINDEX)?;
        // SAFETY: the kernel filled this member in answer to SIOCGIFINDEX.
        Ok(unsafe { request.ifr_ifru.ifru_ifindex })
    }

    /// Its MTU in bytes, without the Ethernet header.
    pub(crate) fn mtu(&self) -> Result<usize, PortError> {
        let request = self.query(libc::SIOCGIFMTU)?;
        // SAFETY: the kernel filled this member in answer to SIOCGIFMTU.
        Ok(usize::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
    }

    /// Its Ethernet address.
    pub(crate) fn ethernet_address(&self) -> Result<MacAddress, PortError> {
        let request = self.query(libc::SIOCGIFHWADDR)?;
        // SAFETY: the kernel filled this member in answer to SIOCGIFHWADDR.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        if address.sa_family != libc::ARPHRD_ETHER {
            return Err(PortError::NotEthernet {
                name: self.name.as_str().into(),
            });
        }
        let mut bytes = [0; 6];
        for (to, from) in bytes.iter_mut().zip(address.sa_data) {
            *to = u8::from_ne_bytes(from.to_ne_bytes());
        }
        Ok(MacAddress(bytes))
    }

    /// Has the kernel finish checksums and segments of what it sends here before it leaves.
    #[cfg(feature = "dpdk")]
    pub(crate) fn finish_frames(&self) -> Result<(), PortError> {
        /// From linux/ethtool.h: switches for transmit checksums, and for segmentation by the
        /// device and before it. The second cannot stay on without the first.
        const SWITCHES: [u32; 3] = [0x1f, 0x24, 0x17];
        /// `struct ethtool_value`.
        #[repr(C)]
        struct Value {
            command: u32,
            data: u32,
        }
        for command in SWITCHES {
            let mut value = Value { command, data: 0 };
            let mut request = self.name.request();
            request.ifr_ifru.ifru_data = (&raw mut value).cast();
            // SAFETY: SIOCETHTOOL reads the `ifreq`, and the `ethtool_value` it points to, which
            // lives until the call returns.
            let result = unsafe {
                libc::ioctl(
                    self.socket.as_raw_fd(),
                    libc::SIOCETHTOOL as libc::Ioctl,
                    &raw mut request,
                )
            };
            if result != 0 {
                return Err(PortError::refused(
                    "switching off the offloads of an interface",
                    "CAP_NET_ADMIN",
                    io::Error::last_os_error(),
                ));
            }
        }
        Ok(())
    }

    fn query(&self, what: libc::Ioctl) -> Result<libc::ifreq, PortError> {
        let mut request = self.name.request();
        // SAFETY: `what` is one of the SIOCGIF requests above, all of which read and write one
        // `ifreq`.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), what, &raw mut request) };
        if result == 0 {
            return Ok(request);
        }
        let source = io::Error::last_os_error();
        let name = self.name.as_str();
        Err(match source.raw_os_error() {
            Some(libc::ENODEV | libc::ENXIO) => PortError::NoSuchInterface { name: name.into() },
            _ => PortError::System {
                action: format!("querying interface \"{name}\""),
                source,
            },
        })
    }
}

/// Whether the interface with this index still exists.
pub(crate) fn exists(index: libc::c_int) -> bool {
    let Ok(index) = libc::c_uint::try_from(index) else {
        return false;
    };
    let mut name = [0; libc::IFNAMSIZ];
    // SAFETY: the buffer has the size that if_indextoname(3) asks for.
    !unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null()
}

fn query_socket() -> Result<OwnedFd, PortError> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        let source = io::Error::last_os_error();
        return Err(PortError::System {
            action: "opening a socket for queries".into(),
            source,
        });
    }
    // SAFETY: the call above made this descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_the_kernel_takes_are_taken() {
        for good in ["eth0", "a", "fifteen-bytes-x", "br_0.12"] {
            assert_eq!(InterfaceName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "sixteen-bytes-xx",
            "tap%d",
            "a/b",
            "a b",
            ".",
            "..",
            "a:b",
            "ä",
        ] {
            assert!(
                matches!(InterfaceName::parse(bad), Err(PortError::InvalidName { name }) if name == bad),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_missing_interface_is_reported_with_the_fix() {
        let error = Interface::find("braid-none9").unwrap_err();
        assert_eq!(
            error.to_string(),
            "interface \"braid-none9\" does not exist; `ip link` lists those that do"
        );
    }

    #[test]
    fn the_loopback_is_found_and_is_not_ethernet() {
        let loopback = Interface::find("lo").unwrap();
        assert!(loopback.mtu().unwrap() >= 1_280);
        assert!(exists(loopback.index().unwrap()));
        assert!(matches!(
            loopback.ethernet_address(),
            Err(PortError::NotEthernet { .. })
        ));
    }
}
