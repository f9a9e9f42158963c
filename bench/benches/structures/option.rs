//! TCP options with those of MPTCP: parsing and emitting them. An element is the options of one segment.

use std::hint::black_box;

use braid_engine::sequence::{DataSequenceNumber, SequenceNumber};
use braid_engine::wire::mptcp_option::{CapableFlags, DataNumber, Dss, DssMapping, MptcpOption};
use braid_engine::wire::tcp::TcpFlags;
use braid_engine::wire::tcp_option::{OPTION_SPACE, SackBlock, TcpOptions, Timestamps};
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

fn stamped(mptcp: MptcpOption) -> TcpOptions {
    let mut options = TcpOptions {
        timestamps: Some(Timestamps {
            value: 0x1234_5678,
            echo: 0x9abc_def0,
        }),
        ..TcpOptions::default()
    };
    options.mptcp.push(mptcp);
    options
}

fn syn() -> TcpOptions {
    TcpOptions {
        maximum_segment_size: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        ..stamped(MptcpOption::CapableSyn {
            version: 1,
            flags: CapableFlags::HMAC_SHA256,
        })
    }
}

fn dss(mapping: Option<DssMapping>) -> TcpOptions {
    let data_ack = Some(DataNumber::Long(DataSequenceNumber(0x0102_0304_0506_0708)));
    stamped(MptcpOption::Dss(Dss {
        data_ack,
        mapping,
        data_fin: false,
    }))
}

fn data() -> TcpOptions {
    dss(Some(DssMapping {
        data_sequence: DataNumber::Short(0x8091_a2b3),
        subflow_offset: 1_000_000,
        length: 1_424,
        checksum: None,
    }))
}

fn acknowledgment() -> TcpOptions {
    let mut options = dss(None);
    let block = SackBlock {
        start: SequenceNumber(5_000),
        end: SequenceNumber(9_000),
    };
    options.sack.push(block);
    options
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "option");
    let cases = [
        ("of a SYN", TcpFlags::SYN, syn()),
        ("of data", TcpFlags::ACK, data()),
        (
            "of an acknowledgment with SACK",
            TcpFlags::ACK,
            acknowledgment(),
        ),
    ];
    for (name, flags, options) in cases {
        let mut bytes = [0; OPTION_SPACE];
        let length = options.emit(&mut bytes).expect("they fit");
        assert_eq!(TcpOptions::parse(&bytes[..length], flags), options);
        group.time(
            format_args!("parse {name}"),
            Throughput::Elements(1),
            || bytes[..length].to_vec(),
            |bytes| TcpOptions::parse(black_box(bytes), flags),
        );
        group.time(
            format_args!("emit {name}"),
            Throughput::Elements(1),
            || [0; OPTION_SPACE],
            |into| black_box(&options).emit(black_box(into)),
        );
    }
}
