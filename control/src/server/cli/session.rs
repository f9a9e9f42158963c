//! A connection of the command line: pieces of a request that comes, packets of answers and events
//! that wait for room.

use std::collections::VecDeque;
use std::os::fd::AsFd;

use braid_shm::abi::{CliChunk, Reply};
use serde::Serialize;

use super::super::packets;
use crate::management::{EventKind, EventRecord, MAX_REQUEST_BYTES};

/// Packets that wait for a monitor at most; events beyond are lost and counted.
const QUEUE: usize = 1_024;

/// What is kept of it.
#[derive(Debug, Default)]
pub(in super::super) struct Session {
    request: Vec<u8>,
    outgoing: VecDeque<Vec<u8>>,
    /// The poller tells when there is room, and not of what is asked.
    polled_for_room: bool,
    watching: Option<Watching>,
}

#[derive(Debug)]
struct Watching {
    /// Events that it missed and was not told of.
    lost: u64,
    /// How many events the engine had lost before they came here, when last looked at.
    lost_before: u64,
}

impl Session {
    /// Adds a piece; gives the request once it is whole, and what is wrong with one that is none.
    pub(super) fn take_request(
        &mut self,
        chunk: &CliChunk,
    ) -> Result<Option<Vec<u8>>, &'static str> {
        if self.watching.is_some() {
            return Err("it asked while it was told what happens");
        }
        if self.request.len() + chunk.bytes.len() > MAX_REQUEST_BYTES {
            return Err("its request has no end");
        }
        self.request.extend_from_slice(&chunk.bytes);
        Ok(chunk.last.then(|| std::mem::take(&mut self.request)))
    }

    /// Queues an answer.
    pub(super) fn answer(&mut self, answer: &impl Serialize) {
        self.outgoing.extend(packets_of(answer));
    }

    /// Begins to take events; `lost` is how many the engine has lost so far.
    pub(super) fn watch(&mut self, lost: u64) {
        self.watching = Some(Watching {
            lost: 0,
            lost_before: lost,
        });
    }

    /// Whether it takes events.
    pub(in super::super) fn is_watching(&self) -> bool {
        self.watching.is_some()
    }

    /// Queues an event, as [`packets_of`] makes them, or counts it as lost; `lost` is how many the
    /// engine has lost so far.
    pub(super) fn tell(&mut self, packets: &[Vec<u8>], lost: u64) {
        let Some(watching) = &mut self.watching else {
            return;
        };
        watching.lost += lost.saturating_sub(watching.lost_before);
        watching.lost_before = lost;
        if self.outgoing.len() >= QUEUE {
            watching.lost += 1;
            return;
        }
        self.tell_lost();
        self.outgoing.extend(packets.iter().cloned());
    }

    fn tell_lost(&mut self) {
        let Some(watching) = &mut self.watching else {
            return;
        };
        let events = std::mem::take(&mut watching.lost);
        if events > 0 {
            let record = EventRecord::now(EventKind::Lost { events });
            self.outgoing.extend(packets_of(&record));
        }
    }

    /// Whether the poller tells when there is room.
    pub(super) fn polled_for_room(&self) -> bool {
        self.polled_for_room
    }

    /// Notes what the poller tells from now on.
    pub(super) fn set_polled_for_room(&mut self, polled: bool) {
        self.polled_for_room = polled;
    }

    /// Whether packets wait for room.
    pub(in super::super) fn waits(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends what there is room for. False when the peer is gone.
    pub(super) fn flush(&mut self, connection: impl AsFd) -> bool {
        loop {
            if self.outgoing.is_empty() {
                self.tell_lost();
            }
            let Some(packet) = self.outgoing.front() else {
                return true;
            };
            match packets::send(&connection, packet, &[]) {
                Ok(true) => {
                    self.outgoing.pop_front();
                }
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// A value as the packets of the control connection.
pub(super) fn packets_of(value: &impl Serialize) -> Vec<Vec<u8>> {
    // Only maps whose keys are no strings cannot be written, and there are none.
    let json = serde_json::to_vec(value).unwrap_or_default();
    CliChunk::split(&json)
        .into_iter()
        .map(|chunk| Reply::Cli(chunk).encode())
        .collect()
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

    use super::*;

    fn event(connection: u64) -> Vec<Vec<u8>> {
        packets_of(&EventRecord::now(EventKind::Closed {
            connection,
            error: None,
        }))
    }

    #[test]
    fn a_monitor_that_does_not_read_is_told_how_much_it_missed() {
        let (near, far) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::empty(),
            None,
        )
        .unwrap();
        let mut session = Session::default();
        session.watch(5);
        let told: u64 = 20_000;
        for number in 0..told {
            session.tell(&event(number), 5);
            assert!(session.flush(&near));
            assert!(session.outgoing.len() <= QUEUE + 1);
        }
        // One more, and three that the engine had lost before.
        session.tell(&event(told), 8);
        let (mut seen, mut lost) = (0, 0);
        let mut buffer = vec![0; 4_096];
        while let Ok((length, _)) = recv(&far, &mut buffer[..], RecvFlags::DONTWAIT) {
            let Ok(Reply::Cli(chunk)) = Reply::parse(&buffer[..length]) else {
                panic!("no event");
            };
            let record: EventRecord = serde_json::from_slice(&chunk.bytes).unwrap();
            match record.event {
                EventKind::Lost { events } => lost += events,
                _ => seen += 1,
            }
            assert!(session.flush(&near));
        }
        assert!(lost > 3, "all of {told} events fitted");
        assert_eq!(seen + lost, told + 1 + 3);
    }

    #[test]
    fn requests_come_in_pieces_and_end_somewhere() {
        let piece = |last, bytes: &[u8]| CliChunk {
            last,
            bytes: bytes.to_vec(),
        };
        let mut session = Session::default();
        assert_eq!(session.take_request(&piece(false, b"ab")), Ok(None));
        let whole = session.take_request(&piece(true, b"c"));
        assert_eq!(whole, Ok(Some(b"abc".to_vec())));
        let mut result = Ok(None);
        for _ in 0..=MAX_REQUEST_BYTES / 1_000 {
            result = session.take_request(&piece(false, &[b' '; 1_000]));
        }
        assert!(result.is_err());
    }
}
