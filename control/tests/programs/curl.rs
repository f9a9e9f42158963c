//! curl.

use nix::sys::signal::Signal;

use crate::rig::{Rig, content, digest, digest_of_file, installed, linux_at};
use crate::{namespaces, python};

const PORT: u16 = 8102;

#[test]
fn downloads_from_linux() {
    let test = "curl::downloads_from_linux";
    let (Some(python), Some(curl)) = (python::interpreter(test), installed(test, "curl")) else {
        return;
    };
    namespaces::run(test, || {
        let rig = Rig::start("curl");
        let file = content(24 << 20);
        std::fs::write(rig.path("file"), &file).unwrap();
        let server = rig.linux(&python, &python::server(&PORT.to_string()));
        rig.wait_for_linux_listener(PORT, &server);
        let url = format!("http://{}/file", linux_at(PORT));
        let curl = rig.ours(&curl, &["-sS", "--limit-rate", "20M", "-o", "got", &url]);
        curl.finish().assert_well();
        assert_eq!(digest_of_file(&rig.path("got")), digest(&file));
        rig.assert_both_links_used();
        python::assert_log(&server.stop(Signal::SIGKILL), 1);
        rig.assert_engine_is_content();
    });
}
