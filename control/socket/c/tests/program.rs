//! A program in C, linked with `libbraid.so` and with `libbraid.a`, over a fake engine.

#[path = "../../tests/support/mod.rs"]
mod support;

use braid_socket::BraidListener;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

fn build(name: &str, source: &str, library: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-D_GNU_SOURCE",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
        ])
        .arg(folder.join("../include"))
        .arg(folder.join("tests").join(source))
        .arg("-o")
        .arg(&program)
        .args(library)
        .output()
        .expect("cc");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    program
}

fn echoes(program: &Path, libraries: &Path) {
    let engine = support::engine();
    let address = support::address();
    let listener = BraidListener::bind(address).unwrap();
    let child = Command::new(program)
        .args([address.ip().to_string(), address.port().to_string()])
        .arg("sent from C")
        .env("BRAID_SOCKET", engine.path())
        .env("LD_LIBRARY_PATH", libraries)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes).unwrap();
    server.write_all(&bytes).unwrap();
    drop(server);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(output.stdout, b"sent from C");
}

#[test]
fn it_talks_through_the_engine() {
    // The libraries stand beside the tests.
    let test = std::env::current_exe().unwrap();
    let libraries = test.parent().unwrap();
    let shared = format!("-L{}", libraries.display());
    echoes(
        &build("echo-shared", "echo.c", &[&shared, "-lbraid"]),
        libraries,
    );
    let archive = libraries.join("libbraid.a");
    let archive = archive.to_str().unwrap();
    echoes(
        &build(
            "echo-static",
            "echo.c",
            &[archive, "-lpthread", "-ldl", "-lm", "-lgcc_s"],
        ),
        libraries,
    );
}

#[test]
fn what_it_sent_goes_out_though_it_returns_from_main_without_a_close() {
    let test = std::env::current_exe().unwrap();
    let libraries = test.parent().unwrap();
    let shared = format!("-L{}", libraries.display());
    let program = build("leaves", "leaves.c", &[&shared, "-lbraid"]);
    let engine = support::engine();
    let address = support::address();
    let listener = BraidListener::bind(address).unwrap();
    let mut child = Command::new(program)
        .args([address.ip().to_string(), address.port().to_string()])
        .env("BRAID_SOCKET", engine.path())
        .env("LD_LIBRARY_PATH", libraries)
        .spawn()
        .unwrap();
    let (mut server, _) = listener.accept().unwrap();
    assert!(child.wait().unwrap().success());
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"the last word");
}
