//! Hosts made of files.

use std::os::unix::fs::symlink;
use std::process::Command;

use tempfile::TempDir;

use super::*;

const NIC: &str = "0000:3b:00.0";
const VERSION: &str = "DPDK 22.11.11";

/// A directory that stands for the root of a host.
struct FakeHost(TempDir);

impl FakeHost {
    /// One that lacks nothing: huge pages, and a NIC that vfio-pci drives.
    fn ready() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.write(
            "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
            "512",
        );
        host.write(
            "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
            "600",
        );
        host.write(
            "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages",
            "0",
        );
        host.write(&format!("sys/bus/pci/devices/{NIC}/class"), "0x020000");
        host.write("sys/bus/pci/devices/0000:00:1f.2/class", "0x010601");
        host.write("sys/bus/pci/drivers/vfio-pci/bind", "");
        host.driver("vfio-pci");
        host.link(
            &format!("sys/bus/pci/devices/{NIC}/iommu_group"),
            "../../kernel/iommu_groups/12",
        );
        host.write("dev/vfio/12", "");
        host.write("dev/net/tun", "");
        host.write(
            "proc/thread-self/net/dev",
            "Inter-|   Receive\n    lo:       0\n veth0:       0",
        );
        host.capabilities(u64::MAX);
        host.write(
            "proc/thread-self/limits",
            "Max file size             unlimited            unlimited            bytes\n\
             Max locked memory         65536                65536                bytes",
        );
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.path().join(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.path().join(path);
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    fn driver(&self, name: &str) {
        self.link(
            &format!("sys/bus/pci/devices/{NIC}/driver"),
            &format!("../../../bus/pci/drivers/{name}"),
        );
    }

    fn capabilities(&self, set: u64) {
        self.write(
            "proc/thread-self/status",
            &format!("Name:\tbraid\nCapEff:\t{set:016x}\nThreads:\t1"),
        );
    }

    fn findings(&self, eal: &[&str], device: &DeviceOptions) -> Vec<String> {
        let eal = EalOptions {
            main_core: 0,
            worker_cores: vec![0],
            arguments: eal.iter().map(ToString::to_string).collect(),
        };
        check(self.0.path(), &eal, std::slice::from_ref(device), VERSION)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn of_nic(&self) -> Vec<String> {
        self.findings(&[], &DeviceOptions::new(NIC))
    }

    fn of(&self, device: &str, arguments: &str) -> Vec<String> {
        let arguments = (!arguments.is_empty()).then(|| arguments.to_string());
        let device = DeviceOptions {
            arguments,
            ..DeviceOptions::new(device)
        };
        self.findings(&["--no-huge", "--no-pci"], &device)
    }
}

#[test]
fn a_host_that_is_ready_lacks_nothing() {
    let host = FakeHost::ready();
    assert_eq!(host.of_nic(), [""; 0]);
    assert_eq!(host.of("net_tap0", "iface=tap7"), [""; 0]);
    assert_eq!(host.of("net_af_packet0", "iface=veth0,qpairs=2"), [""; 0]);
    assert_eq!(host.of("net_null0", ""), [""; 0]);
}

#[test]
fn missing_huge_pages_are_asked_for_by_their_number() {
    let host = FakeHost::ready();
    host.write(
        "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
        "4",
    );
    let device = DeviceOptions::new(NIC);
    let needed = setup::memory(std::slice::from_ref(&device));
    let pages = 600 + (needed - (8 << 20)).div_ceil(2 << 20);
    let findings = host.of_nic();
    assert_eq!(findings.len(), 1, "{findings:?}");
    let expected = format!("echo {pages} > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    assert!(findings[0].contains("8 MiB are free"), "{findings:?}");
    assert!(
        findings[0].ends_with(&expected),
        "{findings:?}, not {expected}"
    );
    assert_eq!(host.findings(&["--no-huge"], &device), [""; 0]);
    host.remove("sys/kernel/mm/hugepages");
    assert!(host.of_nic()[0].contains("--no-huge"));
}

#[test]
fn a_card_of_the_kernel_is_bound_by_the_commands_told() {
    let host = FakeHost::ready();
    host.driver("e1000e");
    host.write(&format!("sys/bus/pci/devices/{NIC}/net/eth3/mtu"), "1500");
    let findings = host.of_nic();
    let expected = format!(
        "{NIC} belongs to the kernel's driver e1000e, as interface eth3, which will be gone; mend \
         it with: echo vfio-pci > /sys/bus/pci/devices/{NIC}/driver_override && echo {NIC} > \
         /sys/bus/pci/devices/{NIC}/driver/unbind && echo {NIC} > /sys/bus/pci/drivers_probe"
    );
    assert_eq!(findings, [expected]);
    host.driver("mlx5_core");
    assert_eq!(host.of_nic(), [""; 0]);
    host.remove(&format!("sys/bus/pci/devices/{NIC}/driver"));
    host.remove("sys/bus/pci/drivers/vfio-pci");
    let findings = host.of_nic();
    let expected = format!(
        "{NIC} has no driver by which a process can reach it; mend it with: modprobe vfio-pci && \
         echo vfio-pci > /sys/bus/pci/devices/{NIC}/driver_override && echo {NIC} > \
         /sys/bus/pci/drivers_probe"
    );
    assert_eq!(findings, [expected]);
}

#[test]
fn an_absent_card_is_told_beside_those_that_are_there() {
    let host = FakeHost::ready();
    let findings = host.findings(&[], &DeviceOptions::new("0000:04:00.1"));
    assert_eq!(findings.len(), 1);
    let expected = format!(
        "no PCI device is at 0000:04:00.1: network cards are at {NIC}; write into the configuration: \
         device = \"{NIC}\""
    );
    assert_eq!(findings, [expected]);
    host.remove("sys/bus/pci/devices");
    assert!(
        host.of_nic()[0]
            .ends_with("this host has none; mend it with: echo 1 > /sys/bus/pci/rescan")
    );
}

#[test]
fn a_card_needs_its_group_or_no_iommu() {
    let host = FakeHost::ready();
    host.remove("dev/vfio/12");
    assert!(host.of_nic()[0].contains("--device /dev/vfio/12"));
    host.remove(&format!("sys/bus/pci/devices/{NIC}/iommu_group"));
    let findings = host.of_nic();
    assert!(findings[0].contains("intel_iommu=on"), "{findings:?}");
    host.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
    assert_eq!(host.of_nic(), [""; 0]);
}

#[test]
fn memory_has_to_be_locked_for_a_card_only() {
    let host = FakeHost::ready();
    host.capabilities(!(1 << CAP_IPC_LOCK));
    let findings = host.of_nic();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("65536 bytes") && findings[0].contains("LimitMEMLOCK"));
    assert_eq!(host.of("net_null0", ""), [""; 0]);
}

#[test]
fn virtual_devices_need_what_they_are_made_of() {
    let host = FakeHost::ready();
    let line = "write into the configuration: arguments = \"iface=veth0\"";
    assert!(host.of("net_af_packet0", "")[0].ends_with(line));
    let absent = host.of("net_af_packet0", "framesz=4096,iface=eth9");
    let line =
        "but lo, veth0; write into the configuration: arguments = \"iface=veth0,framesz=4096\"";
    assert!(absent[0].ends_with(line), "{absent:?}");
    host.capabilities(0);
    assert!(host.of("net_af_packet0", "iface=veth0")[0].contains("setcap cap_net_raw+ep /"));
    assert!(host.of("net_tap0", "")[0].contains("setcap cap_net_admin+ep /"));
    host.remove("dev/net/tun");
    assert!(host.of("net_tap0", "")[0].contains("modprobe tun"));
}

#[test]
fn a_capture_to_be_read_has_to_be_there() {
    let host = FakeHost::ready();
    let missing = host.of("net_pcap0", "rx_pcap=/tmp/in.pcap,tx_pcap=/tmp/out.pcap");
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].contains("tcpdump -c 1000 -w /tmp/in.pcap"),
        "{missing:?}"
    );
    host.write("tmp/in.pcap", "a capture");
    assert_eq!(host.of("net_pcap0", "rx_pcap=/tmp/in.pcap"), [""; 0]);
    assert_eq!(host.of("net_pcap0", "iface=veth0"), [""; 0]);
    let absent = host.of("net_pcap0", "rx_iface=eth9");
    assert!(
        absent[0].ends_with("arguments = \"rx_iface=veth0\""),
        "{absent:?}"
    );
}

#[test]
fn the_express_path_takes_the_hosts_root() {
    let host = FakeHost::ready();
    assert_eq!(host.of("net_af_xdp0", "iface=veth0"), [""; 0]);
    assert!(host.of("net_af_xdp0", "")[0].contains("iface=veth0"));
    let bits = |numbers: &[u32]| numbers.iter().map(|number| 1 << number).sum();
    host.capabilities(bits(&[CAP_NET_RAW, CAP_NET_ADMIN, CAP_IPC_LOCK]));
    let findings = host.of("net_af_xdp0", "iface=veth0");
    // What the program has by setcap(8) is taken away by the next.
    let all = "setcap cap_net_admin,cap_net_raw,cap_ipc_lock,cap_bpf+ep /";
    assert!(
        findings[0].contains("needs cap_bpf") && findings[0].contains(all),
        "{findings:?}"
    );
    host.capabilities(bits(&[CAP_NET_RAW, CAP_BPF]));
    let findings = host.of("net_af_xdp0", "iface=veth0");
    assert!(
        findings[0].contains("needs cap_net_admin") && findings[0].contains(all),
        "{findings:?}"
    );
    assert!(findings[1].contains("LimitMEMLOCK"), "{findings:?}");
    host.capabilities(!0);
    host.write(
        "proc/thread-self/uid_map",
        "         0       1000          1",
    );
    let findings = host.of("net_af_xdp0", "iface=veth0");
    assert!(findings[0].contains("--userns host"), "{findings:?}");
    host.write(
        "proc/thread-self/uid_map",
        "         0          0 4294967295",
    );
    assert_eq!(host.of("net_af_xdp0", "iface=veth0"), [""; 0]);
}

#[test]
fn a_library_that_is_too_old_is_told() {
    assert_eq!(outdated("DPDK 21.11.0"), None);
    assert_eq!(outdated("DPDK 25.11.0"), None);
    let told = outdated("DPDK 20.11.9").unwrap().to_string();
    assert!(
        told.starts_with("DPDK 20.11.9 is older than DPDK 21.11; "),
        "{told}"
    );
}

/// Every one of the findings that are written above, by what is wrong with the host.
fn all_findings() -> Vec<Finding> {
    type Wrong = fn(&FakeHost);
    const CASES: [(&str, &str, Wrong); 21] = [
        (NIC, "", |host| host.remove("sys/kernel/mm/hugepages")),
        (NIC, "", |host| {
            host.write(
                "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
                "4",
            );
        }),
        (NIC, "", |host| host.remove("sys/bus/pci/devices")),
        ("0000:04:00.1", "", |_| {}),
        (NIC, "", |host| host.driver("e1000e")),
        (NIC, "", |host| {
            host.remove(&format!("sys/bus/pci/devices/{NIC}/driver"));
        }),
        (NIC, "", |host| {
            host.remove(&format!("sys/bus/pci/devices/{NIC}/iommu_group"));
        }),
        (NIC, "", |host| host.remove("dev/vfio/12")),
        (NIC, "", |host| host.link("dev/vfio/12", "12")),
        (NIC, "", |host| host.capabilities(0)),
        ("net_tap0", "", |host| host.remove("dev/net/tun")),
        ("net_tap0", "", |host| host.link("dev/net/tun", "nowhere")),
        ("net_tap0", "", |host| host.capabilities(0)),
        ("net_af_packet0", "", |_| {}),
        ("net_af_packet0", "iface=eth9,qpairs=2", |_| {}),
        ("net_af_packet0", "iface=veth0", |host| host.capabilities(0)),
        ("net_pcap0", "rx_pcap=/tmp/absent", |_| {}),
        ("net_pcap0", "rx_iface=eth9", |_| {}),
        ("net_af_xdp0", "iface=veth0", |host| host.capabilities(0)),
        ("net_af_xdp0", "iface=veth0", |host| {
            host.capabilities(1 << CAP_SYS_ADMIN | 1 << CAP_NET_RAW);
        }),
        ("net_af_xdp0", "iface=veth0", |host| {
            host.write("proc/thread-self/uid_map", "0 1000 1");
        }),
    ];
    let of_case = |(device, arguments, wrong): (&str, &str, Wrong)| {
        let host = FakeHost::ready();
        wrong(&host);
        let arguments = (!arguments.is_empty()).then(|| arguments.to_string());
        let device = DeviceOptions {
            arguments,
            ..DeviceOptions::new(device)
        };
        let eal = EalOptions::on_first_core(Vec::new());
        let findings = check(host.0.path(), &eal, &[device], VERSION);
        assert!(!findings.is_empty(), "a case finds nothing");
        findings
    };
    let mut all: Vec<Finding> = CASES.into_iter().flat_map(of_case).collect();
    all.extend(outdated("DPDK 20.11.9"));
    all
}

#[test]
fn every_finding_has_what_mends_it_word_for_word() {
    for finding in all_findings() {
        let text = match &finding.mend {
            Mend::Command(command) => {
                let shell = Command::new("sh").args(["-n", "-c", command]).status();
                assert!(shell.unwrap().success(), "{finding}");
                command
            }
            Mend::Configuration(line) => {
                let (key, value) = line.split_once(" = ").unwrap();
                assert!(["arguments", "device"].contains(&key), "{finding}");
                let value: serde_json::Value = serde_json::from_str(value).unwrap();
                assert!(value.is_string() || value.is_array(), "{finding}");
                line
            }
        };
        // Nothing to be filled in, and no choice left.
        let words = |text: &str, word: &str| text.split_whitespace().any(|one| one == word);
        for word in ["NAME", "USER", "or", "none"] {
            assert!(!words(text, word), "{finding}");
        }
        assert!(
            !finding.what.is_empty() && !finding.what.ends_with('.'),
            "{finding}"
        );
    }
}
