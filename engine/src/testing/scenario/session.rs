//! One connection of a run with its two programs, and what is known of it so far.

use super::{ConnectionPlan, Scenario, Side, Violation};
use crate::mptcp::message::FallbackReason;
use crate::socket::SocketError;
use crate::stack::{ConnectionId, ListenerId, Stack};
use crate::testing::application::{Application, Ending};
use crate::time::{Duration, Instant};
use core::net::IpAddr;

/// How long after the last sign of life a server that never saw the connection counts as done.
const ABANDONED: Duration = Duration::from_secs(60);

/// One connection with its two programs.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) plan: ConnectionPlan,
    pub(super) listener: ListenerId,
    client: Option<Application>,
    server: Option<Application>,
    /// The workers that are home to each host's connection.
    workers: [usize; 2],
    /// The client's host refused to connect.
    refused: bool,
    fallback: Option<FallbackReason>,
    /// Each host's subflows on links that work to the end, when last seen.
    lasting: [bool; 2],
    /// Each host has had several subflows.
    several: [bool; 2],
    /// Both hosts had a subflow on a link that works to the end: whatever becomes of the others,
    /// the connection must be whole.
    protected: bool,
    moved_at: Instant,
}

impl Session {
    pub(super) fn new(plan: ConnectionPlan, listener: ListenerId, protected: bool) -> Self {
        Self {
            plan,
            listener,
            client: None,
            server: None,
            workers: [0; 2],
            refused: false,
            fallback: None,
            lasting: [false; 2],
            several: [false; 2],
            protected,
            moved_at: plan.start,
        }
    }

    pub(super) fn program(&self, side: Side) -> Option<&Application> {
        match side {
            Side::Client => self.client.as_ref(),
            Side::Server => self.server.as_ref(),
        }
    }

    pub(super) fn program_mut(&mut self, side: Side) -> Option<&mut Application> {
        match side {
            Side::Client => self.client.as_mut(),
            Side::Server => self.server.as_mut(),
        }
    }

    /// The worker that is home to a host's connection.
    pub(super) fn worker(&self, side: Side) -> usize {
        self.workers[side as usize]
    }

    /// A host's program begins, on a connection of this worker.
    pub(super) fn start(&mut self, now: Instant, side: Side, worker: usize, program: Application) {
        self.moved_at = now;
        self.workers[side as usize] = worker;
        match side {
            Side::Client => self.client = Some(program),
            Side::Server => self.server = Some(program),
        }
    }

    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// When the client is to connect, if it has not.
    pub(super) fn starts(&self) -> Option<Instant> {
        (self.client.is_none() && !self.refused).then_some(self.plan.start)
    }

    pub(super) fn moved(&mut self, now: Instant) {
        self.moved_at = now;
    }

    /// When something moved last, or the client is to connect.
    pub(super) fn moved_at(&self) -> Instant {
        self.moved_at
    }

    pub(super) fn is_protected(&self) -> bool {
        self.protected && !self.refused
    }

    pub(super) fn fallback(&self) -> Option<FallbackReason> {
        self.fallback
    }

    pub(super) fn has_failed(&self) -> bool {
        let failed = |side| {
            self.program(side)
                .is_some_and(|side| side.error().is_some())
        };
        self.refused || Side::BOTH.into_iter().any(failed)
    }

    pub(super) fn bytes(&self) -> u64 {
        let read = |side| self.program(side).map_or(0, Application::bytes_read);
        read(Side::Client) + read(Side::Server)
    }

    pub(super) fn is_complete(&self) -> bool {
        Side::BOTH.into_iter().all(|side| {
            self.program(side)
                .is_some_and(|side| side.has_read_all() && side.error().is_none())
        })
    }

    /// Both programs are through.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let finished = |side| self.program(side).is_some_and(Application::is_finished);
        // A server that never saw a connection of which the client has given up has nothing to do.
        let abandoned = self.server.is_none() && now > self.moved_at + ABANDONED;
        self.refused || finished(Side::Client) && (finished(Side::Server) || abandoned)
    }

    /// Neither program cuts the other short: every byte must arrive.
    pub(super) fn is_gentle(&self) -> bool {
        let gentle = |ending| matches!(ending, Ending::Shutdown | Ending::AfterPeer);
        gentle(self.plan.client) && gentle(self.plan.server)
    }

    /// Looks at the connection as one host sees it. An illegal fallback is a broken promise.
    pub(super) fn observe(
        &mut self,
        scenario: &Scenario,
        side: Side,
        stack: &Stack,
        connection: ConnectionId,
    ) -> Option<FallbackReason> {
        let info = stack.connection_info(connection)?;
        let index = side as usize;
        if let Some(reason) = info.fallback {
            let is_new = self.fallback.is_none();
            self.fallback.get_or_insert(reason);
            let illegal = self.several[index] && !ends_in_one_path(reason);
            return (is_new && illegal).then_some(reason);
        }
        if info.subflows_max < 2 {
            return None;
        }
        let subflows = stack.subflows(connection);
        let established = || subflows.iter().filter(|subflow| subflow.established);
        self.several[index] |= established().count() > 1;
        let lasts = |address: IpAddr| {
            scenario
                .link_of(address)
                .is_some_and(|link| scenario.lasts(link))
        };
        self.lasting[index] = established().any(|subflow| lasts(subflow.path.local.ip()));
        self.protected |= self.lasting == [true; 2];
        None
    }

    /// What both hosts know of the connection.
    pub(super) fn known(&self, hosts: [&[Stack]; 2]) -> String {
        let known = Side::BOTH.map(|side| {
            let connection = self.program(side)?.connection();
            let stack = &hosts[side as usize][self.worker(side)];
            Some((
                stack.connection_info(connection),
                stack.subflows(connection),
            ))
        });
        format!("{known:#?}")
    }

    /// Takes note that a worker's stack closed a connection.
    pub(super) fn closed(
        &mut self,
        side: Side,
        worker: usize,
        connection: ConnectionId,
        result: &Result<(), SocketError>,
    ) {
        if self.worker(side) != worker {
            return;
        }
        if let Some(program) = self.program_mut(side)
            && program.connection() == connection
        {
            program.on_closed(*result);
        }
    }

    /// What must hold once the programs are through, on connection number `connection`.
    pub(super) fn judge(&self, scenario: &Scenario, connection: usize) -> Vec<Violation> {
        let mut violations = Vec::new();
        if !self.is_protected() {
            return violations;
        }
        if scenario.is_multipath()
            && let Some(reason) = self.fallback
            && reason != FallbackReason::SynDropped
        {
            violations.push(Violation::FellBack { connection, reason });
        }
        if !self.is_gentle() {
            return violations;
        }
        for side in Side::BOTH {
            let error = self.program(side).and_then(|program| program.error());
            if let Some(error) = error.cloned() {
                violations.push(Violation::Failed {
                    connection,
                    side,
                    error,
                });
            }
        }
        violations
    }
}

/// True of a fallback that is legal after several subflows, once a single one is left.
fn ends_in_one_path(reason: FallbackReason) -> bool {
    matches!(
        reason,
        FallbackReason::ChecksumFailed | FallbackReason::PeerFellBack
    )
}
