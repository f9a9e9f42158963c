//! The laboratory against itself: Linux to Linux over its links.
//!
//! Without the usual harness, because a user namespace is entered before any thread starts.

use std::process::ExitCode;

use braid_control::demo::baseline::Baseline;
use braid_control::demo::supervision::Cut;
use braid_control::lab::isolation::leave_host_network;
use braid_control::lab::link::Family;
use braid_control::peer::{self, Progress};
use braid_control::stream::Stream;
use indicatif::ProgressBar;

fn main() -> ExitCode {
    let name = "linux_uses_both_links_and_survives_a_cut";
    let refusal = match leave_host_network() {
        Err(refusal) => Some(refusal.to_string()),
        Ok(()) => peer::probe().err().map(|reason| reason.to_string()),
    };
    if let Some(refusal) = refusal {
        eprintln!("test {name} ... skipped: {refusal}");
        let required = std::env::var("CI").is_ok_and(|value| value == "true");
        return if required {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        };
    }
    for family in [Family::V4, Family::V6] {
        linux_uses_both_links(family);
        linux_survives_a_cut(family);
    }
    eprintln!("test {name} ... ok");
    ExitCode::SUCCESS
}

fn linux_uses_both_links(family: Family) {
    let stream = Stream::new(1, 64 << 20);
    let baseline = Baseline::create(2, family, false).unwrap();
    let outcome = baseline
        .upload(stream, &Progress::default(), (ProgressBar::hidden(), None))
        .unwrap();
    assert_eq!(outcome.digest, stream.digest());
    assert!(!outcome.fallback);
    assert_eq!(outcome.subflows.len(), 2, "{:#?}", outcome.subflows);
    for subflow in &outcome.subflows {
        assert!(subflow.bytes_received > 0, "{subflow:#?}");
    }
    let mut routes = baseline.server().routes().unwrap();
    for interface in ["link1", "link2"] {
        let (received, _) = routes.byte_counters(interface).unwrap();
        assert!(received > 100_000, "{interface} carried {received} bytes");
    }
}

fn linux_survives_a_cut(family: Family) {
    let stream = Stream::new(2, 64 << 20);
    let baseline = Baseline::create(2, family, false).unwrap();
    let cut = Some(Cut::in_the_middle(baseline.server(), 2, stream.length()).unwrap());
    let outcome = baseline
        .upload(stream, &Progress::default(), (ProgressBar::hidden(), cut))
        .unwrap();
    assert_eq!(outcome.digest, stream.digest());
}
