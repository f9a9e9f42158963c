//! The command line's requests (`crate::management`), and what monitors are told.
//!
//! `session` is what is kept of a connection that asks: pieces of a request, packets that wait for
//! room. `show` looks, `change` changes, `monitor` tells what happens.

mod change;
mod monitor;
mod session;
mod show;

use braid_shm::abi::CliChunk;
use serde::Serialize;

pub(super) use session::Session;

use super::control::{Control, Kind};
use super::host::WorkerGone;
use super::poller::EventFlags;
use super::table::Key;
use crate::management::{Answer, Request};

/// The result of a request as JSON, or why it is refused.
type Outcome = Result<serde_json::Value, String>;

impl Control {
    /// A piece of a request. False when the connection is to be closed.
    pub(super) fn on_cli(&mut self, key: Key, chunk: &CliChunk) -> Result<bool, WorkerGone> {
        let Some(peer) = self.peers.get_mut(key) else {
            return Ok(false);
        };
        let request = match peer.cli.take_request(chunk) {
            Ok(None) => return Ok(true),
            Ok(Some(request)) => request,
            Err(reason) => {
                self.log_peer(key, reason);
                return Ok(false);
            }
        };
        let answer = match serde_json::from_slice(&request) {
            Ok(request) => match self.permit(key, &request) {
                Ok(()) => self.perform_or_tell(key, &request)?,
                Err(refusal) => Err(refusal),
            },
            Err(error) => Err(format!(
                "this engine knows no such request ({error}): use the `braid` of its own build"
            )),
        };
        let answer = match answer {
            Ok(result) => Answer::Done(result),
            Err(refusal) => Answer::Refused(refusal),
        };
        if let Some(peer) = self.peers.get_mut(key) {
            peer.cli.answer(&answer);
        }
        Ok(self.flush_session(key))
    }

    /// Whoever may attach may look; the engine is changed by its own user and root.
    fn permit(&self, key: Key, request: &Request) -> Result<(), String> {
        let user = self.peers.get(key).map(|peer| peer.credentials.user);
        let Some(user) = user.filter(|&user| self.may_attach(user)) else {
            return Err(
                "this user may not ask the engine: add it to `allow_users` in its configuration"
                    .into(),
            );
        };
        let owner = user == 0 || user == rustix::process::geteuid().as_raw();
        if owner || request.only_looks() {
            return Ok(());
        }
        Err(
            "only root and the user that the engine runs as may change it: run this as one of them"
                .into(),
        )
    }

    /// As [`Self::perform`]; a worker that was lost over it is told of. So is one that had to be waited for in
    /// vain, without which what is shown is not all, unless what was asked has been done by the others.
    fn perform_or_tell(&mut self, key: Key, request: &Request) -> Result<Outcome, WorkerGone> {
        let (_, silent) = self.losses.counts();
        let performed = self.perform(key, request);
        let Some(outcome) = self.outlive(performed)? else {
            return Ok(Err(self.losses.last()));
        };
        self.look_for_lost()?;
        if request.only_looks() && self.losses.counts().1 > silent {
            return Ok(Err(self.losses.last()));
        }
        Ok(outcome)
    }

    fn perform(&mut self, key: Key, request: &Request) -> Result<Outcome, WorkerGone> {
        Ok(match request {
            Request::ShowConnections => done(&self.connection_rows()?),
            Request::ShowSubflows { connection } => {
                self.subflow_rows(*connection)?.and_then(|rows| done(&rows))
            }
            Request::ShowListeners => done(&self.listener_rows()?),
            Request::ShowPorts => done(&self.port_rows()?),
            Request::ShowEndpoints => done(&self.endpoint_rows()?),
            Request::AddEndpoint(endpoint) => {
                self.add_endpoint(endpoint)?.and_then(|row| done(&row))
            }
            Request::DeleteEndpoint { id } => self.delete_endpoint(*id)?.and_then(|row| done(&row)),
            Request::FlushEndpoints => done(&self.flush_endpoints()?),
            Request::ShowLimits => done(&self.set_limits(None, None)?),
            Request::SetLimits {
                subflows,
                add_addr_accepted,
            } => done(&self.set_limits(*subflows, *add_addr_accepted)?),
            Request::Set {
                connection,
                settings,
            } => self.set(*connection, settings)?.and_then(|row| done(&row)),
            Request::Statistics => done(&self.statistics()?),
            Request::Monitor => {
                self.begin_to_watch(key)?;
                done(&())
            }
        })
    }

    /// A connection that asks takes packets again.
    pub(super) fn on_room(&mut self, key: Key) -> Result<(), WorkerGone> {
        if self.flush_session(key) {
            return Ok(());
        }
        self.drop_peer(key)
    }

    /// Sends what waits for a connection that asks. False when it is to be closed.
    pub(super) fn flush_session(&mut self, key: Key) -> bool {
        let Some(peer) = self.peers.get_mut(key) else {
            return false;
        };
        let polled = peer.cli.polled_for_room();
        if !peer.cli.flush(&peer.connection) {
            return false;
        }
        let waits = peer.cli.waits();
        if waits != polled {
            // What it asks while packets wait for room is looked at after them.
            let flags = if waits {
                EventFlags::OUT
            } else {
                EventFlags::IN
            };
            let token = key.token(Kind::PEER);
            self.poller.modify(&peer.connection, token, flags);
            peer.cli.set_polled_for_room(waits);
        }
        true
    }
}

fn done(result: &impl Serialize) -> Outcome {
    serde_json::to_value(result).map_err(|error| format!("the answer cannot be written: {error}"))
}
