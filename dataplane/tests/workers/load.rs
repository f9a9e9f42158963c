//! What the applications do: so many bytes each way on a connection, each compared with what was
//! sent.

use braid_engine::socket::SocketError;
use braid_engine::stack::{ConnectionId, Stack};
use braid_engine::time::Instant;

use crate::host::LINKS;

/// Which end of a connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

/// One end of a connection.
pub(crate) struct End {
    pub(crate) side: Side,
    pub(crate) connection: ConnectionId,
    /// Bytes to be sent, and to be received.
    length: usize,
    sent: usize,
    received: usize,
    /// All subflows are established, so that there is something to spread the bytes over.
    spread: bool,
}

/// The byte at a position of the stream from one side.
fn byte(from: Side, position: usize) -> u8 {
    let salt = match from {
        Side::Client => 0,
        Side::Server => 0x5a,
    };
    (position ^ position >> 8 ^ position >> 16) as u8 ^ salt
}

impl End {
    pub(crate) fn new(side: Side, connection: ConnectionId, length: usize) -> Self {
        Self {
            side,
            connection,
            length,
            sent: 0,
            received: 0,
            spread: false,
        }
    }

    /// All bytes went both ways.
    pub(crate) fn is_done(&self) -> bool {
        self.sent == self.length && self.received == self.length
    }

    pub(crate) fn received(&self) -> usize {
        self.received
    }

    /// More is to be sent and received than before.
    pub(crate) fn extend(&mut self, length: usize) {
        self.length += length;
    }

    /// Sends and receives what is possible now; whether that was anything. One byte goes each way
    /// before the subflows are there, as no subflow is opened before that.
    pub(crate) fn serve(&mut self, now: Instant, stack: &mut Stack) -> bool {
        if !self.spread {
            let subflows = stack.subflows(self.connection);
            let established = subflows.iter().filter(|info| info.established).count();
            self.spread = established == usize::from(LINKS);
        }
        self.send(now, stack) | self.receive(now, stack)
    }

    fn send(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let until = if self.spread { self.length } else { 1 };
        let mut chunk = [0; 16 << 10];
        let length = chunk.len().min(until.saturating_sub(self.sent));
        for (offset, place) in chunk[..length].iter_mut().enumerate() {
            *place = byte(self.side, self.sent + offset);
        }
        if length == 0 {
            return false;
        }
        match stack.send(now, self.connection, &chunk[..length]) {
            Ok(sent) => {
                self.sent += sent;
                sent > 0
            }
            Err(SocketError::WouldBlock | SocketError::NotConnected) => false,
            Err(error) => panic!("{error} after {} bytes", self.sent),
        }
    }

    fn receive(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let from = match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let mut chunk = [0; 16 << 10];
        match stack.recv(now, self.connection, &mut chunk) {
            Ok(count) => {
                for (offset, found) in chunk[..count].iter().enumerate() {
                    let position = self.received + offset;
                    assert_eq!(*found, byte(from, position), "at {position}");
                }
                self.received += count;
                count > 0
            }
            Err(SocketError::WouldBlock | SocketError::NotConnected) => false,
            Err(error) => panic!("{error} after {} bytes", self.received),
        }
    }
}
