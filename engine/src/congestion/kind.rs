//! The names of the controllers, as configuration and socket options know them.

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// Which congestion control a subflow runs.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum ControllerKind {
    /// CUBIC (RFC 9438), for every subflow by itself.
    #[default]
    Cubic,
    /// Reno (RFC 5681), for every subflow by itself.
    Reno,
    /// Linked increases (RFC 6356): all subflows together take no more than one TCP would.
    Lia,
    /// Opportunistic linked increases (draft-khalili-mptcp-congestion-control-05): like
    /// [`Self::Lia`], and window moves to the paths that lose least.
    Olia,
    /// Balanced linked adaptation (draft-walid-mptcp-congestion-control-04): like [`Self::Lia`],
    /// quicker to follow what changes.
    Balia,
}

impl ControllerKind {
    /// Every kind there is.
    pub const ALL: [Self; 5] = [Self::Cubic, Self::Reno, Self::Lia, Self::Olia, Self::Balia];

    /// The name that [`FromStr`] takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Reno => "reno",
            Self::Lia => "lia",
            Self::Olia => "olia",
            Self::Balia => "balia",
        }
    }

    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True when the kind looks at the [`Coupling`](super::Coupling) of the subflows.
    pub const fn is_coupled(self) -> bool {
        matches!(self, Self::Lia | Self::Olia | Self::Balia)
    }
}

impl fmt::Display for ControllerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// No controller has this name.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("unknown congestion control {name:?}: use one of {}", ControllerKind::ALL.map(ControllerKind::name).join(", "))]
pub struct UnknownController {
    /// The name that was asked for.
    pub name: String,
}

impl FromStr for ControllerKind {
    type Err = UnknownController;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::by_name(name).ok_or_else(|| UnknownController {
            name: name.to_owned(),
        })
    }
}
