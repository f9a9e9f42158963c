//! Interoperation with this kernel's Multipath TCP, byte-exact both ways.
//!
//! Every combination of {engine as client, as server} x {IPv4, IPv6} x {1, 2, 4 links} x
//! {checksums off, on} under one fault a test, with one worker or as many as BRAID_TEST_WORKERS says,
//! and a sample with two and with four. Each goes through the demonstration in namespaces that
//! it makes itself. What failed is told with the command that repeats it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Long enough for a second link to be joined well before the last byte.
const LONG: u64 = 32 << 20;

/// Long enough for what has to be seen on the first link.
const SHORT: u64 = 4 << 20;

/// How often at most a combination is tried until the second link is used.
const ATTEMPTS: usize = 3;

/// Drops one TCP packet in a hundred that enters or leaves the peer.
const LOSS: &str = "nft add table inet braid \
    && nft 'add chain inet braid in { type filter hook input priority 0; }' \
    && nft 'add chain inet braid out { type filter hook output priority 0; }' \
    && nft 'add rule inet braid in meta l4proto tcp numgen random mod 100 < 1 drop' \
    && nft 'add rule inet braid out meta l4proto tcp numgen random mod 100 < 1 drop'";

/// Replaces option 30 of every segment by padding, as some middleboxes do.
const STRIP: &str = "nft add table inet braid \
    && nft 'add chain inet braid in { type filter hook prerouting priority -300; }' \
    && nft 'add chain inet braid out { type filter hook postrouting priority 300; }' \
    && nft add rule inet braid in reset tcp option mptcp \
    && nft add rule inet braid out reset tcp option mptcp";

/// What befalls the links, and what must come of it.
struct Case {
    test: &'static str,
    bytes: u64,
    links: &'static [u8],
    arguments: &'static [&'static str],
    fallback: bool,
    cut: bool,
    /// Whether a second link, where there is one, must have a subflow in one of the runs. A busy
    /// Linux may echo an address, or announce its own, only when a run is over: so this is asked
    /// of [`ATTEMPTS`] together.
    second_link: bool,
}

/// One run of the demonstration.
struct Attempt<'a> {
    case: &'a Case,
    workers: u8,
    role: &'static str,
    family: &'static str,
    links: u8,
    checksum: bool,
}

enum Verdict {
    Well,
    /// All arrived, on the first link alone.
    SecondLinkUnused(String),
    Wrong(String),
    /// The machine cannot make the network.
    Impossible(String),
}

impl Attempt<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
        let (bytes, links) = (self.case.bytes.to_string(), self.links.to_string());
        let workers = self.workers.to_string();
        command.args([
            "demo",
            "--json",
            "--no-baseline",
            "--bytes",
            &bytes,
            "--links",
            &links,
            "--workers",
            &workers,
        ]);
        command.args([
            "--peer",
            "linux",
            "--role",
            self.role,
            "--family",
            self.family,
        ]);
        if self.checksum {
            command.arg("--checksum");
        }
        command.args(self.case.arguments);
        command
    }

    fn verdict_of_several(&self) -> Verdict {
        let mut verdict = self.verdict();
        for _ in 1..ATTEMPTS {
            if !matches!(verdict, Verdict::SecondLinkUnused(_)) {
                break;
            }
            verdict = self.verdict();
        }
        verdict
    }

    fn verdict(&self) -> Verdict {
        let mut command = self.command();
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(2) {
            return Verdict::Impossible(errors.into_owned());
        }
        let wrong = |what: &str| {
            Verdict::Wrong(format!(
                "{what}\n  command: {command:?}\n  stderr: {errors}"
            ))
        };
        let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
            return wrong("no report");
        };
        let runs = report["runs"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if runs.len() != 2 {
            return wrong("not two runs");
        }
        for run in runs {
            let complaint = if run["bytes"] != self.case.bytes || run["sha256_match"] != true {
                "the stream did not arrive"
            } else if run["fallback"] != self.case.fallback {
                "the fallback is not as it must be"
            } else if run["link_cut"] != self.case.cut {
                "the link was not cut as it must be"
            } else {
                continue;
            };
            return wrong(&format!("{complaint}: {run}"));
        }
        let subflows = |run: &Value| run["subflows"].as_array().map_or(0, Vec::len);
        let most = runs.iter().map(subflows).max().unwrap_or_default();
        // Which worker a peer's subflow comes to follows from the ports that it chooses; the
        // engine's own go to one after the other. A short run may end before its second worker's join is
        // through, so it is looked for in both.
        let spread = |run: &Value| {
            let rows = run["subflows"].as_array().into_iter().flatten();
            let workers: BTreeSet<_> = rows.map(|row| row["worker"].as_u64()).collect();
            workers.len() > 1
        };
        let one_worker = |run: &Value| subflows(run) > 1 && !spread(run);
        let one_worker = runs.iter().any(one_worker) && !runs.iter().any(spread);
        if self.workers > 1 && self.role == "client" && one_worker {
            return wrong(&format!("all subflows are at one worker: {report}"));
        }
        if self.case.second_link && most < usize::from(self.links.min(2)) {
            return Verdict::SecondLinkUnused(format!("{command:?}: {report}"));
        }
        Verdict::Well
    }
}

/// Which combinations are tried.
#[derive(Copy, Clone)]
enum Extent {
    Whole,
    /// Of the protocols, links and checksums two combinations in which each differs.
    Sample,
}

impl Extent {
    fn takes(self, case: &Case, family: &str, links: u8, checksum: bool) -> bool {
        match self {
            Self::Whole => true,
            Self::Sample => {
                let few = case.links.get(1) == Some(&links);
                let many = case.links.last() == Some(&links);
                (family == "4" && few && !checksum) || (family == "6" && many && checksum)
            }
        }
    }
}

/// How many workers the engine has in tests that do not say: one or, to run them all with several,
/// BRAID_TEST_WORKERS.
fn usual_workers() -> u8 {
    std::env::var("BRAID_TEST_WORKERS").map_or(1, |workers| {
        workers.parse().expect("BRAID_TEST_WORKERS is a number")
    })
}

fn check(case: &Case, workers: u8, extent: Extent) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for role in ["client", "server"] {
        for family in ["4", "6"] {
            for &links in case.links {
                for checksum in [false, true] {
                    if !extent.takes(case, family, links, checksum) {
                        continue;
                    }
                    count += 1;
                    let attempt = Attempt {
                        case,
                        workers,
                        role,
                        family,
                        links,
                        checksum,
                    };
                    match attempt.verdict_of_several() {
                        Verdict::Well => {}
                        Verdict::Wrong(what) => wrong.push(what),
                        Verdict::SecondLinkUnused(what) => {
                            wrong.push(format!("the second link was left unused: {what}"));
                        }
                        Verdict::Impossible(why) => {
                            let required = std::env::var("CI").as_deref() == Ok("true");
                            assert!(!required, "{} is required: {why}", case.test);
                            eprintln!("test {} ... skipped: {why}", case.test);
                            return;
                        }
                    }
                }
            }
        }
    }
    assert!(count > 0, "nothing was tried");
    assert!(
        wrong.is_empty(),
        "{} of {count} failed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

const CLEAN: Case = Case {
    test: "clean_links",
    bytes: LONG,
    links: &[1, 2, 4],
    arguments: &["--fault", "none"],
    fallback: false,
    cut: false,
    second_link: true,
};

const LOSSY: Case = Case {
    test: "one_percent_loss",
    bytes: SHORT,
    links: &[1, 2, 4],
    arguments: &["--fault", "none", "--peer-setup", LOSS],
    fallback: false,
    cut: false,
    second_link: false,
};

const STRIPPED: Case = Case {
    test: "option_30_removed",
    bytes: SHORT,
    links: &[1, 2, 4],
    arguments: &["--fault", "none", "--peer-setup", STRIP],
    fallback: true,
    cut: false,
    second_link: false,
};

/// The only link, or one of several.
const CUT: Case = Case {
    test: "a_link_cut_and_restored",
    bytes: LONG,
    links: &[1, 2, 4],
    arguments: &["--fault", "cut"],
    fallback: false,
    cut: true,
    second_link: true,
};

const PLAIN: Case = Case {
    test: "peers_of_plain_tcp",
    bytes: SHORT,
    links: &[1, 2],
    arguments: &["--fault", "none", "--peer-protocol", "tcp"],
    fallback: true,
    cut: false,
    second_link: false,
};

#[test]
fn clean_links() {
    check(&CLEAN, usual_workers(), Extent::Whole);
}

#[test]
fn one_percent_loss() {
    check(&LOSSY, usual_workers(), Extent::Whole);
}

#[test]
fn option_30_removed() {
    check(&STRIPPED, usual_workers(), Extent::Whole);
}

#[test]
fn a_link_cut_and_restored() {
    check(&CUT, usual_workers(), Extent::Whole);
}

#[test]
fn peers_of_plain_tcp() {
    check(&PLAIN, usual_workers(), Extent::Whole);
}

/// Under each fault a sample, with several workers.
#[test]
fn with_two_and_with_four_workers() {
    for workers in [2, 4] {
        for case in [&CLEAN, &LOSSY, &STRIPPED, &CUT, &PLAIN] {
            check(case, workers, Extent::Sample);
        }
    }
}

/// The engine's end of each link is a virtual device of DPDK: on a TAP device, and on a veth pair.
#[cfg(feature = "dpdk")]
#[test]
fn over_devices_of_dpdk() {
    let case = |arguments| Case {
        test: "over_devices_of_dpdk",
        links: &[1, 2],
        arguments,
        ..CLEAN
    };
    for arguments in [
        &["--fault", "none", "--port", "dpdk:net_tap"],
        &["--fault", "none", "--port", "dpdk:net_af_packet"],
    ] {
        check(&case(arguments), 1, Extent::Sample);
    }
    for arguments in [
        &["--fault", "cut", "--port", "dpdk:net_tap"],
        &["--fault", "cut", "--port", "dpdk:net_af_packet"],
    ] {
        let case = Case {
            cut: true,
            ..case(arguments)
        };
        check(&case, 1, Extent::Sample);
    }
}
