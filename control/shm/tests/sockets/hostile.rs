//! An application, or an engine, that writes anything anywhere: what the other side makes of it is a
//! `Violation` at worst.

use crate::pair::{Attachment, Pair, attach, me, open, worker};
use braid_shm::RegionLayout;
use braid_shm::abi::Operation;
use proptest::prelude::*;
use std::os::fd::{AsFd, AsRawFd};

const LAYOUT: (u32, u32, u64) = (3, 2, 4096);

/// Another mapping of a region, written to like by a program gone wild.
struct Vandal {
    words: *mut u64,
    count: usize,
}

impl Vandal {
    fn of(attachment: &Attachment) -> Self {
        let bytes = attachment.engine.layout().total_bytes() as usize;
        // SAFETY: a new mapping of a memfd that is that long.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                attachment.engine.descriptor().as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self {
            words: start.cast(),
            count: bytes / 8,
        }
    }

    fn write(&self, word: usize, value: u64) {
        // SAFETY: within the mapping.
        unsafe { self.words.add(word % self.count).write_volatile(value) };
    }

    fn read(&self, word: usize) -> u64 {
        // SAFETY: within the mapping.
        unsafe { self.words.add(word % self.count).read_volatile() }
    }
}

impl Drop for Vandal {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.words.cast(), self.count * 8) };
    }
}

/// Where the words that rule something are: header, doorbell, blocks' first pages, slots.
fn interesting(layout: RegionLayout, word: usize) -> usize {
    let slot = layout.slot_offset(0).expect("slot 0") as usize / 8;
    let slots = layout.transmit_ring_offset(0).expect("ring 0") as usize / 8 - slot;
    let block = layout.thread_offset(0).expect("block 0") as usize / 8;
    match word % 4 {
        0 => word / 4 % 1024,
        1 => block + word / 4 % 512,
        _ => slot + word / 4 % slots,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A word becomes this.
    Write(usize, u64),
    /// A word moves by this.
    Move(usize, i64),
    Send(usize),
    Receive(usize),
    Peek(usize),
    Block,
    Take(usize),
    Arrive(usize),
    Kick,
    Stall,
    Serve,
    Claim,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<usize>(), any::<u64>()).prop_map(|(word, value)| Step::Write(word, value)),
        4 => (any::<usize>(), -5000..5000i64).prop_map(|(word, by)| Step::Move(word, by)),
        2 => (0..9000usize).prop_map(Step::Send),
        2 => (0..9000usize).prop_map(Step::Receive),
        1 => (0..9000usize).prop_map(Step::Peek),
        1 => Just(Step::Block),
        2 => (0..9000usize).prop_map(Step::Take),
        2 => (0..9000usize).prop_map(Step::Arrive),
        2 => Just(Step::Kick),
        1 => Just(Step::Stall),
        1 => Just(Step::Serve),
        1 => Just(Step::Claim),
    ]
}

/// One step; on a violation both sides go on all the same, which they need not survive by luck.
fn run(step: Step, attachment: &Attachment, pair: &mut Pair, vandal: &Vandal) {
    let mut bytes = vec![0xa5; 9000];
    let end = pair.engine_end.as_fd();
    let layout = attachment.engine.layout();
    // A lock that belongs to a stranger who lives is waited for, as long as he does: not here.
    let slot = layout.slot_offset(1).expect("slot 1") as usize / 8;
    for owner in [slot + 6 * 8, slot + 7 * 8] {
        vandal.write(owner, vandal.read(owner) >> 32 << 32);
    }
    match step {
        Step::Write(word, value) => vandal.write(interesting(layout, word), value),
        Step::Move(word, by) => {
            let word = interesting(layout, word);
            vandal.write(word, vandal.read(word).wrapping_add_signed(by));
        }
        Step::Send(count) => {
            let sent = pair.application.send(me(), &bytes[..count]);
            assert!(sent.is_err() || sent.is_ok_and(|sent| sent <= count));
        }
        Step::Receive(count) => {
            let got = pair
                .application
                .receive(me(), &mut bytes[..count], &pair.end.as_fd());
            assert!(got.is_err() || got.is_ok_and(|got| got <= count));
        }
        Step::Peek(count) => {
            let got = pair.application.peek(me(), count, &mut bytes);
            assert!(got.is_err() || got.is_ok_and(|got| got <= 4096));
        }
        Step::Block => {
            let _ = pair.application.block(me(), &pair.end.as_fd());
        }
        Step::Take(count) => {
            if let Ok(available) = pair.engine.refresh_transmit() {
                assert!(available <= 4096);
            }
            let count = pair.engine.peek(count / 2, &mut bytes[..count]);
            pair.engine.advance(count);
            pair.engine.publish(&end);
        }
        Step::Arrive(count) => {
            if let Ok(room) = pair.engine.refresh_receive() {
                assert!(room <= 4096);
            }
            assert!(pair.engine.write(&bytes[..count]) <= 4096);
            pair.engine.publish(&end);
        }
        Step::Kick => {
            worker(&attachment.engine).take_kicks(|slot| assert!(slot < layout.sockets()));
            let _ = pair.engine.answer_kick(&end);
        }
        Step::Stall => {
            let _ = pair.engine.stall();
            let _ = worker(&attachment.engine).prepare_sleep();
            let _ = (
                pair.handle.orderly(),
                pair.handle.linger(),
                pair.handle.nonblocking(),
            );
        }
        Step::Serve => {
            let mut server = attachment.engine.command_server();
            let mut threads = vec![0];
            server.take_calls(|thread| threads.push(thread));
            for thread in threads {
                for _ in 0..9 {
                    let Ok(Some(command)) = server.next_command(thread) else {
                        break;
                    };
                    let argument = server.argument(thread, &command);
                    let _ = server.complete(thread, command.id, 0, &argument);
                }
            }
        }
        Step::Claim => {
            if let Some(mut block) = attachment.application.claim(me(), 1) {
                let call = block.call(0, 0, Operation::Bind, &[1; 99], &mut bytes, || true);
                assert!(call.is_err());
            }
            let slot = &pair.application;
            let _ = (
                slot.state(),
                slot.read_end(),
                slot.take_error(),
                slot.receive_timeout(),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_word_makes_either_side_panic_or_leave_its_ring(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let (sockets, threads, ring_bytes) = LAYOUT;
        let attachment =
            attach(RegionLayout::new(sockets, threads, ring_bytes).expect("a layout"));
        let vandal = Vandal::of(&attachment);
        let mut pair = open(&attachment, 1);
        // Bytes of the neighbours' rings, which nobody writes.
        let layout = attachment.engine.layout();
        let neighbours = [
            layout.receive_ring_offset(0).expect("ring 0") as usize / 8 + 511,
            layout.transmit_ring_offset(2).expect("ring 2") as usize / 8,
        ];
        for step in steps {
            run(step, &attachment, &mut pair, &vandal);
            for word in neighbours {
                prop_assert_eq!(vandal.read(word), 0, "a neighbour's ring was written");
            }
        }
    }

    #[test]
    fn no_packet_makes_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        use braid_shm::abi::{AcceptedMessage, Reply, Request, sockaddr_multipath};
        let _ = Request::parse(&bytes);
        let _ = Reply::parse(&bytes);
        let _ = sockaddr_multipath::parse(&bytes);
        let _ = AcceptedMessage::from_bytes(&bytes).map(|message| message.local.address());
    }
}

#[test]
fn an_index_beyond_the_ring_or_backwards_is_a_violation() {
    let attachment = attach(RegionLayout::new(3, 2, 4096).expect("a layout"));
    let mut pair = open(&attachment, 1);
    let vandal = Vandal::of(&attachment);
    let slot = attachment.engine.layout().slot_offset(1).expect("slot 1") as usize / 8;
    // The application's indices stand behind identity, status, settings, three protocols, two locks.
    let (transmit_tail, receive_head) = (slot + 8 * 8, slot + 11 * 8);
    pair.send(b"four");
    assert_eq!(vandal.read(transmit_tail), 4);
    assert_eq!(pair.engine.refresh_transmit(), Ok(4));
    vandal.write(transmit_tail, 4097);
    let violation = pair.engine.refresh_transmit().expect_err("beyond the ring");
    assert_eq!((violation.found, violation.against), (4097, 0));
    vandal.write(transmit_tail, 3);
    assert!(pair.engine.refresh_transmit().is_err(), "backwards");
    vandal.write(transmit_tail, 4);
    assert_eq!(
        pair.engine.refresh_transmit(),
        Ok(4),
        "nothing was believed meanwhile"
    );
    vandal.write(receive_head, 1);
    assert!(
        pair.engine.refresh_receive().is_err(),
        "more read than was written"
    );
}
