//! Which connection a token names (RFC 8684 section 3.2).

use super::connection::ConnectionKey;
use crate::wire::mptcp_option::Token;
use std::collections::HashMap;

/// The tokens of all connections with MPTCP, and of those that are still half open.
#[derive(Debug)]
pub(super) struct Tokens {
    map: HashMap<Token, ConnectionKey, ahash::RandomState>,
}

impl Tokens {
    pub(super) fn new(seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        Self {
            map: HashMap::with_hasher(ahash::RandomState::with_seeds(a, b, c, d)),
        }
    }

    pub(super) fn contains(&self, token: Token) -> bool {
        self.map.contains_key(&token)
    }

    pub(super) fn get(&self, token: Token) -> Option<ConnectionKey> {
        self.map.get(&token).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Names a connection; false when the token is taken.
    pub(super) fn insert(&mut self, token: Token, connection: ConnectionKey) -> bool {
        if self.map.contains_key(&token) {
            return false;
        }
        self.map.insert(token, connection);
        true
    }

    /// Removes the name if it is that of `connection`.
    pub(super) fn remove(&mut self, token: Token, connection: ConnectionKey) {
        if self.map.get(&token) == Some(&connection) {
            self.map.remove(&token);
        }
    }
}
