//! Several stacks in one process under virtual time, joined by links that can go wrong.
//!
//! | Module | What it is |
//! |---|---|
//! | [`link`] | one direction of a link: delay, rate, queue, loss, reordering, duplication, corruption |
//! | [`middlebox`] | what sits on a path and changes what passes: strips, edits, cuts, joins, forges |
//! | [`host`] | a host: one stack, or those of several workers with the post between them |
//! | [`network`] | hosts, links and the clock that drives them |
//! | [`application`] | programs on the hosts that write known bytes and check those they read |
//! | [`scenario`] | a whole run drawn from a seed |
//!
//! Everything is drawn from one seed, so a run that failed can be repeated exactly.

pub mod application;
pub mod host;
pub mod link;
pub mod middlebox;
pub mod network;
mod packet;
pub mod scenario;
