//! Devices whose other end is this host's kernel.

use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use braid_dataplane::port::Port;
use braid_dataplane::port::dpdk::{DeviceOptions, Dpdk, DpdkPort, Turn};

use crate::echo::echo;
use crate::namespace::{self, ip};
use crate::{PATIENCE, device, eal, numbered, run_as_root, send, start_one};

/// A veth pair, with the kernel at 10.9.0.1 of the end `veth1`.
///
/// The device on the other end tells nothing of checksums left out, so the kernel must leave none.
fn veth() {
    ip("link add veth0 type veth peer name veth1");
    ip("addr add 10.9.0.1/24 dev veth1");
    for end in ["veth0", "veth1"] {
        let off = [
            "-K", end, "tx", "off", "tso", "off", "gso", "off", "gro", "off",
        ];
        let status = Command::new("ethtool").args(off).status().unwrap();
        assert!(status.success(), "ethtool {off:?}");
        ip(&format!("link set {end} up"));
    }
}

#[test]
fn a_stream_goes_to_the_kernel_and_back_over_net_af_packet() {
    namespace::run(
        "kernel::a_stream_goes_to_the_kernel_and_back_over_net_af_packet",
        || {
            veth();
            let port = start_one(device("net_af_packet0", "iface=veth0"));
            assert!(!port.capabilities().checksum);
            echo(port.into());
        },
    );
}

#[test]
fn a_stream_goes_to_the_kernel_and_back_over_net_af_xdp() {
    run_as_root(
        "kernel::a_stream_goes_to_the_kernel_and_back_over_net_af_xdp",
        || {
            veth();
            let port = start_one(device("net_af_xdp0", "iface=veth0"));
            let told = port.capabilities();
            assert!(!told.checksum && !told.segmentation);
            echo(port.into());
        },
    );
}

#[test]
fn a_stream_goes_to_the_kernel_and_back_over_net_tap() {
    namespace::run_with_tap(
        "kernel::a_stream_goes_to_the_kernel_and_back_over_net_tap",
        || {
            let port = start_one(device("net_tap0", "iface=tap0"));
            let told = port.capabilities();
            assert!(told.checksum && !told.segmentation);
            ip("addr add 10.9.0.1/24 dev tap0");
            echo(port.into());
        },
    );
}

#[test]
fn a_stream_goes_to_the_kernel_and_back_over_net_tap_without_offloads() {
    namespace::run_with_tap(
        "kernel::a_stream_goes_to_the_kernel_and_back_over_net_tap_without_offloads",
        || {
            let options = DeviceOptions {
                offload: false,
                ..device("net_tap0", "iface=tap0")
            };
            let port = start_one(options);
            assert!(!port.capabilities().checksum);
            ip("addr add 10.9.0.1/24 dev tap0");
            echo(port.into());
        },
    );
}

/// net_af_packet calls every link up.
#[test]
fn a_link_that_goes_down_is_told_and_loses_what_is_sent() {
    namespace::run_with_tap(
        "kernel::a_link_that_goes_down_is_told_and_loses_what_is_sent",
        || {
            let mut port = start_one(device("net_tap0", "iface=tap0"));
            let wait_for = |port: &DpdkPort, up| {
                let deadline = Instant::now() + PATIENCE;
                while port.link().up != up {
                    assert!(Instant::now() < deadline, "the link's being up is not {up}");
                }
            };
            wait_for(&port, true);
            ip("link set tap0 down");
            wait_for(&port, false);
            for number in 0..1_000 {
                // Frames are lost in the end, and the port never sticks.
                if !send(&mut port, &numbered(number, 100)) {
                    port.flush().unwrap();
                }
            }
            port.flush().unwrap();
            assert!(!port.transmit_pending());
            ip("link set tap0 up");
            wait_for(&port, true);
        },
    );
}

#[test]
fn a_worker_is_a_pipeline_on_its_core() {
    namespace::run_with_tap("kernel::a_worker_is_a_pipeline_on_its_core", || {
        let mut dpdk = Dpdk::start(&eal(), &[device("net_tap0", "iface=tap0")]).unwrap();
        let port = dpdk.take_devices().remove(0).ports.remove(0);
        ip("addr add 10.9.0.1/24 dev tap0");
        let (done, ended) = mpsc::channel();
        dpdk.run([(0, move || {
            let mut port = Some(port);
            move || {
                let core = std::thread::current().name().map(String::from);
                if let Some(port) = port.take() {
                    echo(port.into());
                }
                let _ = done.send(core);
                Turn::Done
            }
        })]);
        let name = ended.recv_timeout(PATIENCE * 6).unwrap();
        assert_eq!(name.as_deref(), Some("braid-dpdk"));
    });
}
