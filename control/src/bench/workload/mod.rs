//! What is done over the links, a file each.

mod aggregation;
mod bulk;
mod connect_rate;
mod exchange;
mod failover;
mod idle;
mod paced;
mod request_response;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use aggregation::{Aggregated, Aggregation};
pub(super) use bulk::WARM_UP;
pub use bulk::{Bulk, Direction, Goodput};
pub use connect_rate::ConnectRate;
pub use failover::{Failover, Gaps};
pub use idle::{Idle, Memory};
pub use paced::{Paced, Rate};
pub use request_response::RequestResponse;

use super::{BenchError, Links};

/// A workload.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "workload", rename_all = "snake_case")]
pub enum Workload {
    /// Bytes one way as fast as they go.
    Bulk(Bulk),
    /// Messages and their answers.
    RequestResponse(RequestResponse),
    /// Connections that come and go.
    ConnectRate(ConnectRate),
    /// Connections on which nothing happens.
    Idle(Idle),
    /// A link is cut.
    Failover(Failover),
    /// Links of different speed.
    Aggregation(Aggregation),
}

/// What came of a workload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of [`Bulk`].
    Goodput(Goodput),
    /// Of [`RequestResponse`] and [`ConnectRate`].
    Paced(Paced),
    /// Of [`Idle`].
    Memory(Memory),
    /// Of [`Failover`].
    Gaps(Gaps),
    /// Of [`Aggregation`].
    Aggregated(Aggregated),
}

impl Workload {
    /// What is done, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Bulk(bulk) => bulk.describe(),
            Self::RequestResponse(exchange) => exchange.describe(),
            Self::ConnectRate(connects) => connects.describe(),
            Self::Idle(idle) => idle.describe(),
            Self::Failover(failover) => failover.describe(),
            Self::Aggregation(aggregation) => aggregation.describe(),
        }
    }

    /// Does it over hosts made for it, for about so long.
    ///
    /// # Errors
    ///
    /// When the hosts cannot be made, or a connection between them ends early.
    pub fn measure(&self, links: &Links, time: Duration) -> Result<Outcome, BenchError> {
        Ok(match self {
            Self::Bulk(bulk) => Outcome::Goodput(bulk.measure(links, time)?),
            Self::RequestResponse(exchange) => Outcome::Paced(exchange.measure(links, time)?),
            Self::ConnectRate(connects) => Outcome::Paced(connects.measure(links, time)?),
            Self::Idle(idle) => Outcome::Memory(idle.measure(links, time)?),
            Self::Failover(failover) => Outcome::Gaps(failover.measure(links, time)?),
            Self::Aggregation(aggregation) => {
                Outcome::Aggregated(aggregation.measure(links, time)?)
            }
        })
    }
}

fn count(number: u32, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}
