//! A short measurement runs to its end, and tells what it should. Figures are not judged.

use std::process::Command;

use serde_json::Value;

fn measure(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sockets"))
        .args(["--bytes", "1MiB", "--round-trips", "50", "--rounds", "2"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_contender_that_is_here_is_measured_under_every_load() {
    let report: Value = serde_json::from_str(&measure(&["--json"])).unwrap();
    let absent = report["absent"].as_array().unwrap().len();
    let cases = report["cases"].as_array().unwrap();
    // Three sizes of buffers, two of messages; each waits in two ways.
    assert_eq!(cases.len(), 10, "{report:#}");
    for case in cases {
        let entries = case["entries"].as_array().unwrap();
        assert_eq!(entries.len() + absent, 5, "{case:#}");
        for entry in entries {
            let ratio = entry["of_engine"]["median"].as_f64().unwrap();
            assert!(ratio > 0.0, "{entry:#}");
        }
    }
}

#[test]
fn the_table_names_what_was_asked_for_and_nothing_else() {
    let table = measure(&["--only", "engine,sockets", "--load", "round-trips"]);
    assert!(table.contains("round trips of 64 bytes"), "{table}");
    assert!(table.contains("  sockets "), "{table}");
    assert!(!table.contains("bulk"), "{table}");
    assert!(!table.contains("\n  Linux"), "{table}");
}
