//! The socket API's table, row by row, with `braid engine` on one side and this kernel's Multipath
//! TCP on the other. The rows are C programs in `rows`, written once and run by two drivers: through
//! braid.h, and with the C library's calls under the preload library.

#[allow(
    dead_code,
    reason = "written for the tests of sockets, which use all of it"
)]
#[path = "../sockets/support/engine.rs"]
mod engine;
mod examples;
#[expect(dead_code, reason = "the tests of the engine's sockets use more of it")]
#[path = "../sockets/support/namespaces.rs"]
mod namespaces;
mod peer;
mod programs;

use std::fs;

use engine::Net;
use nix::sys::signal::Signal;
use programs::Driver;

/// The limits under which the rows have their second subflow, and the bound of row L7.
const USUAL: &str = "\
    [[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n\
    [limits]\nsubflows = 8\nadd_addr_accepted = 8\n\
    [policy]\nsmall_buffer = { action = \"raise\", bound = \"64KiB\" }\n";

/// The policies that are off by default.
const OTHER: &str = "\
    [[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n\
    [limits]\nsubflows = 8\nadd_addr_accepted = 8\n\
    [policy]\ndefault_enable = false\nfate_sharing = true\nnodelay_selects_latency = true\n\
    small_buffer = { action = \"disable\", bound = \"64KiB\" }\n";

/// One program is kept to regular TCP, and has its own controller.
fn rule(driver: Driver) -> String {
    format!(
        "[limits]\nsubflows = 8\nadd_addr_accepted = 8\n\
         [[program]]\nname = \"rows-{driver:?}\"\nenable = false\ncongestion = \"lia\"\n"
    )
}

/// The same with the rule taken back, and a default in its place.
const RELOADED: &str = "\
    [limits]\nsubflows = 8\nadd_addr_accepted = 8\n\
    [policy]\ndefault_enable = true\n[defaults]\ncongestion = \"olia\"\n";

/// Gives the first port these addresses too; IPv6 is off for those of the others.
fn add_addresses(net: &Net, more: &str) {
    let text = fs::read_to_string(net.configuration()).unwrap();
    let first = "\"10.1.1.2/24\"";
    assert!(text.contains(first), "as rows.h has it: {text}");
    let all = format!("{first}, {more}");
    fs::write(net.configuration(), text.replace(first, &all)).unwrap();
}

/// Has a link of the engine's side carry a host identity tag, as HIP does.
fn have_identity_tag(net: &Net) {
    let tag = "2001:20::9".parse().unwrap();
    net.engine
        .set("net.ipv6.conf.lo.disable_ipv6", "0")
        .unwrap();
    let mut routes = net.engine.routes().unwrap();
    routes.set_up("lo", true).unwrap();
    routes.add_address("lo", tag, 128).unwrap();
}

fn rows(name: &str, driver: Driver) {
    namespaces::run(name, || {
        let net = Net::create(name);
        peer::start(&net);
        net.configure(USUAL);
        add_addresses(&net, "\"fd00:1::2/64\", \"fd00:1::3/64\"");
        let mut engine = net.start();
        driver.run(&net, &[], 49);
        engine.kill();
        net.configure(OTHER);
        add_addresses(&net, "\"fd00:1::2/64\", \"2001:20::2/64\"");
        let mut engine = net.start();
        driver.run(&net, &["policies"], 5);
        engine.kill();
        net.configure(&rule(driver));
        let mut engine = net.start();
        driver.run(&net, &["rule"], 1);
        net.configure(RELOADED);
        engine.signal(Signal::SIGHUP);
        engine.wait_for_log("the configuration was read again");
        driver.run(&net, &["reloaded"], 2);
        engine.kill();
        have_identity_tag(&net);
        let engine = net.start();
        engine.wait_for_log("Hip is in use");
        driver.run(&net, &["exclusive"], 1);
        drop(engine);
    });
}

#[test]
fn every_row_holds_through_braid_h() {
    rows("every_row_holds_through_braid_h", Driver::BraidH);
}

#[test]
fn every_row_holds_for_an_unmodified_program() {
    rows("every_row_holds_for_an_unmodified_program", Driver::Preload);
}
