//! What DPDK needs of the host, looked at before it starts: where it lacks something, DPDK's own
//! messages name functions, and these name the command that mends it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::options::{DeviceOptions, EalOptions};
use super::setup;

/// The oldest DPDK that the bindings know.
const OLDEST: (u32, u32) = (21, 11);

/// Drivers by which a process reaches a PCI device.
const USER_SPACE: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// Drivers of the kernel that stay while DPDK uses the device.
const SHARED: [&str; 2] = ["mlx4_core", "mlx5_core"];

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// Something that is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What is missing, as a sentence without its end.
    pub what: String,
    /// What mends it: commands for root's shell.
    pub command: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; mend it with: {}", self.what, self.command)
    }
}

/// Everything that the host below `root` lacks for these devices. `version` is what libdpdk says
/// of itself, as "DPDK 22.11.11".
pub fn check(
    root: &Path,
    eal: &EalOptions,
    devices: &[DeviceOptions],
    version: &str,
) -> Vec<Finding> {
    let host = Host { root };
    let mut findings = Vec::new();
    findings.extend(outdated(version));
    findings.extend(host.huge_pages(eal, devices));
    for device in devices {
        if device.is_pci() {
            findings.extend(host.pci_device(&device.device));
        } else {
            findings.extend(host.virtual_device(device));
        }
    }
    // net_af_xdp has the kernel write into its buffers.
    if devices
        .iter()
        .any(|device| device.is_pci() || device.is_af_xdp())
    {
        findings.extend(host.locked_memory());
    }
    findings
}

fn outdated(version: &str) -> Option<Finding> {
    let mut numbers = version
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .split('.')
        .map(|number| number.parse().unwrap_or(0));
    let version_of = (numbers.next()?, numbers.next()?);
    (version_of < OLDEST).then(|| Finding {
        what: format!(
            "{version} is older than DPDK {}.{}",
            OLDEST.0, OLDEST.1
        ),
        command: "apt-get install libdpdk-dev, or build DPDK from its sources, then build the engine anew".into(),
    })
}

/// A host, or what a test makes of one.
struct Host<'a> {
    root: &'a Path,
}

impl Host<'_> {
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_string())
    }

    fn number(&self, path: impl AsRef<Path>) -> u64 {
        let text = self.text(path);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The last part of where a link leads.
    fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(path))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn may_use(&self, path: impl AsRef<Path>) -> bool {
        access(self.path(path), Access::READ_OK | Access::WRITE_OK).is_ok()
    }

    /// Whether this process has the capability of this number.
    fn has_capability(&self, number: u32) -> bool {
        let status = self.text("proc/thread-self/status").unwrap_or_default();
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        effective.is_none_or(|set| set >> number & 1 == 1)
    }

    fn huge_pages(&self, eal: &EalOptions, devices: &[DeviceOptions]) -> Option<Finding> {
        if eal.arguments.iter().any(|argument| argument == "--no-huge") {
            return None;
        }
        const POOLS: &str = "sys/kernel/mm/hugepages";
        let sizes: Vec<(u64, PathBuf)> = self
            .names(POOLS)
            .iter()
            .filter_map(|name| {
                let size = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
                Some((size.parse().ok()?, Path::new(POOLS).join(name)))
            })
            .collect();
        let needed = setup::memory(devices) >> 10;
        let free: u64 = sizes
            .iter()
            .map(|(size, pool)| size * self.number(pool.join("free_hugepages")))
            .sum();
        if free >= needed {
            return None;
        }
        let what = format!(
            "DPDK needs {} MiB of huge pages for these devices and {} MiB are free",
            needed >> 10,
            free >> 10
        );
        let Some((size, pool)) = sizes.iter().min() else {
            return Some(Finding {
                what: "this kernel has no huge pages".into(),
                command:
                    "none; write `--no-huge` into the EAL arguments, which serves virtual devices"
                        .into(),
            });
        };
        let pages = self.number(pool.join("nr_hugepages")) + (needed - free).div_ceil(*size);
        Some(Finding {
            what,
            command: format!("echo {pages} > /{}/nr_hugepages", pool.display()),
        })
    }

    fn pci_device(&self, address: &str) -> Option<Finding> {
        let device = Path::new("sys/bus/pci/devices").join(address.to_ascii_lowercase());
        if !self.path(&device).exists() {
            let cards = self.network_cards();
            let known = match cards.as_slice() {
                [] => "this host has none".to_string(),
                cards => format!("network cards are at {}", cards.join(", ")),
            };
            return Some(Finding {
                what: format!("no PCI device is at {address}: {known}"),
                command: "echo 1 > /sys/bus/pci/rescan if it was removed, or name another device"
                    .into(),
            });
        }
        match self.link(device.join("driver")) {
            Some(driver) if SHARED.contains(&driver.as_str()) => None,
            Some(driver) if USER_SPACE.contains(&driver.as_str()) => {
                (driver == "vfio-pci").then(|| self.vfio(address, &device))?
            }
            bound => Some(self.bind(address, &device, bound.as_deref())),
        }
    }

    fn network_cards(&self) -> Vec<String> {
        const DEVICES: &str = "sys/bus/pci/devices";
        self.names(DEVICES)
            .into_iter()
            .filter(|name| {
                let class = self.text(Path::new(DEVICES).join(name).join("class"));
                class.is_some_and(|class| class.starts_with("0x02"))
            })
            .collect()
    }

    /// How to give the device to vfio-pci.
    fn bind(&self, address: &str, device: &Path, driver: Option<&str>) -> Finding {
        let interfaces = self.names(device.join("net"));
        let what = match (driver, interfaces.first()) {
            (Some(driver), Some(interface)) => format!(
                "{address} belongs to the kernel's driver {driver}, as interface {interface}, \
                 which will be gone"
            ),
            (Some(driver), None) => format!("{address} belongs to the kernel's driver {driver}"),
            (None, _) => format!("{address} has no driver by which a process can reach it"),
        };
        let unbind = match driver {
            Some(_) => format!("echo {address} > /{}/driver/unbind && ", device.display()),
            None => String::new(),
        };
        let load = if self.path("sys/bus/pci/drivers/vfio-pci").exists() {
            ""
        } else {
            "modprobe vfio-pci && "
        };
        Finding {
            what,
            command: format!(
                "{load}echo vfio-pci > /{}/driver_override && {unbind}echo {address} > \
                 /sys/bus/pci/drivers_probe",
                device.display()
            ),
        }
    }

    /// Whether this user may use a device of vfio-pci.
    fn vfio(&self, address: &str, device: &Path) -> Option<Finding> {
        let Some(group) = self.link(device.join("iommu_group")) else {
            const UNSAFE: &str = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
            if self.text(UNSAFE).as_deref() == Some("Y") {
                return None;
            }
            return Some(Finding {
                what: format!("{address} has no IOMMU, which vfio-pci asks for"),
                command: format!(
                    "add `intel_iommu=on iommu=pt` to the kernel's command line and reboot; or, \
                     where the device is trusted with all memory, echo 1 > /{UNSAFE}"
                ),
            });
        };
        let node = Path::new("dev/vfio").join(&group);
        if self.may_use(&node) {
            return None;
        }
        let shown = node.display();
        if self.path(&node).exists() {
            return Some(Finding {
                what: format!("this user may not open /{shown}, the group of {address}"),
                command: format!("chown $(id -u USER) /{shown}, USER being the engine's"),
            });
        }
        Some(Finding {
            what: format!("/{shown}, the group of {address}, is missing"),
            command: format!(
                "modprobe vfio-pci; inside a container, start it with --device /dev/vfio/vfio \
                 --device /{shown}"
            ),
        })
    }

    /// Memory that a device reaches is locked.
    fn locked_memory(&self) -> Option<Finding> {
        let limits = self.text("proc/thread-self/limits")?;
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max locked memory"))?;
        let soft = line.split_whitespace().next()?;
        if soft == "unlimited" || self.has_capability(CAP_IPC_LOCK) {
            return None;
        }
        Some(Finding {
            what: format!("this process may lock {soft} bytes of memory, and devices need all of theirs locked"),
            command: "ulimit -l unlimited in the shell that starts the engine, or LimitMEMLOCK=infinity in its unit".into(),
        })
    }

    fn virtual_device(&self, device: &DeviceOptions) -> Option<Finding> {
        let name = &device.device;
        if device.is_tap() {
            if !self.path("dev/net/tun").exists() {
                return Some(Finding {
                    what: format!("/dev/net/tun is missing, which {name} is made of"),
                    command:
                        "modprobe tun; inside a container, start it with --device /dev/net/tun"
                            .into(),
                });
            }
            if !self.may_use("dev/net/tun") {
                return Some(Finding {
                    what: format!("this user may not open /dev/net/tun, which {name} is made of"),
                    command: "chmod a+rw /dev/net/tun".into(),
                });
            }
            return self.lacks(CAP_NET_ADMIN, "cap_net_admin", name);
        }
        if name.starts_with("net_pcap") {
            return self.capture(device);
        }
        if !name.starts_with("net_af_packet") && !device.is_af_xdp() {
            return None;
        }
        let Some(interface) = device.argument("iface") else {
            return Some(Finding {
                what: format!("{name} is told no interface"),
                command: format!("none; write arguments = \"iface=NAME\" for {name}"),
            });
        };
        self.interface(name, interface).or_else(|| {
            if device.is_af_xdp() {
                self.express_path(name)
            } else {
                None
            }
        })
    }

    /// What net_pcap reads: a file, or an interface.
    fn capture(&self, device: &DeviceOptions) -> Option<Finding> {
        let name = &device.device;
        // One without a slash in front is where this process is.
        let place = |file: &str| match file.strip_prefix('/') {
            Some(file) => self.path(file),
            None => file.into(),
        };
        if let Some(file) = device.argument("rx_pcap")
            && let Err(error) = fs::File::open(place(file))
        {
            return Some(Finding {
                what: format!("{name} cannot read the capture {file}: {error}"),
                command: format!("tcpdump -w {file}, or name another in rx_pcap"),
            });
        }
        let interfaces = ["iface", "rx_iface", "rx_iface_in", "tx_iface"];
        let mut interfaces = interfaces
            .into_iter()
            .filter_map(|word| device.argument(word));
        interfaces.find_map(|interface| self.interface(name, interface))
    }

    /// What it takes for a program of the kernel's express data path (XDP).
    fn express_path(&self, device: &str) -> Option<Finding> {
        let map = self.text("proc/thread-self/uid_map").unwrap_or_default();
        let mut words = map.split_whitespace();
        if words.next().is_some() && words.nth(1) != Some("4294967295") {
            return Some(Finding {
                what: format!("{device} loads a program into the kernel, which takes none from a user namespace"),
                command: "start it as root outside of it; in a container, podman run --userns host --privileged".into(),
            });
        }
        let may_load = [CAP_BPF, CAP_SYS_ADMIN];
        if !may_load
            .into_iter()
            .any(|number| self.has_capability(number))
        {
            return self.lacks(CAP_BPF, "cap_bpf", device);
        }
        self.lacks(CAP_NET_ADMIN, "cap_net_admin", device)
    }

    /// An interface that a device is made of.
    fn interface(&self, name: &str, interface: &str) -> Option<Finding> {
        // Of this process's network namespace, which sysfs may not be.
        let interfaces = self.text("proc/thread-self/net/dev").unwrap_or_default();
        let mut names = interfaces.lines().filter_map(|line| line.split_once(':'));
        if !names.any(|(name, _)| name.trim() == interface) {
            return Some(Finding {
                what: format!("there is no interface {interface} for {name}"),
                command: "ip link, and name one of those that it lists".into(),
            });
        }
        self.lacks(CAP_NET_RAW, "cap_net_raw", name)
    }

    fn lacks(&self, number: u32, capability: &str, device: &str) -> Option<Finding> {
        (!self.has_capability(number)).then(|| Finding {
            what: format!("{device} needs {capability}, which this process lacks"),
            command: format!("setcap {capability}+ep $(command -v braid), or start it as root"),
        })
    }
}

#[cfg(test)]
mod tests;
