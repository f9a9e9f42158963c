//! `braid lab` with programs of its user, and the verbs of a running engine asked from within.
//!
//! Skipped by name where namespaces, Linux's Multipath TCP or the programs are missing, which
//! CI=true demands.

use std::process::{Command, Output};

use serde_json::Value;

/// What is served: large enough for both links to carry some of it.
const BYTES: usize = 8 << 20;

/// Serves the working directory over HTTP at every address.
const SERVER: &str = "exec python3 -m http.server 8000 2>/dev/null >&2";

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_braid"))
        .arg("lab")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether the machine can make a laboratory and has the programs; says so where it cannot.
fn possible(test: &str, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program} >/dev/null")])
            .status();
        !found.is_ok_and(|status| status.success())
    });
    let why = match missing {
        Some(program) => format!("{program} is not installed"),
        None => {
            let output = lab(&["--", "true"]);
            if output.status.success() {
                return true;
            }
            text(&output.stderr)
        }
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test} is required: {why}"
    );
    eprintln!("test {test} ... skipped: {why}");
    false
}

#[test]
fn a_download_uses_both_links_whichever_side_serves() {
    if !possible(
        "a_download_uses_both_links_whichever_side_serves",
        &["python3", "curl"],
    ) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data: Vec<u8> = (0..BYTES as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(folder.join("data"), &data).unwrap();
    for (reverse, workers) in [(false, "1"), (true, "1"), (false, "2"), (true, "2")] {
        let json = folder.join("report.json");
        let mut arguments = vec!["--rate", "100M", "--delay", "2ms", "--wait-port", "8000"];
        let server = format!("cd {} && {SERVER}", folder.display());
        arguments.extend(["--json", json.to_str().unwrap(), "--peer", &server]);
        arguments.extend(["--workers", workers]);
        if reverse {
            arguments.push("--reverse");
        }
        let download = "curl -s http://$BRAID_LAB_PEER:8000/data; exit 7";
        arguments.extend(["--", "sh", "-c", download]);
        let output = lab(&arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "reverse {reverse}: {errors}");
        assert!(
            output.stdout == data,
            "reverse {reverse}: other bytes arrived: {errors}"
        );
        assert!(
            errors.contains("link 2: 1 subflow"),
            "reverse {reverse}: {errors}"
        );
        let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(report["exit_status"], 7);
        let subflows = report["subflows"].as_array().unwrap();
        let carried = |name: &str, link: u64| -> u64 {
            let of_link = subflows.iter().filter(|subflow| subflow["link"] == link);
            of_link.map(|subflow| subflow[name].as_u64().unwrap()).sum()
        };
        let name = if reverse {
            "bytes_sent"
        } else {
            "bytes_received"
        };
        let (first, second) = (carried(name, 1), carried(name, 2));
        assert!(first > 0 && second > 0, "reverse {reverse}: {report}");
        assert!(
            first + second >= BYTES as u64,
            "reverse {reverse}: {report}"
        );
    }
}

/// Every verb, asked from within a laboratory of the engine's own.
#[test]
fn a_running_engine_is_asked_and_changed() {
    if !possible("a_running_engine_is_asked_and_changed", &[]) {
        return;
    }
    let braid = env!("CARGO_BIN_EXE_braid");
    let ask = |verbs: &str| {
        let script = format!("braid() {{ LD_PRELOAD= {braid} \"$@\"; }}; {verbs}");
        let output = lab(&["--", "sh", "-c", &script]);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, shown, errors) = ask(
        "braid show ports --json; braid endpoint add 10.1.2.2 signal --id 2 --json; \
         braid show endpoints; braid limits set --subflows 5 --json; braid limits; \
         braid set --profile latency-standby --controller lia --json; braid set; \
         braid stats LinkIn --zeros; braid endpoint flush --json; braid show endpoints --json; \
         braid show connections --json; braid show listeners --json",
    );
    assert_eq!(code, Some(0), "{errors}");
    let lines: Vec<&str> = shown.lines().collect();
    let ports: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(ports[1]["addresses"][0], "10.1.2.2/24", "{shown}");
    let endpoint = r#"[{"id":2,"address":"10.1.2.2","port":null,"flags":["signal"]}]"#;
    assert_eq!(lines[1], endpoint);
    assert_eq!(lines[2], "id  address   port  flags");
    assert_eq!(lines[3], " 2  10.1.2.2  -     signal");
    assert_eq!(lines[4], r#"{"subflows":5,"add_addr_accepted":1}"#);
    assert_eq!(lines[5], "subflows 5 add_addr_accepted 1");
    assert!(
        lines[6].contains(r#""profile":"latency-standby""#),
        "{shown}"
    );
    assert!(
        lines[7].contains("controller lia path_manager endpoints"),
        "{shown}"
    );
    assert!(lines[8].starts_with("LinkInErrors"), "{shown}");
    assert_eq!(&lines[lines.len() - 4..], [endpoint, "[]", "[]", "[]"]);

    for (verb, says) in [
        ("braid endpoint add 192.0.2.1 signal", "show ports"),
        ("braid endpoint del 9", "show endpoints"),
        (
            "braid set --connection 77 --profile bulk",
            "show connections",
        ),
        ("braid show subflows --connection 77", "show connections"),
        ("braid set --threshold 64KiB", "ondemand"),
    ] {
        let (code, shown, errors) = ask(verb);
        assert_eq!(code, Some(2), "{verb}: {errors}");
        assert_eq!(shown, "", "{verb}");
        assert!(errors.contains(says), "{verb}: {errors}");
    }
}

/// The status of a command that a signal ended is that of a shell, and a server that never listens
/// keeps the command from starting.
#[test]
fn ends_are_passed_on() {
    if !possible("ends_are_passed_on", &[]) {
        return;
    }
    assert_eq!(
        lab(&["--", "sh", "-c", "kill -9 $$"]).status.code(),
        Some(137)
    );
    let output = lab(&[
        "--peer",
        "exit 3",
        "--wait-port",
        "80",
        "--",
        "echo",
        "begun",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert!(
        text(&output.stderr).contains("port 80"),
        "{}",
        text(&output.stderr)
    );
}
