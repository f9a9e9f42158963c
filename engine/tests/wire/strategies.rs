//! Arbitrary valid headers.

use arrayvec::ArrayVec;
use braid_engine::sequence::{DataSequenceNumber, SequenceNumber};
use braid_engine::wire::ip::{Protocol, TrafficClass};
use braid_engine::wire::ipv4::Ipv4Header;
use braid_engine::wire::ipv6::Ipv6Header;
use braid_engine::wire::mptcp_option::{
    CapableData, CapableFlags, DataNumber, Dss, DssMapping, Key, MptcpOption, ResetReason, Token,
};
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use braid_engine::wire::tcp_option::{OPTION_SPACE, SackBlock, TcpOptions, Timestamps};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes as they could come from anywhere.
pub(crate) fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=longest)
}

/// An upper-layer protocol: anything that is no IPv6 extension header.
fn protocol() -> impl Strategy<Value = Protocol> {
    any::<u8>()
        .prop_filter("extension header", |number| {
            ![0, 43, 44, 60].contains(number)
        })
        .prop_map(Protocol::from_number)
}

pub(crate) fn ipv4_header() -> impl Strategy<Value = Ipv4Header> {
    let fields = any::<(Ipv4Addr, Ipv4Addr, u8, u8, u16, bool)>();
    (fields, protocol()).prop_map(
        |((source, destination, hop_limit, class, id, df), protocol)| Ipv4Header {
            source,
            destination,
            protocol,
            hop_limit,
            traffic_class: TrafficClass::from_byte(class),
            identification: id,
            dont_fragment: df,
        },
    )
}

pub(crate) fn ipv6_header() -> impl Strategy<Value = Ipv6Header> {
    let fields = any::<(Ipv6Addr, Ipv6Addr, u8, u8)>();
    (fields, protocol(), 0..1u32 << 20).prop_map(
        |((source, destination, hop_limit, class), protocol, flow_label)| Ipv6Header {
            source,
            destination,
            protocol,
            hop_limit,
            traffic_class: TrafficClass::from_byte(class),
            flow_label,
        },
    )
}

fn data_number() -> impl Strategy<Value = DataNumber> {
    prop_oneof![
        any::<u32>().prop_map(DataNumber::Short),
        any::<u64>().prop_map(|number| DataNumber::Long(DataSequenceNumber(number))),
    ]
}

fn mapping() -> impl Strategy<Value = DssMapping> {
    (data_number(), any::<(u32, u16)>(), option::of(any::<u16>())).prop_map(
        |(data_sequence, (subflow_offset, length), checksum)| DssMapping {
            data_sequence,
            subflow_offset,
            length,
            checksum,
        },
    )
}

fn dss() -> impl Strategy<Value = MptcpOption> {
    (
        option::of(data_number()),
        option::of(mapping()),
        any::<bool>(),
    )
        .prop_map(|(data_ack, mapping, data_fin)| {
            let data_fin = data_fin && mapping.is_some();
            MptcpOption::Dss(Dss {
                data_ack,
                mapping,
                data_fin,
            })
        })
}

fn capable_flags() -> impl Strategy<Value = CapableFlags> {
    any::<u8>().prop_map(CapableFlags::from_bits_retain)
}

fn syn_option() -> impl Strategy<Value = MptcpOption> {
    prop_oneof![
        (1..16u8, capable_flags())
            .prop_map(|(version, flags)| MptcpOption::CapableSyn { version, flags }),
        any::<(bool, u8, u32, u32)>().prop_map(|(backup, address_id, token, nonce)| {
            MptcpOption::JoinSyn {
                backup,
                address_id,
                token: Token(token),
                nonce,
            }
        }),
    ]
}

fn syn_ack_option() -> impl Strategy<Value = MptcpOption> {
    prop_oneof![
        (0..16u8, capable_flags(), any::<u64>()).prop_map(|(version, flags, key)| {
            MptcpOption::CapableSynAck {
                version,
                flags,
                sender_key: Key(key),
            }
        }),
        any::<(bool, u8, u64, u32)>().prop_map(|(backup, address_id, hmac, nonce)| {
            MptcpOption::JoinSynAck {
                backup,
                address_id,
                hmac,
                nonce,
            }
        }),
    ]
}

fn ack_option() -> impl Strategy<Value = MptcpOption> {
    let data = option::of((any::<u16>(), option::of(any::<u16>())))
        .prop_map(|data| data.map(|(length, checksum)| CapableData { length, checksum }));
    prop_oneof![
        (0..16u8, capable_flags(), any::<(u64, u64)>(), data).prop_map(
            |(version, flags, (sender, receiver), data)| MptcpOption::CapableAck {
                version,
                flags,
                sender_key: Key(sender),
                receiver_key: Key(receiver),
                data,
            }
        ),
        any::<[u8; 20]>().prop_map(|hmac| MptcpOption::JoinAck { hmac }),
    ]
}

fn any_segment_option() -> impl Strategy<Value = MptcpOption> {
    let port = option::of(any::<u16>());
    let hmac = option::of(any::<u64>());
    prop_oneof![
        4 => dss(),
        1 => (any::<(u8, IpAddr)>(), port, hmac).prop_map(
            |((address_id, address), port, hmac)| MptcpOption::AddAddress {
                address_id,
                address,
                port,
                hmac,
            }
        ),
        1 => vec(any::<u8>(), 1..=16).prop_map(|address_ids| MptcpOption::RemoveAddress {
            address_ids: address_ids.into_iter().collect(),
        }),
        1 => any::<bool>().prop_map(|backup| MptcpOption::Priority { backup }),
        1 => any::<u64>().prop_map(|number| MptcpOption::Fail {
            data_sequence: DataSequenceNumber(number),
        }),
        1 => any::<u64>().prop_map(|key| MptcpOption::Fastclose { receiver_key: Key(key) }),
        1 => any::<(bool, u8)>().prop_map(|(transient, code)| MptcpOption::Reset {
            transient,
            reason: ResetReason::from_code(code),
        }),
    ]
}

/// An option with the control bits of a segment it can stand on.
pub(crate) fn mptcp_option() -> impl Strategy<Value = (TcpFlags, MptcpOption)> {
    let any_flags = any::<u8>().prop_map(TcpFlags::from_bits_retain);
    prop_oneof![
        1 => syn_option().prop_map(|option| (TcpFlags::SYN, option)),
        1 => syn_ack_option().prop_map(|option| (TcpFlags::SYN | TcpFlags::ACK, option)),
        1 => ack_option().prop_map(|option| (TcpFlags::ACK, option)),
        3 => (any_flags, any_segment_option()),
    ]
}

fn sack_block() -> impl Strategy<Value = SackBlock> {
    any::<(u32, u32)>().prop_map(|(start, end)| SackBlock {
        start: SequenceNumber(start),
        end: SequenceNumber(end),
    })
}

/// Options that may or may not fit into a header.
pub(crate) fn tcp_options() -> impl Strategy<Value = (TcpFlags, TcpOptions)> {
    let fixed = (
        option::of(any::<u16>()),
        option::of(0..=14u8),
        any::<bool>(),
        option::of(any::<(u32, u32)>()),
    );
    (
        fixed,
        vec(sack_block(), 0..=4),
        option::of(mptcp_option()),
        any::<u8>(),
    )
        .prop_map(
            |(
                (maximum_segment_size, window_scale, sack_permitted, timestamps),
                sack,
                mptcp,
                flags,
            )| {
                let (flags, option) = match mptcp {
                    Some((flags, option)) => (flags, Some(option)),
                    None => (TcpFlags::from_bits_retain(flags), None),
                };
                let options = TcpOptions {
                    maximum_segment_size,
                    window_scale,
                    sack_permitted,
                    sack: sack.into_iter().collect(),
                    timestamps: timestamps.map(|(value, echo)| Timestamps { value, echo }),
                    mptcp: option.into_iter().collect::<ArrayVec<_, 4>>(),
                };
                (flags, options)
            },
        )
}

/// A header whose options fit.
pub(crate) fn tcp_header() -> impl Strategy<Value = TcpHeader> {
    (any::<(u16, u16, u32, u32, u16)>(), tcp_options()).prop_map(
        |((source_port, destination_port, sequence, acknowledgment, window), (flags, options))| {
            TcpHeader {
                source_port,
                destination_port,
                sequence: SequenceNumber(sequence),
                acknowledgment: SequenceNumber(acknowledgment),
                flags,
                window,
                options: trimmed(options),
            }
        },
    )
}

/// Drops options until the rest fits, as a sender does.
pub(crate) fn trimmed(mut options: TcpOptions) -> TcpOptions {
    options.sack.truncate(options.sack_blocks_that_fit());
    if options.len() > OPTION_SPACE {
        options.maximum_segment_size = None;
        options.window_scale = None;
        options.timestamps = None;
    }
    options
}
