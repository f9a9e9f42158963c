//! What poll and epoll say of a socket's descriptor.

use crate::pair::{Pair, attach, is_readable, is_writable, open, poll, small, worker};
use braid_shm::{EngineEnd, ReadEnd};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

#[test]
fn readable_while_there_are_bytes_for_who_watches() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 69);
    pair.arrive(b"unwatched");
    assert!(!is_readable(&pair), "no system call for who does not sleep");
    assert_eq!(pair.receive(100), b"unwatched");

    let slot = pair.application.clone();
    let watch = slot.watch();
    pair.arrive(b"hello");
    assert!(is_readable(&pair));
    drop(watch);
    assert_eq!(pair.receive(2), b"he");
    assert!(is_readable(&pair), "bytes are left");
    assert_eq!(pair.receive(100), b"llo");
    assert!(!is_readable(&pair));
}

#[test]
fn peeking_leaves_the_descriptor_readable() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 0);
    pair.application.watch_for_good(false);
    pair.arrive(b"hello");
    let mut bytes = [0; 8];
    let count = pair
        .application
        .peek(crate::pair::me(), 1, &mut bytes)
        .expect("honest words");
    assert_eq!(&bytes[..count], b"ello");
    assert!(is_readable(&pair));
    assert_eq!(pair.application.unread(), Ok(5));
}

#[test]
fn an_end_of_stream_is_readable_for_good() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 1);
    pair.arrive(b"last");
    pair.handle
        .finish_receive(ReadEnd::Finished, &pair.engine_end.as_fd());
    let events = libc::POLLIN | libc::POLLRDHUP;
    assert_eq!(poll(pair.end.as_fd(), events, 0), events);
    assert_eq!(pair.application.read_end(), ReadEnd::Finished);
    assert_eq!(pair.receive(10), b"last");
    assert_eq!(pair.receive(10), b"");
    assert_eq!(poll(pair.end.as_fd(), events, 0), events, "and stays so");
}

#[test]
fn the_engine_hears_of_the_last_close_after_the_end_of_stream_too() {
    let attachment = attach(small());
    let pair = open(&attachment, 1);
    pair.engine_end.as_fd().finish();
    let copy = pair.end.try_clone().expect("a descriptor");
    drop(pair.end);
    assert_eq!(poll(pair.engine_end.as_fd(), 0, 0), 0, "a copy is open");
    drop(copy);
    assert_eq!(
        poll(pair.engine_end.as_fd(), 0, 0) & libc::POLLHUP,
        libc::POLLHUP
    );
}

#[test]
fn unwritable_from_a_full_ring_until_it_is_half_empty() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 2);
    assert!(is_writable(&pair));
    assert_eq!(pair.send(&[7; 5000]), 4096);
    assert_eq!(pair.send(b"more"), 0);
    assert_eq!(pair.block(), 0);
    assert!(!is_writable(&pair), "one packet of filler is enough");
    pair.take(2000);
    assert!(!is_writable(&pair), "not for a little room");
    pair.take(100);
    assert!(is_writable(&pair));
}

#[test]
fn room_that_came_before_the_block_makes_it_writable_again() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 2);
    pair.send(&[7; 4096]);
    pair.take(4096);
    worker(&attachment.engine).take_kicks(|_| ());
    assert_eq!(pair.block(), 4096);
    assert!(!is_writable(&pair));
    let mut kicked = Vec::new();
    worker(&attachment.engine).take_kicks(|slot| kicked.push(slot));
    assert_eq!(kicked, [2], "the engine is asked to take the filler out");
    pair.answer_kick();
    assert!(is_writable(&pair));
}

#[test]
fn a_connect_is_unwritable_until_it_is_done() {
    let attachment = attach(small());
    let pair = open(&attachment, 3);
    pair.block();
    assert!(!is_writable(&pair));
    pair.handle.set_error(libc::ECONNREFUSED as u32);
    pair.handle.force_writable(&pair.engine_end.as_fd());
    assert!(is_writable(&pair));
    assert_eq!(pair.application.take_error(), Some(libc::ECONNREFUSED));
    assert_eq!(pair.application.take_error(), None);
}

#[test]
fn a_low_water_mark_holds_the_wake_up_back() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 4);
    pair.application.set_receive_low_water(10);
    pair.application.watch_for_good(false);
    pair.arrive(&[0; 9]);
    assert!(!is_readable(&pair));
    pair.arrive(&[0; 1]);
    assert!(is_readable(&pair));
}

struct Epoll(OwnedFd);

impl Epoll {
    fn with(pair: &Pair, events: i32) -> Self {
        // SAFETY: no pointer is passed, and the descriptor is new.
        let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: 0,
        };
        // SAFETY: the event is live.
        let added = unsafe {
            libc::epoll_ctl(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                pair.end.as_raw_fd(),
                &raw mut event,
            )
        };
        assert_eq!(added, 0);
        Self(epoll)
    }

    fn events(&self) -> u32 {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        match unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, 0) } {
            1 => event.events,
            _ => 0,
        }
    }
}

#[test]
fn edges_come_per_arrival_and_after_every_emptying() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 5);
    let edge = libc::EPOLLIN | libc::EPOLLET;
    pair.arrive(b"before the registration");
    let epoll = Epoll::with(&pair, edge);
    pair.application.watch_for_good(true);
    worker(&attachment.engine).take_kicks(|_| ());
    pair.answer_kick();
    assert_eq!(epoll.events(), libc::EPOLLIN as u32);
    assert_eq!(epoll.events(), 0, "one edge, one event");
    for _ in 0..50 {
        pair.arrive(b"behind unread bytes");
        assert_eq!(epoll.events(), libc::EPOLLIN as u32);
        pair.receive(5);
        if worker(&attachment.engine).take_kicks(|_| ()) {
            pair.answer_kick();
            epoll.events();
        }
    }
    while !pair.receive(4096).is_empty() {}
    assert_eq!(epoll.events(), 0);
    pair.arrive(b"again");
    assert_eq!(epoll.events(), libc::EPOLLIN as u32);
}

#[test]
fn levels_stay_until_the_ring_is_empty() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 6);
    let epoll = Epoll::with(&pair, libc::EPOLLIN | libc::EPOLLOUT);
    pair.application.watch_for_good(false);
    assert_eq!(epoll.events(), libc::EPOLLOUT as u32);
    pair.arrive(b"0123");
    for _ in 0..4 {
        assert_eq!(epoll.events(), (libc::EPOLLIN | libc::EPOLLOUT) as u32);
        pair.receive(1);
    }
    assert_eq!(epoll.events(), libc::EPOLLOUT as u32);
}

#[test]
fn a_descriptor_that_stays_readable_for_nothing_is_set_right() {
    let attachment = attach(small());
    let mut pair = open(&attachment, 7);
    pair.application.watch_for_good(false);
    // A token that no word counts, as after a kill between two steps.
    pair.engine_end.as_fd().put_token();
    assert_eq!(pair.receive(1), b"");
    assert!(is_readable(&pair));
    pair.application
        .resynchronize(crate::pair::me(), &pair.end.as_fd());
    assert!(!is_readable(&pair));
    pair.arrive(b"x");
    assert!(is_readable(&pair));
}
