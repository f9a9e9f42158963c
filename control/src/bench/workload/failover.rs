//! Bytes one way while a link is cut: how long nothing arrives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::driver::drive;
use super::super::hosts::{Demand, Hosts};
use super::super::server::Service;
use super::super::{BenchError, Links, Spread};
use super::bulk::Writer;
use crate::lab::link::Link;

/// How long a link stays cut, and how long it is whole before the next cut.
const OUTAGE: Duration = Duration::from_millis(250);

/// Before the first cut both subflows are there and their windows open.
const WARM_UP: Duration = Duration::from_millis(500);

/// One connection over all links, of which the last is cut again and again. Frames on it are lost without
/// a word to the sender, until the link is restored.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failover {}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Gaps {
    /// Milliseconds without an arrival around a cut: the longest such time of each.
    pub gap_ms: Spread,
    /// Each cut.
    pub gaps_ms: Vec<f64>,
    /// The longest of that between the cuts, while both links were whole.
    pub whole_ms: f64,
}

impl Failover {
    pub(super) fn describe(self) -> String {
        "failover, one connection, its last link cut".into()
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Gaps, BenchError> {
        if links.count < 2 {
            let what = "a single link has none to fail over to: give --links 2";
            return Err(BenchError::Impossible(what.into()));
        }
        let demand = Demand::of(1);
        let hosts = Hosts::create(links, demand)?;
        // The first worker has the connection; all have their part in its subflows.
        let writers = (0..links.workers.get()).map(|number| Writer::new(u32::from(number == 0)));
        let (_, gaps) = drive(hosts, Service::Sink, writers.collect(), |scene| {
            scene.sleep(WARM_UP);
            let before = scene.arrivals.bytes();
            let cuts = (time.as_secs_f64() / (2.0 * OUTAGE.as_secs_f64())).max(1.0) as u32;
            let (mut gaps_ms, mut whole_ms) = (Vec::new(), 0.0_f64);
            let milliseconds = |gap: Duration| gap.as_secs_f64() * 1e3;
            for _ in 0..cuts {
                scene.arrivals.forget_gaps();
                scene.set_link(Link(links.count), false)?;
                scene.sleep(OUTAGE);
                gaps_ms.push(milliseconds(scene.arrivals.longest_gap()));
                scene.set_link(Link(links.count), true)?;
                scene.sleep(OUTAGE / 2);
                scene.arrivals.forget_gaps();
                scene.sleep(OUTAGE / 2);
                whole_ms = whole_ms.max(milliseconds(scene.arrivals.longest_gap()));
            }
            if scene.arrivals.bytes() == before {
                return Err(BenchError::TooSlow("nothing arrived"));
            }
            Ok(Gaps {
                gap_ms: Spread::of(gaps_ms.iter().copied())
                    .ok_or(BenchError::TooSlow("no link was cut"))?,
                gaps_ms,
                whole_ms,
            })
        })?;
        Ok(gaps)
    }
}
