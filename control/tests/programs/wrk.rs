//! wrk, which loads a server over many connections.

use crate::namespaces;
use crate::nginx::Server;
use crate::rig::{Finished, Rig, installed, linux_at};

const PORT: u16 = 8104;

/// Forty connections for two seconds.
pub(crate) fn arguments(url: &str) -> [&str; 4] {
    ["-t2", "-c40", "-d2", url]
}

/// Asserts that requests were answered, all of them well.
#[track_caller]
pub(crate) fn assert_report(wrk: &Finished) {
    wrk.assert_well();
    let requests = wrk
        .output
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(count, _)| count.parse::<u32>().ok());
    let errors = ["Socket errors", "Non-2xx"];
    assert!(
        requests > Some(100) && !errors.iter().any(|error| wrk.output.contains(error)),
        "{wrk:#?}"
    );
}

#[test]
fn loads_linux() {
    let test = "wrk::loads_linux";
    let (Some(nginx), Some(wrk)) = (installed(test, "nginx"), installed(test, "wrk")) else {
        return;
    };
    namespaces::run(test, || {
        let rig = Rig::start("wrk");
        let server = Server::start(&rig, &nginx, PORT, Rig::linux);
        rig.wait_for_linux_listener(PORT, server.process());
        let url = format!("http://{}/page", linux_at(PORT));
        let wrk = rig.ours(&wrk, &arguments(&url));
        assert_report(&wrk.finish());
        rig.assert_both_links_used();
        server.finish();
        rig.assert_engine_is_content();
    });
}
