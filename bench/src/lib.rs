//! Measurements that can be believed: what is compared runs interleaved (A B A B ...) in one call,
//! and is judged by the ratio of the figures of one round, with median, minimum and maximum. Times
//! on a shared machine drift; ratios of neighbours in time do not.
//!
//! - [`flame`]: what samples of a profiler say.
//! - [`flood`]: an engine under a flood of packets.
//! - [`interleaved`]: two contenders in turn.
//! - [`memory_links`]: two hosts of our engine in this process.
//! - [`crowd`]: many connections between two such hosts, what they cost and what they take.
//! - [`connect_rate`]: connections that come and go, over our engine and Linux.
//! - [`hand_over`]: letters from workers to a worker.
//! - [`one_thread`]: two stacks in one thread, ours and smoltcp's.
//! - [`load`]: what applications do: move bytes, or ask and answer.
//! - [`contender`]: what they do it over, each in a process of its own.
//! - [`machine`]: what the machine is like meanwhile.
//! - [`packets`]: what a worker passes on, beside dpdk-testpmd.
//! - [`report`]: ratios, as a table or JSON.
//! - [`run`]: the rounds.
//! - [`scaling`]: what a second worker brings.
//! - [`targets`]: what is measured against peers, a row each.

pub use braid_control::bench::machine;

pub mod connect_rate;
pub mod contender;
pub mod crowd;
pub mod flame;
pub mod flood;
pub mod hand_over;
pub mod interleaved;
pub mod load;
pub mod memory_links;
pub mod one_thread;
pub mod packets;
pub mod report;
pub mod run;
pub mod scaling;
pub mod targets;
