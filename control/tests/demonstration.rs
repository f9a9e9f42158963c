//! The whole demonstration, as a user runs it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const BYTES: u64 = 32 << 20;

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["demo", "--bytes", "32MiB"]).args(arguments);
    command
}

fn demo(arguments: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_braid").as_ref(), arguments)
        .output()
        .unwrap()
}

/// The report of a demonstration that every machine can make.
#[track_caller]
fn report_of_success(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Says that a test is skipped for want of what it needs, which CI=true demands.
#[track_caller]
fn skip(test: &str, why: impl std::fmt::Display) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} is required: {why}"
    );
    eprintln!("test {test} ... skipped: {why}");
}

/// The report of a demonstration, or none where the machine cannot make it: then the test is
/// skipped by its name, unless CI=true demands it.
fn report(test: &str, output: &Output) -> Option<Value> {
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(2) && errors.contains("--peer engine") {
        skip(test, errors);
        return None;
    }
    Some(report_of_success(output))
}

/// Asserts what every demonstration that went well says.
fn assert_well(report: &Value, peer: &str) {
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(report["peer"], peer, "{report:#}");
    let runs = report["runs"].as_array().unwrap();
    let tasks: Vec<(&str, &str)> = runs
        .iter()
        .map(|run| {
            (
                run["role"].as_str().unwrap(),
                run["direction"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        tasks,
        [
            ("server", "upload"),
            ("server", "download"),
            ("client", "upload"),
            ("client", "download")
        ]
    );
    // A busy Linux may join the second link too late for one of the runs, but not for all.
    let subflows = |run: &Value| run["subflows"].as_array().unwrap().len();
    assert!(
        runs.iter().any(|run| subflows(run) >= 2),
        "a link was left unused: {report:#}"
    );
    for run in runs {
        assert_eq!(run["bytes"], BYTES, "{run:#}");
        assert_eq!(run["sha256_match"], true, "{run:#}");
        assert_eq!(run["fallback"], false, "{run:#}");
        assert_eq!(run["link_cut"], true, "{run:#}");
        assert!(run["goodput_bps"].as_u64().unwrap() > 0, "{run:#}");
        assert!(run["seconds"].as_f64().unwrap() > 0.0, "{run:#}");
        let subflows = run["subflows"].as_array().unwrap();
        let shares: f64 = subflows
            .iter()
            .map(|row| row["share"].as_f64().unwrap())
            .sum();
        assert!((shares - 1.0).abs() < 1e-6, "{run:#}");
    }
}

#[test]
fn linux_over_tap_devices() {
    let output = demo(&["--json", "--peer", "linux"]);
    let Some(report) = report("linux_over_tap_devices", &output) else {
        return;
    };
    assert_well(&report, "linux");
    assert!(report["baseline_bps"].as_u64().unwrap() > 0);
}

#[test]
fn linux_over_packet_sockets_and_captured() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().to_str().unwrap();
    let output = demo(&["--json", "--port", "af_packet", "--pcap", directory]);
    let Some(report) = report("linux_over_packet_sockets_and_captured", &output) else {
        return;
    };
    assert_well(&report, "linux");
    let length = |link: &str| {
        fs::metadata(scratch.path().join(format!("{link}.pcapng")))
            .unwrap()
            .len()
    };
    let captured = length("link1") + length("link2");
    assert!(
        captured > 4 * BYTES,
        "four runs of {BYTES} bytes left {captured} in the captures"
    );
}

#[test]
fn captures_that_tshark_reads_without_an_error() {
    let name = "captures_that_tshark_reads_without_an_error";
    if Command::new("tshark").arg("--version").output().is_err() {
        return skip(name, "tshark is not installed");
    }
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().to_str().unwrap();
    let output = demo(&[
        "--json",
        "--no-baseline",
        "--peer",
        "linux",
        "--pcap",
        directory,
    ]);
    let Some(report) = report(name, &output) else {
        return;
    };
    assert_well(&report, "linux");
    for link in ["link1", "link2"] {
        let file = scratch.path().join(format!("{link}.pcapng"));
        // What dissection complains of as an error, or cannot make out at all.
        let complaints = tshark(&file, "_ws.malformed || _ws.expert.severity >= 0x800000");
        assert_eq!(complaints, "", "{link}");
        assert_ne!(
            tshark(&file, "tcp.options.mptcp.subtype"),
            "",
            "{link} shows no Multipath TCP"
        );
    }
}

fn tshark(file: &Path, filter: &str) -> String {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        // The stream is random: what a dissector takes it for, sooner or later, says nothing.
        .args(["-d", "tcp.port==5001-5004,data"])
        .args(["-Y", filter])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn another_engine_over_memory() {
    let output = demo(&["--json", "--peer", "engine"]);
    let report = report_of_success(&output);
    assert_well(&report, "engine");
    assert_eq!(report["baseline_bps"], Value::Null);
}

/// The workers of a run's subflows.
fn workers(run: &Value) -> BTreeSet<u64> {
    let subflows = run["subflows"].as_array().unwrap().iter();
    subflows
        .map(|row| row["worker"].as_u64().unwrap())
        .collect()
}

/// Asserts that every connection that the engine opened had subflows at both of its workers.
fn assert_at_both_workers(report: &Value) {
    for run in report["runs"].as_array().unwrap() {
        let all = BTreeSet::from([0, 1]);
        assert!(workers(run).is_subset(&all), "{run:#}");
        if run["role"] == "client" && run["subflows"].as_array().unwrap().len() > 1 {
            assert_eq!(workers(run), all, "{run:#}");
        }
    }
}

#[test]
fn two_workers_over_each_kind_of_port() {
    for port in ["memory", "tap", "af_packet"] {
        let arguments = ["--json", "--workers", "2", "--no-baseline", "--port", port];
        let output = demo(&arguments);
        let peer = if port == "memory" { "engine" } else { "linux" };
        let Some(report) = report("two_workers_over_each_kind_of_port", &output) else {
            return;
        };
        assert_well(&report, peer);
        assert_at_both_workers(&report);
    }
    let table = demo(&["--port", "memory", "--workers", "2", "--role", "client"]);
    assert!(table.status.success(), "{table:?}");
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    let row = |start: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with(start))
    };
    assert!(row("id worker  local"), "{text}");
    assert!(row("0      0  10.1.1.2:"), "{text}");
    assert!(row("1      1  10.1.2.2:"), "{text}");
}

#[test]
fn two_workers_write_one_capture_of_each_link() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().to_str().unwrap();
    let arguments = ["--json", "--port", "memory", "--workers", "2"];
    let output = demo(&[&arguments[..], &["--pcap", directory]].concat());
    assert_well(&report_of_success(&output), "engine");
    let mut files: Vec<_> = fs::read_dir(scratch.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["link1.pcapng", "link2.pcapng"]);
}

#[test]
fn ports_that_cannot_be_had_are_refused() {
    let dpdk = if cfg!(feature = "dpdk") {
        "net_tap, net_af_packet"
    } else {
        "--features dpdk"
    };
    for (arguments, mends) in [
        (&["--port", "dpdk:net_null"][..], dpdk),
        (&["--port", "memory", "--peer", "linux"], "--port tap"),
        (&["--port", "tap", "--peer", "engine"], "--peer linux"),
        (&["--port", "wire"], "use memory, tap, af_packet"),
        (&["--workers", "33"], "1..=32"),
    ] {
        let output = demo(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(mends), "{arguments:?}: {errors}");
    }
}

#[test]
fn another_engine_over_links_that_delay_and_lose() {
    let output = Command::new(env!("CARGO_BIN_EXE_braid"))
        .args(["demo", "--json", "--peer", "engine", "--role", "client"])
        .args(["--bytes", "2MiB", "--delay", "10ms", "--loss", "0.5%"])
        .args(["--rate", "40M"])
        .output()
        .unwrap();
    let report = report_of_success(&output);
    let (mut retransmits, mut longest_round_trip) = (0, 0);
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["sha256_match"], true, "{run:#}");
        // Two links of 40 Mbit/s each, and not more.
        assert!(run["goodput_bps"].as_u64().unwrap() < 80_000_000, "{run:#}");
        for row in run["subflows"].as_array().unwrap() {
            longest_round_trip = longest_round_trip.max(row["srtt_us"].as_u64().unwrap());
            retransmits += row["retransmits"].as_u64().unwrap();
        }
    }
    // Timestamps of a millisecond may make a round trip look that much shorter.
    assert!(longest_round_trip >= 19_000, "{report:#}");
    assert!(retransmits > 0, "nothing was lost: {report:#}");
}

#[test]
fn a_machine_that_forbids_namespaces() {
    let name = "a_machine_that_forbids_namespaces";
    let script = "echo 0 >/proc/sys/user/max_user_namespaces &&
        echo 0 >/proc/sys/user/max_net_namespaces && exec \"$@\"";
    let forbidden = |arguments: &[&str]| {
        Command::new("unshare")
            .args(["-Ur", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_braid")])
            .args(["demo", "--json", "--bytes", "1MiB"])
            .args(arguments)
            .output()
    };
    let output = match forbidden(&[]) {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("unshare: ") => output,
        other => return skip(name, format_args!("{other:?}")),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("refuses namespaces"), "{errors}");
    assert!(
        errors.contains("two engines over links in memory"),
        "{errors}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["peer"], "engine");
    assert_eq!(report["ok"], true);

    // Who asks for Linux by name gets no other.
    let output = forbidden(&["--peer", "linux"]).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("--peer engine"), "{errors}");
    assert!(output.stdout.is_empty());
}

#[test]
fn linux_that_cannot_be_measured_against_itself() {
    let name = "linux_that_cannot_be_measured_against_itself";
    // The peer has its namespace by then; those of the measurement are refused.
    let setup = "echo 0 >/proc/sys/user/max_net_namespaces";
    let output = Command::new("unshare")
        .args(["-Ur", env!("CARGO_BIN_EXE_braid"), "demo", "--json"])
        .args(["--bytes", "1MiB", "--role", "server", "--fault", "none"])
        .args(["--peer", "linux", "--peer-setup", setup])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(1) || errors.contains("unshare: ") {
        assert!(!output.status.success(), "{output:?}");
        return skip(name, errors);
    }
    assert!(errors.contains("Linux to Linux: "), "{errors}");
    assert!(errors.contains("--no-baseline"), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false, "{report:#}");
    assert_eq!(report["baseline_bps"], Value::Null, "{report:#}");
    for run in report["runs"].as_array().unwrap() {
        assert_eq!(run["sha256_match"], true, "{run:#}");
    }
}

#[test]
fn a_user_without_privileges() {
    let name = "a_user_without_privileges";
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("test {name} ... skipped: all tests here are run by such a user");
        return;
    }
    // The build directory may be closed to others.
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("braid");
    fs::copy(env!("CARGO_BIN_EXE_braid"), &program).unwrap();
    for path in [scratch.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = command(&program, &["--json", "--peer", "linux"])
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let Some(report) = report(name, &output) else {
        return;
    };
    assert_well(&report, "linux");
}

#[test]
fn the_last_line_tells_the_goodput() {
    let output = demo(&["--role", "server"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("goodput: engine to "), "{text}");
    assert!(text.contains("SHA-256 matches"), "{text}");
}
