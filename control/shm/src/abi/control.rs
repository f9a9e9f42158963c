//! The messages of the control connection: one a packet of a `SOCK_SEQPACKET` socket.
//!
//! A packet is a header (kind, bytes of the body) and a body of fixed size; descriptors go with it as
//! SCM_RIGHTS, in the order that is written at each. What does not parse ends the connection.

use super::{Plain, SocketAddressStorage, plain};
use crate::layout::{LayoutError, MAX_WORKERS, RegionLayout};
use std::error::Error;
use std::fmt;

/// Most bytes of a packet.
pub const MAX_MESSAGE_BYTES: usize = HEADER_BYTES + CliChunk::HEADER_BYTES + CLI_CHUNK_BYTES;
/// Most descriptors of a packet: those of a region for as many workers as there may be.
pub const MAX_MESSAGE_DESCRIPTORS: usize = 2 + MAX_WORKERS as usize;
/// Most bytes of JSON in one packet of the CLI.
pub const CLI_CHUNK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 8;

plain! {
    /// The first packet of an application. Answer: [`Attached`] or [`Refused`].
    pub struct Attach {
        /// [`super::ABI_VERSION`].
        pub version: u32,
        /// The application's process, for the engine's log; its rights are those of SO_PEERCRED.
        pub pid: u32,
        /// Zero.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
    }

    /// A region, with its descriptors: memfd, the control thread's bell, and the bell of each worker.
    pub struct Attached {
        /// The engine's name for the region, unique in its lifetime.
        pub region: u64,
        /// Bytes of a ring.
        pub ring_bytes: u64,
        /// Slots.
        pub sockets: u32,
        /// Thread blocks.
        pub threads: u32,
        /// The engine's process.
        pub engine_pid: u32,
        /// Workers of the engine.
        pub workers: u32,
    }

    /// Asks for a socket in the attachment's region. Answer: [`Opened`] or [`Refused`].
    pub struct OpenSocket {
        /// AF_INET, AF_INET6 or AF_MULTIPATH.
        pub domain: i32,
        /// 0, 6 or 262.
        pub protocol: i32,
        /// Zero.
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
    }

    /// A socket, with one descriptor: the application's end.
    pub struct Opened {
        /// Its slot.
        pub slot: u32,
        /// Its generation.
        pub generation: u32,
    }

    /// The region and slot of a descriptor that was sent with [`Request::Adopt`], with the
    /// descriptors of the region.
    pub struct Adopted {
        /// The region.
        pub region: Attached,
        /// The socket's slot.
        pub slot: u32,
        /// Its generation.
        pub generation: u32,
    }

    /// The answer no.
    pub struct Refused {
        /// Why, for the program.
        pub errno: i32,
        /// Bytes of `text`.
        pub length: u32,
        /// Why and what mends it, for the user: UTF-8.
        pub text: [u8; 240],
    }

    /// What the engine sends on a listener's descriptor for each connection, with the application's
    /// end of it. Not a message of the control connection: it has no header.
    pub struct AcceptedMessage {
        /// The region that holds it: the listener's.
        pub region: u64,
        /// Its slot.
        pub slot: u32,
        /// Its generation.
        pub generation: u32,
        /// Its local address.
        pub local: SocketAddressStorage,
        /// Its remote address.
        pub remote: SocketAddressStorage,
    }

    /// What stands before a body.
    pub struct MessageHeader {
        /// Which message.
        pub kind: u32,
        /// Bytes of the body.
        pub length: u32,
    }
}

impl Attached {
    /// The region's layout, checked.
    pub fn layout(&self) -> Result<RegionLayout, LayoutError> {
        RegionLayout::new(self.sockets, self.threads, self.ring_bytes)?.with_workers(self.workers)
    }

    /// The message for a region of this layout.
    pub fn new(region: u64, layout: RegionLayout, engine_pid: u32) -> Self {
        Self {
            region,
            ring_bytes: layout.ring_bytes(),
            sockets: layout.sockets(),
            threads: layout.threads(),
            engine_pid,
            workers: layout.workers().into(),
        }
    }
}

impl Refused {
    /// A refusal; of the text as much as fits, whole characters.
    pub fn new(errno: i32, text: &str) -> Self {
        let mut bytes = [0; 240];
        let mut length = text.len().min(bytes.len());
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        if let (Some(to), Some(from)) = (bytes.get_mut(..length), text.as_bytes().get(..length)) {
            to.copy_from_slice(from);
        }
        Self {
            errno,
            length: length as u32,
            text: bytes,
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        let length = (self.length as usize).min(self.text.len());
        String::from_utf8_lossy(self.text.get(..length).unwrap_or_default()).into_owned()
    }
}

/// A piece of a request or an answer of the command line: JSON, in as many packets as it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CliChunk {
    /// Whether the JSON ends with this piece. A stream of events is a sequence of whole values.
    pub last: bool,
    /// At most [`CLI_CHUNK_BYTES`].
    pub bytes: Vec<u8>,
}

impl CliChunk {
    const HEADER_BYTES: usize = 8;

    /// The pieces of a whole value.
    pub fn split(json: &[u8]) -> Vec<Self> {
        let mut chunks: Vec<_> = json
            .chunks(CLI_CHUNK_BYTES)
            .map(|bytes| Self {
                last: false,
                bytes: bytes.to_vec(),
            })
            .collect();
        match chunks.last_mut() {
            Some(chunk) => chunk.last = true,
            None => chunks.push(Self {
                last: true,
                bytes: Vec::new(),
            }),
        }
        chunks
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = vec![0; Self::HEADER_BYTES];
        u32::from(self.last).write(&mut body);
        body.extend(self.bytes.iter().take(CLI_CHUNK_BYTES));
        body
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (header, bytes) = body.split_at_checked(Self::HEADER_BYTES)?;
        (bytes.len() <= CLI_CHUNK_BYTES).then(|| Self {
            last: u32::read(header) != 0,
            bytes: bytes.to_vec(),
        })
    }
}

/// Why a packet is no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageError {
    /// Shorter than its header or its body says.
    Short,
    /// Of a kind that is none, or none that this side gets.
    Kind(u32),
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("a message of the control connection is cut short"),
            Self::Kind(kind) => write!(f, "a message of the control connection of kind {kind}"),
        }
    }
}

impl Error for MessageError {}

/// What an application or the command line says to the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// First: a region, please.
    Attach(Attach),
    /// A socket, please.
    OpenSocket(OpenSocket),
    /// With one descriptor, a socket that this process got by exec or SCM_RIGHTS: which one is it?
    Adopt,
    /// The application needs the region no more.
    Detach,
    /// First, or after the answer: a request of the command line.
    Cli(CliChunk),
}

/// What the engine says.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives at a time, to be encoded or looked at"
)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// To [`Request::Attach`].
    Attached(Attached),
    /// To [`Request::OpenSocket`].
    Opened(Opened),
    /// To [`Request::Adopt`].
    Adopted(Adopted),
    /// To any of them.
    Refused(Refused),
    /// To [`Request::Cli`].
    Cli(CliChunk),
}

fn encode(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut message = MessageHeader {
        kind,
        length: body.len() as u32,
    }
    .to_bytes()
    .to_vec();
    message.extend_from_slice(body);
    message
}

fn parse(message: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    let header = MessageHeader::from_bytes(message).ok_or(MessageError::Short)?;
    let body = message
        .get(HEADER_BYTES..)
        .and_then(|body| body.get(..header.length as usize))
        .ok_or(MessageError::Short)?;
    Ok((header.kind, body))
}

impl Request {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Attach(attach) => encode(1, &attach.to_bytes()),
            Self::OpenSocket(open) => encode(2, &open.to_bytes()),
            Self::Adopt => encode(3, &[]),
            Self::Detach => encode(4, &[]),
            Self::Cli(chunk) => encode(5, &chunk.encode()),
        }
    }

    /// The message in a packet.
    pub fn parse(packet: &[u8]) -> Result<Self, MessageError> {
        let (kind, body) = parse(packet)?;
        match kind {
            1 => Attach::from_bytes(body).map(Self::Attach),
            2 => OpenSocket::from_bytes(body).map(Self::OpenSocket),
            3 => Some(Self::Adopt),
            4 => Some(Self::Detach),
            5 => CliChunk::parse(body).map(Self::Cli),
            _ => return Err(MessageError::Kind(kind)),
        }
        .ok_or(MessageError::Short)
    }
}

impl Reply {
    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Attached(attached) => encode(101, &attached.to_bytes()),
            Self::Opened(opened) => encode(102, &opened.to_bytes()),
            Self::Adopted(adopted) => encode(103, &adopted.to_bytes()),
            Self::Refused(refused) => encode(104, &refused.to_bytes()),
            Self::Cli(chunk) => encode(105, &chunk.encode()),
        }
    }

    /// The message in a packet.
    pub fn parse(packet: &[u8]) -> Result<Self, MessageError> {
        let (kind, body) = parse(packet)?;
        match kind {
            101 => Attached::from_bytes(body).map(Self::Attached),
            102 => Opened::from_bytes(body).map(Self::Opened),
            103 => Adopted::from_bytes(body).map(Self::Adopted),
            104 => Refused::from_bytes(body).map(Self::Refused),
            105 => CliChunk::parse(body).map(Self::Cli),
            _ => return Err(MessageError::Kind(kind)),
        }
        .ok_or(MessageError::Short)
    }
}
