//! Which of the host's endpoints a connection makes use of, and when (RFC 8684 section 3.4 leaves
//! that to each side).

/// What a connection does with the host's endpoints and the addresses that the peer announced.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum PathManagement {
    /// `endpoints`: what the flags of each endpoint say, as with `ip mptcp endpoint`.
    #[default]
    Endpoints,
    /// `fullmesh`: a subflow from every endpoint with the flag `subflow`, and from the address of
    /// the first subflow, to every address of the peer. Endpoints with `signal` are announced.
    Fullmesh,
    /// `signal`: endpoints with `signal` are announced; this side opens no subflow by itself.
    Signal,
    /// `ondemand`: as `endpoints`, but the first further subflow is opened once so many bytes
    /// were sent and received together.
    OnDemand {
        /// The threshold in bytes.
        after_bytes: u64,
    },
    /// `manual`: nothing is announced and nothing opened but what the application adds.
    Manual,
}

impl PathManagement {
    /// The names of all of them.
    pub const NAMES: [&'static str; 5] = ["endpoints", "fullmesh", "signal", "ondemand", "manual"];

    /// The name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Fullmesh => "fullmesh",
            Self::Signal => "signal",
            Self::OnDemand { .. } => "ondemand",
            Self::Manual => "manual",
        }
    }

    /// The one of that name; `after_bytes` is the threshold of `ondemand` and means nothing to
    /// the others.
    pub fn by_name(name: &str, after_bytes: u64) -> Option<Self> {
        [
            Self::Endpoints,
            Self::Fullmesh,
            Self::Signal,
            Self::OnDemand { after_bytes },
            Self::Manual,
        ]
        .into_iter()
        .find(|management| management.name() == name)
    }

    /// The threshold of `ondemand` in bytes; zero for the others.
    pub const fn after_bytes(self) -> u64 {
        match self {
            Self::OnDemand { after_bytes } => after_bytes,
            _ => 0,
        }
    }

    /// True where endpoints are announced.
    pub(crate) const fn announces(self) -> bool {
        !matches!(self, Self::Manual)
    }

    /// True where this side opens subflows without being told to.
    pub(crate) const fn opens(self) -> bool {
        !matches!(self, Self::Manual | Self::Signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for name in PathManagement::NAMES {
            let found = PathManagement::by_name(name, 7).expect("every name has a variant");
            assert_eq!(found.name(), name);
        }
        let on_demand = PathManagement::by_name("ondemand", 7);
        assert_eq!(on_demand, Some(PathManagement::OnDemand { after_bytes: 7 }));
        assert_eq!(PathManagement::by_name("mesh", 0), None);
    }
}
