//! Which paths a connection uses: its own endpoints, the addresses the peer announced, and the
//! subflows between them (RFC 8684 section 3.4).

mod endpoint;
mod limits;

pub use endpoint::{Endpoint, EndpointError, EndpointFlags, Endpoints, MAX_ENDPOINTS};
pub use limits::{Limits, MAX_SUBFLOWS};
