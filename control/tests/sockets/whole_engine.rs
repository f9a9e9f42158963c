//! The engine as a whole: signals, restarts, and what programs see of them.

use std::fs;
use std::io::Read;
use std::time::Duration;

use braid_control::management::{Client as ManagementClient, EndpointRow, Request};
use nix::sys::signal::Signal;
use rustix::event::PollFlags;

use crate::support::client::{Client, wait};
use crate::support::engine::{Net, SOON, linux};
use crate::support::namespaces;

const PORT: u16 = 5004;

#[test]
fn sigterm_closes_in_order_and_wakes_every_sleeper() {
    namespaces::run(
        "whole_engine::sigterm_closes_in_order_and_wakes_every_sleeper",
        || {
            let net = Net::create("term");
            net.configure("");
            let mut engine = net.start();
            let listener = net.linux_listener(PORT);
            let client = Client::attach(&net.socket());
            let socket = client.open();
            socket.connect(linux(PORT)).unwrap();
            let (mut there, _) = listener.accept().unwrap();
            let bytes = vec![9; 150_000];
            socket.send_all(&bytes).unwrap();
            engine.signal(Signal::SIGTERM);
            let mut all = Vec::new();
            there.set_read_timeout(Some(SOON)).unwrap();
            there.read_to_end(&mut all).unwrap();
            assert!(all == bytes, "{} bytes came", all.len());
            drop(there);
            assert!(engine.wait().success(), "{:#?}", engine.log());
            assert!(
                wait(&socket.end, PollFlags::HUP, SOON),
                "the descriptor goes on"
            );
            assert_eq!(socket.bind(linux(1)), Err(libc::ECONNRESET));
            assert!(!net.socket().exists(), "the socket's file is left behind");
        },
    );
}

#[test]
fn a_killed_engine_wakes_its_programs_and_the_next_one_takes_them() {
    namespaces::run(
        "whole_engine::a_killed_engine_wakes_its_programs_and_the_next_one_takes_them",
        || {
            let net = Net::create("restart");
            net.configure("");
            let listener = net.linux_listener(PORT);
            for _ in 0..5 {
                let mut engine = net.start();
                let client = Client::attach(&net.socket());
                let socket = client.open();
                socket.connect(linux(PORT)).unwrap();
                let _there = listener.accept().unwrap();
                engine.kill();
                assert!(wait(&socket.end, PollFlags::HUP, SOON));
                assert_eq!(socket.recv(&mut [0; 10]), Err(libc::ECONNRESET));
                assert_eq!(socket.local_address(), Err(libc::ECONNRESET));
                assert!(net.socket().exists());
            }
        },
    );
}

#[test]
fn sighup_takes_over_what_it_can_and_says_what_it_cannot() {
    namespaces::run(
        "whole_engine::sighup_takes_over_what_it_can_and_says_what_it_cannot",
        || {
            let net = Net::create("reload");
            net.configure("");
            let mut engine = net.start();
            net.configure(
                "[[endpoint]]\nid = 1\naddress = \"10.1.2.2\"\nflags = [\"subflow\"]\n\
             [defaults]\nshared_ring = \"64KiB\"\n",
            );
            engine.signal(Signal::SIGHUP);
            engine.wait_for_log("shared_ring");
            engine.wait_for_log("was read again");
            // An address that comes with a port, which takes a restart.
            net.configure(
                "[[port]]\nkind = \"tap\"\ninterface = \"later\"\naddresses = [\"10.7.0.2/24\"]\n\
             [[endpoint]]\nid = 2\naddress = \"10.7.0.2\"\nflags = [\"signal\"]\n",
            );
            engine.signal(Signal::SIGHUP);
            engine.wait_for_log("10.7.0.2 is the address of no port that is open");
            let mut asking = ManagementClient::connect(&net.socket()).unwrap();
            let endpoints: Vec<EndpointRow> = asking.ask(&Request::ShowEndpoints).unwrap();
            assert!(endpoints.is_empty(), "{endpoints:?}");
            fs::write(net.configuration(), "nonsense").unwrap();
            engine.signal(Signal::SIGHUP);
            engine.wait_for_log("nothing was changed");
            engine.signal(Signal::SIGTERM);
            assert!(engine.wait().success());
            assert!(!wait_a_moment(&engine), "{:#?}", engine.log());
        },
    );
}

/// Whether the engine complained of connections after a moment.
fn wait_a_moment(engine: &crate::support::engine::Engine) -> bool {
    std::thread::sleep(Duration::from_millis(20));
    engine.log().iter().any(|line| line.contains("aborted"))
}
