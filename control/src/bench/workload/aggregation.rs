//! Bytes one way over two unequal links: what they carry together of what each carries alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::driver::drive;
use super::super::hosts::{Demand, Hosts};
use super::super::server::Service;
use super::super::{BenchError, Links};
use super::bulk::{Goodput, Writer};
use crate::demo::MemoryLinks;

/// A wide and near link, and one that is narrower and farther.
const PATHS: [MemoryLinks; 2] = [
    MemoryLinks {
        delay: Duration::from_millis(5),
        loss: 0,
        rate: Some(400_000_000),
    },
    MemoryLinks {
        delay: Duration::from_millis(20),
        loss: 0,
        rate: Some(100_000_000),
    },
];

/// Of the time of each part, how much passes before it is measured.
const WARM_UP: f64 = 0.4;

/// One connection over a link of 400 Mbit/s and 10 ms round trip and one of 100 Mbit/s and 40 ms.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Aggregation {}

/// What came of it.
#[derive(Copy, Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Aggregated {
    /// 10^9 bits of payload a second over each link alone.
    pub alone_gbit_per_second: [f64; 2],
    /// Over both.
    pub together_gbit_per_second: f64,
    /// Over both, by the sum of each alone.
    pub share: f64,
}

impl Aggregation {
    pub(super) fn describe(self) -> String {
        "aggregation, one connection over 400 Mbit/s with 10 ms and 100 Mbit/s with 40 ms".into()
    }

    pub(super) fn measure(self, links: &Links, time: Duration) -> Result<Aggregated, BenchError> {
        let [wide, far] = PATHS;
        let over = |paths: &[MemoryLinks]| goodput(links, paths, time / 3);
        let alone = [over(&[wide])?, over(&[far])?];
        let together = over(&PATHS)?;
        Ok(Aggregated {
            alone_gbit_per_second: alone,
            together_gbit_per_second: together,
            share: together / (alone[0] + alone[1]),
        })
    }
}

/// The median over such links.
fn goodput(links: &Links, paths: &[MemoryLinks], time: Duration) -> Result<f64, BenchError> {
    let links = Links {
        count: u8::try_from(paths.len()).unwrap_or(u8::MAX),
        ..links.clone()
    };
    let demand = Demand {
        connections: 1,
        behaviour: paths,
    };
    let hosts = Hosts::create(&links, demand)?;
    let writers = (0..links.workers.get()).map(|number| Writer::new(u32::from(number == 0)));
    let (_, goodput) = drive(hosts, Service::Sink, writers.collect(), |scene| {
        scene.sleep(time.mul_f64(WARM_UP));
        Goodput::sample(scene, time.mul_f64(1.0 - WARM_UP))
    })?;
    Ok(goodput.gbit_per_second.median)
}
