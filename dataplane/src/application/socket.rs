//! One socket that has a connection: its two rings on one side, the stack on the other.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use braid_engine::socket::{Shutdown, SocketError};
use braid_engine::stack::{ConnectionId, Stack};
use braid_engine::time::Instant;
use braid_shm::{EngineSlot, ReadEnd, SlotState, Violation};

use super::wakeups::Wakeups;
use super::{RegionId, errno};

/// Bytes that a socket moves in each direction before the next one has its turn.
const SOCKET_BUDGET: usize = 128 << 10;

/// What comes of a turn.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Nothing to do until a kick or an event.
    Waits,
    /// The budget is spent and there is more.
    More,
    /// No process has the socket and all of it is sent: the connection can be closed.
    Over,
    /// The connection could not be made; the control thread says what becomes of the socket.
    Failed(SocketError),
}

/// The way from the application to the peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Sending {
    Open,
    /// The end of the stream follows what is in the ring.
    Finishing,
    /// No process has the socket any more; the rest of the ring is sent.
    Closing,
    /// Nothing is taken from the ring any more.
    Done,
}

/// Whether a connection that is bound to a slot is through its handshake.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// It is under way: the descriptor stays unwritable until it is through or has failed.
    UnderWay,
    /// It is complete.
    Complete,
    /// It has failed, and the control thread was told.
    Failed,
}

/// The way from the peer to the application.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Receiving {
    Open,
    /// The application was told of the end, or has said that it reads no more.
    Done,
}

/// A socket with a connection.
#[derive(Debug)]
pub(super) struct Socket {
    region: RegionId,
    slot: EngineSlot,
    /// The engine's end of the descriptor.
    end: Arc<OwnedFd>,
    connection: ConnectionId,
    handshake: Handshake,
    /// Addresses of the peer that a subflow is still to go to, the last one first.
    targets: Vec<SocketAddr>,
    sending: Sending,
    receiving: Receiving,
    /// How the connection ended, until the application was told.
    ended: Option<Result<(), SocketError>>,
    wakeups: Wakeups,
    kicked: bool,
    queued: bool,
    /// What was sent last waits for more.
    more: bool,
}

impl Socket {
    pub(super) fn new(
        region: RegionId,
        slot: EngineSlot,
        end: Arc<OwnedFd>,
        connection: ConnectionId,
        handshake: Handshake,
    ) -> Self {
        Self {
            region,
            slot,
            end,
            connection,
            handshake,
            targets: Vec::new(),
            sending: Sending::Open,
            receiving: Receiving::Open,
            ended: None,
            wakeups: Wakeups::default(),
            // What was asked before it had a connection is answered now.
            kicked: true,
            queued: false,
            more: false,
        }
    }

    pub(super) fn region(&self) -> RegionId {
        self.region
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot.handle().slot()
    }

    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Bytes in the ring. What makes no sense is found when it is served.
    pub(super) fn transmit_available(&mut self) -> usize {
        self.slot.refresh_transmit().unwrap_or(0)
    }

    /// Notes that it is to be served; false when that is noted already.
    pub(super) fn queue(&mut self) -> bool {
        !core::mem::replace(&mut self.queued, true)
    }

    /// Notes a kick, as [`Self::queue`].
    pub(super) fn kick(&mut self) -> bool {
        self.kicked = true;
        self.queue()
    }

    /// Whether it is not connected, and not over for its application.
    pub(super) fn is_under_way(&self) -> bool {
        self.handshake != Handshake::Complete && self.is_untouched()
    }

    /// Further subflows are to go to these addresses.
    pub(super) fn join_to(&mut self, mut targets: Vec<SocketAddr>) {
        targets.reverse();
        self.targets = targets;
    }

    /// Opens the subflows that were asked for, once the peer has confirmed Multipath TCP. One that
    /// cannot be opened is not tried again.
    fn open_targets(&mut self, now: Instant, stack: &mut Stack) {
        while let Some(&target) = self.targets.last() {
            let opened = if stack.leads_to(self.connection, target) {
                Ok(())
            } else {
                stack.add_subflow(now, self.connection, None, Some(target), false)
            };
            if opened == Err(SocketError::NotSupported) {
                let info = stack.connection_info(self.connection);
                if info.is_some_and(|info| info.fallback.is_none()) {
                    // Not yet.
                    return;
                }
            }
            self.targets.pop();
        }
    }

    /// The handshake is complete.
    pub(super) fn connected(&mut self) {
        self.handshake = Handshake::Complete;
        self.slot.handle().set_state(SlotState::Established);
        self.slot.handle().force_writable(&self.end.as_fd());
    }

    /// Nothing more will be sent or received; what has arrived can still be read.
    pub(super) fn closed(&mut self, result: Result<(), SocketError>) {
        self.ended = Some(result);
    }

    /// As the application asks.
    pub(super) fn shutdown(&mut self, now: Instant, stack: &mut Stack, how: Shutdown) {
        if self.handshake == Handshake::Failed {
            // The descriptor has another life before it.
            return;
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) && self.sending == Sending::Open {
            self.slot.handle().close_write();
            self.sending = Sending::Finishing;
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) && self.receiving == Receiving::Open {
            // Fails when the connection is gone, and then nothing comes anyway.
            let _ = stack.shutdown(now, self.connection, Shutdown::Read);
            self.finish_receive(ReadEnd::Finished);
        }
    }

    /// Whether bytes are in the ring that the application has not read. One that wrote over the
    /// index has lost its say.
    pub(super) fn has_unread(&mut self) -> bool {
        self.slot.refresh_receive().is_err() || self.slot.receive_unread() > 0
    }

    /// No process has it any more.
    pub(super) fn close(&mut self) {
        self.receiving = Receiving::Done;
        self.sending = Sending::Closing;
    }

    /// Moves bytes both ways, within the budgets.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        budget: &mut usize,
    ) -> Result<Progress, Violation> {
        self.queued = false;
        if self.handshake != Handshake::Complete && self.sending != Sending::Closing {
            match self.ended {
                None => return Ok(Progress::Waits),
                Some(Err(error)) if self.is_untouched() => {
                    self.ended = None;
                    self.handshake = Handshake::Failed;
                    return Ok(Progress::Failed(error));
                }
                Some(_) => {}
            }
        }
        if !self.targets.is_empty() {
            self.open_targets(now, stack);
        }
        let more_to_send = self.send(now, stack, budget)?;
        if self.sending == Sending::Closing {
            let through = !more_to_send && self.slot.transmit_available() == 0;
            return Ok(match (through || self.ended.is_some(), more_to_send) {
                (true, _) => Progress::Over,
                (false, true) => Progress::More,
                (false, false) => Progress::Waits,
            });
        }
        let more_to_receive = self.receive(now, stack, budget)?;
        let withheld = self.publish(now);
        self.tell_end(stack);
        // Last, so that a connection that failed is not shown as writable before its error stands.
        if core::mem::take(&mut self.kicked) {
            self.slot.answer_kick(&self.end.as_fd())?;
        }
        Ok(if more_to_send || more_to_receive || withheld {
            Progress::More
        } else {
            Progress::Waits
        })
    }

    /// Whether no end was told to the application, of which there is no way back.
    fn is_untouched(&self) -> bool {
        self.sending == Sending::Open && self.receiving == Receiving::Open
    }

    /// Shows the application what was moved, and wakes it; whether a reader is left asleep for a
    /// moment, because more bytes are likely to come in that.
    fn publish(&mut self, now: Instant) -> bool {
        let end = self.end.as_fd();
        if self.wakeups.may_wait(now) && self.slot.publish_without_waking(&end) {
            return true;
        }
        self.slot.publish(&end);
        self.wakeups.told();
        false
    }

    /// Takes bytes from the ring while the stack has room; whether the budget ended it.
    fn send(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        budget: &mut usize,
    ) -> Result<bool, Violation> {
        self.slot.refresh_transmit()?;
        let mut left = SOCKET_BUDGET.min(*budget);
        while self.sending != Sending::Done && self.slot.transmit_available() > 0 {
            if left == 0 {
                return Ok(true);
            }
            let most = self.heed_more(now, stack);
            let slot = &self.slot;
            let length = slot.transmit_available().min(left).min(most);
            let mut peeked = 0;
            let sent = stack.send_with(now, self.connection, length, |piece| {
                slot.peek(peeked, piece);
                peeked += piece.len();
            });
            match sent {
                Ok(sent) => {
                    self.wakeups.sent();
                    self.slot.advance(sent);
                    left = left.saturating_sub(sent);
                    *budget = budget.saturating_sub(sent);
                }
                Err(SocketError::WouldBlock | SocketError::NotConnected) => return Ok(false),
                Err(_) => self.give_up_sending(),
            }
        }
        if self.sending == Sending::Finishing {
            self.sending = Sending::Done;
            // Fails when the connection is gone: the end is told by its event.
            let _ = stack.shutdown(now, self.connection, Shutdown::Write);
        }
        Ok(false)
    }

    /// Tells the stack whether the next bytes wait for more (MSG_MORE); how many that is true of.
    fn heed_more(&mut self, now: Instant, stack: &mut Stack) -> usize {
        let unheld = self.slot.transmit_unheld();
        let more = unheld == Some(0);
        if more != self.more {
            self.more = more;
            // Fails when the connection is gone: then nothing is sent either.
            let _ = stack.set_more(now, self.connection, more);
        }
        unheld.filter(|bytes| *bytes > 0).unwrap_or(usize::MAX)
    }

    /// The connection takes nothing any more; what is in the ring is lost.
    fn give_up_sending(&mut self) {
        self.slot.handle().close_write();
        self.slot.advance(self.slot.transmit_available());
        if self.sending != Sending::Closing {
            self.sending = Sending::Done;
        }
    }

    /// Writes what the stack has into the ring while that has room; whether the budget ended it.
    fn receive(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        budget: &mut usize,
    ) -> Result<bool, Violation> {
        let mut left = SOCKET_BUDGET.min(*budget);
        self.slot.refresh_receive()?;
        while self.receiving == Receiving::Open {
            if left == 0 {
                return Ok(true);
            }
            let room = self.slot.receive_room();
            if room == 0 {
                // What is there must be published before the application can make room.
                self.slot.publish(&self.end.as_fd());
                if self.slot.stall()? {
                    return Ok(false);
                }
                continue;
            }
            let slot = &mut self.slot;
            let received = stack.recv_with(now, self.connection, room.min(left), |piece| {
                slot.write(piece);
            });
            match received {
                Ok(0) => {
                    self.slot.publish(&self.end.as_fd());
                    self.finish_receive(ReadEnd::Finished);
                }
                Ok(count) => {
                    self.wakeups.arrived(now);
                    left = left.saturating_sub(count);
                    *budget = budget.saturating_sub(count);
                }
                Err(SocketError::WouldBlock | SocketError::NotConnected) => return Ok(false),
                Err(error) => {
                    self.slot.publish(&self.end.as_fd());
                    self.ended = Some(Err(error));
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    fn finish_receive(&mut self, how: ReadEnd) {
        self.receiving = Receiving::Done;
        let end = self.end.as_fd();
        self.slot.handle().finish_receive(how, &end);
    }

    /// Tells the application how the connection ended, once all that arrived is in its ring.
    fn tell_end(&mut self, stack: &Stack) {
        let Some(result) = self.ended else {
            return;
        };
        let rest = result.is_ok() || stack.readable(self.connection) > 0;
        if self.receiving == Receiving::Open && rest {
            // What arrived is still to be moved.
            return;
        }
        self.ended = None;
        let handle = self.slot.handle();
        handle.close_write();
        if let Err(error) = result {
            handle.set_error(errno(error).unsigned_abs());
        }
        handle.set_state(SlotState::Closed);
        if self.receiving == Receiving::Open {
            self.finish_receive(ReadEnd::Reset);
        }
        self.slot.handle().force_writable(&self.end.as_fd());
        self.give_up_sending();
        self.slot.publish(&self.end.as_fd());
    }
}
