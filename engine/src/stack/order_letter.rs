//! How [`ToSubflow`] travels between workers: what is said all the time as it is, what is said now and
//! then in a box, for a letter has the size of a line of cache.

use crate::mptcp::message::{Grant, ToSubflow};
use crate::sequence::DataSequenceNumber;

/// What home says to a subflow elsewhere.
#[derive(Debug)]
pub(super) enum Order {
    Grant(Grant),
    Allowance { granted: u64 },
    Acknowledge,
    DataAckMoved,
    Retain { until: DataSequenceNumber },
    SetShift(f64),
    Other(Box<ToSubflow>),
}

impl From<ToSubflow> for Order {
    fn from(message: ToSubflow) -> Self {
        match message {
            ToSubflow::Grant(grant) => Self::Grant(grant),
            ToSubflow::Allowance { granted } => Self::Allowance { granted },
            ToSubflow::Acknowledge => Self::Acknowledge,
            ToSubflow::DataAckMoved => Self::DataAckMoved,
            ToSubflow::Retain { until } => Self::Retain { until },
            ToSubflow::SetShift(shift) => Self::SetShift(shift),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<Order> for ToSubflow {
    fn from(order: Order) -> Self {
        match order {
            Order::Grant(grant) => Self::Grant(grant),
            Order::Allowance { granted } => Self::Allowance { granted },
            Order::Acknowledge => Self::Acknowledge,
            Order::DataAckMoved => Self::DataAckMoved,
            Order::Retain { until } => Self::Retain { until },
            Order::SetShift(shift) => Self::SetShift(shift),
            Order::Other(other) => *other,
        }
    }
}
