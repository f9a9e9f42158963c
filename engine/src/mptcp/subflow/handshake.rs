//! The options that open a subflow: MP_CAPABLE (RFC 8684 section 3.1) and MP_JOIN (section 3.2).

use super::phase::Input;
use crate::mptcp::crypto::{DigestedKey, KeyDigest, SenderKeys};
use crate::mptcp::message::{Establishment, FallbackReason};
use crate::sequence::DataSequenceNumber;
use crate::wire::mptcp_option::{CapableData, CapableFlags, Key, MptcpOption, Token};

/// The version of RFC 8684.
const VERSION: u8 = 1;

/// True when an MP_CAPABLE with this version and these flags can be answered: version 1, HMAC-SHA256,
/// and no extension of the option that this implementation could not know (RFC 8684 section 3.1).
pub fn capable_is_usable(version: u8, flags: CapableFlags) -> bool {
    version == VERSION
        && flags.contains(CapableFlags::HMAC_SHA256)
        && !flags.contains(CapableFlags::EXTENSIBILITY)
}

/// How the first subflow of a connection opens.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct CapableConfig {
    /// Ask for DSS checksums; on the accepting side: this side or the SYN asked for them.
    pub checksum: bool,
    /// Let the peer join to the address and port of the first subflow.
    pub join_to_this_address: bool,
    /// How many SYNs are sent again with MP_CAPABLE before plain ones are tried.
    pub syn_retries_before_plain: u8,
    /// Send data sequence numbers with all 64 bits, as every rate above some 100 Mbit/s wants:
    /// with 32 a mapping that comes very late can be taken for another.
    pub long_sequence: bool,
}

impl Default for CapableConfig {
    fn default() -> Self {
        Self {
            checksum: false,
            join_to_this_address: true,
            syn_retries_before_plain: 2,
            long_sequence: true,
        }
    }
}

impl CapableConfig {
    /// The flags of this side's MP_CAPABLE, as they stand on SYN, SYN/ACK and third ACK.
    pub fn flags(&self) -> CapableFlags {
        let mut flags = CapableFlags::HMAC_SHA256;
        flags.set(CapableFlags::CHECKSUM_REQUIRED, self.checksum);
        flags.set(
            CapableFlags::NO_JOIN_TO_THIS_ADDRESS,
            !self.join_to_this_address,
        );
        flags
    }
}

/// What both sides of a join know of the connection and of this side's end of the subflow.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct JoinConfig {
    /// This side's key.
    pub local_key: Key,
    /// The peer's key.
    pub remote_key: Key,
    /// This side's random number.
    pub nonce: u32,
    /// This side's identifier of its address.
    pub address_id: u8,
    /// This side asks for backup use.
    pub backup: bool,
    /// DSS checksums are in use on the connection.
    pub checksum: bool,
    /// Send data sequence numbers with all 64 bits.
    pub long_sequence: bool,
}

/// What an accepting side learned from the SYN with MP_JOIN.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct JoinRequest {
    /// The peer's random number.
    pub nonce: u32,
    /// The peer's identifier of its address.
    pub address_id: u8,
    /// The peer asked for backup use.
    pub backup: bool,
}

/// The handshake of one subflow, by role, with what it has learned so far.
#[derive(Clone, Debug)]
pub(super) enum Handshake {
    CapableClient {
        local_key: Key,
        config: CapableConfig,
        /// A plain SYN went out, so MP_CAPABLE does not get through.
        plain_tried: bool,
        peer: Option<CapablePeer>,
    },
    CapableServer {
        local_key: Key,
        config: CapableConfig,
        peer: Option<CapablePeer>,
    },
    JoinClient {
        config: JoinConfig,
        token: Token,
        peer: Option<JoinRequest>,
    },
    JoinServer {
        config: JoinConfig,
        peer: JoinRequest,
    },
    Plain,
}

/// What the first subflow's handshake learned of the peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct CapablePeer {
    pub(super) key: Key,
    /// Its initial data sequence number.
    pub(super) initial: DataSequenceNumber,
    token: Token,
    flags: CapableFlags,
}

impl CapablePeer {
    fn new(key: Key, flags: CapableFlags) -> Self {
        let digest = KeyDigest::from(key);
        Self {
            key,
            initial: digest.initial_data_sequence_number,
            token: digest.token,
            flags,
        }
    }

    /// Its key.
    const fn digested_key(&self) -> DigestedKey {
        DigestedKey {
            key: self.key,
            digest: KeyDigest {
                token: self.token,
                initial_data_sequence_number: self.initial,
            },
        }
    }
}

impl Handshake {
    /// The option of the SYN number `attempt`.
    pub(super) fn syn_option(&self, attempt: u8) -> Option<MptcpOption> {
        match self {
            Self::CapableClient { config, .. } if attempt <= config.syn_retries_before_plain => {
                Some(MptcpOption::CapableSyn {
                    version: VERSION,
                    flags: config.flags(),
                })
            }
            Self::JoinClient { config, token, .. } => Some(MptcpOption::JoinSyn {
                backup: config.backup,
                address_id: config.address_id,
                token: *token,
                nonce: config.nonce,
            }),
            _ => None,
        }
    }

    /// The option of a SYN/ACK that goes again.
    pub(super) fn syn_ack_option(&self) -> Option<MptcpOption> {
        match self {
            Self::CapableServer {
                local_key, config, ..
            } => Some(MptcpOption::CapableSynAck {
                version: VERSION,
                flags: config.flags(),
                sender_key: *local_key,
            }),
            Self::JoinServer { config, peer } => {
                let keys = SenderKeys {
                    sender: config.local_key,
                    receiver: config.remote_key,
                };
                Some(MptcpOption::JoinSynAck {
                    backup: config.backup,
                    address_id: config.address_id,
                    hmac: keys.join(config.nonce, peer.nonce).truncated(),
                    nonce: config.nonce,
                })
            }
            _ => None,
        }
    }

    /// A SYN went out without option: a later SYN/ACK answers that one, whatever it carries.
    pub(super) fn on_plain_syn(&mut self) {
        if let Self::CapableClient { plain_tried, .. } = self {
            *plain_tried = true;
        }
    }

    /// What the options of a SYN/ACK mean.
    pub(super) fn on_syn_ack(&mut self, options: &[MptcpOption]) -> Input {
        match self {
            Self::CapableClient {
                plain_tried: true, ..
            } => Input::BareSynAck(FallbackReason::SynDropped),
            Self::CapableClient { peer, .. } => {
                *peer = options.iter().find_map(|option| match *option {
                    MptcpOption::CapableSynAck {
                        version,
                        flags,
                        sender_key,
                    } if capable_is_usable(version, flags) => {
                        Some(CapablePeer::new(sender_key, flags))
                    }
                    _ => None,
                });
                match peer {
                    Some(_) => Input::CapableSynAck,
                    None => Input::BareSynAck(FallbackReason::PeerNotCapable),
                }
            }
            Self::JoinClient { config, peer, .. } => {
                let answer = options.iter().find_map(|option| match *option {
                    MptcpOption::JoinSynAck {
                        backup,
                        address_id,
                        hmac,
                        nonce,
                    } => Some((
                        JoinRequest {
                            nonce,
                            address_id,
                            backup,
                        },
                        hmac,
                    )),
                    _ => None,
                });
                let Some((answer, hmac)) = answer else {
                    return Input::BareSynAck(FallbackReason::PeerNotCapable);
                };
                let keys = SenderKeys {
                    sender: config.remote_key,
                    receiver: config.local_key,
                };
                if !keys.join(answer.nonce, config.nonce).verify_truncated(hmac) {
                    return Input::WrongHmac;
                }
                *peer = Some(answer);
                Input::JoinSynAck
            }
            _ => Input::BareSynAck(FallbackReason::Disabled),
        }
    }

    /// What the options of the third ACK, or of first data in its stead, mean.
    pub(super) fn on_third_ack(&mut self, options: &[MptcpOption]) -> Input {
        match self {
            Self::CapableServer {
                local_key, peer, ..
            } => {
                *peer = options.iter().find_map(|option| match *option {
                    MptcpOption::CapableAck {
                        flags,
                        sender_key,
                        receiver_key,
                        ..
                    } if receiver_key == *local_key => Some(CapablePeer::new(sender_key, flags)),
                    _ => None,
                });
                match peer {
                    Some(_) => Input::CapableAck,
                    None => Input::BareAck,
                }
            }
            Self::JoinServer { config, peer } => {
                let hmac = options.iter().find_map(|option| match option {
                    MptcpOption::JoinAck { hmac } => Some(hmac),
                    _ => None,
                });
                let keys = SenderKeys {
                    sender: config.remote_key,
                    receiver: config.local_key,
                };
                match hmac {
                    None => Input::BareAck,
                    Some(hmac) if keys.join(peer.nonce, config.nonce).verify_full(hmac) => {
                        Input::JoinAck
                    }
                    Some(_) => Input::WrongHmac,
                }
            }
            _ => Input::BareAck,
        }
    }

    /// MP_CAPABLE of the third ACK, or of the first data; only the side that opened sends it.
    pub(super) fn capable_ack(&self, data: Option<CapableData>) -> Option<MptcpOption> {
        let Self::CapableClient {
            local_key,
            config,
            peer: Some(peer),
            ..
        } = self
        else {
            return None;
        };
        let mut flags = config.flags();
        flags.set(CapableFlags::CHECKSUM_REQUIRED, self.checksum());
        Some(MptcpOption::CapableAck {
            version: VERSION,
            flags,
            sender_key: *local_key,
            receiver_key: peer.key,
            data,
        })
    }

    /// This side opened the connection, and learned the peer's key.
    pub(super) fn is_capable_client(&self) -> bool {
        matches!(self, Self::CapableClient { peer: Some(_), .. })
    }

    /// MP_JOIN of the third ACK.
    pub(super) fn join_ack(&self) -> Option<MptcpOption> {
        let Self::JoinClient {
            config,
            peer: Some(peer),
            ..
        } = self
        else {
            return None;
        };
        let keys = SenderKeys {
            sender: config.local_key,
            receiver: config.remote_key,
        };
        let hmac = keys.join(config.nonce, peer.nonce).full();
        Some(MptcpOption::JoinAck { hmac })
    }

    /// DSS checksums are in use.
    pub(super) fn checksum(&self) -> bool {
        match self {
            Self::CapableClient { config, peer, .. } | Self::CapableServer { config, peer, .. } => {
                let peer_asks =
                    peer.is_some_and(|p| p.flags.contains(CapableFlags::CHECKSUM_REQUIRED));
                config.checksum || peer_asks
            }
            Self::JoinClient { config, .. } | Self::JoinServer { config, .. } => config.checksum,
            Self::Plain => false,
        }
    }

    /// Data sequence numbers go out with all 64 bits.
    pub(super) fn long_sequence(&self) -> bool {
        match self {
            Self::CapableClient { config, .. } | Self::CapableServer { config, .. } => {
                config.long_sequence
            }
            Self::JoinClient { config, .. } | Self::JoinServer { config, .. } => {
                config.long_sequence
            }
            Self::Plain => false,
        }
    }

    /// The peer of the first subflow, once its key is known.
    pub(super) fn capable_peer(&self) -> Option<CapablePeer> {
        match self {
            Self::CapableClient { peer, .. } | Self::CapableServer { peer, .. } => *peer,
            _ => None,
        }
    }

    /// What a completed handshake tells home.
    pub(super) fn establishment(&self) -> Option<Establishment> {
        match self {
            Self::CapableClient { .. } | Self::CapableServer { .. } => {
                self.capable_peer().map(|peer| Establishment::Capable {
                    remote_key: peer.digested_key(),
                    checksum: self.checksum(),
                    join_to_this_address: !peer
                        .flags
                        .contains(CapableFlags::NO_JOIN_TO_THIS_ADDRESS),
                })
            }
            Self::JoinClient {
                peer: Some(peer), ..
            }
            | Self::JoinServer { peer, .. } => Some(Establishment::Joined {
                remote_address_id: peer.address_id,
                backup: peer.backup,
            }),
            Self::JoinClient { peer: None, .. } | Self::Plain => None,
        }
    }

    /// The backup flag of this side has changed before the SYN was answered.
    pub(super) fn set_backup(&mut self, backup: bool) {
        if let Self::JoinClient { config, .. } = self {
            config.backup = backup;
        }
    }
}
