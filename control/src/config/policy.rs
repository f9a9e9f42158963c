//! Local policy: when Multipath TCP is used and what the classic options mean for it
//! (draft-scharf-mptcp-api-01 sections 4.2 to 4.4 and 6.7).

use std::net::IpAddr;

use braid_engine::congestion::ControllerKind;
use braid_engine::mptcp::scheduler::Scheduler;
use braid_engine::socket::Profile;
use serde::Deserialize;

/// What the draft leaves to local policy and is decided before there is a connection. What the
/// stack decides, such as fate sharing and small buffers, stands in its own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Multipath TCP is used by sockets that say nothing about it (section 4.4).
    pub default_enable: bool,
    /// Protocols that Multipath TCP keeps clear of (section 6.7).
    pub exclusive_with: Vec<ExclusiveProtocol>,
    /// A listener at the unspecified address is taken from an unmodified program.
    pub take_unspecified: bool,
}

impl Default for Policy {
    /// On for everyone, clear of SHIM6 and HIP.
    fn default() -> Self {
        Self {
            default_enable: true,
            exclusive_with: vec![ExclusiveProtocol::Shim6, ExclusiveProtocol::Hip],
            take_unspecified: true,
        }
    }
}

impl Policy {
    /// Whether Multipath TCP keeps away from connections of this address: one of HIP's host
    /// identity tags, while `exclusive_with` names HIP.
    pub fn excludes(&self, address: IpAddr) -> bool {
        self.exclusive_with.contains(&ExclusiveProtocol::Hip) && is_host_identity_tag(address)
    }
}

/// What is done about a buffer below the bound.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SmallBufferAction {
    /// The buffer gets the size of the bound.
    Raise,
    /// The connection is regular TCP.
    Disable,
}

/// A protocol below TCP that moves connections between addresses itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusiveProtocol {
    /// SHIM6 (RFC 5533).
    Shim6,
    /// The Host Identity Protocol (RFC 7401).
    Hip,
}

/// What one program gets, by the name of its executable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRule {
    /// The file's name without its folder.
    pub name: String,
    /// In place of [`Policy::default_enable`].
    pub enable: Option<bool>,
    /// In place of the default congestion controller.
    pub congestion: Option<ControllerKind>,
    /// In place of the default scheduler.
    pub scheduler: Option<Scheduler>,
    /// In place of the default profile.
    pub profile: Option<Profile>,
}

/// True for an ORCHID: 2001:10::/28 (RFC 4843) or 2001:20::/28 (RFC 7343).
pub fn is_host_identity_tag(address: IpAddr) -> bool {
    let IpAddr::V6(address) = address else {
        return false;
    };
    let [first, second, ..] = address.segments();
    first == 0x2001 && matches!(second & 0xfff0, 0x0010 | 0x0020)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_identity_tags_are_told_from_their_neighbours() {
        let tag = |text: &str| is_host_identity_tag(text.parse().unwrap());
        assert!(tag("2001:10::1"));
        assert!(tag("2001:1f:ffff::1"));
        assert!(tag("2001:20::"));
        assert!(tag("2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert!(!tag("2001:30::1"));
        assert!(!tag("2001:0f::1"));
        assert!(!tag("2001:db8::1"));
        assert!(!tag("10.0.0.1"));
    }

    #[test]
    fn tags_are_excluded_while_hip_is() {
        let tag = "2001:20::1".parse().unwrap();
        assert!(Policy::default().excludes(tag));
        let only_shim6 = Policy {
            exclusive_with: vec![ExclusiveProtocol::Shim6],
            ..Policy::default()
        };
        assert!(!only_shim6.excludes(tag));
    }
}
