//! Reading an MPTCP option.

use super::{
    CapableData, CapableFlags, DataNumber, Dss, DssMapping, Key, MptcpOption, ResetReason, Token,
    format,
};
use crate::sequence::DataSequenceNumber;
use crate::wire::ParseError;
use crate::wire::cursor::Reader;
use crate::wire::tcp::TcpFlags;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl MptcpOption {
    /// Reads the option whose content, what follows kind and length, is `content`, off a segment
    /// with these control bits.
    ///
    /// MP_CAPABLE and MP_JOIN have one form for each step of the handshake. Both the length and the
    /// control bits must ask for it. Reserved bits are ignored. MP_CAPABLE of another version is
    /// read all the same, for its receiver to judge.
    pub fn parse(content: &[u8], flags: TcpFlags) -> Result<Self, ParseError> {
        let mut reader = Reader::new(content);
        let first = reader.u8()?;
        let low = first & 0xf;
        let step = Step::of(flags);
        let option = match first >> 4 {
            format::CAPABLE => capable(low, step, &mut reader),
            format::JOIN => join(low, step, &mut reader),
            format::DSS => dss(&mut reader).map(Self::Dss),
            format::ADD_ADDRESS => add_address(low, &mut reader),
            format::REMOVE_ADDRESS => remove_address(&mut reader),
            format::PRIORITY => priority(low, &mut reader),
            format::FAIL => {
                let _reserved = reader.u8()?;
                let data_sequence = DataSequenceNumber(reader.u64()?);
                Ok(Self::Fail { data_sequence })
            }
            format::FASTCLOSE => {
                let _reserved = reader.u8()?;
                Ok(Self::Fastclose {
                    receiver_key: Key(reader.u64()?),
                })
            }
            format::RESET => {
                let reason = ResetReason::from_code(reader.u8()?);
                Ok(Self::Reset {
                    transient: low & 1 != 0,
                    reason,
                })
            }
            _ => return Err(ParseError::Unsupported),
        }?;
        if reader.is_empty() {
            Ok(option)
        } else {
            Err(ParseError::Length)
        }
    }
}

/// The step of the handshake that a segment can be.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Step {
    Syn,
    SynAck,
    /// The third ACK, or any segment after it.
    Ack,
}

impl Step {
    fn of(flags: TcpFlags) -> Self {
        match (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK)) {
            (true, false) => Self::Syn,
            (true, true) => Self::SynAck,
            (false, _) => Self::Ack,
        }
    }
}

fn capable(version: u8, step: Step, reader: &mut Reader<'_>) -> Result<MptcpOption, ParseError> {
    let flags = CapableFlags::from_bits_retain(reader.u8()?);
    match step {
        Step::Syn => {
            if version == 0 {
                // Version 0 sends its key with the SYN. It is of no use: no receiver here
                // speaks that version.
                let _key = reader.u64()?;
            }
            Ok(MptcpOption::CapableSyn { version, flags })
        }
        Step::SynAck => {
            let sender_key = Key(reader.u64()?);
            Ok(MptcpOption::CapableSynAck {
                version,
                flags,
                sender_key,
            })
        }
        Step::Ack => {
            let sender_key = Key(reader.u64()?);
            let receiver_key = Key(reader.u64()?);
            let data = match reader.rest().len() {
                0 => None,
                2 => Some(CapableData {
                    length: reader.u16()?,
                    checksum: None,
                }),
                _ => Some(CapableData {
                    length: reader.u16()?,
                    checksum: Some(reader.u16()?),
                }),
            };
            Ok(MptcpOption::CapableAck {
                version,
                flags,
                sender_key,
                receiver_key,
                data,
            })
        }
    }
}

fn join(low: u8, step: Step, reader: &mut Reader<'_>) -> Result<MptcpOption, ParseError> {
    let backup = low & 1 != 0;
    let address_id = reader.u8()?;
    Ok(match step {
        Step::Syn => MptcpOption::JoinSyn {
            backup,
            address_id,
            token: Token(reader.u32()?),
            nonce: reader.u32()?,
        },
        Step::SynAck => MptcpOption::JoinSynAck {
            backup,
            address_id,
            hmac: reader.u64()?,
            nonce: reader.u32()?,
        },
        Step::Ack => MptcpOption::JoinAck {
            hmac: reader.array()?,
        },
    })
}

fn data_number(is_long: bool, reader: &mut Reader<'_>) -> Result<DataNumber, ParseError> {
    Ok(if is_long {
        DataNumber::Long(DataSequenceNumber(reader.u64()?))
    } else {
        DataNumber::Short(reader.u32()?)
    })
}

fn dss(reader: &mut Reader<'_>) -> Result<Dss, ParseError> {
    let flags = reader.u8()?;
    let is_set = |bit: u8| flags & bit != 0;
    let data_ack = if is_set(format::DSS_DATA_ACK) {
        Some(data_number(is_set(format::DSS_DATA_ACK_LONG), reader)?)
    } else {
        None
    };
    if !is_set(format::DSS_MAPPING) {
        return Ok(Dss {
            data_ack,
            mapping: None,
            data_fin: false,
        });
    }
    let mapping = DssMapping {
        data_sequence: data_number(is_set(format::DSS_SEQUENCE_LONG), reader)?,
        subflow_offset: reader.u32()?,
        length: reader.u16()?,
        checksum: if reader.is_empty() {
            None
        } else {
            Some(reader.u16()?)
        },
    };
    Ok(Dss {
        data_ack,
        mapping: Some(mapping),
        data_fin: is_set(format::DSS_DATA_FIN),
    })
}

fn add_address(low: u8, reader: &mut Reader<'_>) -> Result<MptcpOption, ParseError> {
    let is_echo = low & 1 != 0;
    let address_id = reader.u8()?;
    let hmac_len = if is_echo { 0 } else { 8 };
    let address_and_port = reader
        .rest()
        .len()
        .checked_sub(hmac_len)
        .ok_or(ParseError::Length)?;
    let (address, has_port) = match address_and_port {
        4 | 6 => (
            IpAddr::V4(Ipv4Addr::from(reader.array::<4>()?)),
            address_and_port == 6,
        ),
        16 | 18 => (
            IpAddr::V6(Ipv6Addr::from(reader.array::<16>()?)),
            address_and_port == 18,
        ),
        _ => return Err(ParseError::Length),
    };
    let port = if has_port { Some(reader.u16()?) } else { None };
    let hmac = if is_echo { None } else { Some(reader.u64()?) };
    Ok(MptcpOption::AddAddress {
        address_id,
        address,
        port,
        hmac,
    })
}

fn remove_address(reader: &mut Reader<'_>) -> Result<MptcpOption, ParseError> {
    let bytes = reader.slice(reader.rest().len())?;
    if bytes.is_empty() {
        return Err(ParseError::Length);
    }
    // Identifiers past the capacity are ignored; no host has so many addresses to withdraw at once.
    Ok(MptcpOption::RemoveAddress {
        address_ids: bytes.iter().copied().take(16).collect(),
    })
}

fn priority(low: u8, reader: &mut Reader<'_>) -> Result<MptcpOption, ParseError> {
    // Version 0 may add an address identifier. RFC 8684 dropped it, some peers still send it.
    if !reader.is_empty() {
        let _address_id = reader.u8()?;
    }
    Ok(MptcpOption::Priority {
        backup: low & 1 != 0,
    })
}
