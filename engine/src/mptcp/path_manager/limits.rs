//! How many subflows and announced addresses a connection takes, as `ip mptcp limits` has them.

/// The most subflows of one connection, the first one among them.
pub const MAX_SUBFLOWS: usize = 32;

/// Limits of each connection of a host.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Subflows beyond the first, opened here or accepted; at most [`MAX_SUBFLOWS`] less one.
    pub subflows: u8,
    /// Addresses announced by the peer that subflows are opened to.
    pub add_addr_accepted: u8,
}

impl Default for Limits {
    /// Linux's own: two further subflows, no announced address.
    fn default() -> Self {
        Self {
            subflows: 2,
            add_addr_accepted: 0,
        }
    }
}

impl Limits {
    /// The bound on all subflows of a connection.
    pub fn total_subflows(&self) -> usize {
        (usize::from(self.subflows) + 1).min(MAX_SUBFLOWS)
    }
}
