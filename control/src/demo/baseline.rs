//! The yardstick: Linux to Linux Multipath TCP over links of the same kind, with the same program
//! at both ends.

use std::thread;

use super::DemoError;
use super::bars::Bars;
use super::linux::{self, PathRole};
use super::plan::{PATIENCE, Plan};
use super::report::goodput;
use super::supervision::{Cut, supervise};
use crate::lab::link::{Family, Link, Side};
use crate::lab::namespace::Namespace;
use crate::peer::{self, Activity, Outcome, PeerProtocol, Progress, Role, Watch};
use crate::stream::Stream;

/// The server's port.
const PORT: u16 = 5001;

/// Two namespaces joined by veth links, with the kernel's Multipath TCP at both ends.
#[derive(Debug)]
pub struct Baseline {
    client: Namespace,
    server: Namespace,
    family: Family,
}

impl Baseline {
    /// Makes the namespaces and `links` links between them.
    pub fn create(links: u8, family: Family, checksum: bool) -> Result<Self, DemoError> {
        let (client, server) = (Namespace::create()?, Namespace::create()?);
        linux::tune(&client, family, checksum)?;
        linux::tune(&server, family, checksum)?;
        for link in Link::all(links) {
            link.add_veth(&client, &server)?;
            link.configure(&client, Side::Engine)?;
            link.configure(&server, Side::Peer)?;
        }
        linux::manage_paths(&server, PathRole::Announce, links, family)?;
        linux::manage_paths(&client, PathRole::Follow, links, family)?;
        Ok(Self {
            client,
            server,
            family,
        })
    }

    /// The namespace of the client.
    pub(crate) fn client(&self) -> &Namespace {
        &self.client
    }

    /// The namespace of the server.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// Sends a stream from the client to the server; returns what the server received.
    pub fn upload(
        &self,
        stream: Stream,
        progress: &Progress,
        supervision: (indicatif::ProgressBar, Option<Cut<'_>>),
    ) -> Result<Outcome, DemoError> {
        let watch = Watch {
            progress,
            patience: PATIENCE,
        };
        let protocol = PeerProtocol::Multipath;
        let listener = linux::listen(&self.server, protocol, self.family, PORT)?;
        let address = (Link(1).address(self.family, Side::Peer), PORT).into();
        let (bar, cut) = supervision;
        let (result, _) = supervise(progress, &bar, cut, || {
            thread::scope(|scope| {
                let server = scope.spawn(move || {
                    self.server
                        .run(|| peer::run(Role::Server(listener), Activity::Receive, watch))
                });
                let sent = self.client.run(|| {
                    peer::run(
                        Role::Client(protocol, address),
                        Activity::Send(stream),
                        watch,
                    )
                })?;
                let received = match server.join() {
                    Ok(received) => received?,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                sent.map_err(DemoError::transfer(
                    "the sending side of Linux to Linux failed",
                ))?;
                received.map_err(DemoError::transfer(
                    "the receiving side of Linux to Linux failed",
                ))
            })
        })?;
        result
    }
}

/// Measures Linux against Linux as `plan` has the engine measured: bits of payload a second.
pub(super) fn measure(plan: &Plan, stream: Stream, bars: &Bars) -> Result<u64, DemoError> {
    let baseline = Baseline::create(plan.links, plan.family, plan.checksum)?;
    let cut = match plan.cut {
        true => Some(Cut::in_the_middle(
            baseline.server(),
            plan.links,
            plan.bytes,
        )?),
        false => None,
    };
    let bar = bars.start("Linux to Linux", plan.bytes);
    let outcome = baseline.upload(stream, &Progress::default(), (bar, cut))?;
    Ok(goodput(outcome.received, outcome.elapsed))
}
