//! iperf3, which counts what it sends and what arrives.

use serde_json::Value;

use crate::namespaces;
use crate::rig::{Finished, Process, Rig, installed, linux_at, ours_at};

const PORT: u16 = 5301;
/// Enough for the second subflow to be there before the end.
const BYTES: &str = "256M";

/// Asserts that the client's report has no error. What is on its way when the sender is done is not
/// counted by the receiver.
#[track_caller]
fn assert_report(client: &Finished) {
    client.assert_well();
    let report: Value = serde_json::from_str(&client.output).unwrap();
    assert_eq!(report.get("error"), None, "{client:#?}");
    let bytes = |side: &str| report["end"][side]["bytes"].as_u64().unwrap();
    assert!(bytes("sum_sent") >= 256 << 20, "{client:#?}");
    assert!(bytes("sum_received") >= 192 << 20, "{client:#?}");
}

/// Runs a client against a server that takes one test.
fn run(
    name: &str,
    more: &[&str],
    start: impl FnOnce(&Rig, &std::path::Path, &[&str], &[&str]) -> (Process, Process),
) {
    let test = format!("iperf3::{name}");
    let Some(program) = installed(&test, "iperf3") else {
        return;
    };
    namespaces::run(&test, || {
        let rig = Rig::start(name);
        let port = PORT.to_string();
        let server = ["-s", "-1", "-p", &port];
        let mut client = vec!["-p", &port, "-n", BYTES, "--json"];
        client.extend(more);
        let (server, client) = start(&rig, &program, &server, &client);
        assert_report(&client.finish());
        server.finish().assert_well();
        rig.assert_both_links_used();
        rig.assert_engine_is_content();
    });
}

/// Linux's client with the engine's server.
fn served(
    rig: &Rig,
    program: &std::path::Path,
    server: &[&str],
    client: &[&str],
) -> (Process, Process) {
    let server = rig.ours(program, server);
    rig.wait_for_our_listener(PORT, &server);
    let address = ours_at(PORT).ip().to_string();
    let client = rig.linux(program, &[&["-c", &address], client].concat());
    (server, client)
}

/// The engine's client with Linux's server.
fn asked(
    rig: &Rig,
    program: &std::path::Path,
    server: &[&str],
    client: &[&str],
) -> (Process, Process) {
    // Linux announces addresses of the family of the socket only.
    let server = rig.linux(program, &[&["-4"], server].concat());
    rig.wait_for_linux_listener(PORT, &server);
    let address = linux_at(PORT).ip().to_string();
    let client = rig.ours(program, &[&["-c", &address], client].concat());
    (server, client)
}

#[test]
fn server_receives() {
    run("server_receives", &[], served);
}

#[test]
fn server_sends() {
    run("server_sends", &["-R"], served);
}

#[test]
fn client_sends_in_two_streams() {
    run("client_sends_in_two_streams", &["-P", "2"], asked);
}

#[test]
fn client_receives() {
    run("client_receives", &["-R"], asked);
}
