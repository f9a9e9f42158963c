//! The engine dies while programs sleep. What they see of it must be what they see on the kernel's
//! sockets when the far end resets their connections.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::engine::within;
use crate::namespaces;
use crate::oracle::{compile, network, run, under_braid};

/// From a program's word that it is about to sleep until it does.
const ASLEEP: Duration = Duration::from_millis(200);

#[test]
fn every_way_of_sleeping_hears_of_it() {
    namespaces::run("death::every_way_of_sleeping_hears_of_it", || {
        let net = network("death");
        let program = compile("death");
        let mut reset = Command::new(&program);
        reset.env("BY", "R");
        let expected = run(&net.peer, reset);
        assert!(expected.status.success(), "{expected:?}");

        let mut engine = net.start();
        let ready = net.socket().with_file_name("ready");
        let mut dies = under_braid(&net, &program, &["--quiet", "--strict"]);
        dies.env("BY", "w").env("READY", &ready);
        let found = thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let began = within(Duration::from_secs(20), || ready.exists());
                thread::sleep(ASLEEP);
                engine.kill();
                began
            });
            let found = run(&net.engine, dies);
            assert!(killer.join().unwrap(), "it never began to sleep: {found:?}");
            found
        });
        let _ = std::fs::remove_file(&program);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            text(&expected.stdout) == text(&found.stdout) && found.status.success(),
            "reset by the far end\n{}\nwith the engine dead ({})\n{}{}",
            text(&expected.stdout),
            found.status,
            text(&found.stdout),
            text(&found.stderr)
        );
    });
}
