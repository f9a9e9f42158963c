//! The programs of `deploy/examples`, each run as its first lines say.

use std::thread;
use std::time::Duration;

use crate::engine::{Net, linux};
use crate::programs::Driver;
use crate::{USUAL, namespaces, peer};

/// Runs `body` beside an engine with two links to a peer.
fn with_engine(name: &str, body: impl FnOnce(&Net)) {
    namespaces::run(&format!("examples::{name}"), || {
        let net = Net::create(name);
        peer::start(&net);
        net.configure(USUAL);
        let engine = net.start();
        body(&net);
        drop(engine);
    });
}

/// The peer's address, and a port of it.
fn to(port: u16) -> [String; 2] {
    [linux(port).ip().to_string(), port.to_string()]
}

#[test]
fn bulk_fills_both_paths() {
    with_engine("bulk_fills_both_paths", |net| {
        let [address, port] = to(peer::DISCARD_PORT);
        let driver = Driver::BraidH;
        let said = driver
            // Linux may take half a second to announce its second address to one that sends so fast.
            .start(net, &driver.example("bulk"), &[&address, &port, "2000"])
            .end();
        let subflows: Vec<&str> = said.lines().collect();
        assert_eq!(subflows.len(), 2, "{said}");
        assert!(
            !said.contains(": 0 bytes"),
            "a path carried nothing:\n{said}"
        );
    });
}

#[test]
fn a_standby_takes_over() {
    with_engine("a_standby_takes_over", |net| {
        let [address, port] = to(peer::ECHO_PORT);
        let driver = Driver::Preload;
        let program = driver.example("hot_standby");
        let running = driver.start(net, &program, &[&address, &port, "3"]);
        thread::sleep(Duration::from_millis(1500));
        net.engine.routes().unwrap().set_up("link1", false).unwrap();
        let said = running.end();
        let mut words = said.split_whitespace();
        let responses: u32 = words.next().unwrap().parse().unwrap();
        assert!(responses > 100, "{said}");
        let longest: f64 = words.rev().nth(1).unwrap().parse().unwrap();
        assert!(longest < 1000.0, "{said}");
    });
}

#[test]
fn subflows_are_listed() {
    with_engine("subflows_are_listed", |net| {
        let [address, port] = to(peer::ECHO_PORT);
        let driver = Driver::Preload;
        let said = driver
            .start(net, &driver.example("list_subflows"), &[&address, &port])
            .end();
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.contains("-> 10.1.1.1 6003, initial"), "{said}");
        assert!(said.contains("1: 10.1.2.2 "), "{said}");
    });
}

#[test]
fn a_subflow_comes_and_goes() {
    with_engine("a_subflow_comes_and_goes", |net| {
        let [address, port] = to(peer::ECHO_PORT);
        let driver = Driver::Preload;
        let program = driver.example("add_remove_subflow");
        let arguments = [address.as_str(), &port, "10.1.2.2", "10.1.2.1"];
        let said = driver.start(net, &program, &arguments).end();
        assert_eq!(said, "1 subflow\n2 subflows\n1 subflow\n");
    });
}
