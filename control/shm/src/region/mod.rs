//! A region as a whole, from the side that made it and from the side that was handed it.

pub mod application;
pub mod call;
pub mod engine;
pub mod worker;
