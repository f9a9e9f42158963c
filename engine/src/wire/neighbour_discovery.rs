//! Neighbour discovery for IPv6 (RFC 4861): who has an address, and which router leads away.

use super::checksum::PseudoHeader;
use super::cursor::{Reader, Writer};
use super::ethernet::MacAddress;
use super::icmp::{ICMP_HEADER_LEN, RawMessage};
use super::{EmitError, ParseError};
use core::net::Ipv6Addr;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

const OPTION_SOURCE_LINK_ADDRESS: u8 = 1;
const OPTION_TARGET_LINK_ADDRESS: u8 = 2;
const OPTION_MTU: u8 = 5;

/// Options take whole units of this many bytes; link address and MTU take one.
const OPTION_UNIT: usize = 8;

const FLAG_ROUTER: u32 = 1 << 31;
const FLAG_SOLICITED: u32 = 1 << 30;
const FLAG_OVERRIDE: u32 = 1 << 29;

/// The body of a router advertisement before its options: reachable and retransmission time.
const ROUTER_TIMERS_LEN: usize = 8;

/// The longest message that is emitted: a router advertisement with both its options.
const MAX_LEN: usize = ICMP_HEADER_LEN + 16 + 2 * OPTION_UNIT;

/// A message of neighbour discovery. Receivers accept it only with a hop limit of 255, senders set
/// that limit.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum NeighbourMessage {
    /// Who has `target`?
    Solicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// Link address of who asks; not sent from the unspecified address.
        source_link_address: Option<MacAddress>,
    },
    /// I have `target`.
    Advertisement {
        /// The sender is a router.
        router: bool,
        /// It answers a solicitation.
        solicited: bool,
        /// It replaces a link address that is known already.
        overrides: bool,
        /// The address.
        target: Ipv6Addr,
        /// Its link address.
        target_link_address: Option<MacAddress>,
    },
    /// Which routers are there?
    RouterSolicitation {
        /// Link address of who asks.
        source_link_address: Option<MacAddress>,
    },
    /// The sender is a router. Prefixes are not read: addresses are configured, not made up.
    RouterAdvertisement {
        /// The hop limit to use, 0 when the router does not say.
        hop_limit: u8,
        /// For how many seconds it is a default router; 0: it is none.
        lifetime: u16,
        /// Link address of the router.
        source_link_address: Option<MacAddress>,
        /// MTU of the link.
        mtu: Option<u32>,
    },
}

/// The options that are understood.
#[derive(Default)]
struct Options {
    source_link_address: Option<MacAddress>,
    target_link_address: Option<MacAddress>,
    mtu: Option<u32>,
}

impl Options {
    /// Reads all options, skips the unknown ones. An option of no length makes the whole message
    /// invalid (section 4.6).
    fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let [kind, units] = reader.array()?;
            let length = (usize::from(units) * OPTION_UNIT)
                .checked_sub(2)
                .ok_or(ParseError::Length)?;
            let mut content = Reader::new(reader.slice(length)?);
            match kind {
                OPTION_SOURCE_LINK_ADDRESS => {
                    options.source_link_address = Some(MacAddress(content.array()?));
                }
                OPTION_TARGET_LINK_ADDRESS => {
                    options.target_link_address = Some(MacAddress(content.array()?));
                }
                OPTION_MTU => {
                    let _reserved = content.u16()?;
                    options.mtu = Some(content.u32()?);
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

fn emit_link_address(
    kind: u8,
    address: Option<MacAddress>,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    if let Some(MacAddress(bytes)) = address {
        writer.array([kind, 1])?;
        writer.array(bytes)?;
    }
    Ok(())
}

/// The target of a solicitation or advertisement and the options after it.
fn target_and_options(body: &[u8]) -> Result<(Ipv6Addr, Options), ParseError> {
    let mut reader = Reader::new(body);
    let target = Ipv6Addr::from(reader.array::<16>()?);
    if target.is_multicast() {
        return Err(ParseError::Value);
    }
    Ok((target, Options::parse(reader.rest())?))
}

impl NeighbourMessage {
    /// The message of a raw one; `None` when it is not of neighbour discovery.
    pub(super) fn from_raw(raw: &RawMessage<'_>) -> Result<Option<Self>, ParseError> {
        if !(ROUTER_SOLICITATION..=NEIGHBOUR_ADVERTISEMENT).contains(&raw.kind) {
            return Ok(None);
        }
        if raw.code != 0 {
            return Err(ParseError::Value);
        }
        Ok(Some(match raw.kind {
            ROUTER_SOLICITATION => {
                let Options {
                    source_link_address,
                    ..
                } = Options::parse(raw.body)?;
                Self::RouterSolicitation {
                    source_link_address,
                }
            }
            ROUTER_ADVERTISEMENT => {
                let mut reader = Reader::new(raw.body);
                reader.slice(ROUTER_TIMERS_LEN)?;
                let Options {
                    source_link_address,
                    mtu,
                    ..
                } = Options::parse(reader.rest())?;
                let [hop_limit, _flags, lifetime @ ..] = raw.word.to_be_bytes();
                let lifetime = u16::from_be_bytes(lifetime);
                Self::RouterAdvertisement {
                    hop_limit,
                    lifetime,
                    source_link_address,
                    mtu,
                }
            }
            NEIGHBOUR_SOLICITATION => {
                let (target, options) = target_and_options(raw.body)?;
                Self::Solicitation {
                    target,
                    source_link_address: options.source_link_address,
                }
            }
            _ => {
                let (target, options) = target_and_options(raw.body)?;
                Self::Advertisement {
                    router: raw.word & FLAG_ROUTER != 0,
                    solicited: raw.word & FLAG_SOLICITED != 0,
                    overrides: raw.word & FLAG_OVERRIDE != 0,
                    target,
                    target_link_address: options.target_link_address,
                }
            }
        }))
    }

    /// Length of the message in bytes, ICMP header included.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub const fn len(&self) -> usize {
        const fn unit(present: bool) -> usize {
            if present { OPTION_UNIT } else { 0 }
        }
        ICMP_HEADER_LEN
            + match self {
                Self::Solicitation {
                    source_link_address,
                    ..
                } => 16 + unit(source_link_address.is_some()),
                Self::Advertisement {
                    target_link_address,
                    ..
                } => 16 + unit(target_link_address.is_some()),
                Self::RouterSolicitation {
                    source_link_address,
                } => unit(source_link_address.is_some()),
                Self::RouterAdvertisement {
                    source_link_address,
                    mtu,
                    ..
                } => ROUTER_TIMERS_LEN + unit(source_link_address.is_some()) + unit(mtu.is_some()),
            }
    }

    /// Writes the message to the front of `buffer`.
    pub fn emit(&self, pseudo: &PseudoHeader, buffer: &mut [u8]) -> Result<usize, EmitError> {
        let mut body = [0; MAX_LEN];
        let mut writer = Writer::new(&mut body);
        let (kind, word) = match *self {
            Self::Solicitation {
                target,
                source_link_address,
            } => {
                writer.array(target.octets())?;
                emit_link_address(OPTION_SOURCE_LINK_ADDRESS, source_link_address, &mut writer)?;
                (NEIGHBOUR_SOLICITATION, 0)
            }
            Self::Advertisement {
                router,
                solicited,
                overrides,
                target,
                target_link_address,
            } => {
                writer.array(target.octets())?;
                emit_link_address(OPTION_TARGET_LINK_ADDRESS, target_link_address, &mut writer)?;
                let flag = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
                let word = flag(router, FLAG_ROUTER)
                    | flag(solicited, FLAG_SOLICITED)
                    | flag(overrides, FLAG_OVERRIDE);
                (NEIGHBOUR_ADVERTISEMENT, word)
            }
            Self::RouterSolicitation {
                source_link_address,
            } => {
                emit_link_address(OPTION_SOURCE_LINK_ADDRESS, source_link_address, &mut writer)?;
                (ROUTER_SOLICITATION, 0)
            }
            Self::RouterAdvertisement {
                hop_limit,
                lifetime,
                source_link_address,
                mtu,
            } => {
                writer.repeat(0, ROUTER_TIMERS_LEN)?;
                emit_link_address(OPTION_SOURCE_LINK_ADDRESS, source_link_address, &mut writer)?;
                if let Some(mtu) = mtu {
                    writer.array([OPTION_MTU, 1, 0, 0])?;
                    writer.u32(mtu)?;
                }
                (
                    ROUTER_ADVERTISEMENT,
                    u32::from(hop_limit) << 24 | u32::from(lifetime),
                )
            }
        };
        let body = body
            .get(..self.len() - ICMP_HEADER_LEN)
            .ok_or(EmitError::BufferTooShort)?;
        RawMessage {
            kind,
            code: 0,
            word,
            body,
        }
        .emit(pseudo.sum(self.len()), buffer)
    }
}

/// The group that a solicitation for `target` goes to (RFC 4291 section 2.7.1).
pub const fn solicited_node_multicast(target: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | target.to_bits() & 0xff_ffff)
}
