//! A socket as the control thread keeps it: from its making to the end of its slot.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use braid_engine::socket::SocketOptions;
use braid_engine::stack::WorkerId;
use braid_shm::abi::AF_MULTIPATH;
use braid_shm::{SlotFlags, SlotHandle};

use super::home::{ConnectionName, ListenerName};
use super::table::Key;
use crate::config::Policy;

/// The address family that a socket was made with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Domain {
    Inet,
    Inet6,
    /// The draft's (section 5.3): aware from birth, addresses of both families.
    Multipath,
}

impl Domain {
    pub(super) fn of(number: i32) -> Option<Self> {
        match number {
            libc::AF_INET => Some(Self::Inet),
            libc::AF_INET6 => Some(Self::Inet6),
            number if number == i32::from(AF_MULTIPATH) => Some(Self::Multipath),
            _ => None,
        }
    }

    /// Its number, as SO_DOMAIN gives it.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Inet => libc::AF_INET,
            Self::Inet6 => libc::AF_INET6,
            Self::Multipath => i32::from(AF_MULTIPATH),
        }
    }
}

/// What its program has said about Multipath TCP.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Wish {
    /// Nothing: the policy decides.
    #[default]
    None,
    /// Yes, without becoming aware: IPPROTO_MPTCP, or RFC 6897's option.
    Enabled,
    /// Yes, and it is aware (the draft's section 5.1).
    Aware,
    /// No.
    Disabled,
}

/// What a socket does.
#[derive(Debug)]
pub(super) enum State {
    /// Neither listens nor connects; the address is held in the stack if there is one.
    Open { bound: Option<SocketAddr> },
    /// Takes connections.
    Listening {
        /// At each worker.
        listeners: Vec<ListenerName>,
        address: SocketAddr,
        /// Connections wait for room on its descriptor.
        full: bool,
    },
    /// Has a connection, be it under way or over.
    Connected {
        connection: ConnectionName,
        /// Those of the first subflow, for the connection's life.
        local: SocketAddr,
        remote: SocketAddr,
        /// Held in the stack since bind.
        bound: Option<SocketAddr>,
    },
    /// The worker is gone that had its connection.
    Lost {
        home: WorkerId,
        bound: Option<SocketAddr>,
    },
    /// No process has it; the worker is done with it soon.
    Ending {
        home: WorkerId,
        bound: Option<SocketAddr>,
    },
}

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    /// Its region.
    pub(super) attachment: Key,
    pub(super) handle: SlotHandle,
    /// The engine's end of its descriptor.
    pub(super) end: Arc<OwnedFd>,
    /// The kernel's number of the application's end.
    pub(super) cookie: u64,
    pub(super) domain: Domain,
    /// As given to socket(): 0, 6 or 262.
    pub(super) protocol: i32,
    pub(super) wish: Wish,
    /// What was set, for a connection to come or the one that is there.
    pub(super) options: SocketOptions,
    /// Options that are kept and given back without an effect.
    pub(super) kept: super::options::Kept,
    pub(super) state: State,
}

impl Socket {
    /// Whether its program knows of several paths (the draft's sections 5.1 and 5.3).
    pub(super) fn is_aware(&self) -> bool {
        self.wish == Wish::Aware || self.domain == Domain::Multipath
    }

    /// The flags that its slot shows.
    pub(super) fn flags(&self) -> SlotFlags {
        let mut flags = SlotFlags::default();
        if self.is_aware() {
            flags = flags.with(SlotFlags::AWARE);
        }
        match self.domain {
            Domain::Inet => flags,
            Domain::Inet6 => flags.with(SlotFlags::IPV6),
            Domain::Multipath => flags.with(SlotFlags::MULTIPATH),
        }
    }

    /// Its connection, if it has one.
    pub(super) fn connection(&self) -> Option<ConnectionName> {
        match self.state {
            State::Connected { connection, .. } => Some(connection),
            _ => None,
        }
    }

    /// Whether a connection of it to `peer` (of any, for a listener) is to use Multipath TCP (the
    /// draft's sections 4.4 and 6.7).
    pub(super) fn wants_multipath(
        &self,
        policy: &Policy,
        program_enables: Option<bool>,
        peer: Option<IpAddr>,
    ) -> bool {
        let enable = match self.wish {
            Wish::Enabled | Wish::Aware => true,
            Wish::Disabled => false,
            Wish::None => program_enables.unwrap_or(policy.default_enable),
        };
        enable && !peer.is_some_and(|peer| policy.excludes(peer))
    }
}
