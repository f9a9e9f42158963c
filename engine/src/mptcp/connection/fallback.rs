//! Which signs that MPTCP does not work lead where: the table of legal and illegal fallbacks
//! (RFC 8684 section 3.7).

/// Where a connection stands when a sign comes.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// The handshake of the first subflow is under way.
    Opening,
    /// The keys were exchanged, but no DSS was heard on the only subflow there ever was.
    Unconfirmed,
    /// A DSS was heard on the only subflow there ever was.
    Sole,
    /// One subflow is left of several.
    Survivor,
    /// There are several subflows.
    Several,
    /// MP_FAIL was sent on the only subflow and its echo is awaited.
    AwaitingEcho,
    /// It is regular TCP.
    FallenBack,
}

/// A sign that MPTCP does not work on a path.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Sign {
    /// The handshake of the first subflow ended without MPTCP.
    PlainHandshake,
    /// Segments came without the options they should have.
    OptionsLost,
    /// The peer sent an infinite mapping that goes on where the data received in order ends.
    InfiniteMapping,
    /// The peer sent an infinite mapping, and what it maps does not follow all that was received,
    /// or what goes the other way is not all on this subflow.
    InfiniteMappingWithGaps,
    /// A DSS checksum failed on data that follows all that was received.
    ChecksumFailed,
    /// A DSS checksum failed while data ahead of order was held, or on such data, or while what goes
    /// the other way is not all on this subflow.
    ChecksumFailedWithGaps,
    /// MP_FAIL came while the subflow's stream and the connection's are the same, both ways.
    Fail,
    /// MP_FAIL came while the subflow carries data out of order, or data ahead of order is held.
    FailWithGaps,
    /// Data came without a mapping after MPTCP was confirmed.
    BadMapping,
}

/// What a sign leads to.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It means nothing (any more).
    Ignore,
    /// Legal: regular TCP from here on; the subflow does so already.
    FallBack,
    /// Legal: regular TCP from here on, which an infinite mapping tells the peer.
    FallBackInfinite,
    /// Legal: MP_FAIL is sent, and regular TCP follows its echo.
    AwaitEcho,
    /// Illegal: the subflow is reset as one that a middlebox interferes with.
    ResetSubflow,
    /// The subflow is reset with MP_FAIL; its data travels elsewhere.
    ResetSubflowFail,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 7] = [
        Self::Opening,
        Self::Unconfirmed,
        Self::Sole,
        Self::Survivor,
        Self::Several,
        Self::AwaitingEcho,
        Self::FallenBack,
    ];

    /// What `sign` leads to.
    pub const fn judge(self, sign: Sign) -> Verdict {
        match (self, sign) {
            // Once regular TCP, always regular TCP.
            (Self::FallenBack, _) => Verdict::Ignore,
            (Self::Opening, Sign::PlainHandshake) => Verdict::FallBack,
            (Self::Unconfirmed, Sign::OptionsLost | Sign::InfiniteMapping) => Verdict::FallBack,
            (Self::Sole | Self::Survivor | Self::AwaitingEcho, Sign::InfiniteMapping) => {
                Verdict::FallBackInfinite
            }
            // That all was contiguous was judged when MP_FAIL went; since then nothing passed.
            (Self::AwaitingEcho, Sign::Fail | Sign::InfiniteMappingWithGaps) => {
                Verdict::FallBackInfinite
            }
            (Self::AwaitingEcho, Sign::ChecksumFailed | Sign::ChecksumFailedWithGaps) => {
                Verdict::Ignore
            }
            (Self::Unconfirmed | Self::Sole | Self::Survivor, Sign::ChecksumFailed) => {
                Verdict::AwaitEcho
            }
            (Self::Unconfirmed | Self::Sole | Self::Survivor, Sign::Fail) => {
                Verdict::FallBackInfinite
            }
            (_, Sign::ChecksumFailed | Sign::ChecksumFailedWithGaps) => Verdict::ResetSubflowFail,
            (
                _,
                Sign::PlainHandshake
                | Sign::OptionsLost
                | Sign::InfiniteMapping
                | Sign::InfiniteMappingWithGaps
                | Sign::Fail
                | Sign::FailWithGaps
                | Sign::BadMapping,
            ) => Verdict::ResetSubflow,
        }
    }
}

impl Sign {
    /// Every sign.
    pub const ALL: [Self; 9] = [
        Self::PlainHandshake,
        Self::OptionsLost,
        Self::InfiniteMapping,
        Self::InfiniteMappingWithGaps,
        Self::ChecksumFailed,
        Self::ChecksumFailedWithGaps,
        Self::Fail,
        Self::FailWithGaps,
        Self::BadMapping,
    ];
}
