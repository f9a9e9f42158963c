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
