//! When Multipath TCP is used: the policy of the configuration, the rules for programs, and what
//! the program itself says (draft-scharf-mptcp-api-01 sections 4.4 and 5.1).

use std::io::Read as _;

use braid_shm::abi::{
    EMULTIPATH, TCP_IS_MPTCP, TCP_MP_CONNID, TCP_MP_ENABLE, TCP_MULTIPATH_ENABLE,
};
use nix::sys::signal::Signal;

use crate::support::client::{Client, Socket};
use crate::support::engine::{Net, SOON, linux};
use crate::support::namespaces;

const PORT: u16 = 5005;
/// Completes the handshake: an acknowledgement of data comes back.
const GREETING: &[u8] = b"so that the handshake is complete";
const TCP: i32 = libc::IPPROTO_TCP;

fn number(value: i32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

/// Whether a connection of `socket` to Linux's Multipath TCP uses it, as both sides see it.
fn is_multipath(net: &Net, socket: &Socket) -> bool {
    let listener = net.linux_multipath_listener(PORT);
    socket.connect(linux(PORT)).unwrap();
    let mut there = listener.accept(SOON, || false).unwrap();
    socket.send_all(GREETING).unwrap();
    // All of it, and the end stays open: a close with bytes unread is an MP_FASTCLOSE.
    there.read_exact(&mut [0; GREETING.len()]).unwrap();
    let ours = socket.get(TCP, TCP_IS_MPTCP).unwrap();
    assert_eq!(socket.get(TCP, TCP_MP_ENABLE), Ok(ours.clone()));
    assert_eq!(
        socket.set(TCP, TCP_MP_ENABLE, &number(1)),
        Err(libc::EISCONN)
    );
    let has_token = socket.get(TCP, TCP_MP_CONNID).is_ok();
    assert_eq!(has_token, ours == number(1));
    ours == number(1)
}

#[test]
fn the_policy_decides_for_those_who_say_nothing() {
    namespaces::run(
        "policy::the_policy_decides_for_those_who_say_nothing",
        || {
            let net = Net::create("policy");
            net.configure("[policy]\ndefault_enable = false\n");
            let engine = net.start();
            let client = Client::attach(&net.socket());
            let plain = client.open();
            assert_eq!(plain.get(TCP, TCP_MULTIPATH_ENABLE), Ok(number(0)));
            assert!(!is_multipath(&net, &plain));
            let wanted = client.open();
            wanted.set(TCP, TCP_MULTIPATH_ENABLE, &number(1)).unwrap();
            assert!(is_multipath(&net, &wanted));
            assert_eq!(wanted.peer_address(), Ok(linux(PORT)));
            let aware = client.open();
            assert_eq!(aware.set(TCP, TCP_MP_ENABLE, &number(2)), Err(libc::EINVAL));
            aware.set(TCP, TCP_MP_ENABLE, &number(1)).unwrap();
            assert!(is_multipath(&net, &aware));
            assert_eq!(aware.peer_address(), Err(EMULTIPATH));
            assert_eq!(aware.local_address(), Err(EMULTIPATH));
            drop(engine);
        },
    );
}

#[test]
fn the_policy_changes_while_programs_are_attached() {
    namespaces::run(
        "policy::the_policy_changes_while_programs_are_attached",
        || {
            let net = Net::create("change");
            net.configure("[policy]\ndefault_enable = false\n");
            let engine = net.start();
            let client = Client::attach(&net.socket());
            assert!(!is_multipath(&net, &client.open()));
            net.configure("[policy]\ndefault_enable = true\n");
            engine.signal(Signal::SIGHUP);
            engine.wait_for_log("was read again");
            assert!(is_multipath(&net, &client.open()));
            drop(engine);
        },
    );
}

#[test]
fn a_rule_for_a_program_goes_before_the_policy() {
    namespaces::run(
        "policy::a_rule_for_a_program_goes_before_the_policy",
        || {
            let net = Net::create("program");
            let myself = std::env::current_exe().unwrap();
            let name = myself.file_name().unwrap().to_str().unwrap();
            net.configure(&format!(
                "[[program]]\nname = \"{name}\"\nenable = false\ncongestion = \"lia\"\n"
            ));
            let engine = net.start();
            let client = Client::attach(&net.socket());
            let ruled = client.open();
            let congestion = ruled.get(TCP, libc::TCP_CONGESTION).unwrap();
            assert!(congestion.starts_with(b"lia\0"), "{congestion:?}");
            assert!(!is_multipath(&net, &ruled));
            let insists = client.open();
            insists.set(TCP, TCP_MULTIPATH_ENABLE, &number(1)).unwrap();
            assert!(is_multipath(&net, &insists));
            drop(engine);
        },
    );
}
