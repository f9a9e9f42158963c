//! `include/braid.h`: that it is the one of the sources, and that C and C++ take it in any company.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn socket_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn generated() -> String {
    let folder = socket_folder();
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new()
        .with_config(config)
        .with_src(folder.join("../shm/src/abi/constants.rs"));
    for module in ["types", "lifecycle", "transfer", "many", "options", "ready"] {
        builder = builder.with_src(folder.join(format!("src/ffi/{module}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("the header").write(&mut header);
    for_readers_of_c(&String::from_utf8(header).expect("text"))
}

/// Takes what is Rust's out of the comments: sections on safety, links, quotes of code.
fn for_readers_of_c(header: &str) -> String {
    let mut text = String::new();
    let mut comment: Option<Vec<String>> = None;
    for line in header.lines() {
        match (&mut comment, line.trim()) {
            (None, "/*") if !text.is_empty() => comment = Some(Vec::new()),
            (None, _) => text += &format!("{line}\n"),
            (Some(lines), "*/") => {
                let safety = lines.iter().position(|line| line == "# Safety");
                lines.truncate(safety.unwrap_or(lines.len()));
                text += &format!("/* {} */\n", lines.join("\n   ").trim_end());
                comment = None;
            }
            (Some(lines), line) => lines.push(without_links(line)),
        }
    }
    text
}

fn without_links(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("[`") {
        let (name, behind) = behind.split_once("`]").expect("a link that ends");
        let behind = match behind.strip_prefix('(') {
            Some(target) => target.split_once(')').expect("a link that ends").1,
            None => behind,
        };
        plain += &format!("{before}{name}");
        rest = behind;
    }
    (plain + rest).replace('`', "")
}

#[test]
fn it_is_that_of_the_sources() {
    let path = socket_folder().join("include/braid.h");
    let wanted = generated();
    if std::env::var_os("BRAID_WRITE_HEADER").is_some() {
        fs::write(&path, &wanted).expect("write");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "include/braid.h is not that of the sources: run \
         `BRAID_WRITE_HEADER=1 cargo test -p braid-c --test header` and commit it"
    );
}

/// Compiles text that includes these headers in this order, with all warnings as errors.
fn compile(compiler: &str, language: &str, includes: &[&str]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = format!(
        "header-{compiler}-{}.c",
        includes.join("-").replace('/', "_")
    );
    let source = folder.join(name);
    let mut text: String = includes
        .iter()
        .map(|name| format!("#include <{name}>\n"))
        .collect();
    text += "\
        int main(void) {\n\
            struct sockaddr_multipath to = { .family = AF_MULTIPATH, .count = 1 };\n\
            struct tcp_mp_subflow flow;\n\
            struct tcp_mp_path_manager manager = { .name = \"ondemand\", .threshold = 65536 };\n\
            int on = TCP_MP_PROFILE_STANDBY, fd = braid_socket(AF_MULTIPATH, SOCK_STREAM, IPPROTO_MPTCP);\n\
            if (braid_connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || EMULTIPATH < 0) return 1;\n\
            if (braid_setsockopt(fd, IPPROTO_TCP, TCP_MP_PROFILE, &on, sizeof on) < 0) return 1;\n\
            if (braid_setsockopt(fd, IPPROTO_TCP, TCP_MP_PATH_MANAGER, &manager, sizeof manager) < 0) return 1;\n\
            return sizeof flow != 312 || SOL_MPTCP != 284 || TCP_IS_MPTCP != 43 || braid_close(fd);\n\
        }\n";
    fs::write(&source, text).expect("write");
    let standard = if language == "c" {
        "-std=c11"
    } else {
        "-std=c++20"
    };
    let output = Command::new(compiler)
        .args([
            "-x",
            language,
            standard,
            "-D_GNU_SOURCE",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
        ])
        .args(["-Wno-missing-field-initializers", "-fsyntax-only", "-I"])
        .arg(socket_folder().join("include"))
        .arg(&source)
        .output()
        .expect("a compiler");
    assert!(
        output.status.success(),
        "{compiler}, {includes:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn c_and_cpp_take_it_in_any_company() {
    let others = ["sys/socket.h", "netinet/tcp.h", "linux/mptcp.h"];
    for (compiler, language) in [("cc", "c"), ("c++", "c++")] {
        compile(compiler, language, &["braid.h"]);
        for n in 0..=others.len() {
            let mut includes = others.to_vec();
            includes.insert(n, "braid.h");
            compile(compiler, language, &includes);
        }
    }
}
