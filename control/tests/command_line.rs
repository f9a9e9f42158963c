//! Requests that cannot be carried out: exit status 2, one sentence that says what mends it,
//! nothing printed as a result.

use std::process::{Command, Output};

fn braid(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_braid"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Asserts that the request is refused in one line that contains all of `says`.
fn refused(arguments: &[&str], says: &[&str]) {
    let output = braid(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed a result");
    assert_eq!(errors.lines().count(), 1, "{arguments:?}: {errors}");
    for part in says {
        assert!(
            errors.contains(part),
            "{arguments:?}: {errors:?} does not say {part:?}"
        );
    }
}

#[test]
fn sizes_that_cannot_be_read() {
    for size in ["12Q", "", "1.5G", "MiB", "99999999999999999999"] {
        refused(&["demo", "--bytes", size], &["--bytes", "256MiB"]);
    }
    refused(&["demo", "--bytes", "0"], &["--bytes 0", "at least 1"]);
}

#[test]
fn values_that_do_not_exist() {
    refused(
        &["demo", "--peer", "windows"],
        &["windows", "linux, engine"],
    );
    refused(&["demo", "--port", "eth0"], &["eth0", "tap, af_packet"]);
    refused(&["demo", "--family", "5"], &["--family", "4, 6"]);
    refused(&["demo", "--links", "0"], &["--links", "1..=8"]);
    refused(&["demo", "--links", "9"], &["--links", "1..=8"]);
    refused(&["demo", "--speed", "1G"], &["--speed", "--help"]);
}

#[test]
fn contradictions() {
    for linux_only in [
        ["--port", "tap"],
        ["--peer-protocol", "tcp"],
        ["--peer-setup", "true"],
    ] {
        let mut arguments = vec!["demo", "--peer", "engine"];
        arguments.extend(linux_only);
        refused(&arguments, &["--peer engine", "drop"]);
    }
}

#[test]
fn impairments_of_links_that_are_not_in_memory() {
    for impairment in [["--delay", "20ms"], ["--loss", "1%"], ["--rate", "100M"]] {
        for peer in [&["--peer", "linux"][..], &[]] {
            let mut arguments = vec!["demo"];
            arguments.extend(impairment);
            arguments.extend(peer);
            refused(&arguments, &["links in memory", "add --peer engine"]);
        }
    }
    for (name, wrong) in [("--delay", "20"), ("--loss", "100%"), ("--rate", "0")] {
        refused(
            &["demo", "--peer", "engine", name, wrong],
            &[name, "such as"],
        );
    }
}

#[test]
fn a_result_that_cannot_be_printed() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_braid"))
        .args(["demo", "--peer", "engine", "--bytes", "1", "--links", "1"])
        .stdout(full)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("cannot print the result"), "{errors}");
}

#[test]
fn a_capture_directory_that_cannot_be_written() {
    refused(
        &["demo", "--pcap", "/proc/captures"],
        &["/proc/captures", "write to"],
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    refused(&["demo", "--pcap", path], &["write to"]);
}

#[test]
fn help_is_no_error() {
    for arguments in [&["--help"][..], &["demo", "--help"], &["--version"]] {
        let output = braid(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn verbs_of_a_running_engine_say_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let socket = folder.join("engine.sock");
    let stale = folder.join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    for verb in [
        &["show", "connections"][..],
        &["show", "subflows", "--connection", "1"],
        &["show", "listeners"],
        &["show", "ports", "--json"],
        &["show", "endpoints"],
        &["endpoint", "add", "10.0.0.1", "signal"],
        &["endpoint", "del", "1"],
        &["endpoint", "flush"],
        &["limits"],
        &["limits", "set", "--subflows", "3"],
        &["set", "--profile", "bulk"],
        &["stats"],
        &["monitor"],
    ] {
        for path in [&socket, &stale] {
            let mut arguments = verb.to_vec();
            arguments.extend(["--socket", path.to_str().unwrap()]);
            refused(
                &arguments,
                &["no engine runs at", path.to_str().unwrap(), "braid engine"],
            );
        }
    }
}

#[test]
fn requests_to_an_engine_that_mean_nothing() {
    refused(&["show", "sockets"], &["sockets"]);
    refused(&["endpoint", "add", "here", "signal"], &["here"]);
    refused(&["endpoint", "add", "10.0.0.1"], &["FLAGS"]);
    refused(
        &["endpoint", "add", "10.0.0.1", "fast"],
        &["fast", "signal, subflow, backup, fullmesh"],
    );
    refused(&["endpoint", "del", "0"], &["0", "1..=255"]);
    refused(&["limits", "set"], &["--subflows"]);
    refused(&["limits", "set", "--subflows", "32"], &["0..=31"]);
    refused(&["set", "--profile", "best"], &["best", "bulk"]);
    refused(&["set", "--scheduler", "best"], &["best", "minrtt"]);
    refused(&["set", "--controller", "best"], &["best", "cubic"]);
    refused(&["set", "--path-manager", "best"], &["best", "ondemand"]);
}

#[test]
fn every_verb_has_help_with_an_example() {
    for verb in [
        &["engine"][..],
        &["show"],
        &["show", "connections"],
        &["show", "subflows"],
        &["show", "listeners"],
        &["show", "ports"],
        &["show", "endpoints"],
        &["endpoint"],
        &["endpoint", "add"],
        &["endpoint", "del"],
        &["endpoint", "flush"],
        &["limits"],
        &["limits", "set"],
        &["set"],
        &["stats"],
        &["monitor"],
        &["lab"],
    ] {
        let mut arguments = verb.to_vec();
        arguments.push("--help");
        let output = braid(&arguments);
        assert!(output.status.success(), "{arguments:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        let example = format!("Example: braid {}", verb.join(" "));
        assert!(help.contains(&example), "{help} has no {example:?}");
    }
}

#[test]
fn laboratories_that_cannot_be() {
    refused(&["lab"], &["COMMAND"]);
    refused(
        &["lab", "--links", "9", "--", "true"],
        &["--links", "1..=8"],
    );
    refused(
        &["lab", "--links", "3", "--rate", "1M,2M", "--", "true"],
        &["--rate has 2 values for 3 links", "one for each"],
    );
    refused(&["lab", "--delay", "5", "--", "true"], &["--delay", "20ms"]);
    refused(&["lab", "--wait-port", "80", "--", "true"], &["--peer"]);
    refused(
        &["lab", "--json", "/proc/nope", "--", "true"],
        &["/proc/nope", "can write"],
    );
}
