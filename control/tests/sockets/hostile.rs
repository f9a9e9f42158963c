//! A program that writes over its shared memory: it is cut off, and nobody else notices.

use std::time::Duration;

use braid_shm::abi::{Reply, Request};
use rustix::event::PollFlags;

use crate::support::client::{Client, Socket, wait};
use crate::support::engine::{Net, SOON, linux, within};
use crate::support::garbage::{Garbage, Way};
use crate::support::linux::{echo, serve_each};
use crate::support::namespaces;

const PORT: u16 = 5003;

/// Writes over everything but the rings of a program, header, doorbells, thread blocks and slots, until
/// it is cut off; whether it was.
fn spoil(bad: &Client, socket: &Socket, garbage: &mut Garbage) -> bool {
    (0..200).any(|_| {
        garbage.write(Way::Pages, bad, socket);
        within(Duration::from_millis(5), || bad.is_cut_off())
    })
}

/// Sends bytes and takes them back.
fn exchange(socket: &Socket, said: &[u8]) -> Vec<u8> {
    socket.send_all(said).unwrap();
    let mut heard = vec![0; said.len()];
    let mut position = 0;
    while position < heard.len() {
        let count = socket.recv(&mut heard[position..]).unwrap();
        assert!(count > 0, "the stream ended after {position} bytes");
        position += count;
    }
    heard
}

#[test]
fn who_took_over_a_socket_of_one_that_is_cut_off_keeps_its_own() {
    namespaces::run(
        "hostile::who_took_over_a_socket_of_one_that_is_cut_off_keeps_its_own",
        || {
            let net = Net::create("adopted");
            net.configure("");
            let engine = net.start();
            serve_each(net.linux_listener(PORT), echo);
            let good = Client::attach(&net.socket());
            let own = good.open();
            own.connect(linux(PORT)).unwrap();
            let bad = Client::attach(&net.socket());
            let passed = bad.open();
            passed.connect(linux(PORT)).unwrap();
            passed.send_all(&[1; 1000]).unwrap();
            let (reply, descriptors) = good.request(&Request::Adopt, &[&passed.end]);
            assert!(matches!(reply, Reply::Adopted(_)), "{reply:?}");
            assert!(spoil(&bad, &passed, &mut Garbage::new(3)), "never cut off");
            assert!(wait(&passed.end, PollFlags::HUP, SOON));
            assert!(!good.is_cut_off());
            let said: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
            assert!(exchange(&own, &said) == said);
            drop(descriptors);
            // As a server that takes over a socket of each of many programs.
            for _ in 0..100 {
                let other = Client::attach(&net.socket());
                let (reply, _) = good.request(&Request::Adopt, &[&other.open().end]);
                assert!(matches!(reply, Reply::Adopted(_)), "{reply:?}");
            }
            assert!(within(SOON, || engine.regions() == 1));
            drop((own, good));
            assert!(within(SOON, || engine.regions() == 0));
        },
    );
}

#[test]
fn garbage_in_every_word_cuts_off_one_and_spares_the_other() {
    namespaces::run(
        "hostile::garbage_in_every_word_cuts_off_one_and_spares_the_other",
        || {
            let net = Net::create("hostile");
            net.configure("");
            let engine = net.start();
            serve_each(net.linux_listener(PORT), echo);
            let good = Client::attach(&net.socket());
            let bystander = good.open();
            bystander.connect(linux(PORT)).unwrap();
            let mut garbage = Garbage::new(1);
            for round in 0..10 {
                let bad = Client::attach(&net.socket());
                let socket = bad.open();
                socket.connect(linux(PORT)).unwrap();
                socket.send_all(&[1; 1000]).unwrap();
                let cut = spoil(&bad, &socket, &mut garbage);
                assert!(cut, "round {round}: never cut off");
                let said: Vec<u8> = (0..50_000u32).map(|n| (n ^ round as u32) as u8).collect();
                let heard = exchange(&bystander, &said);
                assert!(said == heard, "round {round}: the neighbour's bytes differ");
            }
            assert!(!good.is_cut_off());
            assert!(within(SOON, || engine.regions() == 1));
            let reasons = || {
                let log = engine.log();
                log.iter()
                    .filter(|line| line.contains("was cut off"))
                    .count()
            };
            assert!(within(SOON, || reasons() == 10), "{:#?}", engine.log());
        },
    );
}
