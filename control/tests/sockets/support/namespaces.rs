//! Tests that run inside user and network namespaces of their own.

use std::io::{self, Write};
use std::process::Command;

/// Tells the test that it runs in its namespaces already.
const INSIDE: &str = "BRAID_TEST_NAMESPACE";

/// Runs `body` as the test named `test` in a process of its own, in which it is root of a new
/// network namespace.
///
/// Where the machine cannot, the test is skipped by name; with `CI=true` it fails instead.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    run_by(test, &["-Urn"]);
}

/// As [`run`], as root of this machine and not of a user namespace: there are other users then.
pub(crate) fn run_as_root(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if rustix::process::geteuid().is_root() {
        run_by(test, &["-n"]);
    } else {
        tell_skipped(test, "it takes root of this machine");
    }
}

/// Says on standard error that a test is skipped, which is shown though the test passes: what the macros
/// print is not.
fn tell_skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "skipped {test}: {why}");
}

fn run_by(test: &str, namespaces: &[&str]) {
    let possible = Command::new("unshare")
        .args(namespaces)
        .arg("true")
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "{test} cannot run here: `unshare {namespaces:?} true` fails"
        );
        return tell_skipped(test, &format!("`unshare {namespaces:?} true` fails"));
    }
    let output = Command::new("unshare")
        .args(namespaces)
        .arg("--kill-child")
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{test} failed:\n{shown}");
    if std::env::var_os("BRAID_SOAK").is_some() {
        eprint!("{shown}");
    }
    assert!(
        shown.contains("1 passed"),
        "{test} is not the name of a test:\n{shown}"
    );
}
