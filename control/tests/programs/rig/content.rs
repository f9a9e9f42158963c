//! Bytes to transfer, and their digests.

use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes that no two places share, the same in every run.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let words = std::iter::repeat_with(move || {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// SHA-256 of a file; it must be there.
pub(crate) fn digest_of_file(path: &Path) -> Vec<u8> {
    digest(&std::fs::read(path).unwrap())
}
