//! What samples of a profiler say about a workload: the hottest functions, and what each costs a packet.

pub mod stacks;
pub mod unit;
