//! nginx with two workers.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::namespaces;
use crate::rig::{Process, Rig, content, digest, digest_of_file, installed, ours_at};
use crate::wrk;

const PORT: u16 = 8103;
/// What is in the folder of a server: one page of one line.
const PAGE: &str = "well\n";

/// Two workers that serve the folder of the test at every address, on a port and with files of
/// their own. Each answer is logged with the worker that gave it.
fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "worker_processes 2;\n\
         daemon off;\n\
         user root;\n\
         pid {folder}/nginx.pid;\n\
         error_log {folder}/error.log info;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
           log_format worker '$pid $status $body_bytes_sent';\n\
           access_log {folder}/access.log worker;\n\
           sendfile on;\n\
           tcp_nopush on;\n\
           client_body_temp_path {folder}/body;\n\
           proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi;\n\
           uwsgi_temp_path {folder}/uwsgi;\n\
           scgi_temp_path {folder}/scgi;\n\
           server {{ listen {port}; root {folder}; }}\n\
         }}\n"
    )
}

/// An nginx that serves the folder of the test.
pub(crate) struct Server<'a> {
    rig: &'a Rig,
    process: Process,
}

impl<'a> Server<'a> {
    /// Starts it with `start`, which is [`Rig::ours`] or [`Rig::linux`].
    pub(crate) fn start(
        rig: &'a Rig,
        program: &Path,
        port: u16,
        start: impl FnOnce(&Rig, &Path, &[&str]) -> Process,
    ) -> Self {
        let folder = rig.path("");
        fs::write(rig.path("nginx.conf"), configuration(&folder, port)).unwrap();
        fs::write(rig.path("page"), PAGE).unwrap();
        let of = |name: &str| rig.path(name).display().to_string();
        let arguments = [
            "-p",
            &of(""),
            "-c",
            &of("nginx.conf"),
            "-e",
            &of("error.log"),
        ];
        let process = start(rig, program, &arguments);
        Self { rig, process }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it in order; asserts on its logs, and gives the workers that answered.
    pub(crate) fn finish(self) -> HashSet<String> {
        self.process.stop(Signal::SIGQUIT).assert_well();
        let log = fs::read_to_string(self.rig.path("error.log")).unwrap();
        let wrong: Vec<_> = log
            .lines()
            .filter(|line| !line.contains("[notice]") && !line.contains("[info]"))
            // It may not give up groups in the user namespace of the test.
            .filter(|line| !line.contains("initgroups("))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let started = log.matches("start worker process ").count();
        assert_eq!(started, 2, "{log}");
        let access = fs::read_to_string(self.rig.path("access.log")).unwrap();
        access
            .lines()
            .map(|line| {
                let mut fields = line.split(' ');
                let worker = fields.next().unwrap_or_default().to_owned();
                assert_eq!(fields.next(), Some("200"), "{line}");
                worker
            })
            .collect()
    }
}

#[test]
fn serves_a_file_to_linux() {
    let test = "nginx::serves_a_file_to_linux";
    let (Some(nginx), Some(curl)) = (installed(test, "nginx"), installed(test, "curl")) else {
        return;
    };
    namespaces::run(test, || {
        let rig = Rig::start("nginx-file");
        let file = content(24 << 20);
        fs::write(rig.path("file"), &file).unwrap();
        let server = Server::start(&rig, &nginx, PORT, Rig::ours);
        rig.wait_for_our_listener(PORT, server.process());
        let url = format!("http://{}/file", ours_at(PORT));
        let curl = rig.linux(&curl, &["-sS", "--limit-rate", "20M", "-o", "got", &url]);
        curl.finish().assert_well();
        assert_eq!(digest_of_file(&rig.path("got")), digest(&file));
        rig.assert_both_links_used();
        assert_eq!(server.finish().len(), 1);
        rig.assert_engine_is_content();
    });
}

#[test]
fn serves_many_of_linux_from_both_workers() {
    let test = "nginx::serves_many_of_linux_from_both_workers";
    let (Some(nginx), Some(wrk)) = (installed(test, "nginx"), installed(test, "wrk")) else {
        return;
    };
    namespaces::run(test, || {
        let rig = Rig::start("nginx-many");
        let server = Server::start(&rig, &nginx, PORT, Rig::ours);
        rig.wait_for_our_listener(PORT, server.process());
        let url = format!("http://{}/page", ours_at(PORT));
        let wrk = rig.linux(&wrk, &wrk::arguments(&url));
        wrk::assert_report(&wrk.finish());
        rig.assert_both_links_used();
        assert_eq!(server.finish().len(), 2, "one worker did all");
        rig.assert_engine_is_content();
    });
}

#[test]
fn serves_wrk_and_curl_at_the_same_engine() {
    let test = "nginx::serves_wrk_and_curl_at_the_same_engine";
    let programs = ["nginx", "curl", "wrk"].map(|name| installed(test, name));
    let [Some(nginx), Some(curl), Some(wrk)] = programs else {
        return;
    };
    namespaces::run(test, || {
        let rig = Rig::start("nginx-same");
        let file = content(24 << 20);
        fs::write(rig.path("file"), &file).unwrap();
        let server = Server::start(&rig, &nginx, PORT, Rig::ours);
        rig.wait_for_our_listener(PORT, server.process());
        let url = format!("http://{}/", ours_at(PORT));
        let curl = rig.ours(&curl, &["-sS", "-o", "got", &(url.clone() + "file")]);
        curl.finish().assert_well();
        assert_eq!(digest_of_file(&rig.path("got")), digest(&file));
        let wrk = rig.ours(&wrk, &wrk::arguments(&(url + "page")));
        wrk::assert_report(&wrk.finish());
        server.finish();
        rig.assert_engine_is_content();
    });
}
