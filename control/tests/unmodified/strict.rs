//! Whose sockets are whose, and what is said of it.

use std::process::{Command, Output};

use crate::namespaces;
use crate::oracle::{compile, network, run, under_braid};

/// What `loopback` prints, and what is said on standard error.
fn loopback(flags: &[&str]) -> (String, String) {
    let net = network("strict");
    let program = compile("loopback");
    let engine = net.start();
    let Output {
        status,
        stdout,
        stderr,
    } = run(&net.engine, under_braid(&net, &program, flags));
    drop(engine);
    let _ = std::fs::remove_file(&program);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(status.success(), "{status}: {stdout}{stderr}");
    assert!(stdout.contains("1 bytes: x"), "{stdout}");
    (stdout, stderr)
}

#[test]
fn addresses_of_the_kernel_stay_the_kernels() {
    namespaces::run("strict::addresses_of_the_kernel_stay_the_kernels", || {
        let (printed, said) = loopback(&[]);
        assert!(printed.contains("ECONNREFUSED"), "{printed}");
        assert!(
            printed.contains("bind(fd, (struct sockaddr *)&local, sizeof local) = 0"),
            "{printed}"
        );
        assert!(
            said.contains("the engine connects to 10.1.1.1:7000"),
            "{said}"
        );
    });
}

#[test]
fn a_strict_program_gets_no_socket_of_the_kernel() {
    namespaces::run(
        "strict::a_strict_program_gets_no_socket_of_the_kernel",
        || {
            let (printed, said) = loopback(&["--strict", "--quiet"]);
            assert!(printed.contains("ENETUNREACH"), "{printed}");
            assert!(printed.contains("EADDRNOTAVAIL"), "{printed}");
            assert_eq!(said, "");
        },
    );
}

#[test]
fn without_an_engine_nothing_is_begun() {
    let output = Command::new(env!("CARGO_BIN_EXE_braid"))
        .args(["exec", "--socket", "/nowhere/engine.sock", "--", "true"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("no engine answers at /nowhere/engine.sock"),
        "{said}"
    );
}
