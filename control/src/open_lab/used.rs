//! What became of the subflows: from the events of those that are gone, and from a last look at those
//! that are not.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::OpenLabError;
use super::report::UsedSubflow;
use super::topology::Topology;
use crate::management::{Client, EventKind, EventRecord, Monitor, Request, SubflowRow};

/// How long subflows may take to end once the command has.
const CLOSING: Duration = Duration::from_secs(2);

/// How often they are looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Subflows that are remembered; more are counted like events that were lost.
const MOST: usize = 100_000;

/// What the events have told.
#[derive(Debug, Default)]
struct Seen {
    closed: Vec<UsedSubflow>,
    /// Subflows that were established and have not ended.
    open: u64,
    lost: u64,
}

/// Listens to the engine's events.
#[derive(Debug)]
pub(super) struct Watcher {
    socket: PathBuf,
    seen: Arc<Mutex<Seen>>,
    /// Ends with the engine.
    _thread: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn start(socket: PathBuf) -> Result<Self, OpenLabError> {
        let monitor = Client::connect(&socket)?.monitor()?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let thread = thread::Builder::new()
            .name("braid-lab-events".into())
            .spawn({
                let seen = Arc::clone(&seen);
                move || listen(monitor, &seen)
            })
            .map_err(OpenLabError::system("cannot start a thread"))?;
        Ok(Self {
            socket,
            seen,
            _thread: thread,
        })
    }

    /// Waits until the subflows have ended, but not for ever.
    pub(super) fn settle(&self) {
        let start = Instant::now();
        loop {
            // What the command did last is told within this time.
            thread::sleep(INTERVAL);
            let open = self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .open;
            if open == 0 || start.elapsed() > CLOSING {
                return;
            }
        }
    }

    /// All subflows that there have been, in the order of connection and number, and how many
    /// events are missing.
    pub(super) fn finish(
        self,
        topology: &Topology,
    ) -> Result<(Vec<UsedSubflow>, u64), OpenLabError> {
        let mut client = Client::connect(&self.socket)?;
        let open: Vec<SubflowRow> = client.ask(&Request::ShowSubflows { connection: None })?;
        // Events that were told before that answer are on their way to the thread at most.
        thread::sleep(INTERVAL);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { closed, lost, .. } = std::mem::take(&mut *seen);
        let mut all = closed;
        for row in open {
            let known = |subflow: &UsedSubflow| {
                subflow.connection == row.connection && subflow.id == row.id
            };
            if !all.iter().any(known) {
                all.push(UsedSubflow::of_open(&row));
            }
        }
        for subflow in &mut all {
            subflow.link = topology.link_of(subflow.local.ip());
        }
        all.sort_by_key(|subflow| (subflow.connection, subflow.id));
        Ok((all, lost))
    }
}

fn listen(mut monitor: Monitor, seen: &Mutex<Seen>) {
    while let Ok(EventRecord { event, .. }) = monitor.next_event() {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &event {
            EventKind::SubflowEstablished { .. } => seen.open += 1,
            EventKind::SubflowClosed { totals, .. } => {
                seen.open = seen.open.saturating_sub(totals.established.into());
            }
            _ => {}
        }
        match event {
            EventKind::SubflowClosed { .. } if seen.closed.len() >= MOST => seen.lost += 1,
            EventKind::Lost { events } => seen.lost += events,
            event => seen.closed.extend(UsedSubflow::of_closed(event)),
        }
    }
}
