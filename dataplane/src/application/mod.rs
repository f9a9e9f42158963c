//! A worker's side of the shared memory: bytes between the rings of applications and the
//! sockets of the stack, without the control thread.
//!
//! The control thread gives the worker regions and binds their slots to connections; from then on a
//! worker's turn is [`Applications::serve`]: which slots were kicked, what the stack has to tell,
//! and then bytes, within a budget for the turn and one for each socket, in the order in which the
//! sockets came to have work. A byte is copied once, between ring and the stack's buffer. Nothing
//! allocates while connections live.
//!
//! What the control thread has to know it finds in [`Reports`].

mod errno;
mod region;
mod report;
mod socket;
mod wakeups;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use braid_engine::socket::Shutdown;
use braid_engine::stack::{ConnectionId, Event, Stack, WorkerId};
use braid_engine::storage::slab::{Key, Slab};
use braid_engine::time::Instant;
use braid_shm::{SlotHandle, Violation, WorkerRegion};

pub use errno::errno;
pub use region::RegionId;
pub use report::{Report, Reporting, Reports};
pub use socket::Handshake;

use crate::worker::Beside;
use region::Regions;
use socket::{Progress, Socket};

/// Bytes that the sockets move in one turn together, in both directions, before the ports have
/// theirs again.
const TURN_BUDGET: usize = 512 << 10;

/// What serving a socket once takes of that, besides the bytes it moves: a kick may cost some system
/// calls, about as much as copying so many bytes.
const SERVICE_COST: usize = 1 << 10;

/// So many sockets are asked for before the first of them is served.
const AHEAD: usize = 32;

/// Events of the stack that are looked at in one turn.
const EVENTS_PER_TURN: usize = 256;

type SocketKey = Key<Socket>;

/// How a socket that all processes have closed ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// What is in its ring is sent first.
    InOrder,
    /// Its program has closed it: in order, unless bytes that came were never read; the peer then
    /// learns of it at once (RFC 2525 section 2.17).
    Closed,
    /// At once, by MP_FASTCLOSE or RST: its program died, or asked for it.
    Abort,
}

/// The regions of all applications, and the sockets in them that have a connection at this worker.
#[derive(Debug)]
pub struct Applications {
    worker: WorkerId,
    regions: Regions,
    sockets: Slab<Socket>,
    by_connection: HashMap<ConnectionId, SocketKey>,
    /// Sockets that may have work, each once.
    ready: VecDeque<SocketKey>,
    reports: Arc<Reports>,
}

impl Applications {
    /// None yet at this worker; at most `max_sockets` sockets at a time.
    ///
    /// # Errors
    ///
    /// When the process is out of file descriptors.
    pub fn new(worker: WorkerId, max_sockets: usize, reports: Arc<Reports>) -> io::Result<Self> {
        Ok(Self {
            worker,
            regions: Regions::new()?,
            sockets: Slab::new(max_sockets.max(1)),
            by_connection: HashMap::new(),
            ready: VecDeque::new(),
            reports,
        })
    }

    /// Serves a region from now on, this worker's side of it.
    ///
    /// # Errors
    ///
    /// When its bell cannot be waited for.
    pub fn add_region(&mut self, id: RegionId, region: WorkerRegion) -> io::Result<()> {
        self.regions.add(id, region)
    }

    /// Serves a region no more, and aborts what connections its sockets still have.
    pub fn remove_region(&mut self, now: Instant, stack: &mut Stack, id: RegionId) {
        let keys: Vec<SocketKey> = self.regions.remove(id);
        for key in keys {
            if let Some(socket) = self.sockets.remove(key) {
                self.by_connection.remove(&socket.connection());
                stack.abort(now, socket.connection());
            }
        }
    }

    /// Binds a slot to a connection: their bytes flow from now on. `end` is the engine's end of
    /// the socket's descriptor. False when the region is not served, has no such slot, or there are
    /// as many sockets as may be; the connection is the caller's then.
    pub fn bind(
        &mut self,
        id: RegionId,
        handle: &SlotHandle,
        end: Arc<OwnedFd>,
        connection: ConnectionId,
        handshake: Handshake,
    ) -> bool {
        let Some(slot) = self.regions.engine_slot(id, handle) else {
            return false;
        };
        let Ok(key) = self
            .sockets
            .insert(Socket::new(id, slot, end, connection, handshake))
        else {
            return false;
        };
        self.regions.set_socket(id, handle.slot(), key);
        self.by_connection.insert(connection, key);
        self.queue(key);
        true
    }

    /// Ends one or both directions of a socket; what is in its ring is sent before the end is.
    pub fn shutdown(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        connection: ConnectionId,
        how: Shutdown,
    ) {
        if let Some(&key) = self.by_connection.get(&connection)
            && let Some(socket) = self.sockets.get_mut(key)
        {
            socket.shutdown(now, stack, how);
            self.queue(key);
        }
    }

    /// Ends a socket that no process has any more. [`Report::Released`] follows.
    pub fn end(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        connection: ConnectionId,
        ending: Ending,
    ) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(key) else {
            return;
        };
        let in_order = match ending {
            Ending::InOrder => true,
            Ending::Closed => !socket.has_unread(),
            Ending::Abort => false,
        };
        if in_order {
            socket.close();
            self.queue(key);
        } else {
            stack.abort(now, connection);
            self.forget(key);
        }
    }

    /// Has a connection open a subflow to each of these addresses of the peer, once that has confirmed
    /// Multipath TCP.
    pub fn join_to(&mut self, connection: ConnectionId, targets: Vec<SocketAddr>) {
        self.of_connection(connection, |socket| socket.join_to(targets));
    }

    /// Whether a socket's handshake is under way, or has failed and the control thread does not know
    /// yet.
    pub fn is_under_way(&self, connection: ConnectionId) -> bool {
        self.by_connection
            .get(&connection)
            .and_then(|&key| self.sockets.get(key))
            .is_some_and(Socket::is_under_way)
    }

    /// Bytes that the application has sent and the peer has not acknowledged, those in the ring among
    /// them; with `not_sent` only those that have not gone out once. 0 for a connection that is none of
    /// theirs.
    pub fn send_queue(&mut self, stack: &Stack, connection: ConnectionId, not_sent: bool) -> u64 {
        let socket = self
            .by_connection
            .get(&connection)
            .and_then(|&key| self.sockets.get_mut(key));
        let Some(socket) = socket else {
            return 0;
        };
        let (unacknowledged, waiting) = stack.send_queue(connection);
        let taken = if not_sent { waiting } else { unacknowledged };
        taken.saturating_add(socket.transmit_available() as u64)
    }

    /// Lets a socket go whose connection could not be made ([`Report::Failed`]), or takes too long to
    /// be made. Its slot may be bound to another one.
    pub fn let_go(&mut self, now: Instant, stack: &mut Stack, connection: ConnectionId) {
        let key = self.by_connection.remove(&connection);
        if let Some(socket) = key.and_then(|key| self.sockets.remove(key)) {
            self.regions.clear_socket(socket.region(), socket.slot());
            stack.abort(now, connection);
        }
    }

    /// Whether any region is served.
    pub fn has_regions(&self) -> bool {
        self.regions.any()
    }

    /// How many sockets have a connection.
    pub fn socket_count(&self) -> usize {
        self.sockets.len()
    }

    /// One turn; whether there was anything to do.
    pub fn serve(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let kicked = self.take_kicks();
        let events = self.take_events(stack);
        let moved = self.move_bytes(now, stack);
        self.reports.ring();
        kicked | events | moved
    }

    fn take_kicks(&mut self) -> bool {
        let Self {
            regions,
            sockets,
            ready,
            ..
        } = self;
        regions.take_kicks(|key| {
            if let Some(socket) = sockets.get_mut(key)
                && socket.kick()
            {
                ready.push_back(key);
            }
        })
    }

    fn take_events(&mut self, stack: &mut Stack) -> bool {
        let mut any = false;
        for _ in 0..EVENTS_PER_TURN {
            let Some(event) = stack.poll_event() else {
                break;
            };
            any = true;
            self.on_event(event);
        }
        any
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Acceptable(listener) => self.reports.push(Report::Acceptable {
                worker: self.worker,
                listener,
            }),
            Event::Connected(connection) => {
                self.reports.watch(self.worker, event);
                self.of_connection(connection, Socket::connected);
            }
            Event::Readable(connection)
            | Event::Writable(connection)
            | Event::PeerFinished(connection) => self.of_connection(connection, |_| {}),
            Event::Closed(connection, result) => {
                self.reports.watch(self.worker, event);
                self.of_connection(connection, |socket| socket.closed(result));
            }
            event => self.reports.watch(self.worker, event),
        }
    }

    fn of_connection(&mut self, connection: ConnectionId, call: impl FnOnce(&mut Socket)) {
        if let Some(&key) = self.by_connection.get(&connection) {
            if let Some(socket) = self.sockets.get_mut(key) {
                call(socket);
            }
            self.queue(key);
        }
    }

    fn queue(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(key)
            && socket.queue()
        {
            self.ready.push_back(key);
        }
    }

    fn move_bytes(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let mut budget = TURN_BUDGET;
        // Sockets that have more to do come after those that wait, and not twice in a turn.
        for index in 0..self.ready.len() {
            if budget == 0 {
                break;
            }
            if index % AHEAD == 0 {
                self.expect(stack);
            }
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            let Some(socket) = self.sockets.get_mut(key) else {
                continue;
            };
            match socket.serve(now, stack, &mut budget) {
                Ok(Progress::Waits) => {}
                Ok(Progress::More) => self.queue(key),
                Ok(Progress::Failed(error)) => self.reports.push(Report::Failed {
                    worker: self.worker,
                    region: socket.region(),
                    slot: socket.slot(),
                    connection: socket.connection(),
                    error,
                }),
                Ok(Progress::Over) => {
                    stack.close(now, socket.connection());
                    self.forget(key);
                }
                Err(violation) => {
                    let region = socket.region();
                    self.cut_off(region, violation);
                }
            }
            budget = budget.saturating_sub(SERVICE_COST);
        }
        !self.ready.is_empty() || budget < TURN_BUDGET
    }

    /// Has the memory fetched that serving the next sockets will use.
    fn expect(&self, stack: &Stack) {
        if self.ready.len() > 1 {
            let next = self.ready.iter().take(AHEAD);
            let sockets = next.filter_map(|&key| self.sockets.get(key));
            stack.expect_calls(sockets.map(Socket::connection));
        }
    }

    /// A socket without a process is through.
    fn forget(&mut self, key: SocketKey) {
        if let Some(socket) = self.sockets.remove(key) {
            self.by_connection.remove(&socket.connection());
            self.regions.clear_socket(socket.region(), socket.slot());
            self.reports.push(Report::Released {
                region: socket.region(),
                slot: socket.slot(),
            });
        }
    }

    /// The region is not looked at any more; the control thread removes it.
    fn cut_off(&mut self, id: RegionId, violation: Violation) {
        if self.regions.silence(id) {
            self.reports.push(Report::Violation {
                region: id,
                violation,
            });
        }
    }
}

impl Beside for Applications {
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.regions.bells())
    }

    fn prepare_to_sleep(&mut self) -> bool {
        self.ready.is_empty() && self.regions.prepare_to_sleep()
    }

    fn awake(&mut self) {
        self.regions.awake();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use braid_engine::stack::StackConfig;
    use braid_shm::layout::RegionLayout;
    use braid_shm::{EngineRegion, SlotFlags};

    use super::*;

    /// An application that writes over all of its region: every worker that serves a socket there finds that.
    #[test]
    fn every_worker_has_room_to_report_what_it_found() {
        const WORKERS: u8 = 4;
        let of = Reporting {
            workers: usize::from(WORKERS),
            listeners: 0,
            regions: 1,
            sockets: 0,
        };
        let id = RegionId {
            index: 0,
            generation: 0,
        };
        let reports = Arc::new(Reports::new(of, 0).unwrap());
        let layout = RegionLayout::new(4, 4, 4096).unwrap();
        let layout = layout.with_workers(u32::from(WORKERS)).unwrap();
        let region = EngineRegion::create(layout).unwrap();
        let (end, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let end = Arc::new(OwnedFd::from(end));
        let serving = (0..WORKERS).map(|number| {
            let worker = WorkerId::new(number);
            let mut applications = Applications::new(worker, 1, Arc::clone(&reports)).unwrap();
            let part = region.worker(number).unwrap();
            applications.add_region(id, part).unwrap();
            let slot = u32::from(number);
            let handle = region.open_slot(slot, SlotFlags::default()).unwrap();
            let connection = ConnectionId::from_u64(u64::from(slot));
            let end = Arc::clone(&end);
            assert!(applications.bind(id, &handle, end, connection, Handshake::Complete));
            applications
        });
        let serving: Vec<Applications> = serving.collect();
        let memory = region.descriptor().try_clone_to_owned().unwrap();
        let memory = std::fs::File::from(memory);
        let length = memory.metadata().unwrap().len() as usize;
        memory.write_all_at(&vec![0xff; length], 0).unwrap();
        let mut stack = Stack::new(StackConfig::default(), [7; 32]);
        for mut applications in serving {
            for _ in 0..2 {
                applications.serve(Instant::from_millis(1), &mut stack);
            }
        }
        assert_eq!((reports.waiting(), reports.lost()), (4, 0));
        while let Some(report) = reports.take() {
            assert!(matches!(report, Report::Violation { .. }), "{report:?}");
        }
    }

    #[test]
    fn a_turn_ends_however_many_sockets_are_kicked() {
        const SOCKETS: u32 = 1_200;
        const PER_TURN: usize = TURN_BUDGET / SERVICE_COST;
        let id = RegionId {
            index: 0,
            generation: 0,
        };
        let sockets = SOCKETS as usize;
        let of = Reporting {
            workers: 1,
            listeners: 0,
            regions: 1,
            sockets,
        };
        let reports = Arc::new(Reports::new(of, 0).unwrap());
        let mut applications = Applications::new(WorkerId::FIRST, sockets, reports).unwrap();
        let region = EngineRegion::create(RegionLayout::new(SOCKETS, 4, 4096).unwrap()).unwrap();
        applications
            .add_region(id, region.worker(0).unwrap())
            .unwrap();
        let (end, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let end = Arc::new(OwnedFd::from(end));
        for slot in 0..SOCKETS {
            let handle = region.open_slot(slot, SlotFlags::default()).unwrap();
            // Of connections that are gone: there is nothing to move.
            let connection = ConnectionId::from_u64(u64::from(slot));
            let end = Arc::clone(&end);
            assert!(applications.bind(id, &handle, end, connection, Handshake::Complete));
        }
        let mut stack = Stack::new(StackConfig::default(), [7; 32]);
        let mut waiting = SOCKETS as usize;
        while waiting > 0 {
            assert_eq!(applications.ready.len(), waiting);
            assert!(applications.serve(Instant::from_millis(1), &mut stack));
            assert!(
                applications.ready.len() + PER_TURN >= waiting,
                "of {waiting}"
            );
            waiting = waiting.saturating_sub(PER_TURN);
        }
        assert!(applications.ready.is_empty());
    }
}
