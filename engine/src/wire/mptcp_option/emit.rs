//! Writing an MPTCP option.

use super::{CapableFlags, DataNumber, Dss, Key, MptcpOption, format};
use crate::wire::EmitError;
use crate::wire::cursor::Writer;
use core::net::IpAddr;

/// The kind of all MPTCP options.
const KIND: u8 = 30;

impl DataNumber {
    const fn len(self) -> usize {
        match self {
            Self::Short(_) => 4,
            Self::Long(_) => 8,
        }
    }

    fn write(self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        match self {
            Self::Short(low) => writer.u32(low),
            Self::Long(number) => writer.u64(number.0),
        }
    }
}

impl Dss {
    /// Length of the option in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no option is empty")]
    pub fn len(&self) -> usize {
        let mapping = self.mapping.map_or(0, |mapping| {
            let checksum = if mapping.checksum.is_some() { 2 } else { 0 };
            mapping.data_sequence.len() + 6 + checksum
        });
        4 + self.data_ack.map_or(0, DataNumber::len) + mapping
    }

    fn flags(&self) -> u8 {
        let data_ack = match self.data_ack {
            None => 0,
            Some(DataNumber::Short(_)) => format::DSS_DATA_ACK,
            Some(DataNumber::Long(_)) => format::DSS_DATA_ACK | format::DSS_DATA_ACK_LONG,
        };
        let mapping = match self.mapping.map(|mapping| mapping.data_sequence) {
            // Without a mapping there is nothing that a DATA_FIN could be the end of.
            None => return data_ack,
            Some(DataNumber::Short(_)) => format::DSS_MAPPING,
            Some(DataNumber::Long(_)) => format::DSS_MAPPING | format::DSS_SEQUENCE_LONG,
        };
        let data_fin = if self.data_fin {
            format::DSS_DATA_FIN
        } else {
            0
        };
        data_ack | mapping | data_fin
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        writer.array([format::DSS << 4, self.flags()])?;
        if let Some(data_ack) = self.data_ack {
            data_ack.write(writer)?;
        }
        let Some(mapping) = self.mapping else {
            return Ok(());
        };
        mapping.data_sequence.write(writer)?;
        writer.u32(mapping.subflow_offset)?;
        writer.u16(mapping.length)?;
        mapping
            .checksum
            .map_or(Ok(()), |checksum| writer.u16(checksum))
    }
}

impl MptcpOption {
    /// Length of the option in bytes, kind and length included, without padding.
    #[expect(clippy::len_without_is_empty, reason = "no option is empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::CapableSyn { .. } => 4,
            Self::CapableSynAck { .. } => 12,
            Self::CapableAck { data: None, .. } => 20,
            Self::CapableAck {
                data: Some(data), ..
            } if data.checksum.is_none() => 22,
            Self::CapableAck { .. } => 24,
            Self::JoinSyn { .. } => 12,
            Self::JoinSynAck { .. } => 16,
            Self::JoinAck { .. } => 24,
            Self::Dss(dss) => dss.len(),
            Self::AddAddress {
                address,
                port,
                hmac,
                ..
            } => {
                let address = if address.is_ipv4() { 4 } else { 16 };
                let port = if port.is_some() { 2 } else { 0 };
                let hmac = if hmac.is_some() { 8 } else { 0 };
                4 + address + port + hmac
            }
            Self::RemoveAddress { address_ids } => 3 + address_ids.len(),
            Self::Priority { .. } => 3,
            Self::Fail { .. } | Self::Fastclose { .. } => 12,
            Self::Reset { .. } => 4,
        }
    }

    /// Writes the option, kind and length included, to the front of `buffer` and returns
    /// [`Self::len`].
    ///
    /// MP_CAPABLE on a SYN is written in the form of version 1 whatever its version says.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, EmitError> {
        self.write(&mut Writer::new(buffer))?;
        Ok(self.len())
    }

    pub(in crate::wire) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        // The longest option is 28 bytes, so the length fits a byte.
        writer.array([KIND, self.len() as u8])?;
        match self {
            Self::CapableSyn { version, flags } => write_capable(*version, *flags, &[], writer),
            Self::CapableSynAck {
                version,
                flags,
                sender_key,
            } => write_capable(*version, *flags, &[*sender_key], writer),
            Self::CapableAck {
                version,
                flags,
                sender_key,
                receiver_key,
                data,
            } => {
                write_capable(*version, *flags, &[*sender_key, *receiver_key], writer)?;
                let Some(data) = data else { return Ok(()) };
                writer.u16(data.length)?;
                data.checksum
                    .map_or(Ok(()), |checksum| writer.u16(checksum))
            }
            Self::JoinSyn {
                backup,
                address_id,
                token,
                nonce,
            } => {
                writer.array([format::JOIN << 4 | u8::from(*backup), *address_id])?;
                writer.u32(token.0)?;
                writer.u32(*nonce)
            }
            Self::JoinSynAck {
                backup,
                address_id,
                hmac,
                nonce,
            } => {
                writer.array([format::JOIN << 4 | u8::from(*backup), *address_id])?;
                writer.u64(*hmac)?;
                writer.u32(*nonce)
            }
            Self::JoinAck { hmac } => {
                writer.array([format::JOIN << 4, 0])?;
                writer.array(*hmac)
            }
            Self::Dss(dss) => dss.write(writer),
            Self::AddAddress {
                address_id,
                address,
                port,
                hmac,
            } => {
                let echo = u8::from(hmac.is_none());
                writer.array([format::ADD_ADDRESS << 4 | echo, *address_id])?;
                write_address(*address, *port, writer)?;
                hmac.map_or(Ok(()), |hmac| writer.u64(hmac))
            }
            Self::RemoveAddress { address_ids } => {
                writer.u8(format::REMOVE_ADDRESS << 4)?;
                writer.slice(address_ids)
            }
            Self::Priority { backup } => writer.u8(format::PRIORITY << 4 | u8::from(*backup)),
            Self::Fail { data_sequence } => {
                writer.array([format::FAIL << 4, 0])?;
                writer.u64(data_sequence.0)
            }
            Self::Fastclose { receiver_key } => {
                writer.array([format::FASTCLOSE << 4, 0])?;
                writer.u64(receiver_key.0)
            }
            Self::Reset { transient, reason } => {
                writer.array([format::RESET << 4 | u8::from(*transient), reason.code()])
            }
        }
    }
}

fn write_capable(
    version: u8,
    flags: CapableFlags,
    keys: &[Key],
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    writer.array([format::CAPABLE << 4 | version & 0xf, flags.bits()])?;
    keys.iter().try_for_each(|key| writer.u64(key.0))
}

fn write_address(
    address: IpAddr,
    port: Option<u16>,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    match address {
        IpAddr::V4(address) => writer.array(address.octets())?,
        IpAddr::V6(address) => writer.array(address.octets())?,
    }
    port.map_or(Ok(()), |port| writer.u16(port))
}
