//! Which options go on a segment, and so what limits its payload.
//!
//! Options share 40 bytes: timestamps take 12 of them, a DSS of full width with a mapping and a
//! checksum 28. So a segment with data has no space for more than its DSS, and all else travels on
//! segments without data.

use super::transmit::{PathLimits, PayloadSource};
use super::{Phase, Subflow};
use crate::mptcp::message::Published;
use crate::sequence::DataSequenceNumber;
use crate::tcp::{Content, Plan, PlanKind};
use crate::wire::checksum::{Sum, dss_checksum};
use crate::wire::mptcp_option::{CapableData, DataNumber, Dss, DssMapping, MptcpOption};
use crate::wire::tcp_option::{MAX_MPTCP_OPTIONS, OPTION_SPACE};
use arrayvec::ArrayVec;

/// Timestamps with their padding.
const TIMESTAMPS_SPACE: usize = 12;

/// What a segment is to carry besides what TCP puts on it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) options: ArrayVec<MptcpOption, MAX_MPTCP_OPTIONS>,
    pub(super) payload: PayloadSource,
    /// The most bytes of payload: the mapping, or what was retained, ends there.
    max_payload: u32,
    /// The options hold for one segment only, so the payload must not be split.
    single: bool,
    /// What of this subflow's waiting options is on it.
    pub(super) carries: Carries,
}

/// What goes with a draft once it is committed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Carries {
    /// The option at the front of the signals.
    pub(super) signal: bool,
    /// The DATA_FIN that waits.
    pub(super) data_fin: bool,
    /// The infinite mapping.
    pub(super) infinite: bool,
    /// MP_JOIN of the third ACK.
    pub(super) join_ack: bool,
    /// MP_CAPABLE of the third ACK.
    pub(super) capable_ack: bool,
    /// No option of MPTCP on a SYN.
    pub(super) plain_syn: bool,
}

impl Draft {
    fn new() -> Self {
        Self {
            options: ArrayVec::new(),
            payload: PayloadSource::None,
            max_payload: u32::MAX,
            single: false,
            carries: Carries::default(),
        }
    }

    fn with(option: Option<MptcpOption>) -> Self {
        let mut draft = Self::new();
        draft.options.extend(option);
        draft
    }

    /// What TCP must know.
    pub(super) fn content(&self, limits: PathLimits) -> Content {
        Content {
            mptcp_option_length: padded_length(&self.options),
            max_payload: self.max_payload,
            max_segments: if self.single { 1 } else { limits.max_segments },
            max_frame_payload: limits.max_frame_payload,
        }
    }
}

fn padded_length(options: &[MptcpOption]) -> usize {
    let length: usize = options.iter().map(MptcpOption::len).sum();
    length.next_multiple_of(4)
}

impl Subflow {
    /// Drafts the segment that `plan` calls for. `None` when data is due that was never granted.
    pub(super) fn draft(&self, plan: &Plan, home: &Published) -> Option<Draft> {
        match plan.kind {
            PlanKind::Syn { attempt } => {
                let option = match self.phase {
                    Phase::CapableSynSent | Phase::JoinSynSent => {
                        self.handshake.syn_option(attempt)
                    }
                    _ => None,
                };
                let mut draft = Draft::with(option);
                draft.carries.plain_syn = draft.options.is_empty();
                Some(draft)
            }
            PlanKind::SynAck => Some(Draft::with(match self.phase {
                Phase::CapableSynReceived | Phase::JoinSynReceived => {
                    self.handshake.syn_ack_option()
                }
                _ => None,
            })),
            PlanKind::Reset => {
                let mut draft = Draft::new();
                draft.options.extend(self.reset_options.iter().cloned());
                Some(draft)
            }
            PlanKind::Data { .. } => self.draft_data(plan.offset, home),
            PlanKind::Fin | PlanKind::Ack => Some(self.draft_bare(home)),
            PlanKind::Probe if self.phase.carries_data() => Some(self.draft_probe(home)),
            PlanKind::Probe => Some(self.draft_bare(home)),
        }
    }

    fn draft_data(&self, offset: u64, home: &Published) -> Option<Draft> {
        let mapping = self.outflow.mapping_at(offset)?;
        let mut draft = Draft::new();
        let mut end = mapping.end();
        draft.payload = match self.outflow.retained_end(offset) {
            Some(retained_end) => {
                end = end.min(retained_end);
                PayloadSource::Retained { offset }
            }
            None => PayloadSource::SendBuffer(mapping.data_sequence_at(offset)),
        };
        draft.max_payload = u32::try_from(end - offset).unwrap_or(u32::MAX);
        if let Some(infinite) = self.outflow.infinite {
            draft.carries.infinite = true;
            draft.options.push(MptcpOption::Dss(Dss {
                data_ack: None,
                mapping: Some(DssMapping {
                    data_sequence: DataNumber::Long(infinite.data_sequence),
                    subflow_offset: relative(infinite.offset),
                    length: 0,
                    checksum: self.handshake.checksum().then_some(0),
                }),
                data_fin: false,
            }));
            return Some(draft);
        }
        if !self.phase.is_multipath() {
            return Some(draft);
        }
        // The first data of the opening side says MP_CAPABLE once more, for the third ACK may be
        // lost; it stands for the mapping of the first byte and so goes on that segment alone.
        if offset == 0 && matches!(self.phase, Phase::Unconfirmed(_)) {
            let data = CapableData {
                length: mapping.length as u16,
                checksum: mapping.checksum,
            };
            if let Some(option) = self.handshake.capable_ack(Some(data)) {
                draft.options.push(option);
                draft.single = true;
                return Some(draft);
            }
        }
        draft.options.push(MptcpOption::Dss(Dss {
            data_ack: self.data_ack(home),
            mapping: Some(DssMapping {
                data_sequence: self.wide(mapping.data_sequence),
                subflow_offset: relative(mapping.offset),
                // A mapping that was declared is at most LONGEST_MAPPING long.
                length: mapping.length as u16,
                checksum: mapping.checksum,
            }),
            data_fin: false,
        }));
        Some(draft)
    }

    /// A segment without data.
    fn draft_bare(&self, home: &Published) -> Draft {
        match self.phase {
            Phase::PreEstablished => {
                let mut draft = Draft::with(self.handshake.join_ack());
                draft.carries.join_ack = true;
                draft
            }
            Phase::Unconfirmed(_) if self.repeats_capable() => {
                let mut draft = Draft::with(self.handshake.capable_ack(None));
                draft.carries.capable_ack = true;
                draft
            }
            Phase::Unconfirmed(_) | Phase::Confirmed(_) | Phase::Plain(_) => {
                self.draft_signal(home)
            }
            _ => Draft::new(),
        }
    }

    /// A probe is meant not to be acceptable, so nobody reads its options: what must arrive waits for
    /// the next segment.
    fn draft_probe(&self, home: &Published) -> Draft {
        let data_ack = self.data_ack(home).map(|data_ack| {
            MptcpOption::Dss(Dss {
                data_ack: Some(data_ack),
                mapping: None,
                data_fin: false,
            })
        });
        Draft::with(data_ack)
    }

    /// Before any data the opening side's acknowledgments say MP_CAPABLE, at least one of them, for
    /// there is no other sign that the third ACK has arrived than the peer's first DSS.
    fn repeats_capable(&self) -> bool {
        let waiting = self.outflow.data_fin.is_some() || self.signals.next().is_some();
        self.handshake.is_capable_client()
            && self.tcp.sent_offset() == 0
            && !(waiting && self.third_ack_sent)
    }

    fn draft_signal(&self, home: &Published) -> Draft {
        let mut draft = Draft::new();
        let mapping = self
            .outflow
            .data_fin
            .map(|data_sequence| self.data_fin_mapping(data_sequence));
        let data_ack = self.data_ack(home);
        if data_ack.is_some() || mapping.is_some() {
            draft.carries.data_fin = mapping.is_some();
            draft.options.push(MptcpOption::Dss(Dss {
                data_ack,
                mapping,
                data_fin: mapping.is_some(),
            }));
        }
        let Some(signal) = self.signals.next() else {
            return draft;
        };
        let space = self.option_space();
        draft.options.push(signal.clone());
        draft.carries.signal = true;
        if padded_length(&draft.options) > space {
            // DATA_ACK and DATA_FIN can wait for the next segment. The longest ADD_ADDR takes the
            // space of timestamps too, which TCP then leaves out.
            draft.carries.data_fin = false;
            draft.options.drain(..draft.options.len() - 1);
        }
        draft
    }

    /// The mapping of a DATA_FIN without data (RFC 8684 section 3.3.3).
    fn data_fin_mapping(&self, data_sequence: DataSequenceNumber) -> DssMapping {
        let checksum = self
            .handshake
            .checksum()
            .then(|| dss_checksum(Sum::ZERO, data_sequence, 0, 1));
        DssMapping {
            data_sequence: self.wide(data_sequence),
            subflow_offset: 0,
            length: 1,
            checksum,
        }
    }

    fn wide(&self, data_sequence: DataSequenceNumber) -> DataNumber {
        if self.handshake.long_sequence() {
            DataNumber::Long(data_sequence)
        } else {
            DataNumber::Short(data_sequence.low())
        }
    }

    /// Bytes that MPTCP's options can take beside those of TCP.
    fn option_space(&self) -> usize {
        if self.timestamps {
            OPTION_SPACE - TIMESTAMPS_SPACE
        } else {
            OPTION_SPACE
        }
    }
}

/// The relative subflow sequence number of a byte: the first has 1.
fn relative(offset: u64) -> u32 {
    offset.wrapping_add(1) as u32
}
