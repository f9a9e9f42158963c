//! What a thread asks the control thread, and the answer: entries of 64 bytes.

use super::{Plain, plain};
use crate::ring::entry::ENTRY_BYTES;
use crate::thread_block::ARGUMENT_BYTES;
use crate::violation::Violation;

/// What is asked for. Addresses and option values stand in the thread block's argument area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// bind(): the argument is a sockaddr (or sockaddr_multipath).
    Bind,
    /// listen().
    Listen {
        /// Connections that may wait to be accepted.
        backlog: i32,
    },
    /// connect(): the argument is a sockaddr (or sockaddr_multipath). Answered once it has begun;
    /// the descriptor becomes writable when it is done.
    Connect,
    /// shutdown().
    Shutdown {
        /// SHUT_RD, SHUT_WR or SHUT_RDWR.
        how: i32,
    },
    /// setsockopt(): the argument is the value.
    SetOption {
        /// Level, such as IPPROTO_TCP.
        level: i32,
        /// Name.
        name: i32,
    },
    /// getsockopt(): the argument is what the caller's buffer holds (some options read it), the
    /// reply's data is the value.
    GetOption {
        /// Level, such as IPPROTO_TCP.
        level: i32,
        /// Name.
        name: i32,
        /// Bytes that the caller's buffer takes.
        capacity: u32,
    },
    /// getsockname(): the reply's data is a sockaddr.
    LocalAddress,
    /// getpeername(): the reply's data is a sockaddr.
    PeerAddress,
    /// Whether the engine would take a socket with this address (the argument, a sockaddr): the
    /// result is 1 or 0. Names no slot.
    Owns {
        /// 0: to bind to it; 1: to connect to it.
        remote: bool,
    },
    /// SIOCOUTQ and SIOCOUTQNSD: bytes that were sent and that the peer has not acknowledged, those in
    /// the ring among them; the result is their number.
    SendQueue {
        /// Only those that have not gone out once.
        not_sent: bool,
    },
}

plain! {
    /// A command as it stands in its ring.
    pub struct CommandEntry {
        /// Chosen by the application.
        pub id: u64,
        /// [`Operation`], by number.
        pub operation: u16,
        /// Zero.
        pub reserved: u16,
        /// The socket.
        pub slot: u32,
        /// Its generation.
        pub generation: u32,
        /// Bytes in the argument area.
        pub data_length: u32,
        /// Of the operation.
        pub arguments: [i64; 2],
        /// Zero.
        pub rest: [u64; 3],
    }

    /// A completion as it stands in its ring.
    pub struct CompletionEntry {
        /// That of the command.
        pub id: u64,
        /// 0 or more, or a negative errno.
        pub result: i64,
        /// Bytes in the argument area.
        pub data_length: u32,
        /// Zero.
        pub reserved: u32,
        /// Zero.
        pub rest: [u64; 5],
    }
}

const _: () = {
    assert!(CommandEntry::BYTES == ENTRY_BYTES);
    assert!(CompletionEntry::BYTES == ENTRY_BYTES);
    assert!(std::mem::offset_of!(CommandEntry, slot) == 12);
    assert!(std::mem::offset_of!(CommandEntry, arguments) == 24);
};

/// One command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Command {
    /// Chosen by the application, comes back with the completion.
    pub id: u64,
    /// The socket's slot.
    pub slot: u32,
    /// The generation of the socket; another one than the slot's: EBADF.
    pub generation: u32,
    /// Bytes in the argument area; at most [`crate::thread_block::ARGUMENT_BYTES`].
    pub data_length: u32,
    /// What is asked for.
    pub operation: Operation,
}

/// A level and a name in one argument.
fn option(level: i32, name: i32) -> i64 {
    i64::from(level) << 32 | i64::from(name as u32)
}

fn option_parts(argument: i64) -> (i32, i32) {
    ((argument >> 32) as i32, argument as i32)
}

impl Operation {
    fn code(self) -> (u16, [i64; 2]) {
        match self {
            Self::Bind => (1, [0, 0]),
            Self::Listen { backlog } => (2, [backlog.into(), 0]),
            Self::Connect => (3, [0, 0]),
            Self::Shutdown { how } => (4, [how.into(), 0]),
            Self::SetOption { level, name } => (5, [option(level, name), 0]),
            Self::GetOption {
                level,
                name,
                capacity,
            } => (6, [option(level, name), capacity.into()]),
            Self::LocalAddress => (7, [0, 0]),
            Self::PeerAddress => (8, [0, 0]),
            Self::Owns { remote } => (9, [remote.into(), 0]),
            Self::SendQueue { not_sent } => (10, [not_sent.into(), 0]),
        }
    }

    fn parse(code: u16, arguments: [i64; 2]) -> Option<Self> {
        let [first, second] = arguments;
        let (level, name) = option_parts(first);
        Some(match code {
            1 => Self::Bind,
            2 => Self::Listen {
                backlog: i32::try_from(first).ok()?,
            },
            3 => Self::Connect,
            4 => Self::Shutdown {
                how: i32::try_from(first).ok()?,
            },
            5 => Self::SetOption { level, name },
            6 => Self::GetOption {
                level,
                name,
                capacity: u32::try_from(second).ok()?,
            },
            7 => Self::LocalAddress,
            8 => Self::PeerAddress,
            9 => Self::Owns { remote: first != 0 },
            10 => Self::SendQueue {
                not_sent: first != 0,
            },
            _ => return None,
        })
    }
}

impl Command {
    pub(crate) fn entry(&self) -> [u8; ENTRY_BYTES] {
        let (operation, arguments) = self.operation.code();
        let &Self {
            id,
            slot,
            generation,
            data_length,
            ..
        } = self;
        let entry = CommandEntry {
            id,
            operation,
            reserved: 0,
            slot,
            generation,
            data_length,
            arguments,
            rest: [0; 3],
        };
        entry.to_bytes()
    }

    pub(crate) fn parse(entry: &[u8; ENTRY_BYTES]) -> Result<Self, Violation> {
        let CommandEntry {
            id,
            operation,
            slot,
            generation,
            data_length,
            arguments,
            ..
        } = Plain::read(entry);
        let parsed = Operation::parse(operation, arguments).ok_or(Violation::new(
            "a command that does not exist",
            operation.into(),
            0,
        ))?;
        if data_length as usize > ARGUMENT_BYTES {
            let most = ARGUMENT_BYTES as u64;
            return Err(Violation::new(
                "the length of an argument",
                data_length.into(),
                most,
            ));
        }
        Ok(Self {
            id,
            slot,
            generation,
            data_length,
            operation: parsed,
        })
    }
}

/// The answer to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Completion {
    pub(crate) id: u64,
    pub(crate) result: i64,
    pub(crate) data_length: u32,
}

impl Completion {
    pub(crate) fn entry(self) -> [u8; ENTRY_BYTES] {
        let Self {
            id,
            result,
            data_length,
        } = self;
        CompletionEntry {
            id,
            result,
            data_length,
            reserved: 0,
            rest: [0; 5],
        }
        .to_bytes()
    }

    pub(crate) fn parse(entry: &[u8; ENTRY_BYTES]) -> Self {
        let CompletionEntry {
            id,
            result,
            data_length,
            ..
        } = Plain::read(entry);
        Self {
            id,
            result,
            data_length,
        }
    }
}
