//! The same again and again, and what is left over at the end.
//!
//! `BRAID_SOAK=1` makes them as long as a release asks for: 200 kills, 50 restarts, a minute.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use braid_shm::ReadEnd;
use rustix::event::PollFlags;

use crate::death::start_sender;
use crate::support::client::{Client, wait};
use crate::support::engine::{Engine, Net, SOON, linux, usual_workers, within};
use crate::support::garbage::{Garbage, Way};
use crate::support::linux::serve_each;
use crate::support::namespaces;

const PORT: u16 = 5006;

/// What the first rounds leave behind for good, such as pools of frames, and not each further one.
const WARM_UP: usize = 5;

/// Kibibytes that the engine may take more for each worker: what the allocator keeps of the most that was
/// ever under way, which no kill in the warm-up needs to have come near.
const SLACK: u64 = 12 << 10;

fn is_whole() -> bool {
    std::env::var_os("BRAID_SOAK").is_some()
}

/// A listener of Linux that reads, or sends back, all it gets.
fn serve_all(net: &Net, echo: bool) {
    serve_each(net.linux_listener(PORT), move |there| serve(there, echo));
}

fn serve(mut there: TcpStream, echo: bool) {
    // A peer whose engine was killed says nothing any more, not even that it is gone.
    there.set_read_timeout(Some(SOON / 2)).unwrap();
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = there.read(&mut buffer) {
        if echo && there.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

/// What an engine holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holdings {
    descriptors: usize,
    regions: usize,
    connections: usize,
    /// KiB.
    memory: u64,
}

impl Holdings {
    fn of(engine: &Engine, net: &Net) -> Self {
        Self {
            descriptors: engine.descriptors(),
            regions: engine.regions(),
            connections: net.connections(),
            memory: engine.own_memory(),
        }
    }

    fn is_no_more_than(self, before: Self) -> bool {
        self.descriptors <= before.descriptors
            && self.regions <= before.regions
            && self.connections <= before.connections
            && self.memory <= before.memory + SLACK * u64::from(usual_workers())
    }
}

#[test]
fn kills_in_the_middle_of_transfers_leave_nothing_behind() {
    namespaces::run(
        "soak::kills_in_the_middle_of_transfers_leave_nothing_behind",
        || {
            // Connections go to the workers in turn.
            let warm_up = WARM_UP * usize::from(usual_workers());
            let rounds = warm_up + if is_whole() { 195 } else { 7 };
            let net = Net::create("kills");
            net.configure("");
            let engine = net.start();
            serve_all(&net, false);
            let mut before = None;
            for round in 0..rounds {
                if is_whole() && round % 20 == 0 {
                    eprintln!("round {round}: {:?}", Holdings::of(&engine, &net));
                }
                if round == warm_up {
                    before = Some(Holdings::of(&engine, &net));
                }
                let mut victim = start_sender(&net, linux(PORT));
                thread::sleep(Duration::from_millis(5 + (round as u64 * 7) % 40));
                victim.kill().unwrap();
                victim.wait().unwrap();
                assert!(
                    within(Duration::from_secs(1), || engine.regions() == 0),
                    "round {round}: the region stays"
                );
            }
            let before = before.unwrap();
            let mut after = Holdings::of(&engine, &net);
            within(SOON, || {
                after = Holdings::of(&engine, &net);
                after.is_no_more_than(before)
            });
            eprintln!("{rounds} kills: {before:?} before, {after:?} after");
            assert!(after.is_no_more_than(before), "{before:?}, {after:?}");
        },
    );
}

#[test]
fn restarts_of_the_engine_leave_nothing_behind() {
    namespaces::run("soak::restarts_of_the_engine_leave_nothing_behind", || {
        let rounds = if is_whole() { 50 } else { 4 };
        let net = Net::create("restarts");
        net.configure("");
        serve_all(&net, true);
        let (mut first, mut last) = (None, None);
        let own = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mut before = 0;
        for round in 0..rounds {
            let mut engine = net.start();
            let client = Client::attach(&net.socket());
            let socket = client.open();
            socket.connect(linux(PORT)).unwrap();
            socket.send_all(&vec![3; 100_000]).unwrap();
            assert!(socket.recv(&mut [0; 1000]).unwrap() > 0);
            let holdings = Holdings::of(&engine, &net);
            first.get_or_insert(holdings);
            last = Some(holdings);
            engine.kill();
            assert!(wait(&socket.end, PollFlags::HUP, SOON), "round {round}");
            // What had arrived may still be read; then the end is told, and nobody hangs.
            let mut buffer = vec![0; 1 << 16];
            while socket.recv(&mut buffer).is_ok() {}
            assert_eq!(socket.slot.read_end(), ReadEnd::Open);
            drop((socket, client, engine));
            if round == 0 {
                before = own();
            }
        }
        let (first, last) = (first.unwrap(), last.unwrap());
        assert!(last.is_no_more_than(first), "{first:?}, {last:?}");
        // Threads of Linux's side may have theirs for a moment yet.
        let few = within(SOON, || own() <= before + 2);
        eprintln!(
            "{rounds} restarts: {first:?} in the first, {last:?} in the last; {before} descriptors \
             of the program before, {} after",
            own()
        );
        assert!(few, "{before}, {}", own());
    });
}

#[test]
fn a_hostile_program_spoils_nothing_of_its_neighbour() {
    namespaces::run(
        "soak::a_hostile_program_spoils_nothing_of_its_neighbour",
        || {
            let time = Duration::from_secs(if is_whole() { 60 } else { 3 });
            let net = Net::create("minute");
            net.configure("");
            let engine = net.start();
            serve_all(&net, true);
            let good = Client::attach(&net.socket());
            let over = AtomicBool::new(false);
            let (bytes, cut) = thread::scope(|scope| {
                let exact = scope.spawn(|| exchange(&good, &over));
                let cut = attack(&net, time);
                over.store(true, Ordering::Relaxed);
                (exact.join().unwrap(), cut)
            });
            let logged = engine
                .log()
                .iter()
                .filter(|line| line.contains("was cut off"))
                .count();
            eprintln!("{time:?}: {bytes} bytes exact, {cut} hostile programs cut off");
            assert!(bytes > 100_000 && cut > 0, "{bytes} bytes, {cut} cut off");
            assert!(!good.is_cut_off());
            assert!(logged > 0, "no reason was logged");
            assert!(within(SOON, || engine.regions() == 1));
        },
    );
}

/// Sends and reads back until it is over; how many bytes came back exactly.
fn exchange(client: &Client, over: &AtomicBool) -> usize {
    let socket = client.open();
    socket.connect(linux(PORT)).unwrap();
    let mut random = Garbage::new(11);
    let mut total = 0;
    while !over.load(Ordering::Relaxed) {
        let said: Vec<u8> = (0..60_000).map(|_| (random.word() >> 56) as u8).collect();
        socket.send_all(&said).unwrap();
        let mut heard = vec![0; said.len()];
        let mut position = 0;
        while position < heard.len() {
            let count = socket.recv(&mut heard[position..]).unwrap();
            assert!(count > 0, "the neighbour's stream ended");
            position += count;
        }
        assert!(said == heard, "the neighbour's bytes differ after {total}");
        total += said.len();
    }
    total
}

/// Programs that write random bytes over every shared word, one after the other, each in the other
/// way than the one before; how many were cut off.
fn attack(net: &Net, time: Duration) -> usize {
    /// One that is never cut off makes place for the next.
    const LONGEST: Duration = Duration::from_secs(1);
    let until = Instant::now() + time;
    let mut garbage = Garbage::new(5);
    let mut cut = 0;
    for way in [Way::Pages, Way::Words].into_iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let bad = Client::attach(&net.socket());
        let socket = bad.open();
        socket.connect(linux(PORT)).unwrap();
        socket.send_all(&[1; 1000]).unwrap();
        let until = until.min(Instant::now() + LONGEST);
        while Instant::now() < until && !bad.is_cut_off() {
            garbage.write(way, &bad, &socket);
        }
        cut += usize::from(bad.is_cut_off());
    }
    cut
}
