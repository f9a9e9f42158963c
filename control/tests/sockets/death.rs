//! Programs that die: what they had is ended and freed within a second.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::engine::{Net, SOON, linux, within};
use crate::support::namespaces;

const PORT: u16 = 5002;

/// Makes the test binary a program that connects, sends, and waits to be killed.
const VICTIM: &str = "BRAID_TEST_VICTIM";

/// Where the victim that sends does so.
const SENDS_TO: &str = "BRAID_TEST_VICTIM_SENDS_TO";

/// The engine that a victim attaches to. `None`: this process is none.
pub(crate) fn victim_socket() -> Option<OsString> {
    std::env::var_os(VICTIM)
}

/// Tells whoever started the victim that it may be killed.
pub(crate) fn say_ready() {
    println!("victim is ready");
    std::io::stdout().flush().unwrap();
}

/// The victim's part, as a test that does nothing unless asked to.
#[test]
fn victim() {
    let Some(socket) = victim_socket() else {
        return;
    };
    let client = Client::attach(socket.as_ref());
    let socket = client.open();
    socket.connect(linux(PORT)).unwrap();
    socket.send_all(&[7; 100]).unwrap();
    say_ready();
    let mut buffer = [0; 100];
    loop {
        // Nothing comes; whoever waits longer than this was not killed.
        let _ = socket.recv(&mut buffer);
    }
}

/// The part of a victim that sends without end.
#[test]
fn sender() {
    let (Some(socket), Ok(to)) = (std::env::var_os(VICTIM), std::env::var(SENDS_TO)) else {
        return;
    };
    let client = Client::attach(socket.as_ref());
    let socket = client.open();
    socket.connect(to.parse().unwrap()).unwrap();
    say_ready();
    loop {
        socket.send_all(&[7; 50_000]).unwrap();
    }
}

fn start_victim(net: &Net) -> Child {
    start(net, "death::victim", linux(PORT))
}

/// A program that sends to `to` until it is killed.
pub(crate) fn start_sender(net: &Net, to: SocketAddr) -> Child {
    start(net, "death::sender", to)
}

/// A program that is the test `part`, once it is ready.
pub(crate) fn start(net: &Net, part: &str, to: SocketAddr) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([part, "--exact", "--nocapture"])
        .env(VICTIM, net.socket())
        .env(SENDS_TO, to.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines
        .map_while(Result::ok)
        .any(|line| line.contains("victim is ready"));
    assert!(ready, "the victim ended");
    child
}

#[test]
fn kill_9_resets_its_connections_and_frees_its_memory() {
    namespaces::run(
        "death::kill_9_resets_its_connections_and_frees_its_memory",
        || {
            let net = Net::create("kill");
            net.configure("");
            let engine = net.start();
            let listener = net.linux_listener(PORT);
            let descriptors = engine.descriptors();
            for round in 0..20 {
                let mut victim = start_victim(&net);
                let (mut there, _) = listener.accept().unwrap();
                there.set_read_timeout(Some(SOON)).unwrap();
                there.read_exact(&mut [0; 100]).unwrap();
                assert_eq!(engine.regions(), 1, "round {round}");
                let killed = Instant::now();
                victim.kill().unwrap();
                victim.wait().unwrap();
                let ended = there.read(&mut [0; 1]);
                assert_eq!(
                    ended.map_err(|error| error.kind()),
                    Err(std::io::ErrorKind::ConnectionReset),
                    "round {round}"
                );
                assert!(killed.elapsed() < Duration::from_secs(1), "round {round}");
                let freed = within(Duration::from_secs(1), || {
                    engine.regions() == 0 && engine.descriptors() == descriptors
                });
                assert!(
                    freed,
                    "round {round}: {} regions, {} descriptors instead of {descriptors}",
                    engine.regions(),
                    engine.descriptors()
                );
            }
        },
    );
}

#[test]
fn an_orderly_close_sends_what_was_written() {
    namespaces::run("death::an_orderly_close_sends_what_was_written", || {
        let net = Net::create("close");
        net.configure("");
        let engine = net.start();
        let listener = net.linux_listener(PORT);
        let client = Client::attach(&net.socket());
        let socket = client.open();
        socket.connect(linux(PORT)).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        socket.send_all(&bytes).unwrap();
        socket.close();
        let mut all = Vec::new();
        there.set_read_timeout(Some(SOON)).unwrap();
        there.read_to_end(&mut all).unwrap();
        assert!(all == bytes, "{} bytes came", all.len());
        drop(engine);
    });
}
