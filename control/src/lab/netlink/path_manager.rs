//! The kernel's Multipath TCP path manager: endpoints and limits, as `ip mptcp` sets them
//! (generic netlink family `mptcp_pm`, Documentation/netlink/specs/mptcp_pm.yaml in Linux).

use std::io;
use std::net::IpAddr;

use bitflags::bitflags;
use netlink_packet_core::{DecodeError, DefaultNla, Emitable, NLA_F_NESTED, ParseableParametrized};
use netlink_packet_generic::ctrl::GenlCtrl;
use netlink_packet_generic::ctrl::GenlCtrlCmd;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::conversation::Conversation;
use crate::lab::LabError;

const FAMILY_NAME: &str = "mptcp_pm";
const VERSION: u8 = 1;

/// Commands of the family.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Command {
    AddEndpoint = 1,
    FlushEndpoints = 4,
    SetLimits = 5,
}

/// Attributes of a command.
mod attribute {
    pub(super) const ENDPOINT: u16 = 1;
    pub(super) const ACCEPTED_ADD_ADDRESSES: u16 = 2;
    pub(super) const SUBFLOWS: u16 = 3;
}

/// Attributes nested in [`attribute::ENDPOINT`].
mod endpoint_attribute {
    pub(super) const FAMILY: u16 = 1;
    pub(super) const ID: u16 = 2;
    pub(super) const ADDRESS_V4: u16 = 3;
    pub(super) const ADDRESS_V6: u16 = 4;
    pub(super) const FLAGS: u16 = 6;
    pub(super) const INTERFACE: u16 = 7;
}

bitflags! {
    /// What the kernel may use an endpoint for.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub struct EndpointFlags: u32 {
        /// Announce the address to the peer in ADD_ADDR.
        const SIGNAL = 1;
        /// Open a subflow from the address as soon as a connection is established.
        const SUBFLOW = 2;
        /// Ask the peer to use subflows of this address only when no other is left.
        const BACKUP = 4;
        /// Open subflows from the address to every address of the peer.
        const FULLMESH = 8;
    }
}

/// An address that connections of a namespace may use beside their first one.
#[derive(Copy, Clone, Debug)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// What it is for.
    pub flags: EndpointFlags,
    /// The address identifier; the kernel chooses one when there is none.
    pub id: Option<u8>,
    /// The index of the interface that has the address, to bind subflows to it.
    pub interface: Option<u32>,
}

impl Endpoint {
    fn attributes(&self) -> Vec<DefaultNla> {
        let (family, kind, bytes) = match self.address {
            IpAddr::V4(address) => (
                libc::AF_INET,
                endpoint_attribute::ADDRESS_V4,
                address.octets().to_vec(),
            ),
            IpAddr::V6(address) => (
                libc::AF_INET6,
                endpoint_attribute::ADDRESS_V6,
                address.octets().to_vec(),
            ),
        };
        let mut attributes = vec![
            DefaultNla::new(
                endpoint_attribute::FAMILY,
                (family as u16).to_ne_bytes().to_vec(),
            ),
            DefaultNla::new(kind, bytes),
            DefaultNla::new(
                endpoint_attribute::FLAGS,
                self.flags.bits().to_ne_bytes().to_vec(),
            ),
        ];
        if let Some(id) = self.id {
            attributes.push(DefaultNla::new(endpoint_attribute::ID, vec![id]));
        }
        if let Some(index) = self.interface {
            let value = index.to_ne_bytes().to_vec();
            attributes.push(DefaultNla::new(endpoint_attribute::INTERFACE, value));
        }
        attributes
    }
}

/// A socket to one namespace's path manager.
pub struct PathManagerSocket {
    conversation: Conversation,
    family: u16,
}

impl PathManagerSocket {
    /// Opens a socket to the calling thread's network namespace.
    pub fn open() -> Result<Self, LabError> {
        let opened = Conversation::open(NETLINK_GENERIC).and_then(|mut conversation| {
            let family = resolve_family(&mut conversation)?;
            Ok(Self {
                conversation,
                family,
            })
        });
        opened.map_err(|reason| LabError::NoMultipathTcp { reason })
    }

    /// Adds an endpoint.
    pub fn add_endpoint(&mut self, endpoint: &Endpoint) -> Result<(), LabError> {
        let nested = encode(&endpoint.attributes());
        self.command(
            Command::AddEndpoint,
            vec![DefaultNla::new(attribute::ENDPOINT | NLA_F_NESTED, nested)],
        )
        .map_err(|source| LabError::Netlink {
            what: format!("cannot add the Multipath TCP endpoint {}", endpoint.address),
            source,
        })
    }

    /// Removes every endpoint.
    pub fn flush_endpoints(&mut self) -> Result<(), LabError> {
        self.command(Command::FlushEndpoints, Vec::new())
            .map_err(|source| LabError::Netlink {
                what: "cannot remove the Multipath TCP endpoints".to_owned(),
                source,
            })
    }

    /// Sets how many subflows beside the first one a connection may have, and for how many
    /// addresses announced by the peer it may open some; the kernel takes at most 8 of each.
    pub fn set_limits(&mut self, subflows: u32, accepted: u32) -> Result<(), LabError> {
        let value = |kind, number: u32| DefaultNla::new(kind, number.to_ne_bytes().to_vec());
        self.command(
            Command::SetLimits,
            vec![
                value(attribute::ACCEPTED_ADD_ADDRESSES, accepted),
                value(attribute::SUBFLOWS, subflows),
            ],
        )
        .map_err(|source| LabError::Netlink {
            what: format!(
                "cannot set the Multipath TCP limits to {subflows} subflows and {accepted} \
                 accepted addresses"
            ),
            source,
        })
    }

    fn command(&mut self, command: Command, attributes: Vec<DefaultNla>) -> io::Result<()> {
        let mut message = GenlMessage::from_payload(Request {
            command,
            attributes,
        });
        message.set_resolved_family_id(self.family);
        self.conversation.request(message, 0).map(drop)
    }
}

/// Asks for the number that this kernel gave the family.
fn resolve_family(conversation: &mut Conversation) -> io::Result<u16> {
    let question = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY_NAME.to_owned())],
    });
    let answers = conversation.request(question, 0)?;
    answers
        .into_iter()
        .flat_map(|answer| answer.payload.nlas)
        .find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(id),
            _ => None,
        })
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

fn encode(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

/// A message of the family.
#[derive(Clone, Debug)]
struct Request {
    command: Command,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        FAMILY_NAME
    }

    fn command(&self) -> u8 {
        self.command as u8
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Request {
    fn parse_with_param(_: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        // Only requests without an answer are sent on this family.
        Err(DecodeError::from(format!(
            "unexpected answer to command {}",
            header.cmd
        )))
    }
}
