//! What a four-tuple leads to.

use super::held_syn::HeldKey;
use super::request::RequestKey;
use super::subflow::SubflowKey;
use super::time_wait::TimeWaitKey;

/// Whose segments these are.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// A subflow's.
    Subflow(SubflowKey),
    /// A half-open connection's.
    Request(RequestKey),
    /// Those of a join whose home has been asked what to answer.
    Held(HeldKey),
    /// Those of a closed connection.
    TimeWait(TimeWaitKey),
}
