//! What the engine says of a socket, parsed.

use std::time::Duration;

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotState {
    /// No socket.
    Free,
    /// A socket that is not connected, bound or not.
    Open,
    /// A listener.
    Listening,
    /// connect() was called.
    Connecting,
    /// Data may flow, or what came may be read.
    Established,
    /// Over; what came may still be read.
    Closed,
}

impl SlotState {
    pub(crate) fn word(self) -> u32 {
        match self {
            Self::Free => 0,
            Self::Open => 1,
            Self::Listening => 2,
            Self::Connecting => 3,
            Self::Established => 4,
            Self::Closed => 5,
        }
    }

    /// What no engine writes counts as [`SlotState::Closed`].
    pub(crate) fn parse(word: u32) -> Self {
        match word {
            0 => Self::Free,
            1 => Self::Open,
            2 => Self::Listening,
            3 => Self::Connecting,
            4 => Self::Established,
            _ => Self::Closed,
        }
    }
}

/// How the stream to the application ends, once the ring is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadEnd {
    /// It has not ended.
    Open,
    /// With the peer's FIN or DATA_FIN: reads give 0.
    Finished,
    /// By reset, fast close or timeout: reads give the error, then 0.
    Reset,
}

impl ReadEnd {
    pub(crate) fn word(self) -> u32 {
        match self {
            Self::Open => 0,
            Self::Finished => 1,
            Self::Reset => 2,
        }
    }

    /// What no engine writes counts as [`ReadEnd::Reset`].
    pub(crate) fn parse(word: u32) -> Self {
        match word {
            0 => Self::Open,
            1 => Self::Finished,
            _ => Self::Reset,
        }
    }
}

/// Facts about a socket that an application asks for often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotFlags(pub u32);

impl SlotFlags {
    /// The application asked for MPTCP by TCP_MP_ENABLE or AF_MULTIPATH: getpeername and
    /// getsockname fail with EMULTIPATH.
    pub const AWARE: Self = Self(1);
    /// The socket was made as AF_INET6.
    pub const IPV6: Self = Self(2);
    /// The socket was made as AF_MULTIPATH.
    pub const MULTIPATH: Self = Self(4);

    /// Whether all of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// SO_LINGER as it stands in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linger {
    /// Not set: close() returns, the rest is sent in the background.
    Off,
    /// close() waits so long; zero: the connection is aborted.
    For(Duration),
}

impl Linger {
    /// Off is 0, a time is its seconds plus one.
    pub(crate) fn word(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::For(time) => u32::try_from(time.as_secs().saturating_add(1)).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn parse(word: u32) -> Self {
        match word.checked_sub(1) {
            None => Self::Off,
            Some(seconds) => Self::For(Duration::from_secs(seconds.into())),
        }
    }
}
