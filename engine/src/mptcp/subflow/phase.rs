//! How far a subflow has come as a subflow of MPTCP, and every way on from there
//! (RFC 8684 sections 3.1, 3.2 and 3.7).
//!
//! The state of TCP is apart, in [`Tcb`](crate::tcp::Tcb). A phase says which options go on a
//! segment and what a missing one means: a fallback is legal only from where the table of
//! [`Phase::on`] has one. Missing options never lead there on a joined subflow. Once options are
//! known to pass, it takes home or the peer to say so; whether they may is home's to judge, for
//! only home knows the other subflows.

use crate::mptcp::message::FallbackReason;
use crate::wire::mptcp_option::ResetReason;

/// Whether a subflow began its connection or joined it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// Began with MP_CAPABLE.
    First,
    /// Began with MP_JOIN.
    Joined,
}

/// How far a subflow has come.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// A SYN with MP_CAPABLE is out.
    CapableSynSent,
    /// A SYN/ACK with MP_CAPABLE is out; the peer's key comes with the third ACK or the first data.
    CapableSynReceived,
    /// A SYN with MP_JOIN is out.
    JoinSynSent,
    /// A SYN/ACK with MP_JOIN is out; the peer has yet to prove that it knows the keys.
    JoinSynReceived,
    /// The third ACK with MP_JOIN is out and goes again until the peer answers it; no data yet.
    PreEstablished,
    /// Ready for data, but no DSS has come: options may still turn out not to pass.
    Unconfirmed(Origin),
    /// A DSS has come: MPTCP works in this direction.
    Confirmed(Origin),
    /// Regular TCP: options of MPTCP are neither sent nor read, save that a DSS refutes
    /// [`FallbackReason::NoDataFinAck`], and that mappings still number data from before a fallback
    /// ([`Self::heeds_mappings`]).
    Plain(FallbackReason),
    /// Reset by this side; nothing but the RST is left.
    Reset,
}

/// What a segment or home says that can move a subflow to another phase.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A SYN/ACK with a usable MP_CAPABLE.
    CapableSynAck,
    /// A SYN/ACK with an MP_JOIN whose HMAC is right.
    JoinSynAck,
    /// A SYN/ACK without a usable option, and what that means for a first subflow.
    BareSynAck(FallbackReason),
    /// The SYNs of both sides crossed.
    CrossedSyn,
    /// A third ACK, or first data, with MP_CAPABLE and the right key.
    CapableAck,
    /// A third ACK with an MP_JOIN whose HMAC is right.
    JoinAck,
    /// A third ACK without the option it needs.
    BareAck,
    /// An MP_JOIN whose HMAC is wrong.
    WrongHmac,
    /// Any segment in sequence after the handshake.
    Segment,
    /// A DSS, or the MP_CAPABLE that stands for the first one.
    Dss,
    /// Data in order that no mapping covers.
    UnmappedData,
    /// Data was acknowledged by a segment without any option of MPTCP.
    BareAcknowledgment,
    /// A DATA_FIN was taken in, and what the peer sent after that has no option of MPTCP.
    BareAnswer,
    /// A mapping of length 0.
    InfiniteMapping,
    /// A DSS with a checksum where none was negotiated, or without one where it was.
    ChecksumMismatch,
    /// Home ends MPTCP on the connection.
    FallBack(FallbackReason),
}

/// Where an input leads.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nowhere: the input means nothing in this phase.
    Stay,
    /// To another phase.
    To(Phase),
    /// To a RST with this reason.
    Refuse(ResetReason),
}

impl Phase {
    /// The step from this phase on `input`.
    pub const fn on(self, input: Input) -> Step {
        use Origin::{First, Joined};
        use Phase::{
            CapableSynReceived, CapableSynSent, Confirmed, JoinSynReceived, JoinSynSent, Plain,
            PreEstablished, Unconfirmed,
        };
        use ResetReason::{MiddleboxInterference, MptcpError};
        match (self, input) {
            (CapableSynSent, Input::CapableSynAck) => Step::To(Unconfirmed(First)),
            (CapableSynSent, Input::BareSynAck(reason)) => Step::To(Plain(reason)),
            (CapableSynSent, Input::CrossedSyn) => {
                Step::To(Plain(FallbackReason::SimultaneousOpen))
            }

            (CapableSynReceived, Input::CapableAck) => Step::To(Unconfirmed(First)),
            (CapableSynReceived, Input::BareAck) => {
                Step::To(Plain(FallbackReason::OptionsStripped))
            }

            (JoinSynSent, Input::JoinSynAck) => Step::To(PreEstablished),
            (JoinSynReceived, Input::JoinAck) => Step::To(Unconfirmed(Joined)),
            (
                JoinSynSent | JoinSynReceived,
                Input::BareSynAck(_) | Input::CrossedSyn | Input::BareAck | Input::WrongHmac,
            ) => Step::Refuse(MptcpError),
            (PreEstablished, Input::Segment) => Step::To(Unconfirmed(Joined)),

            (Unconfirmed(origin), Input::Dss) => Step::To(Confirmed(origin)),
            (Unconfirmed(First), Input::UnmappedData) => Step::To(Plain(FallbackReason::NoMapping)),
            (Unconfirmed(First), Input::BareAcknowledgment) => {
                Step::To(Plain(FallbackReason::NoDataAck))
            }
            (Unconfirmed(First), Input::BareAnswer) => {
                Step::To(Plain(FallbackReason::NoDataFinAck))
            }
            // There is no later segment on which an infinite mapping could tell the peer, so one that
            // speaks MPTCP after all must not be heard as one that does not.
            (Plain(FallbackReason::NoDataFinAck), Input::Dss) => {
                Step::Refuse(MiddleboxInterference)
            }
            (
                Unconfirmed(Joined),
                Input::UnmappedData
                | Input::BareAcknowledgment
                | Input::InfiniteMapping
                | Input::FallBack(_),
            ) => Step::Refuse(MiddleboxInterference),
            (Unconfirmed(First) | Confirmed(_), Input::InfiniteMapping) => {
                Step::To(Plain(FallbackReason::PeerFellBack))
            }
            (Unconfirmed(First) | Confirmed(_), Input::FallBack(reason)) => Step::To(Plain(reason)),
            (Unconfirmed(_) | Confirmed(_), Input::ChecksumMismatch) => Step::Refuse(MptcpError),
            _ => Step::Stay,
        }
    }

    /// Options of an established MPTCP subflow are sent and read.
    pub const fn is_multipath(self) -> bool {
        matches!(self, Self::Unconfirmed(_) | Self::Confirmed(_))
    }

    /// Mappings of received data count: also after a fallback from what had worked, for data that
    /// the peer sent before it heard of that.
    pub const fn heeds_mappings(self) -> bool {
        use FallbackReason::{ChecksumFailed, PeerFellBack};
        self.is_multipath() || matches!(self, Self::Plain(ChecksumFailed | PeerFellBack))
    }

    /// Data may be sent and passed on.
    pub const fn carries_data(self) -> bool {
        self.is_multipath() || matches!(self, Self::Plain(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Origin::{First, Joined};

    const PHASES: [Phase; 12] = [
        Phase::CapableSynSent,
        Phase::CapableSynReceived,
        Phase::JoinSynSent,
        Phase::JoinSynReceived,
        Phase::PreEstablished,
        Phase::Unconfirmed(First),
        Phase::Unconfirmed(Joined),
        Phase::Confirmed(First),
        Phase::Confirmed(Joined),
        Phase::Plain(FallbackReason::Disabled),
        Phase::Plain(FallbackReason::NoDataFinAck),
        Phase::Reset,
    ];

    const INPUTS: [Input; 16] = [
        Input::CapableSynAck,
        Input::JoinSynAck,
        Input::BareSynAck(FallbackReason::PeerNotCapable),
        Input::CrossedSyn,
        Input::CapableAck,
        Input::JoinAck,
        Input::BareAck,
        Input::WrongHmac,
        Input::Segment,
        Input::Dss,
        Input::UnmappedData,
        Input::BareAcknowledgment,
        Input::BareAnswer,
        Input::InfiniteMapping,
        Input::ChecksumMismatch,
        Input::FallBack(FallbackReason::ChecksumFailed),
    ];

    #[test]
    fn transitions() {
        let mut table = String::new();
        for phase in PHASES {
            for input in INPUTS {
                let step = phase.on(input);
                if step != Step::Stay {
                    table += &format!("{phase:?} + {input:?} = {step:?}\n");
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_missing_option_never_turns_a_joined_subflow_into_regular_tcp() {
        let missing = [
            Input::BareSynAck(FallbackReason::PeerNotCapable),
            Input::CrossedSyn,
            Input::BareAck,
            Input::UnmappedData,
            Input::BareAcknowledgment,
            Input::BareAnswer,
        ];
        let joined = [
            Phase::JoinSynSent,
            Phase::JoinSynReceived,
            Phase::PreEstablished,
            Phase::Unconfirmed(Joined),
            Phase::Confirmed(Joined),
        ];
        for phase in joined {
            for input in missing {
                assert!(
                    !matches!(phase.on(input), Step::To(_)),
                    "{phase:?} {input:?}"
                );
            }
        }
    }

    #[test]
    fn regular_tcp_and_a_reset_are_for_good() {
        for phase in [Phase::Plain(FallbackReason::NoMapping), Phase::Reset] {
            for input in INPUTS {
                assert_eq!(phase.on(input), Step::Stay, "{phase:?} {input:?}");
            }
        }
    }
}
