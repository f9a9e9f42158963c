//! Whose deadline a timer of the wheel is.

use super::connection::ConnectionSlot;
use super::request::Request;
use super::subflow::SubflowSlot;
use crate::storage::slab::Key;
use crate::storage::timer_wheel;

/// The owner of a timer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// A subflow's earliest deadline.
    Subflow(Key<SubflowSlot>),
    /// A connection's earliest deadline.
    Connection(Key<ConnectionSlot>),
    /// The repetition of a SYN/ACK.
    Request(Key<Request>),
}

pub(super) use timer_wheel::TimerId;
