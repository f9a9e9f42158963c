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
    assert!(errors.contains("cannot print the report"), "{errors}");
}

#[test]
fn a_capture_directory_that_cannot_be_written() {
    refused(
        &["demo", "--pcap", "/proc/captures"],
        &["/proc/captures", "write to"],
    );
    let file = std::env::temp_dir().join(format!("braid-no-directory-{}", std::process::id()));
    std::fs::write(&file, b"").unwrap();
    refused(&["demo", "--pcap", file.to_str().unwrap()], &["write to"]);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn help_is_no_error() {
    for arguments in [&["--help"][..], &["demo", "--help"], &["--version"]] {
        let output = braid(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}
