//! The options of Multipath TCP: draft-scharf-mptcp-api-01 section 6, RFC 6897 section 5, and
//! Linux's SOL_MPTCP.

use braid_shm::abi::{
    IPPROTO_TCP, TCP_IS_MPTCP, TCP_MP_CONNID, TCP_MP_ENABLE, TCP_MULTIPATH_CONNID,
    TCP_MULTIPATH_ENABLE,
};

use super::{Outcome, value};
use crate::server::control::Control;
use crate::server::host::WorkerGone;
use crate::server::socket::{State, Wish};
use crate::server::table::Key;

/// An option, by what it means.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Multipath {
    /// TCP_MP_ENABLE (the draft's section 5.1) and TCP_MULTIPATH_ENABLE (RFC 6897 section 5.1);
    /// the first makes the socket aware.
    Enable { aware: bool },
    /// TCP_MP_CONNID and TCP_MULTIPATH_CONNID.
    ConnectionId,
    /// Linux's TCP_IS_MPTCP.
    InUse,
}

impl Multipath {
    /// The option of that number.
    pub(super) fn of(level: i32, name: i32) -> Option<Self> {
        if level != IPPROTO_TCP {
            return None;
        }
        Some(match name {
            TCP_MP_ENABLE => Self::Enable { aware: true },
            TCP_MULTIPATH_ENABLE => Self::Enable { aware: false },
            TCP_MP_CONNID | TCP_MULTIPATH_CONNID => Self::ConnectionId,
            TCP_IS_MPTCP => Self::InUse,
            _ => return None,
        })
    }
}

impl Control {
    pub(super) fn set_multipath(
        &mut self,
        key: Key,
        option: Multipath,
        bytes: &[u8],
    ) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get_mut(key) else {
            return Ok(Err(libc::EBADF));
        };
        let Multipath::Enable { aware } = option else {
            return Ok(Err(libc::EINVAL));
        };
        let wish = match value::within(bytes, 0, 1) {
            Ok(0) => Wish::Disabled,
            Ok(_) if aware => Wish::Aware,
            Ok(_) => Wish::Enabled,
            Err(errno) => return Ok(Err(errno)),
        };
        match socket.state {
            State::Open { .. } => {
                socket.wish = wish;
                socket.handle.set_flags(socket.flags());
                Ok(Ok((0, Vec::new())))
            }
            State::Listening { .. } => Ok(Err(libc::EINVAL)),
            State::Connected { .. } | State::Ending { .. } => Ok(Err(libc::EISCONN)),
        }
    }

    pub(super) fn get_multipath(
        &mut self,
        key: Key,
        option: Multipath,
        _argument: &[u8],
        _capacity: usize,
    ) -> Result<Outcome, WorkerGone> {
        let Some(socket) = self.sockets.get(key) else {
            return Ok(Err(libc::EBADF));
        };
        let Some(connection) = socket.connection() else {
            return Ok(match option {
                Multipath::Enable { .. } => {
                    let enable = self.wants_multipath(socket, None);
                    Ok((0, value::of_int(enable.into())))
                }
                Multipath::InUse => Ok((0, value::of_int(0))),
                Multipath::ConnectionId => Err(libc::ENOTCONN),
            });
        };
        let state = self.host.call(move |turn| {
            let settings = turn.stack.connection_settings(connection)?;
            let info = turn.stack.connection_info(connection)?;
            Some((settings.multipath, info.local_token.0))
        })?;
        let Some((multipath, token)) = state else {
            return Ok(Err(libc::ENOTCONN));
        };
        Ok(match option {
            Multipath::Enable { .. } | Multipath::InUse => Ok((0, value::of_int(multipath.into()))),
            Multipath::ConnectionId if multipath => Ok((0, token.to_ne_bytes().to_vec())),
            Multipath::ConnectionId => Err(libc::EOPNOTSUPP),
        })
    }
}
