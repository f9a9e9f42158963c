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

fn rows(name: &str, driver: Driver) {
    namespaces::run(name, || {
        let net = Net::create(name);
        peer::start(&net);
        net.configure(USUAL);
        let mut engine = net.start();
        driver.run(&net, &[], 31);
        engine.kill();
        net.configure(OTHER);
        let text = fs::read_to_string(net.configuration()).unwrap();
        let first = "\"10.1.1.2/24\"";
        let more = format!("{first}, \"fd00:1::2/64\", \"2001:20::2/64\"");
        assert!(text.contains(first), "as rows.h has it: {text}");
        fs::write(net.configuration(), text.replace(first, &more)).unwrap();
        let engine = net.start();
        driver.run(&net, &["policies"], 5);
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
