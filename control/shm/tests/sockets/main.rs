//! Both sides of a region in one process, over real memfds, pairs of sockets and threads.

mod commands;
mod descriptors;
mod forks;
mod handlers;
mod hostile;
mod memory;
mod pair;
mod transfer;
mod workers;
