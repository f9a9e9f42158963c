//! The whole data path: the engine over a port, against TCP of the kernel.

use braid_dataplane::port::af_packet::{AfPacketOptions, AfPacketPort};
use braid_dataplane::port::tap::TapPort;

use crate::support::echo::echo;
use crate::support::namespace::{self, ip};

#[test]
fn a_stream_goes_to_the_kernel_and_back_over_tap() {
    namespace::run_with_tap(
        "stack::a_stream_goes_to_the_kernel_and_back_over_tap",
        || {
            let port = TapPort::open("tap0", true).unwrap();
            ip("addr add 10.9.0.1/24 dev tap0");
            ip("link set tap0 up");
            echo(port.into());
        },
    );
}

#[test]
fn a_stream_goes_to_the_kernel_and_back_over_af_packet() {
    namespace::run(
        "stack::a_stream_goes_to_the_kernel_and_back_over_af_packet",
        || {
            ip("link add veth0 type veth peer name veth1");
            ip("addr add 10.9.0.1/24 dev veth1");
            ip("link set veth1 up");
            ip("link set veth0 up");
            echo(
                AfPacketPort::open("veth0", AfPacketOptions::default())
                    .unwrap()
                    .into(),
            );
        },
    );
}
