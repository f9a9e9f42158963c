//! The data plane against this host's kernel, in namespaces of the tests' own.

mod ports;
mod queues;
mod stack;
mod support;
mod worker;
