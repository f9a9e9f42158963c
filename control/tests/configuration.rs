//! `braid engine` with configurations that cannot be used: exit status 2, one sentence with file
//! and line that says what mends it, and nothing started.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A port, so that what is wrong is something else.
const PORT: &str =
    "[[port]]\nkind = \"tap\"\ninterface = \"braid0\"\naddresses = [\"10.0.0.2/24\"]\n";

fn engine(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_braid"))
        .arg("engine")
        .arg("--config")
        .arg(config)
        .args(arguments)
        .output()
        .unwrap()
}

/// Asserts that `text` is refused at `line` in one sentence that contains all of `says`.
fn refused(folder: &Path, text: &str, line: usize, says: &[&str]) {
    let file = folder.join("engine.toml");
    fs::write(&file, text).unwrap();
    let output = engine(&file, &[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}\n{errors}");
    assert_eq!(errors.lines().count(), 1, "{text}\n{errors}");
    let place = format!("braid: {}:{line}: ", file.display());
    assert!(
        errors.starts_with(&place),
        "{text}\n{errors} not at {place}"
    );
    for part in says {
        assert!(
            errors.contains(part),
            "{text}\n{errors:?} does not say {part:?}"
        );
    }
}

#[test]
fn everything_that_can_be_wrong_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let table: &[(&str, usize, &[&str])] = &[
        ("[engine]\nsocket = ", 2, &[]),
        (
            "[engine]\nsockt = \"/a\"\n",
            2,
            &["unknown field `sockt`", "`socket`"],
        ),
        (
            "[engine]\nsocket = \"engine.sock\"\n",
            2,
            &["absolute path", "/run/braid"],
        ),
        ("[engine]\nworkers = 0\n", 2, &["1 to 32"]),
        ("[engine]\nworkers = 33\n", 2, &["1 to 32"]),
        (
            "[engine]\nworkers = 2\ncores = [0]\n",
            3,
            &["1 for 2 workers", "one for each"],
        ),
        ("[engine]\nidle = \"often\"\n", 2, &["20us", "spin"]),
        (
            "[engine]\nshutdown_timeout = 5\n",
            2,
            &["with its unit", "5s"],
        ),
        (
            "[engine]\nallow_users = [\"no such user\"]\n",
            2,
            &["no user", "number"],
        ),
        ("[policy]\ndefault_enable = 1\n", 2, &["boolean"]),
        (
            "[policy]\nexclusive_with = [\"sctp\"]\n",
            2,
            &["sctp", "`shim6`", "`hip`"],
        ),
        (
            "[policy]\nsmall_buffer = { action = \"shrink\", bound = \"64KiB\" }\n",
            2,
            &["shrink", "`raise`", "`disable`"],
        ),
        (
            "[policy]\nsmall_buffer = { action = \"raise\", bound = \"1KiB\" }\n",
            2,
            &["1024 bytes", "8KiB"],
        ),
        ("[defaults]\ncongestion = \"bbr\"\n", 2, &["bbr", "cubic"]),
        (
            "[defaults]\nscheduler = \"fastest\"\n",
            2,
            &["fastest", "minrtt"],
        ),
        (
            "[defaults]\nshared_ring = \"100KB\"\n",
            2,
            &["power of two"],
        ),
        (
            "[defaults]\nprofile = \"fast\"\n",
            2,
            &["fast", "latency-standby"],
        ),
        (
            "[defaults]\npath_manager = \"mesh\"\n",
            2,
            &["mesh", "fullmesh"],
        ),
        (
            "[defaults]\nsend_buffer = \"2GiB\"\n",
            2,
            &["send_buffer", "1GiB"],
        ),
        (
            "[defaults]\nreceive_buffer = \"much\"\n",
            2,
            &["much", "64KiB"],
        ),
        (
            "[defaults]\nephemeral_ports = [9, 8]\n",
            2,
            &["9 to 8", "[32768, 60999]"],
        ),
        (
            "[limits]\nsubflows = 32\n",
            2,
            &["subflows is 32", "0 to 31"],
        ),
        (
            "[limits]\nconnections = 0\n",
            2,
            &["connections is 0", "1 to"],
        ),
        ("[limits]\nthreads_per_application = 65\n", 2, &["1 to 64"]),
        ("[limits]\nbuffer = \"2GiB\"\n", 2, &["8KiB to 1GiB"]),
        (
            "[[program]]\nname = \"/usr/bin/curl\"\n",
            1,
            &["without its folder", "curl"],
        ),
        (
            "[[program]]\nname = \"curl\"\n[[program]]\nname = \"curl\"\n",
            3,
            &["curl", "one table"],
        ),
        (
            "[[endpoint]]\nid = 0\naddress = \"10.0.0.2\"\nflags = [\"signal\"]\n",
            1,
            &["1 to 255"],
        ),
        (
            "[[endpoint]]\nid = 1\naddress = \"10.9.9.9\"\nflags = [\"signal\"]\n",
            1,
            &["10.9.9.9", "no port"],
        ),
        (
            "[[endpoint]]\nid = 1\naddress = \"10.0.0.2\"\nflags = [\"fullmesh\"]\n",
            1,
            &["fullmesh", "subflow"],
        ),
        (
            "[[route]]\nto = \"10.1.0.0/16\"\nport = \"eth9\"\n",
            1,
            &["eth9", "by its name"],
        ),
        (
            "[[route]]\nto = \"10.1.0.0/16\"\nport = \"braid0\"\ngateway = \"10.3.0.1\"\n",
            1,
            &["10.3.0.1", "prefixes"],
        ),
    ];
    for (text, line, says) in table {
        let lines = PORT.lines().count();
        refused(folder.path(), &format!("{PORT}{text}"), line + lines, says);
    }
}

#[test]
fn ports_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let port = |more: &str| format!("[[port]]\nkind = \"tap\"\ninterface = \"braid0\"\n{more}\n");
    let good = "addresses = [\"10.0.0.2/24\"]";
    refused(folder.path(), "", 1, &["[[port]]", "addresses"]);
    refused(folder.path(), &port(""), 1, &["addresses"]);
    refused(
        folder.path(),
        &port("addresses = []"),
        1,
        &["no address", "10.0.0.2/24"],
    );
    refused(
        folder.path(),
        &port("addresses = [\"10.0.0.2\"]"),
        4,
        &["10.0.0.2/24"],
    );
    refused(
        folder.path(),
        &port("addresses = [\"10.0.0.2/33\"]"),
        4,
        &["10.0.0.2/24"],
    );
    refused(
        folder.path(),
        &port("addresses = [\"224.0.0.1/24\"]"),
        1,
        &["224.0.0.1"],
    );
    refused(
        folder.path(),
        &port(&format!("{good}\nmac = \"ff:ff:ff:ff:ff:ff\"")),
        5,
        &["group address", "02:"],
    );
    refused(
        folder.path(),
        &port(&format!("{good}\nmac = \"1:2:3\"")),
        5,
        &["02:00:5e"],
    );
    refused(
        folder.path(),
        &port(&format!("{good}\nmtu = 100")),
        1,
        &["MTU of 100", "576"],
    );
    refused(
        folder.path(),
        &port(&format!("{good}\nmtu = 70000")),
        5,
        &["70000"],
    );
    refused(
        folder.path(),
        &port(&format!("{good}\ngateways = [\"10.9.0.1\"]")),
        1,
        &["10.9.0.1", "add an address"],
    );
    refused(
        folder.path(),
        &format!("{PORT}{PORT}"),
        5,
        &["braid0", "interface of its own"],
    );
    refused(
        folder.path(),
        &format!("{PORT}{}", PORT.replace("braid0", "braid1")),
        5,
        &["10.0.0.2", "another interface"],
    );
    refused(
        folder.path(),
        &PORT.replace("tap", "wifi"),
        2,
        &["wifi", "`af_packet`", "`tap`"],
    );
    refused(
        folder.path(),
        &PORT.replace("braid0", "a/b"),
        1,
        &["a/b", "15 bytes"],
    );
}

/// A port over DPDK without the feature, or one that could not be with it.
#[test]
fn ports_over_dpdk() {
    let folder = tempfile::tempdir().unwrap();
    let port =
        |more: &str| format!("[[port]]\nkind = \"dpdk\"\naddresses = [\"10.0.0.2/24\"]\n{more}\n");
    let device = port("device = \"net_null0\"");
    if cfg!(feature = "dpdk") {
        refused(folder.path(), &port(""), 1, &["no device", "0000:3b:00.0"]);
        refused(
            folder.path(),
            &port("device = \"net_tap0\"\ninterface = \"tap0\""),
            1,
            &["drop `interface`", "iface=eth0"],
        );
        refused(
            folder.path(),
            &port("device = \"net_null0\"\nmtu = 9001"),
            1,
            &["9001", "9000"],
        );
        refused(
            folder.path(),
            &format!("{device}{}", device.replace("10.0.0.2", "10.0.1.2")),
            5,
            &["net_null0", "of its own"],
        );
    } else {
        refused(folder.path(), &device, 1, &["--features dpdk", "af_packet"]);
    }
    refused(
        folder.path(),
        &format!("{PORT}promiscuous = true\n"),
        1,
        &["promiscuous", "kind = \"dpdk\""],
    );
    refused(
        folder.path(),
        &format!("{PORT}[dpdk]\narguments = [\"--no-huge\"]\n"),
        5,
        &["[dpdk]", "drop it"],
    );
}

#[test]
fn a_file_that_is_not_there() {
    let output = engine(Path::new("/nonexistent/engine.toml"), &[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("/nonexistent/engine.toml"), "{errors}");
    assert!(errors.contains("--config FILE"), "{errors}");
}

#[test]
fn nothing_is_left_behind_by_a_port_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let file = folder.path().join("engine.toml");
    let text = format!(
        "[engine]\nsocket = \"{}\"\n[[port]]\nkind = \"af_packet\"\ninterface = \"nosuch0\"\n\
         addresses = [\"10.0.0.2/24\"]\n",
        socket.display()
    );
    fs::write(&file, text).unwrap();
    let output = engine(&file, &[]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("nosuch0"), "{errors}");
    assert!(errors.contains("ip link"), "{errors}");
    assert!(!socket.exists());
}

#[test]
fn the_examples_are_in_order() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let mut checked = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let file = entry.unwrap().path();
        if file
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let output = engine(&file, &["--check"]);
            let errors = String::from_utf8(output.stderr).unwrap();
            let of_dpdk = file.ends_with("two-nics-dpdk.toml");
            if of_dpdk && !cfg!(feature = "dpdk") {
                assert!(errors.contains("--features dpdk"), "{errors}");
                assert_eq!(output.status.code(), Some(2), "{errors}");
            } else {
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{}: {errors}",
                    file.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} examples were found");
}
