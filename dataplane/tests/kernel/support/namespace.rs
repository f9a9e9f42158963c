//! Tests that run inside user and network namespaces of their own.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::process::{Command, Output};

/// Tells the test that it runs in its namespaces already.
const INSIDE: &str = "BRAID_TEST_NAMESPACE";

/// Runs `body` as the test named `test` in a process of its own, in which it is root of a new
/// network namespace that holds nothing but a loopback.
///
/// Where the machine cannot, the test is skipped by name; with `CI=true` it fails instead.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    run_with(&["-Urn"], test, body);
}

/// The same for a test that makes a TAP device, for which the user has to be allowed to open the
/// driver's node: being root in a user namespace is not enough.
pub(crate) fn run_with_tap(test: &str, body: impl FnOnce()) {
    let node = "/dev/net/tun";
    match OpenOptions::new().read(true).write(true).open(node) {
        Ok(_) => run(test, body),
        Err(error) => skip(test, &format!("{node}: {error}")),
    }
}

/// The same with other namespaces: arguments of unshare(1).
pub(crate) fn run_with(unshare: &[&str], test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if let Err(why) = possible() {
        return skip(test, &why);
    }
    let output = Command::new("unshare")
        .args(unshare)
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let shown = show(&output);
    assert!(
        output.status.success(),
        "{test} failed in its namespaces:\n{shown}"
    );
    assert!(
        shown.contains("1 passed"),
        "{test} is not the name of a test:\n{shown}"
    );
    // What it found out only inside.
    for line in shown.lines().filter(|line| line.starts_with("skipped ")) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

fn skip(test: &str, why: &str) {
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "{test} cannot run here: {why}"
    );
    tell_skipped(test, why);
}

/// Says on standard error that a test is skipped, which is shown though the test passes: what the macros
/// print is not.
pub(crate) fn tell_skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "skipped {test}: {why}");
}

fn possible() -> Result<(), String> {
    for (program, arguments) in [("unshare", &["-Urn", "true"][..]), ("ip", &["-V"])] {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .map_err(|error| format!("`{program}` cannot be run ({error})"))?;
        if !output.status.success() {
            return Err(format!(
                "`{program} {}` fails: {}",
                arguments.join(" "),
                show(&output)
            ));
        }
    }
    Ok(())
}

/// Shapes what leaves by an interface to `rate`, with a queue of `queue` bytes, as tc(8) writes
/// them. Says whether the kernel can;
/// with `CI=true` it has to.
pub(crate) fn shape(interface: &str, rate: &str, queue: &str) -> bool {
    let arguments =
        format!("qdisc add dev {interface} root tbf rate {rate} burst 2000 limit {queue}");
    let why = match Command::new("tc").args(arguments.split(' ')).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => show(&output),
        Err(error) => error.to_string(),
    };
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "tc {arguments}: {why}"
    );
    tell_skipped(
        "what takes a shaped link",
        &format!("tc {arguments}: {why}"),
    );
    false
}

/// Runs ip(8) with these words as arguments.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", show(&output));
}

fn show(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}
