//! Randomness that a seed determines: a generator, and a keyed hash for numbers that must be
//! unpredictable yet the same each time (RFC 6528, RFC 6056, RFC 4987 section 3.6).

use crate::sequence::SequenceNumber;
use crate::storage::flow_table::FourTuple;
use crate::time::Instant;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sha2::Sha256;

/// A cryptographic generator whose whole output follows from its seed.
#[derive(Clone, Debug)]
pub struct Random(ChaCha12Rng);

impl Random {
    /// The generator of `seed`. In production the seed comes from the operating system.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// The generator of a short seed, for tests and simulations.
    pub fn from_u64(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A generator of its own for the purpose that `label` names. It depends on the seed and the
    /// label only, not on what has been drawn, so a new use of randomness in one place does not
    /// shift the numbers in another. The same label gives the same generator again.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        Self::from_seed(digest_of(keyed(&self.0.get_seed()), &[label.as_bytes()]))
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, each equally likely; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Of a product of a random number and the bound the upper half is the result; a lower
        // half below 2^64 mod bound would favour some results and is drawn again (Lemire, 2019).
        let biased = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= biased {
                return (product >> 64) as u64;
            }
        }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A random array, such as a key.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// A secret function from bytes to numbers: HMAC-SHA256, cut to 64 bits.
#[derive(Clone)]
pub struct KeyedHash {
    /// It has taken in the key, which is half of the work.
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyedHash")
    }
}

impl KeyedHash {
    /// The function of a secret key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { keyed: keyed(&key) }
    }

    /// The number of the concatenation of `parts`.
    pub fn hash(&self, parts: &[&[u8]]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = digest_of(self.keyed.clone(), parts);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The number of a flow and of `extra`, which tells uses and times apart.
    pub fn hash_flow(&self, flow: &FourTuple, extra: u64) -> u64 {
        let local = socket_address_bytes(flow.local);
        let remote = socket_address_bytes(flow.remote);
        self.hash(&[&local, &remote, &extra.to_be_bytes()])
    }
}

/// An initial sequence number (RFC 6528 section 3): a secret offset for the flow, plus a clock that
/// ticks every 4 microseconds so that a new incarnation of a flow starts past the old.
pub fn initial_sequence_number(offset: u32, now: Instant) -> SequenceNumber {
    let clock = now.as_micros() / 4;
    SequenceNumber(offset.wrapping_add(clock as u32))
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A block of SHA-256 is 64 bytes; HMAC pads a shorter key with zeros.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

fn digest_of(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Address and port at a fixed length, so that no two pairs read the same.
fn socket_address_bytes(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn flow(remote_port: u16) -> FourTuple {
        FourTuple {
            local: SocketAddr::new([10, 0, 0, 1].into(), 80),
            remote: SocketAddr::new([10, 0, 0, 2].into(), remote_port),
        }
    }

    #[test]
    fn the_seed_determines_everything() {
        let draw = |seed| {
            let mut random = Random::from_seed([seed; 32]);
            let mut fork = random.fork("ports");
            (
                random.next_u64(),
                random.next_u32(),
                random.bytes::<7>(),
                fork.next_u64(),
            )
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_fork_depends_on_its_label_and_not_on_the_draws_before() {
        let mut random = Random::from_u64(3);
        let before = random.fork("keys").next_u64();
        random.next_u64();
        assert_eq!(random.fork("keys").next_u64(), before);
        assert_ne!(random.fork("ports").next_u64(), before);
        assert_ne!(random.clone().next_u64(), before);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut random = Random::from_u64(4);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        // With a bound of three quarters of the range a plain product would favour every third.
        let bound = 3 << 62;
        let low = (0..30_000)
            .filter(|_| random.below(bound).is_multiple_of(3))
            .count();
        assert!((9_500..10_500).contains(&low), "{low}");
    }

    #[test]
    fn each_flow_has_its_own_sequence_space_that_moves_on() {
        let number = |secret: &KeyedHash, remote_port, now| {
            initial_sequence_number(secret.hash_flow(&flow(remote_port), 0) as u32, now)
        };
        let secret = KeyedHash::new([7; 32]);
        let now = Instant::from_millis(5);
        let first = number(&secret, 1, now);
        assert_eq!(number(&secret, 1, now), first);
        let later = number(&secret, 1, now + Duration::from_millis(4));
        assert_eq!(later - first, 1_000);
        assert_ne!(number(&secret, 2, now), first);
        assert_ne!(number(&KeyedHash::new([8; 32]), 1, now), first);
        assert_ne!(
            secret.hash_flow(&flow(1), 1),
            secret.hash_flow(&flow(1).reversed(), 1)
        );
    }
}
