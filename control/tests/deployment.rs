//! What is in `deploy`: `host-setup` on a made-up host (a folder in place of /), the service's unit.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use tempfile::TempDir;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const CARD: &str = "0000:03:00.0";
const UPLINK: &str = "0000:04:00.0";
const DISK: &str = "0000:05:00.0";
/// A card with the default route of IPv6 alone.
const UPLINK_6: &str = "0000:06:00.0";
/// A card in a bond that has the default route.
const BONDED: &str = "0000:07:00.0";
const NOTES: &str = "run/braid-host-setup.undo";
const PROBE: &str = "sys/bus/pci/drivers_probe";
const PAGES: &str = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

/// A host with network cards, of which all but one lead to the default route, a disk, and four cores.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.put(PAGES, "0\n");
        host.put(
            "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
            "0\n",
        );
        host.put("sys/devices/system/cpu/online", "0-3\n");
        for (irq, cores) in [("7", "0-3"), ("8", "2"), ("9", "0")] {
            host.put(
                &format!("proc/irq/{irq}/smp_affinity_list"),
                &format!("{cores}\n"),
            );
        }
        host.put(
            "proc/net/route",
            "Iface\tDestination\tGateway\nuplink\t00000000\t0100000A\nlan\t0000000A\t00000000\n\
             bond0\t00000000\t0100000A\n",
        );
        let zero = "0".repeat(32);
        host.put(
            "proc/net/ipv6_route",
            &format!("{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 uplink6\n"),
        );
        host.put("sys/class/net/slave/upper_bond0/mtu", "1500\n");
        for (device, class, interface) in [
            (CARD, "0x020000\n", Some("lan")),
            (UPLINK, "0x020000\n", Some("uplink")),
            (UPLINK_6, "0x020000\n", Some("uplink6")),
            (BONDED, "0x020000\n", Some("slave")),
            (DISK, "0x010802\n", None),
        ] {
            let folder = format!("sys/bus/pci/devices/{device}");
            host.put(&format!("{folder}/class"), class);
            host.put(&format!("{folder}/driver_override"), "(null)\n");
            if let Some(interface) = interface {
                host.put(&format!("{folder}/net/{interface}/mtu"), "1500\n");
            }
            symlink(
                host.0.path().join("sys/bus/pci/drivers/ixgbe"),
                host.0.path().join(&folder).join("driver"),
            )
            .unwrap();
        }
        for driver in ["ixgbe", "vfio-pci"] {
            host.put(&format!("sys/bus/pci/drivers/{driver}/unbind"), "");
        }
        let made = Command::new("mkfifo")
            .arg(host.0.path().join(PROBE))
            .status();
        assert!(made.unwrap().success());
        let root = host.0.path().to_owned();
        thread::spawn(move || probe(&root));
        host
    }

    fn driver(&self) -> Option<PathBuf> {
        fs::read_link(
            self.0
                .path()
                .join(format!("sys/bus/pci/devices/{CARD}/driver")),
        )
        .ok()
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap()
    }

    fn setup(&self, arguments: &[&str]) -> Output {
        Command::new(Path::new(DEPLOY).join("host-setup"))
            .args(arguments)
            .env("BRAID_HOST_ROOT", self.0.path())
            .output()
            .unwrap()
    }

    /// Runs it and gives what it says it writes.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.setup(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it and gives the complaint, in one line.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.setup(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        complaint.lines().last().unwrap_or_default().to_owned()
    }
}

/// The kernel: binds each device that it is told to probe to the driver that is wished for, or to its own.
/// Where there is a file `refuses`, no driver but its own takes a device.
fn probe(root: &Path) {
    while let Ok(device) = fs::read_to_string(root.join(PROBE)) {
        let folder = root.join("sys/bus/pci/devices").join(device.trim());
        let wish = fs::read_to_string(folder.join("driver_override")).unwrap();
        let driver = match wish.trim() {
            "" | "(null)" => Some("ixgbe"),
            _ if root.join("refuses").exists() => None,
            wish => Some(wish),
        };
        let _ = fs::remove_file(folder.join("driver"));
        if let Some(driver) = driver {
            let driver = root.join("sys/bus/pci/drivers").join(driver);
            symlink(driver, folder.join("driver")).unwrap();
        }
    }
}

#[test]
fn huge_pages_are_reserved_and_given_back() {
    let host = Host::new();
    let plan = host.done(&["hugepages", "512"]);
    assert_eq!(plan, format!("512 > /{PAGES}\n"));
    assert_eq!(host.get(PAGES), "0\n", "a plan changes nothing");
    assert_eq!(host.done(&["hugepages", "512", "--apply"]), plan);
    assert_eq!(host.get(PAGES), "512\n");
    assert_eq!(
        host.done(&["hugepages", "512", "--apply"]),
        "",
        "there is nothing to do twice"
    );
    assert_eq!(host.done(&["--undo"]), format!("0 > /{PAGES}\n"));
    assert_eq!(host.get(PAGES), "512\n");
    host.done(&["--undo", "--apply"]);
    assert_eq!(host.get(PAGES), "0\n");
    assert!(
        host.done(&["--undo", "--apply"])
            .contains("nothing was changed")
    );
}

#[test]
fn a_card_is_bound_and_goes_back_to_its_driver() {
    let host = Host::new();
    let device = format!("/sys/bus/pci/devices/{CARD}");
    let plan = host.done(&["bind", CARD]);
    assert_eq!(
        plan.lines().collect::<Vec<_>>(),
        [
            format!("vfio-pci > {device}/driver_override"),
            format!("{CARD} > /sys/bus/pci/drivers/ixgbe/unbind"),
            format!("{CARD} > /sys/bus/pci/drivers_probe"),
        ]
    );
    assert_eq!(host.done(&["bind", CARD, "--apply"]), plan);
    let wish = format!("{}/driver_override", &device[1..]);
    assert_eq!(host.get(&wish), "vfio-pci\n");
    assert_eq!(
        host.done(&["--undo", "--apply"])
            .lines()
            .collect::<Vec<_>>(),
        [
            format!("{CARD} > /sys/bus/pci/drivers/vfio-pci/unbind"),
            format!("'' > {device}/driver_override"),
            format!("{CARD} > /sys/bus/pci/drivers_probe"),
        ]
    );
    assert_eq!(host.get(&wish), "\n");
    // One that was wished for before is again.
    host.put(&wish, "uio_pci_generic\n");
    host.done(&["bind", CARD, "--apply"]);
    host.done(&["--undo", "--apply"]);
    assert_eq!(host.get(&wish), "uio_pci_generic\n");
}

#[test]
fn a_card_that_its_new_driver_refuses_goes_back_too() {
    let host = Host::new();
    host.put("refuses", "");
    let complaint = host.refused(&["bind", CARD, "--apply"]);
    assert!(complaint.contains("does not take"), "{complaint}");
    assert_eq!(host.driver(), None);
    host.done(&["--undo", "--apply"]);
    assert!(
        !host.0.path().join(NOTES).exists(),
        "nothing is left to undo"
    );
    // The kernel is told, and takes its time.
    let own = |_| {
        thread::sleep(std::time::Duration::from_millis(10));
        host.driver()
            .is_some_and(|driver| driver.ends_with("ixgbe"))
    };
    assert!((0..500).any(own));
}

/// Root writes what the notes say: they are in no folder of the service's user, nor one that goes with
/// the service.
#[test]
fn the_notes_are_not_the_services() {
    let unit = fs::read_to_string(Path::new(DEPLOY).join("systemd/braid.service")).unwrap();
    let drop_in = fs::read_to_string(Path::new(DEPLOY).join("systemd/dpdk.conf")).unwrap();
    let host = Host::new();
    host.done(&["hugepages", "512", "--apply"]);
    assert!(host.0.path().join(NOTES).exists());
    for line in unit.lines().chain(drop_in.lines()) {
        for folder in line
            .strip_prefix("RuntimeDirectory=")
            .unwrap_or_default()
            .split(' ')
        {
            let within = Path::new(NOTES).starts_with(Path::new("run").join(folder));
            assert!(folder.is_empty() || !within, "{line}");
        }
    }
}

#[test]
fn what_would_cut_the_host_off_is_refused() {
    let host = Host::new();
    for (arguments, says) in [
        (&["bind", UPLINK, "--apply"][..], "default route"),
        (&["bind", CARD, UPLINK, "--apply"], "default route"),
        (&["bind", UPLINK_6, "--apply"], "default route"),
        (&["bind", BONDED, "--apply"], "default route"),
        (&["bind", DISK, "--apply"], "no network card"),
        (&["bind", CARD, "--apply", "--driver"], "takes a value"),
        (
            &["bind", CARD, "--driver", "../x"],
            "not the name of a driver",
        ),
        (&["bind", "0000:09:00.0", "--apply"], "there is no device"),
        (&["bind", "../../etc", "--apply"], "is not a PCI address"),
        (&["isolate", "0-3", "--apply"], "no core would be left"),
        (&["isolate", "7", "--apply"], "core 7 is not online"),
        (&["isolate", "two", "--apply"], "is not a list of cores"),
        (&["isolate", "3-2", "--apply"], "write 2-3"),
        (&["hugepages", "many", "--apply"], "takes a number of pages"),
        (
            &["hugepages", "1", "--size", "3M", "--apply"],
            "--size is 2M or 1G",
        ),
        (&["fly"], "is not one of status"),
        (&["--undo", "bind"], "takes no further words"),
    ] {
        let complaint = host.refused(arguments);
        assert!(complaint.contains(says), "{arguments:?}: {complaint}");
    }
    assert!(!host.0.path().join("run").exists(), "nothing was changed");
}

#[test]
fn interrupts_leave_isolated_cores() {
    let host = Host::new();
    let affinity = |irq: u32| host.get(&format!("proc/irq/{irq}/smp_affinity_list"));
    host.done(&["isolate", "2-3", "--apply"]);
    assert_eq!([7, 8, 9].map(affinity), ["0,1\n", "0,1\n", "0\n"]);
    host.done(&["--undo", "--apply"]);
    assert_eq!([7, 8, 9].map(affinity), ["0-3\n", "2\n", "0\n"]);
}

/// Where systemd is, it takes the unit, with its drop-in, without a word.
#[test]
fn the_unit_is_one_that_systemd_takes() {
    let verifier = "systemd-analyze";
    if Command::new(verifier).arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{verifier} is not installed"
        );
        eprintln!("skipped the_unit_is_one_that_systemd_takes: {verifier} is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let drop_ins = folder.join("braid.service.d");
    fs::create_dir_all(&drop_ins).unwrap();
    let unit = fs::read_to_string(Path::new(DEPLOY).join("systemd/braid.service")).unwrap();
    // Only programs that are there pass.
    let unit = unit.replace("/usr/bin/braid", env!("CARGO_BIN_EXE_braid"));
    fs::write(folder.join("braid.service"), unit).unwrap();
    fs::copy(
        Path::new(DEPLOY).join("systemd/dpdk.conf"),
        drop_ins.join("dpdk.conf"),
    )
    .unwrap();
    let output = Command::new(verifier)
        .args(["verify", "--man=no"])
        .arg(folder.join("braid.service"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("braid")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
