//! What DPDK needs of the host, looked at before it starts: where it lacks something, DPDK's own
//! messages name functions, and these name the command that mends it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::getuid;

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
    /// What mends it.
    pub mend: Mend,
}

/// What mends something that is missing, to be taken as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mend {
    /// A command for root's shell.
    Command(String),
    /// A line of the configuration, where no command would do.
    Configuration(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mend {
            Mend::Command(command) => write!(f, "{}; mend it with: {command}", self.what),
            Mend::Configuration(line) => {
                write!(f, "{}; write into the configuration: {line}", self.what)
            }
        }
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
    let host = Host { root, devices };
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
        what: format!("{version} is older than DPDK {}.{}", OLDEST.0, OLDEST.1),
        // Of Debian 12 or Ubuntu 22.04 on.
        mend: Mend::Command(
            "apt-get install libdpdk-dev && cargo build --release -p braid-control --features dpdk"
                .into(),
        ),
    })
}

/// A host, or what a test makes of one.
struct Host<'a> {
    root: &'a Path,
    /// All that it is to serve.
    devices: &'a [DeviceOptions],
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
                what: "this kernel has no huge pages, without which virtual devices work".into(),
                mend: Mend::Configuration(format!(
                    "arguments = [\"--no-huge\", \"-m\", \"{}\"]",
                    needed.div_ceil(1 << 10)
                )),
            });
        };
        let pages = self.number(pool.join("nr_hugepages")) + (needed - free).div_ceil(*size);
        Some(Finding {
            what,
            mend: Mend::Command(format!("echo {pages} > /{}/nr_hugepages", pool.display())),
        })
    }

    fn pci_device(&self, address: &str) -> Option<Finding> {
        let device = Path::new("sys/bus/pci/devices").join(address.to_ascii_lowercase());
        if !self.path(&device).exists() {
            let cards = self.network_cards();
            let (known, mend) = match cards.as_slice() {
                [] => (
                    "this host has none".to_string(),
                    Mend::Command("echo 1 > /sys/bus/pci/rescan".into()),
                ),
                cards @ [first, ..] => (
                    format!("network cards are at {}", cards.join(", ")),
                    Mend::Configuration(format!("device = \"{first}\"")),
                ),
            };
            return Some(Finding {
                what: format!("no PCI device is at {address}: {known}"),
                mend,
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
            mend: Mend::Command(format!(
                "{load}echo vfio-pci > /{}/driver_override && {unbind}echo {address} > \
                 /sys/bus/pci/drivers_probe",
                device.display()
            )),
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
                what: format!(
                    "{address} has no IOMMU, which vfio-pci asks for (echo 1 > /{UNSAFE} where the \
                     device is trusted with all memory)"
                ),
                mend: Mend::Command(
                    "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' /etc/default/grub \
                     && update-grub && reboot"
                        .into(),
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
                mend: Mend::Command(format!("chown {} /{shown}", getuid().as_raw())),
            });
        }
        Some(Finding {
            what: format!(
                "/{shown}, the group of {address}, is missing (a container is to be started with \
                 --device /dev/vfio/vfio --device /{shown})"
            ),
            mend: Mend::Command("modprobe vfio-pci".into()),
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
            what: format!(
                "this process may lock {soft} bytes of memory, and devices need all of theirs locked \
                 (a unit of systemd with LimitMEMLOCK=infinity, a shell by this before it starts the \
                 engine)"
            ),
            mend: Mend::Command("ulimit -l unlimited".into()),
        })
    }

    fn virtual_device(&self, device: &DeviceOptions) -> Option<Finding> {
        let name = &device.device;
        if device.is_tap() {
            if !self.path("dev/net/tun").exists() {
                return Some(Finding {
                    what: format!(
                        "/dev/net/tun is missing, which {name} is made of (a container is to be \
                         started with --device /dev/net/tun)"
                    ),
                    mend: Mend::Command("modprobe tun".into()),
                });
            }
            if !self.may_use("dev/net/tun") {
                return Some(Finding {
                    what: format!("this user may not open /dev/net/tun, which {name} is made of"),
                    mend: Mend::Command("chmod a+rw /dev/net/tun".into()),
                });
            }
            return self.lacks(CAP_NET_ADMIN, name);
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
                mend: Mend::Configuration(self.arguments_with(device, "iface")),
            });
        };
        self.interface(device, "iface", interface).or_else(|| {
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
                mend: Mend::Command(match error.kind() {
                    ErrorKind::PermissionDenied => format!("chmod a+r {file}"),
                    _ => format!("tcpdump -c 1000 -w {file}"),
                }),
            });
        }
        let words = ["iface", "rx_iface", "rx_iface_in", "tx_iface"];
        let mut interfaces = words
            .into_iter()
            .filter_map(|word| Some((word, device.argument(word)?)));
        interfaces.find_map(|(word, interface)| self.interface(device, word, interface))
    }

    /// What it takes for a program of the kernel's express data path (XDP).
    fn express_path(&self, device: &str) -> Option<Finding> {
        let map = self.text("proc/thread-self/uid_map").unwrap_or_default();
        let mut words = map.split_whitespace();
        if words.next().is_some() && words.nth(1) != Some("4294967295") {
            return Some(Finding {
                what: format!(
                    "{device} loads a program into the kernel, which takes none from a user namespace: \
                     start the engine as root outside of it"
                ),
                mend: Mend::Command(
                    "podman run --userns host --privileged --network host braid".into(),
                ),
            });
        }
        if self.has_capability(CAP_SYS_ADMIN) {
            return self.lacks(CAP_NET_ADMIN, device);
        }
        self.lacks(CAP_BPF, device)
            .or_else(|| self.lacks(CAP_NET_ADMIN, device))
    }

    /// An interface that a device is made of, by this word of its arguments.
    fn interface(&self, device: &DeviceOptions, word: &str, interface: &str) -> Option<Finding> {
        let name = &device.device;
        let interfaces = self.interfaces();
        if !interfaces.iter().any(|known| known == interface) {
            return Some(Finding {
                what: format!(
                    "there is no interface {interface} for {name}, but {}",
                    interfaces.join(", ")
                ),
                mend: Mend::Configuration(self.arguments_with(device, word)),
            });
        }
        self.lacks(CAP_NET_RAW, name)
    }

    /// The interfaces of this process's network namespace, which those of sysfs may not be.
    fn interfaces(&self) -> Vec<String> {
        let text = self.text("proc/thread-self/net/dev").unwrap_or_default();
        let names = text.lines().filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.trim().to_owned()).collect()
    }

    /// The arguments of a device with an interface that there is: the first that leads anywhere.
    fn arguments_with(&self, device: &DeviceOptions, word: &str) -> String {
        let interfaces = self.interfaces();
        let mut outside = interfaces.iter().filter(|name| *name != "lo");
        let interface = outside.next().map_or("lo", |name| name);
        let arguments = device.arguments.as_deref().unwrap_or_default().split(',');
        let others = arguments.filter(|argument| {
            let known = argument.split_once('=').map_or(*argument, |(name, _)| name);
            !argument.is_empty() && known != word
        });
        let all: Vec<String> = [format!("{word}={interface}")]
            .into_iter()
            .chain(others.map(str::to_owned))
            .collect();
        format!("arguments = \"{}\"", all.join(","))
    }

    fn lacks(&self, number: u32, device: &str) -> Option<Finding> {
        (!self.has_capability(number)).then(|| Finding {
            what: format!(
                "{device} needs {}, which this process lacks",
                capability(number)
            ),
            mend: Mend::Command(self.grant()),
        })
    }

    /// How to give the program all capabilities that the devices take, as those that it had are taken away.
    fn grant(&self) -> String {
        let of = |device: &DeviceOptions| match () {
            () if device.is_pci() => vec![CAP_IPC_LOCK],
            () if device.is_tap() => vec![CAP_NET_ADMIN],
            () if device.is_af_xdp() => vec![CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF],
            () => vec![CAP_NET_RAW],
        };
        let all: BTreeSet<u32> = self.devices.iter().flat_map(of).collect();
        let names: Vec<&str> = all.into_iter().map(capability).collect();
        let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/braid".into());
        format!("setcap {}+ep {}", names.join(","), program.display())
    }
}

/// The name of a capability (capabilities(7)).
fn capability(number: u32) -> &'static str {
    match number {
        CAP_NET_ADMIN => "cap_net_admin",
        CAP_NET_RAW => "cap_net_raw",
        CAP_IPC_LOCK => "cap_ipc_lock",
        CAP_BPF => "cap_bpf",
        _ => "cap_sys_admin",
    }
}

#[cfg(test)]
mod tests;
