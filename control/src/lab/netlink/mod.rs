//! Requests to the kernel over netlink (RFC 3549), one at a time and acknowledged.

mod conversation;
mod path_manager;
mod route;

pub use path_manager::{Endpoint, EndpointFlags, PathManagerSocket};
pub use route::RouteSocket;
