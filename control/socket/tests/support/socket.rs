//! The sockets of the fake engine, and how bytes go between two of them.

use braid_shm::abi::IPPROTO_TCP;
use braid_shm::{EngineSlot, ReadEnd, SlotHandle, SlotState};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// An option of the fake engine's own: milliseconds, as an i32, until what was carried to the other end
/// is acknowledged.
pub const ACKNOWLEDGED_AFTER: i32 = 9_999;

/// Region and slot.
pub type Key = (u64, u32);

pub struct Socket {
    pub handle: SlotHandle,
    pub end: OwnedFd,
    pub name: Vec<u8>,
    pub rings: EngineSlot,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    pub peer: Option<Key>,
    pub options: HashMap<(i32, i32), Vec<u8>>,
    /// What it sends ends here.
    pub finishing: bool,
    pub closed: bool,
    /// What the other end has got and may not have acknowledged, and when it got the last of it.
    pub carried: Option<(Instant, usize)>,
}

impl Socket {
    pub fn fail(&self, errno: i32) {
        self.handle.close_write();
        self.handle.set_error(errno as u32);
        self.handle.set_state(SlotState::Closed);
        self.handle
            .finish_receive(ReadEnd::Reset, &self.end.as_fd());
        self.handle.force_writable(&self.end.as_fd());
    }

    pub fn establish(&mut self, local: SocketAddr, remote: SocketAddr, peer: Key) {
        self.local.get_or_insert(local);
        self.remote = Some(remote);
        self.peer = Some(peer);
        self.handle.set_state(SlotState::Established);
        self.handle.force_writable(&self.end.as_fd());
    }

    /// Bytes that it has sent and the other end has not acknowledged.
    pub fn unacknowledged(&mut self) -> usize {
        let waiting = self.rings.refresh_transmit().expect("honest words");
        let time = self.options.get(&(IPPROTO_TCP, ACKNOWLEDGED_AFTER));
        let time =
            time.and_then(|value| Some(i32::from_ne_bytes(value.as_slice().try_into().ok()?)));
        let time = Duration::from_millis(time.unwrap_or(0).unsigned_abs().into());
        let late = self.carried.filter(|(when, _)| when.elapsed() < time);
        waiting + late.map_or(0, |(_, count)| count)
    }
}

/// Moves what `from` has sent to `to`; whether all of it went.
pub fn carry(from: &mut Socket, to: &mut Socket) -> bool {
    let mut scratch = [0; 16 << 10];
    from.rings.refresh_transmit().expect("transmit ring");
    loop {
        let room = to.rings.refresh_receive().expect("receive ring");
        let most = room.min(scratch.len());
        let count = from.rings.peek(0, &mut scratch[..most]);
        if count > 0 {
            to.rings.write(&scratch[..count]);
            from.rings.advance(count);
            let before = from.carried.map_or(0, |(_, before)| before);
            from.carried = Some((Instant::now(), before + count));
            to.rings.publish(&to.end.as_fd());
            from.rings.publish(&from.end.as_fd());
            continue;
        }
        if from.rings.transmit_available() == 0 {
            return true;
        }
        if to.rings.stall().expect("receive ring") {
            return false;
        }
    }
}
