//! A program that writes over its shared memory: it is cut off, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::support::client::Client;
use crate::support::engine::{Net, SOON, linux, within};
use crate::support::namespaces;

const PORT: u16 = 5003;

#[test]
fn garbage_in_every_word_cuts_off_one_and_spares_the_other() {
    namespaces::run(
        "hostile::garbage_in_every_word_cuts_off_one_and_spares_the_other",
        || {
            let net = Net::create("hostile");
            net.configure("");
            let engine = net.start();
            let listener = net
                .peer
                .run(|| TcpListener::bind(linux(PORT)))
                .unwrap()
                .unwrap();
            thread::spawn(move || {
                for there in listener.incoming() {
                    let mut there = there.unwrap();
                    thread::spawn(move || {
                        let mut buffer = [0; 1 << 16];
                        while let Ok(count @ 1..) = there.read(&mut buffer) {
                            if there.write_all(&buffer[..count]).is_err() {
                                break;
                            }
                        }
                    });
                }
            });
            let good = Client::attach(&net.socket());
            let bystander = good.open();
            bystander.connect(linux(PORT)).unwrap();
            let mut seed = 1u64;
            for round in 0..10 {
                let bad = Client::attach(&net.socket());
                let socket = bad.open();
                socket.connect(linux(PORT)).unwrap();
                socket.send_all(&[1; 1000]).unwrap();
                // Everything but the rings: header, doorbells, thread blocks, slots. Every bit set
                // somewhere rings, so that the engine looks.
                let mut garbage = vec![0; 64 << 10];
                let mut cut = false;
                for attempt in 0..200 {
                    for word in garbage.chunks_exact_mut(8) {
                        seed = seed
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(round);
                        word.copy_from_slice(&(seed ^ seed >> 29).to_ne_bytes());
                    }
                    let offset = (attempt % 48) * garbage.len() as u64;
                    rustix::io::pwrite(&bad.memory, &garbage, offset).unwrap();
                    rustix::io::pwrite(&bad.memory, &[0xff; 512], 256).unwrap();
                    rustix::io::pwrite(&bad.memory, &[0xff; 512], 4096).unwrap();
                    socket.slot.kick();
                    cut = within(std::time::Duration::from_millis(5), || bad.is_cut_off());
                    if cut {
                        break;
                    }
                }
                assert!(cut, "round {round}: never cut off");
                let said: Vec<u8> = (0..50_000u32).map(|n| (n ^ round as u32) as u8).collect();
                bystander.send_all(&said).unwrap();
                let mut heard = vec![0; said.len()];
                let mut position = 0;
                while position < heard.len() {
                    position += bystander.recv(&mut heard[position..]).unwrap();
                }
                assert!(said == heard, "round {round}: the neighbour's bytes differ");
            }
            assert!(!good.is_cut_off());
            assert!(within(SOON, || engine.regions() == 1));
            let reasons = engine
                .log()
                .iter()
                .filter(|line| line.contains("was cut off"))
                .count();
            assert_eq!(reasons, 10, "{:#?}", engine.log());
        },
    );
}
