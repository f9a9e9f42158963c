//! Keys, tokens, initial data sequence numbers and message authentication codes of MPTCP v1
//! (RFC 8684 sections 3.1, 3.2 and 3.4.1).

use crate::sequence::DataSequenceNumber;
use crate::wire::mptcp_option::{Key, Token};
use core::net::IpAddr;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// What a key stands for besides itself. A host computes it once for each of the two keys.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct KeyDigest {
    /// Names the connection of the key's owner in MP_JOIN.
    pub token: Token,
    /// The data sequence number that the SYN of the key's owner takes; its data starts one after.
    pub initial_data_sequence_number: DataSequenceNumber,
}

impl From<Key> for KeyDigest {
    fn from(key: Key) -> Self {
        let digest: [u8; 32] = Sha256::digest(key.0.to_be_bytes()).into();
        Self {
            token: Token(leading_u32(&digest)),
            initial_data_sequence_number: DataSequenceNumber(trailing_u64(&digest)),
        }
    }
}

/// A key beside what it stands for, so that nobody computes that again.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct DigestedKey {
    /// The key.
    pub key: Key,
    /// What it stands for.
    pub digest: KeyDigest,
}

impl From<Key> for DigestedKey {
    fn from(key: Key) -> Self {
        Self {
            key,
            digest: key.into(),
        }
    }
}

/// The key of HMACs between two hosts, from the point of view of the one that sends the code.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct SenderKeys {
    /// The key of the host that sends the code.
    pub sender: Key,
    /// The key of the host that receives it.
    pub receiver: Key,
}

impl SenderKeys {
    /// The code that authenticates the sender in an MP_JOIN handshake; the nonces are those of
    /// the sender and of the receiver of this code.
    pub fn join(self, sender_nonce: u32, receiver_nonce: u32) -> JoinAuthentication {
        let mut mac = self.mac();
        mac.update(&sender_nonce.to_be_bytes());
        mac.update(&receiver_nonce.to_be_bytes());
        JoinAuthentication(mac)
    }

    /// The truncated code of an ADD_ADDR: the rightmost 64 bits. An ADD_ADDR without a port is
    /// covered as though its port were zero.
    pub fn add_address(self, address_id: u8, address: IpAddr, port: Option<u16>) -> u64 {
        trailing_u64(
            &self
                .add_address_mac(address_id, address, port)
                .finalize()
                .into_bytes()
                .into(),
        )
    }

    /// True when `hmac` is the code of that ADD_ADDR; takes the same time wherever it differs.
    pub fn verify_add_address(
        self,
        address_id: u8,
        address: IpAddr,
        port: Option<u16>,
        hmac: u64,
    ) -> bool {
        let mac = self.add_address_mac(address_id, address, port);
        mac.verify_truncated_right(&hmac.to_be_bytes()).is_ok()
    }

    fn add_address_mac(self, address_id: u8, address: IpAddr, port: Option<u16>) -> Hmac<Sha256> {
        let mut mac = self.mac();
        mac.update(&[address_id]);
        match address {
            IpAddr::V4(v4) => mac.update(&v4.octets()),
            IpAddr::V6(v6) => mac.update(&v6.octets()),
        }
        mac.update(&port.unwrap_or(0).to_be_bytes());
        mac
    }

    fn mac(self) -> Hmac<Sha256> {
        // A block of SHA-256 is 64 bytes; HMAC pads a shorter key with zeros.
        let mut block = [0; 64];
        block[..8].copy_from_slice(&self.sender.0.to_be_bytes());
        block[8..16].copy_from_slice(&self.receiver.0.to_be_bytes());
        Hmac::new(&block.into())
    }
}

/// The HMAC by which one host proves in an MP_JOIN handshake that it knows both keys.
#[derive(Clone)]
pub struct JoinAuthentication(Hmac<Sha256>);

impl JoinAuthentication {
    /// The leftmost 64 bits, as the SYN/ACK carries them.
    pub fn truncated(&self) -> u64 {
        leading_u64(&self.digest())
    }

    /// The leftmost 160 bits, as the third ACK carries them.
    pub fn full(&self) -> [u8; 20] {
        let mut leftmost = [0; 20];
        leftmost.copy_from_slice(&self.digest()[..20]);
        leftmost
    }

    /// True when `hmac` is what a SYN/ACK must carry; takes the same time wherever it differs.
    pub fn verify_truncated(self, hmac: u64) -> bool {
        self.0.verify_truncated_left(&hmac.to_be_bytes()).is_ok()
    }

    /// True when `hmac` is what a third ACK must carry; takes the same time wherever it differs.
    pub fn verify_full(self, hmac: &[u8; 20]) -> bool {
        self.0.verify_truncated_left(hmac).is_ok()
    }

    fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into_bytes().into()
    }
}

fn leading_u32(digest: &[u8; 32]) -> u32 {
    let [a, b, c, d, ..] = *digest;
    u32::from_be_bytes([a, b, c, d])
}

fn leading_u64(digest: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn trailing_u64(digest: &[u8; 32]) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    // From a capture of a connection between two Linux hosts.
    const KEY_A: Key = Key(0xff2e_c3a2_f615_1881);
    const KEY_B: Key = Key(0x54f0_4ad5_bd2d_9f42);
    const NONCE_A: u32 = 0xc0d3_46f6;
    const NONCE_B: u32 = 0x0a54_f9af;
    const HMAC_A: [u8; 20] = [
        0xb4, 0xe6, 0xa4, 0x1b, 0xf5, 0x86, 0x13, 0x13, 0xdf, 0x7f, 0x5f, 0x45, 0x49, 0x66, 0x99,
        0x8a, 0xd7, 0xe6, 0x98, 0xa4,
    ];
    const HMAC_B: u64 = 0xc748_9cf7_0564_28b4;

    const FROM_A: SenderKeys = SenderKeys {
        sender: KEY_A,
        receiver: KEY_B,
    };
    const FROM_B: SenderKeys = SenderKeys {
        sender: KEY_B,
        receiver: KEY_A,
    };

    #[test]
    fn tokens_and_initial_numbers_are_those_of_linux() {
        let (a, b) = (KeyDigest::from(KEY_A), KeyDigest::from(KEY_B));
        assert_eq!(a.token, Token(0xe1e3_cdeb));
        assert_eq!(b.token, Token(0xeef7_df2f));
        let seen_of_a = DataSequenceNumber(1_172_603_837_543_216_362);
        let seen_of_b = DataSequenceNumber(15_012_343_925_868_579_242);
        assert_eq!(a.initial_data_sequence_number + 17, seen_of_a);
        assert_eq!(b.initial_data_sequence_number + 1, seen_of_b);
    }

    #[test]
    fn a_join_is_authenticated_as_by_linux() {
        assert_eq!(FROM_B.join(NONCE_B, NONCE_A).truncated(), HMAC_B);
        assert_eq!(FROM_A.join(NONCE_A, NONCE_B).full(), HMAC_A);
    }

    #[test]
    fn a_join_with_any_bit_wrong_is_refused() {
        assert!(FROM_B.join(NONCE_B, NONCE_A).verify_truncated(HMAC_B));
        for bit in 0..64 {
            assert!(
                !FROM_B
                    .join(NONCE_B, NONCE_A)
                    .verify_truncated(HMAC_B ^ (1 << bit))
            );
        }
        assert!(FROM_A.join(NONCE_A, NONCE_B).verify_full(&HMAC_A));
        for bit in 0..160 {
            let mut wrong = HMAC_A;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!FROM_A.join(NONCE_A, NONCE_B).verify_full(&wrong));
        }
    }

    #[test]
    fn a_code_of_the_other_direction_is_refused() {
        assert!(!FROM_A.join(NONCE_A, NONCE_B).verify_truncated(HMAC_B));
        assert!(!FROM_B.join(NONCE_B, NONCE_A).verify_full(&HMAC_A));
    }

    // The two codes below were computed with another implementation of HMAC-SHA256 over the
    // message that RFC 8684 section 3.4.1 lays down.
    #[test]
    fn an_announced_address_is_authenticated() {
        let v4 = IpAddr::from([10, 0, 1, 2]);
        assert_eq!(FROM_A.add_address(1, v4, None), 0x10b2_76ae_5953_5824);
        assert_eq!(
            FROM_A.add_address(1, v4, Some(0)),
            FROM_A.add_address(1, v4, None)
        );
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(FROM_B.add_address(2, v6, Some(8080)), 0x6304_53e4_ab03_1d47);
    }

    #[test]
    fn an_announcement_that_was_changed_is_refused() {
        let address = IpAddr::from([10, 0, 1, 2]);
        let hmac = FROM_A.add_address(1, address, Some(80));
        assert!(FROM_A.verify_add_address(1, address, Some(80), hmac));
        assert!(!FROM_A.verify_add_address(2, address, Some(80), hmac));
        assert!(!FROM_A.verify_add_address(1, IpAddr::from([10, 0, 1, 3]), Some(80), hmac));
        assert!(!FROM_A.verify_add_address(1, address, None, hmac));
        assert!(!FROM_A.verify_add_address(1, address, Some(80), hmac ^ 1));
        assert!(!FROM_B.verify_add_address(1, address, Some(80), hmac));
    }
}
