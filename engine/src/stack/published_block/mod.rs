//! What home publishes for the subflows of a connection that live on other workers: DATA_ACK, window
//! edge, congestion coupling, and how packets are to be marked.
//!
//! Home alone writes it. A reader may see some words from before a change and some from after it.
//! That does no harm: the window edge is never older than the DATA_ACK beside it, so the window is
//! never negative and its right edge never moves left (RFC 8684 section 3.3.1); what is read of the
//! coupling is an estimate anyway; and the flags of a connection change at turns that its subflows
//! are told of by messages too.

mod atomics;
mod block;

pub(super) use block::{Marking, PublishedBlock};

#[cfg(test)]
mod tests;
