//! Tests of the wire formats: known answers, round trips, and that no input makes a parser panic.

mod captures;
mod checksum;
mod icmp;
mod ip;
mod link;
mod mptcp_option;
mod strategies;
mod tcp;
