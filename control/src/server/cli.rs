//! The command line's requests, and what watchers are told.

use braid_engine::stack::Event;
use braid_shm::abi::{CliChunk, Reply};

use super::control::Control;
use super::host::WorkerGone;
use super::table::Key;

impl Control {
    /// A piece of a request. False when the connection is to be closed.
    pub(super) fn on_cli(&mut self, key: Key, _chunk: &CliChunk) -> Result<bool, WorkerGone> {
        let answer = serde_json::json!({ "error": "this engine answers no such request" });
        let sent = CliChunk::split(answer.to_string().as_bytes())
            .into_iter()
            .all(|chunk| self.send_to_peer(key, Reply::Cli(chunk)));
        Ok(sent)
    }

    /// Something happened that watchers want to know of.
    pub(super) fn on_watched(&mut self, _event: &Event) {}
}
