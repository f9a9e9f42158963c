//! The names that states and reasons have in tables and in JSON.

use braid_engine::mptcp::connection::DataState;
use braid_engine::mptcp::message::SubflowEnd;

/// The name of a data-level state.
pub const fn state_name(state: DataState) -> &'static str {
    match state {
        DataState::Opening => "opening",
        DataState::Established => "established",
        DataState::FinWait1 => "fin_wait_1",
        DataState::FinWait2 => "fin_wait_2",
        DataState::CloseWait => "close_wait",
        DataState::Closing => "closing",
        DataState::LastAck => "last_ack",
        DataState::TimeWait => "time_wait",
        DataState::Closed => "closed",
    }
}

/// The name of a way in which subflows end.
pub const fn subflow_end_name(end: SubflowEnd) -> &'static str {
    match end {
        SubflowEnd::Closed => "closed",
        SubflowEnd::ResetByPeer { .. } => "reset_by_peer",
        SubflowEnd::ResetHere(_) => "reset_here",
        SubflowEnd::Refused => "refused",
        SubflowEnd::TimedOut => "timed_out",
        SubflowEnd::Unreachable => "unreachable",
    }
}
