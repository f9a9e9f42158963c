//! `python3 -m http.server`.

use std::path::PathBuf;
use std::process::Command;

use crate::rig::{Finished, installed};

/// The interpreter itself: what is in PATH may be a script that looks for it.
pub(crate) fn interpreter(test: &str) -> Option<PathBuf> {
    let found = Command::new(installed(test, "python3")?)
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    assert!(found.status.success(), "{found:?}");
    Some(String::from_utf8(found.stdout).unwrap().trim().into())
}

/// The arguments for a server of the folder it runs in. It listens at every address, for a socket
/// that is bound to one has subflows there alone.
pub(crate) fn server(port: &str) -> [&str; 4] {
    ["-u", "-m", "http.server", port]
}

/// Asserts that the server logged `requests` answers, all of them good, and nothing else.
#[track_caller]
pub(crate) fn assert_log(server: &Finished, requests: usize) {
    let lines: Vec<_> = server.errors.lines().collect();
    assert!(
        lines.len() == requests && lines.iter().all(|line| line.contains("\" 200 -")),
        "{server:#?}"
    );
}

mod tests {
    use nix::sys::signal::Signal;

    use super::{assert_log, interpreter, server};
    use crate::namespaces;
    use crate::rig::{Rig, content, digest, digest_of_file, installed, ours_at};

    const PORT: u16 = 8101;

    #[test]
    fn serves_linux() {
        let test = "python::tests::serves_linux";
        let (Some(python), Some(curl)) = (interpreter(test), installed(test, "curl")) else {
            return;
        };
        namespaces::run(test, || {
            let rig = Rig::start("python");
            let file = content(24 << 20);
            std::fs::write(rig.path("file"), &file).unwrap();
            let server = rig.ours(&python, &server(&PORT.to_string()));
            rig.wait_for_our_listener(PORT, &server);
            let url = format!("http://{}/file", ours_at(PORT));
            let curl = rig.linux(&curl, &["-sS", "--limit-rate", "20M", "-o", "got", &url]);
            curl.finish().assert_well();
            assert_eq!(digest_of_file(&rig.path("got")), digest(&file));
            rig.assert_both_links_used();
            assert_log(&server.stop(Signal::SIGKILL), 1);
            rig.assert_engine_is_content();
        });
    }
}
