//! The sockets of the fake engine, and how bytes go between two of them.

use braid_shm::{EngineSlot, ReadEnd, SlotHandle, SlotState};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

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
