//! What the engine tells of the subflows of its connections.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use braid_control::management::{Client, Request, SubflowRow};

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_millis(5);

/// A subflow: its connection and its number, and the address of the engine.
type Subflow = (u64, u32, IpAddr);

/// The subflows of an engine that were seen, with the most bytes that each was seen to have carried.
pub(super) struct Subflows(Arc<Mutex<BTreeMap<Subflow, u64>>>);

impl Subflows {
    /// Watches the engine that listens at `socket`, as long as it lives.
    pub(super) fn watch(socket: &Path) -> Self {
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let mut client = Client::connect(socket).unwrap();
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let all = Request::ShowSubflows { connection: None };
                while let Ok(rows) = client.ask::<Vec<SubflowRow>>(&all) {
                    note(&mut seen.lock().unwrap(), &rows);
                    thread::sleep(INTERVAL);
                }
            }
        });
        Self(seen)
    }

    pub(super) fn all(&self) -> BTreeMap<Subflow, u64> {
        self.0.lock().unwrap().clone()
    }

    /// The addresses of the engine over which data went.
    pub(super) fn addresses_with_data(&self) -> Vec<IpAddr> {
        let carried = |((_, _, local), bytes)| (bytes > 0).then_some(local);
        let mut addresses: Vec<_> = self.all().into_iter().filter_map(carried).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

fn note(seen: &mut BTreeMap<Subflow, u64>, rows: &[SubflowRow]) {
    for row in rows {
        let key = (row.connection, row.id, row.local.ip());
        let most = seen.entry(key).or_default();
        *most = (*most).max(row.bytes_sent + row.bytes_received);
    }
}
