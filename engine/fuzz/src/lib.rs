//! What the fuzz targets share.

use braid_engine::wire::checksum::{PseudoHeader, Sum};
use braid_engine::wire::ip::Protocol;
use braid_engine::wire::mptcp_option::MptcpOption;
use braid_engine::wire::tcp_option::TcpOptions;
use std::net::Ipv6Addr;

/// The pseudo header that ICMPv6 messages of the targets are summed with.
pub const PSEUDO_HEADER: PseudoHeader = PseudoHeader::V6 {
    source: Ipv6Addr::LOCALHOST,
    destination: Ipv6Addr::LOCALHOST,
    protocol: Protocol::Icmpv6,
};

/// Puts the checksum at `offset` right, for a sum that begins from `start`: chance would never
/// find it, and what lies behind the check would stay untried.
pub fn mend_checksum(bytes: &mut [u8], offset: usize, start: Sum) {
    if bytes.len() < offset + 2 {
        return;
    }
    bytes[offset..offset + 2].fill(0);
    let checksum = start.add_bytes(bytes).finish();
    bytes[offset..offset + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// True when the options hold an MP_CAPABLE that is read from the form of version 0, which has no
/// form here to be written in.
pub fn has_capable_of_version_0(options: &TcpOptions) -> bool {
    let mut options = options.mptcp.iter();
    options.any(|option| matches!(option, MptcpOption::CapableSyn { version: 0, .. }))
}
