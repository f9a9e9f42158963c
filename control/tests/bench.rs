//! `braid bench` as a user runs it: every workload comes to figures that agree with each other. How good
//! they are is not judged.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let time: &[&str] = match arguments.contains(&"--seconds") {
        true => &[],
        false => &["--seconds", "0.3"],
    };
    Command::new(env!("CARGO_BIN_EXE_braid"))
        .args(["bench", "--json"])
        .args(time)
        .args(arguments)
        .output()
        .unwrap()
}

/// The workloads of a report without a failure.
#[track_caller]
fn workloads(output: &Output) -> Vec<Value> {
    let (told, errors) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(told);
    assert!(output.status.success(), "{told} {errors}");
    let report: Value = serde_json::from_str(&told).unwrap();
    report["workloads"].as_array().unwrap().clone()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} of {value:#}"))
}

#[track_caller]
fn check_spread(spread: &Value) {
    let [min, median, max] = ["min", "median", "max"].map(|key| number(spread, key));
    assert!(min <= median && median <= max, "{spread:#}");
}

#[track_caller]
fn check_latency(workload: &Value) {
    let latency = &workload["latency"];
    let percentiles = ["p50_us", "p99_us", "p99_9_us", "max_us"].map(|key| number(latency, key));
    assert!(percentiles[0] > 0.0, "{workload:#}");
    assert!(percentiles.is_sorted(), "{workload:#}");
    let count = number(latency, "count");
    assert!(
        count >= 1.0 && number(workload, "unanswered") <= count,
        "{workload:#}"
    );
    assert!(
        number(workload, "capacity_per_second") > 0.0,
        "{workload:#}"
    );
    let curve = latency["curve"].as_array().unwrap();
    let steps: Vec<(f64, f64)> = curve
        .iter()
        .map(|step| (step[0].as_f64().unwrap(), step[1].as_f64().unwrap()))
        .collect();
    assert!(
        steps.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1),
        "{workload:#}"
    );
}

#[test]
fn bulk_counts_what_its_parts_carried() {
    let output = bench(&["bulk", "download", "--connections", "1,5", "--workers", "2"]);
    let workloads = workloads(&output);
    assert_eq!(workloads.len(), 4);
    for workload in &workloads {
        check_spread(&workload["gbit_per_second"]);
        assert_eq!(workload["samples"].as_array().unwrap().len(), 10);
        assert!(number(workload, "bytes") > 0.0, "{workload:#}");
    }
}

#[test]
fn frames_may_be_large_and_segments_small() {
    for mtu in ["1500", "9000"] {
        let output = bench(&[
            "bulk",
            "--mtu",
            mtu,
            "--large-segments",
            "off",
            "--connections",
            "1",
        ]);
        assert!(number(&workloads(&output)[0], "bytes") > 0.0);
    }
}

#[test]
fn requests_are_answered_on_every_connection() {
    let sizes = ["--size", "1,64KiB", "--connections", "1,20"];
    let output = bench(&[&["request-response"], sizes.as_slice()].concat());
    let workloads = workloads(&output);
    assert_eq!(workloads.len(), 4);
    workloads.iter().for_each(check_latency);
}

#[test]
fn requests_that_nobody_keeps_up_with_are_late() {
    let output = bench(&[
        "request-response",
        "--size",
        "1KiB",
        "--connections",
        "1",
        "--rate",
        "5000000",
    ]);
    let workload = &workloads(&output)[0];
    check_latency(workload);
    // Those that were due and could not even begin count with the time they waited.
    assert!(number(workload, "unanswered") > 0.0, "{workload:#}");
    assert!(
        number(&workload["latency"], "p50_us") > 10_000.0,
        "{workload:#}"
    );
}

#[test]
fn connections_come_and_go() {
    let output = bench(&["connect-rate", "--connections", "8"]);
    check_latency(&workloads(&output)[0]);
}

#[test]
fn idle_connections_have_all_their_subflows() {
    let output = bench(&["idle", "--idle-connections", "400"]);
    let workload = &workloads(&output)[0];
    assert_eq!(number(workload, "subflows"), 800.0, "{workload:#}");
    assert_eq!(number(workload, "ends"), 2.0, "{workload:#}");
    assert!(
        number(workload, "bytes_per_end") < 200_000.0,
        "{workload:#}"
    );
}

#[test]
fn bytes_go_on_after_a_cut() {
    let output = bench(&["failover"]);
    let workload = &workloads(&output)[0];
    check_spread(&workload["gap_ms"]);
    assert!(number(workload, "whole_ms") > 0.0, "{workload:#}");
}

#[test]
fn failing_over_takes_two_links() {
    let output = bench(&["failover", "--links", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("--links 2"), "{told}");
}

#[test]
fn unequal_links_are_measured_alone_and_together() {
    let output = bench(&["aggregation", "--seconds", "1.5"]);
    let workload = &workloads(&output)[0];
    let alone = workload["alone_gbit_per_second"].as_array().unwrap();
    let [wide, far] = [0, 1].map(|link| alone[link].as_f64().unwrap());
    assert!(
        0.0 < wide && wide < 0.5 && 0.0 < far && far < 0.15,
        "{workload:#}"
    );
    let sum = wide + far;
    let together = number(workload, "together_gbit_per_second");
    // What the links let through, with some for the buckets of their queues.
    assert!(together > 0.0 && together < 0.7, "{workload:#}");
    assert!(
        (together / sum - number(workload, "share")).abs() < 1e-9,
        "{workload:#}"
    );
}

#[test]
fn linux_answers_over_tap_devices() {
    let output = bench(&[
        "bulk",
        "download",
        "request-response",
        "--port",
        "tap",
        "--connections",
        "3",
        "--size",
        "64",
    ]);
    if output.status.code() == Some(2) {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "required: {why}"
        );
        return eprintln!("skipped: {why}");
    }
    let workloads = workloads(&output);
    assert!(number(&workloads[0], "bytes") > 0.0);
    assert!(number(&workloads[1], "bytes") > 0.0);
    check_latency(&workloads[2]);
}

#[test]
fn a_page_shows_every_workload() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();
    let output = bench(&[
        "bulk",
        "request-response",
        "--size",
        "64",
        "--connections",
        "1",
        "--html",
        path.to_str().unwrap(),
    ]);
    workloads(&output);
    let page = std::fs::read_to_string(path).unwrap();
    // The latencies, and the parts of the bulk transfer.
    assert_eq!(page.matches("<svg").count(), 2, "{page}");
    assert!(
        page.contains("request and response of 64 bytes, 1 connection"),
        "{page}"
    );
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn what_cannot_be_asked_for_is_told_in_a_sentence() {
    let nowhere: PathBuf = ["/nonexistent", "page.html"].iter().collect();
    for (arguments, part) in [
        (["--size", "2MiB"], "1MiB"),
        (["--seconds", "0"], "--seconds"),
        (["--rate", "0"], "--rate"),
        (["--connections", "10001"], "10000"),
        (["--html", nowhere.to_str().unwrap()], "--html"),
    ] {
        let output = bench(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.trim().lines().count(), 1, "{errors}");
        assert!(errors.contains(part), "{errors}");
    }
}
