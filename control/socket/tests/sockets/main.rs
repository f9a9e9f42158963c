//! The sockets over a fake engine: what tcp(7), socket(7) and poll(2) promise.

#[path = "../support/mod.rs"]
mod support;

mod connecting;
mod descriptors;
mod forks;
mod options;
mod readiness;
mod stream;
mod threads;
