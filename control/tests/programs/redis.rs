//! redis-server with redis-cli and redis-benchmark.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::namespaces;
use crate::rig::{Finished, Process, Rig, content, digest, digest_of_file, installed};
use crate::rig::{linux_at, ours_at};

const PORT: u16 = 6401;
/// What one request of the benchmark carries.
const VALUE: &str = "16384";

/// Starts a program on one of the sides.
type Start = fn(&Rig, &Path, &[&str]) -> Process;

/// A server that keeps nothing. Without being told it listens at every address of IPv4, and with a
/// second socket at every one of IPv6.
const SERVER: [&str; 10] = [
    "--save",
    "",
    "--appendonly",
    "no",
    "--protected-mode",
    "no",
    "--loglevel",
    "notice",
    "--port",
    "6401",
];

/// Stores a file and fetches it again.
const STORE: &str =
    "redis-cli -h $1 -p $2 -x set file < file && redis-cli -h $1 -p $2 get file > got";

/// Asserts that the benchmark counted requests of both kinds.
#[track_caller]
fn assert_benchmark(benchmark: &Finished) {
    benchmark.assert_well();
    for kind in ["\"SET\",", "\"GET\","] {
        let line = benchmark.output.lines().find(|line| line.starts_with(kind));
        assert!(line.is_some(), "{benchmark:#?}");
    }
    assert!(!benchmark.output.contains("rror"), "{benchmark:#?}");
}

#[track_caller]
fn assert_log(server: &Finished) {
    let wrong = ["error", "assert", "crash", "bug report"];
    let log = server.output.to_lowercase();
    assert!(
        server.status.success()
            && server.errors.is_empty()
            && !wrong.iter().any(|word| log.contains(word)),
        "{server:#?}"
    );
}

/// A server on one side, clients on the other.
fn run(name: &str, serve: Start, ask: Start, address: std::net::SocketAddr) {
    let test = format!("redis::{name}");
    let programs = ["redis-server", "redis-cli", "redis-benchmark"];
    let [Some(server), Some(_), Some(benchmark)] = programs.map(|name| installed(&test, name))
    else {
        return;
    };
    namespaces::run(&test, || {
        let rig = Rig::start(name);
        let file = content(8 << 20);
        fs::write(rig.path("file"), &file).unwrap();
        let server = serve(&rig, &server, &SERVER);
        if address == ours_at(PORT) {
            rig.wait_for_our_listener(PORT, &server);
        } else {
            rig.wait_for_linux_listener(PORT, &server);
        }
        let (host, port) = (address.ip().to_string(), PORT.to_string());
        let store = ask(
            &rig,
            Path::new("/bin/sh"),
            &["-c", STORE, "sh", &host, &port],
        );
        let stored = store.finish();
        stored.assert_well();
        assert_eq!(stored.output, "OK\n");
        // It ends what it prints with a line's end.
        let printed = [file.as_slice(), b"\n"].concat();
        assert_eq!(digest_of_file(&rig.path("got")), digest(&printed));
        let load = [
            "-h", &host, "-p", &port, "-t", "set,get", "-n", "4000", "-c", "20", "-P", "4", "-d",
            VALUE, "--csv",
        ];
        assert_benchmark(&ask(&rig, &benchmark, &load).finish());
        rig.assert_both_links_used();
        assert_log(&server.stop(Signal::SIGTERM));
        rig.assert_engine_is_content();
    });
}

#[test]
fn serves_linux() {
    run("serves_linux", Rig::ours, Rig::linux, ours_at(PORT));
}

#[test]
fn asks_linux() {
    run("asks_linux", Rig::linux, Rig::ours, linux_at(PORT));
}
