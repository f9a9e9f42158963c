//! Calls to the control thread.

use crate::pair::{attach, me, poll, small};
use braid_shm::abi::Operation;
use braid_shm::thread_block::ARGUMENT_BYTES;
use braid_shm::{CallError, CommandServer, EngineRegion, ThreadId};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Answers every call with the argument backwards and its length, until told to end.
fn serve(region: &EngineRegion, ended: &AtomicBool) {
    let mut server: CommandServer = region.command_server();
    while !ended.load(Ordering::Relaxed) {
        let mut callers = Vec::new();
        server.take_calls(|thread| callers.push(thread));
        for thread in callers {
            while let Some(command) = server.next_command(thread).expect("honest words") {
                assert_eq!(
                    command.operation,
                    Operation::SetOption {
                        level: -1,
                        name: i32::MIN
                    }
                );
                let mut data = server.argument(thread, &command);
                data.reverse();
                let result = i64::try_from(data.len()).expect("a length");
                server
                    .complete(thread, command.id, result, &data)
                    .expect("honest words");
            }
        }
        if server.prepare_sleep() {
            poll(region.control_bell().as_fd(), libc::POLLIN, 100);
            region.control_bell().clear();
            server.awake();
        }
    }
}

#[test]
fn calls_of_many_threads_are_answered_each_to_its_own() {
    let attachment = attach(small());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&attachment.engine, &ended));
        // Twice as many threads as blocks.
        let callers: Vec<_> = (0..8u8)
            .map(|caller| {
                let region = attachment.application.clone();
                scope.spawn(move || {
                    let mut reply = Vec::new();
                    for round in 0..200usize {
                        let mut block = loop {
                            match region.claim(me(), caller.into()) {
                                Some(block) => break block,
                                None => thread::yield_now(),
                            }
                        };
                        let argument: Vec<u8> = (0..round * 7).map(|n| n as u8 ^ caller).collect();
                        let operation = Operation::SetOption {
                            level: -1,
                            name: i32::MIN,
                        };
                        let result = block.call(3, 1, operation, &argument, &mut reply, || false);
                        assert_eq!(result, Ok(argument.len() as i64));
                        reply.reverse();
                        assert_eq!(reply, argument);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().expect("no panic");
        }
        ended.store(true, Ordering::Relaxed);
        server.join().expect("no panic");
    });
}

#[test]
fn a_call_to_an_engine_that_is_gone_ends() {
    let attachment = attach(small());
    let mut block = attachment.application.claim(me(), 0).expect("a block");
    let mut reply = Vec::new();
    let started = Instant::now();
    let answer = block.call(0, 0, Operation::Connect, &[], &mut reply, || true);
    assert_eq!(answer, Err(CallError::EngineGone));
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut reply = Vec::new();
            block.call(0, 0, Operation::Connect, &[], &mut reply, || false)
        });
        thread::sleep(Duration::from_millis(20));
        attachment.engine.retire();
        assert_eq!(caller.join().expect("no panic"), Err(CallError::EngineGone));
    });
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_call_inside_a_call_takes_another_block() {
    let attachment = attach(small());
    let blocks: Vec<_> = (0..5)
        .filter_map(|_| attachment.application.claim(me(), 2))
        .collect();
    let numbers: Vec<_> = blocks.iter().map(braid_shm::ClaimedBlock::number).collect();
    assert_eq!(numbers, [2, 3, 0, 1], "four blocks, and then none");
    drop(blocks);
    assert!(attachment.application.claim(me(), 0).is_some());
}

#[test]
fn a_dead_threads_block_is_claimed_once_it_is_answered() {
    let attachment = attach(small());
    // Ids above 2^22 are nobody's.
    let dead = ThreadId::new(1 << 23);
    let mut blocks: Vec<_> = (0..4)
        .filter_map(|_| attachment.application.claim(dead, 0))
        .collect();
    let unanswered = blocks[0].call(0, 0, Operation::Connect, &[], &mut Vec::new(), || true);
    assert_eq!(unanswered, Err(CallError::EngineGone));
    // A kill lets nothing go.
    blocks.into_iter().for_each(std::mem::forget);
    let claimed: Vec<_> = (0..4)
        .filter_map(|_| attachment.application.claim(me(), 0))
        .collect();
    let numbers: Vec<_> = claimed
        .iter()
        .map(braid_shm::ClaimedBlock::number)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let mut server = attachment.engine.command_server();
    let command = server
        .next_command(0)
        .expect("honest words")
        .expect("the unanswered one");
    server
        .complete(0, command.id, 0, &[])
        .expect("honest words");
    assert_eq!(
        attachment
            .application
            .claim(me(), 0)
            .map(|block| block.number()),
        Some(0)
    );
}

#[test]
fn an_argument_too_long_is_refused() {
    let attachment = attach(small());
    let mut block = attachment.application.claim(me(), 0).expect("a block");
    let argument = vec![0; ARGUMENT_BYTES + 1];
    let answer = block.call(0, 0, Operation::Bind, &argument, &mut Vec::new(), || false);
    assert_eq!(answer, Err(CallError::TooLong));
}
