//! What the MPTCP options of an acceptable segment mean once the handshake is over
//! (RFC 8684 sections 3.3 to 3.8).

use super::receive_mapping::{Declared, DeclaredChecksum, ReceiveMapping, widen};
use super::{Input, Outbox, Subflow};
use crate::mptcp::message::{Published, ToHome};
use crate::sequence::DataSequenceNumber;
use crate::wire::checksum::{Sum, dss_checksum_is_valid};
use crate::wire::mptcp_option::{
    CapableData, DataNumber, Dss, DssMapping, MptcpOption, ResetReason,
};
use crate::wire::tcp::{TcpFlags, TcpHeader};

impl Subflow {
    /// Reads the options of a segment that TCP found acceptable.
    pub(super) fn read_options(
        &mut self,
        header: &TcpHeader,
        home: &Published,
        out: &mut Outbox<ToHome>,
    ) {
        for option in &header.options.mptcp {
            if let MptcpOption::Reset { transient, reason } = option {
                self.peer_reset = Some((*reason, *transient));
            }
            // A RST ends the subflow, so all it can say of the connection is that it ends too. Its
            // MP_FAIL tells why it was sent and is no offer to fall back (RFC 8684 section 3.7).
            if header.flags.contains(TcpFlags::RST)
                && !matches!(option, MptcpOption::Fastclose { .. })
            {
                continue;
            }
            if !self.phase.is_multipath() {
                if let MptcpOption::Dss(dss) = option {
                    self.read_late_dss(dss, home, out);
                }
                continue;
            }
            match option {
                MptcpOption::Dss(dss) => self.read_dss(dss, home, out),
                MptcpOption::CapableAck {
                    data: Some(data), ..
                } => self.read_capable_data(*data, out),
                MptcpOption::JoinAck { .. } => {
                    // The peer repeats its third ACK: the fourth packet was lost.
                    self.tcp.request_ack();
                }
                MptcpOption::AddAddress { .. }
                | MptcpOption::RemoveAddress { .. }
                | MptcpOption::Priority { .. }
                | MptcpOption::Fail { .. }
                | MptcpOption::Fastclose { .. } => out.push(ToHome::Option(option.clone())),
                MptcpOption::Reset { .. }
                | MptcpOption::CapableSyn { .. }
                | MptcpOption::CapableSynAck { .. }
                | MptcpOption::CapableAck { data: None, .. }
                | MptcpOption::JoinSyn { .. }
                | MptcpOption::JoinSynAck { .. } => {}
            }
        }
    }

    /// The mapping that an MP_CAPABLE with data stands for.
    fn read_capable_data(&mut self, data: CapableData, out: &mut Outbox<ToHome>) {
        let Some(peer) = self.handshake.capable_peer() else {
            return;
        };
        self.step(Input::Dss, out);
        if data.checksum.is_some() != self.handshake.checksum() {
            self.step(Input::ChecksumMismatch, out);
            return;
        }
        if data.length == 0 {
            return;
        }
        let mapping = ReceiveMapping {
            offset: 0,
            data_sequence: peer.initial + 1,
            length: data.length.into(),
            data_fin: false,
            checksum: data.checksum.map(|value| DeclaredChecksum {
                value,
                length: data.length,
            }),
            // The option carries no data sequence number of either width.
            long: false,
        };
        self.declare(mapping, out);
    }

    fn read_dss(&mut self, dss: &Dss, home: &Published, out: &mut Outbox<ToHome>) {
        if speaks_multipath(dss) {
            self.step(Input::Dss, out);
        }
        if let Some(data_ack) = dss.data_ack {
            let heard = (data_ack, self.tcp.progress().window);
            if self.reported_data_ack != Some(heard) {
                self.reported_data_ack = Some(heard);
                let (data_ack, window) = heard;
                out.push(ToHome::DataAck { data_ack, window });
            }
        }
        if let Some(mapping) = dss.mapping {
            self.read_mapping(mapping, dss.data_fin, home, out);
        }
    }

    /// A DSS after fallback. What the peer sent before it heard of that keeps the number it was sent
    /// with, and may be a copy of what came before.
    fn read_late_dss(&mut self, dss: &Dss, home: &Published, out: &mut Outbox<ToHome>) {
        if speaks_multipath(dss) {
            self.step(Input::Dss, out);
        }
        if let Some(mapping) = dss.mapping
            && self.phase.heeds_mappings()
        {
            self.read_mapping(mapping, dss.data_fin, home, out);
        }
    }

    fn read_mapping(
        &mut self,
        mapping: DssMapping,
        data_fin: bool,
        home: &Published,
        out: &mut Outbox<ToHome>,
    ) {
        let data_sequence = match mapping.data_sequence {
            DataNumber::Long(number) => {
                self.long_data_ack = true;
                number
            }
            DataNumber::Short(low) => self.next_expected(home).expand(low),
        };
        if mapping.length == 0 {
            self.read_infinite(mapping.subflow_offset, data_sequence, out);
            return;
        }
        if mapping.checksum.is_some() != self.handshake.checksum() {
            self.step(Input::ChecksumMismatch, out);
            return;
        }
        // After fallback nobody asks for it.
        let checksum = mapping.checksum.filter(|_| self.phase.is_multipath());
        let length = mapping.length - u16::from(data_fin);
        if length == 0 {
            if is_intact_data_fin(mapping, data_sequence) {
                out.push(ToHome::DataFin { data_sequence });
            }
            return;
        }
        let Some(offset) = widen(mapping.subflow_offset, self.tcp.received_offset()) else {
            return;
        };
        let mapping = ReceiveMapping {
            offset,
            data_sequence,
            length: length.into(),
            data_fin,
            checksum: checksum.map(|value| DeclaredChecksum {
                value,
                length: mapping.length,
            }),
            long: matches!(mapping.data_sequence, DataNumber::Long(_)),
        };
        self.declare(mapping, out);
    }

    fn declare(&mut self, mapping: ReceiveMapping, out: &mut Outbox<ToHome>) {
        if !self.phase.heeds_mappings() {
            return;
        }
        match self.inflow.mappings.declare(mapping, self.inflow.offset()) {
            Declared::Held => {}
            Declared::Past => {
                // Home took the data; only the DATA_FIN can be news.
                if mapping.data_fin {
                    let data_sequence = mapping.data_sequence_at(mapping.end());
                    out.push(ToHome::DataFin { data_sequence });
                }
            }
            Declared::Contradiction if self.phase.is_multipath() => self.report_bad_mapping(out),
            // Home has nothing left to decide.
            Declared::Contradiction => self.refuse(ResetReason::MiddleboxInterference, out),
        }
    }

    /// Tells home, once, that data came which cannot be numbered.
    pub(super) fn report_bad_mapping(&mut self, out: &mut Outbox<ToHome>) {
        if !self.inflow.is_blocked() {
            self.inflow.block();
            out.push(ToHome::BadMapping);
        }
    }

    fn read_infinite(
        &mut self,
        subflow_offset: u32,
        data_sequence: DataSequenceNumber,
        out: &mut Outbox<ToHome>,
    ) {
        // Relative number 0 names no byte; then data goes on where it stands.
        if subflow_offset != 0
            && (matches!(self.phase.on(Input::InfiniteMapping), super::Step::To(_))
                || self.phase.heeds_mappings())
            && let Some(offset) = widen(subflow_offset, self.tcp.received_offset())
        {
            self.inflow.map_infinitely(offset, data_sequence);
        }
        self.step(Input::InfiniteMapping, out);
    }

    /// The data sequence number that home expects next, as far as this subflow knows.
    fn next_expected(&self, home: &Published) -> DataSequenceNumber {
        match self.handshake.capable_peer() {
            Some(peer) if !self.home_ready => peer.initial + 1,
            _ => home.data_ack,
        }
    }

    /// The DATA_ACK to send, in the width to send it in.
    pub(super) fn data_ack(&self, home: &Published) -> Option<DataNumber> {
        let first = !self.home_ready && self.handshake.capable_peer().is_some();
        if !self.phase.is_multipath() || !(home.multipath || first) {
            return None;
        }
        let next = self.next_expected(home);
        Some(if self.long_data_ack || home.long_data_ack {
            DataNumber::Long(next)
        } else {
            DataNumber::Short(next.low())
        })
    }

    /// True when the segment would need a mapping that finds no room. It is to be treated as lost.
    pub(super) fn lacks_room_for_mapping(&self, header: &TcpHeader) -> bool {
        self.inflow.mappings.is_full()
            && self.phase.heeds_mappings()
            && header.options.mptcp.iter().any(|option| match option {
                MptcpOption::Dss(Dss {
                    mapping: Some(mapping),
                    ..
                }) if mapping.length > 0 => {
                    widen(mapping.subflow_offset, self.tcp.received_offset())
                        .filter(|offset| *offset > self.inflow.offset())
                        .is_some_and(|offset| !self.inflow.mappings.knows(offset))
                }
                _ => false,
            })
    }
}

/// An infinite mapping ends MPTCP; it proves nothing of the kind that a DSS proves.
fn speaks_multipath(dss: &Dss) -> bool {
    dss.mapping.is_none_or(|mapping| mapping.length > 0)
}

/// A DATA_FIN without data passes when it has no checksum or a right one.
fn is_intact_data_fin(mapping: DssMapping, data_sequence: DataSequenceNumber) -> bool {
    mapping.checksum.is_none_or(|checksum| {
        dss_checksum_is_valid(
            Sum::ZERO,
            data_sequence,
            mapping.subflow_offset,
            mapping.length,
            checksum,
        )
    })
}
