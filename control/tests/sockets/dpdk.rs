//! An engine whose ports are devices of DPDK: what its workers run on, and that bytes go by them.

use std::thread;

use braid_control::lab::link::Link;
use braid_control::management::{Client as Asking, ConnectionRow, Request, SubflowRow};
use braid_control::stream::Stream;
use braid_dataplane::port::interface::finish_frames;
use nix::sys::signal::Signal;

use crate::support::client::Client;
use crate::support::engine::{Engine, Net, SOON, linux, within};
use crate::support::linux::{echo_one, send_and_get_back};
use crate::support::namespaces;

const PORT: u16 = 5021;

const MORE: &str = "[dpdk]\narguments = [\"--no-huge\", \"--no-pci\"]\n\
    [[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n\
    [[route]]\nto = \"10.1.0.0/16\"\nport = \"link2\"\ngateway = \"10.1.2.1\"\n";

/// Bytes there and back over both links.
fn exchange(net: &Net) {
    let client = Client::attach(&net.socket());
    let stream = Stream::new(11, 4 << 20);
    let echo = echo_one(net.linux_multipath_listener(PORT));
    let socket = client.open();
    socket.connect(linux(PORT)).unwrap();
    // Confirms Multipath TCP.
    socket.send_all(b"?").unwrap();
    assert_eq!(socket.recv(&mut [0]), Ok(1));
    let mut asking = Asking::connect(&net.socket()).unwrap();
    let rows: Vec<ConnectionRow> = asking.ask(&Request::ShowConnections).unwrap();
    let connection = rows.last().map(|row| row.id);
    let mut subflows =
        || -> Vec<SubflowRow> { asking.ask(&Request::ShowSubflows { connection }).unwrap() };
    let joined = within(SOON, || {
        let rows = subflows();
        rows.len() == 2 && rows.iter().all(|row| row.state == "established")
    });
    assert!(joined, "{:?}", subflows());
    send_and_get_back(&socket, &stream);
    for row in subflows() {
        assert!(row.bytes_sent > 0, "{row:?}");
    }
    socket.finish();
    assert_eq!(socket.recv(&mut [0]), Ok(0));
    assert!(!echo.join().unwrap(), "regular TCP");
    socket.close();
}

/// Two links over veth pairs, in whose frames the kernel leaves nothing to be finished by the device.
fn links(name: &str) -> Net {
    let net = Net::create(name);
    let finish = || Link::all(2).try_for_each(|link| finish_frames(&link.interface()));
    net.peer.run(finish).unwrap().unwrap();
    net
}

/// What the worker's own thread would be called.
fn has_threads_of_its_own(engine: &Engine) -> bool {
    engine.cores_of("braid-worker-0").is_some()
}

fn af_packet(queues: u8) -> impl Fn(Link) -> String {
    move |link| {
        format!(
            "kind = \"dpdk\"\nname = \"link{0}\"\ndevice = \"net_af_packet{0}\"\n\
             arguments = \"iface={1},qpairs={queues}\"",
            link.0,
            link.interface()
        )
    }
}

#[test]
fn a_worker_is_a_pipeline_on_its_core() {
    let test = "dpdk::a_worker_is_a_pipeline_on_its_core";
    namespaces::run(test, || {
        let net = links("dpdk-one");
        net.configure_ports(1, af_packet(1), MORE);
        let mut engine = net.start();
        exchange(&net);
        assert!(!has_threads_of_its_own(&engine));
        engine.signal(Signal::SIGTERM);
        assert!(engine.wait().success(), "{:#?}", engine.log());
    });
}

#[test]
fn two_workers_are_pipelines_on_a_core_each() {
    let test = "dpdk::two_workers_are_pipelines_on_a_core_each";
    namespaces::run(test, || {
        let net = links("dpdk-two");
        net.configure_ports(2, af_packet(2), MORE);
        let mut engine = net.start();
        exchange(&net);
        exchange(&net);
        assert!(!has_threads_of_its_own(&engine));
        assert_eq!(engine.cores_of("braid-dpdk").as_deref(), Some("0"));
        assert_eq!(engine.cores_of("braid-core1").as_deref(), Some("1"));
        engine.signal(Signal::SIGTERM);
        assert!(engine.wait().success(), "{:#?}", engine.log());
    });
}

/// A pipeline that sleeps would keep another on its core from running.
#[test]
fn more_workers_than_cores_run_in_threads() {
    let test = "dpdk::more_workers_than_cores_run_in_threads";
    namespaces::run(test, || {
        let net = links("dpdk-threads");
        net.configure_ports(3, af_packet(3), MORE);
        let mut engine = net.start();
        exchange(&net);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(has_threads_of_its_own(&engine), cores < 3);
        engine.signal(Signal::SIGTERM);
        assert!(engine.wait().success(), "{:#?}", engine.log());
    });
}
