//! Whose sockets are whose, and what is said of it.

use std::process::Command;

use crate::namespaces;
use crate::oracle::{compile, network, run, under_braid};

#[test]
fn a_strict_program_gets_no_socket_of_the_kernel() {
    namespaces::run(
        "strict::a_strict_program_gets_no_socket_of_the_kernel",
        || {
            let net = network("strict");
            let program = compile("dup");
            let engine = net.start();
            let mut elsewhere = under_braid(&net, &program);
            elsewhere.env("BRAID_TEST_FAR", "127.0.0.1");
            let output = run(&net.engine, elsewhere);
            assert!(output.status.success(), "{output:?}");
            drop(engine);
            let _ = std::fs::remove_file(&program);
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
