//! Interfaces and addresses (rtnetlink).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, Stats64,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::conversation::Conversation;
use crate::lab::LabError;

/// A socket to the interfaces and addresses of one namespace.
pub struct RouteSocket {
    conversation: Conversation,
}

impl RouteSocket {
    /// Opens a socket to the calling thread's network namespace.
    pub fn open() -> Result<Self, LabError> {
        let conversation = Conversation::open(NETLINK_ROUTE)
            .map_err(|source| failed("cannot open a route netlink socket", source))?;
        Ok(Self { conversation })
    }

    /// The index of the interface called `name`.
    pub fn index_of(&mut self, name: &str) -> Result<u32, LabError> {
        Ok(self.link(name)?.header.index)
    }

    /// Bytes that the interface called `name` has received and sent, in this order.
    pub fn byte_counters(&mut self, name: &str) -> Result<(u64, u64), LabError> {
        let counters = self
            .link(name)?
            .attributes
            .into_iter()
            .find_map(|attribute| {
                let LinkAttribute::Stats64(Stats64 {
                    rx_bytes, tx_bytes, ..
                }) = attribute
                else {
                    return None;
                };
                Some((rx_bytes, tx_bytes))
            });
        Ok(counters.unwrap_or_default())
    }

    /// Brings an interface up or down.
    ///
    /// Down is what a cut cable is to the protocols above: nothing passes either way. IPv6
    /// addresses survive it only where `net.ipv6.conf.all.keep_addr_on_down` is 1.
    pub fn set_up(&mut self, name: &str, up: bool) -> Result<(), LabError> {
        let mut link = LinkMessage::default();
        link.header.index = self.index_of(name)?;
        link.header.change_mask = LinkFlags::Up;
        if up {
            link.header.flags = LinkFlags::Up;
        }
        let state = if up { "up" } else { "down" };
        self.conversation
            .request(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(|source| failed(format!("cannot bring interface {name} {state}"), source))?;
        Ok(())
    }

    /// Sets the largest IP packet that an interface carries, in bytes.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), LabError> {
        let mut link = LinkMessage::default();
        link.header.index = self.index_of(name)?;
        link.attributes = vec![LinkAttribute::Mtu(mtu)];
        self.conversation
            .request(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(|source| failed(format!("cannot give {name} an MTU of {mtu}"), source))?;
        Ok(())
    }

    /// Makes a pair of connected Ethernet interfaces: `name` here, `peer_name` in `peer`.
    pub fn add_veth(
        &mut self,
        name: &str,
        peer: impl AsFd,
        peer_name: &str,
    ) -> Result<(), LabError> {
        let mut far = LinkMessage::default();
        far.attributes = vec![
            LinkAttribute::IfName(peer_name.to_owned()),
            LinkAttribute::NetNsFd(peer.as_fd().as_raw_fd()),
        ];
        let mut near = LinkMessage::default();
        near.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
            ]),
        ];
        self.conversation
            .request(
                RouteNetlinkMessage::NewLink(near),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .map_err(|source| failed(format!("cannot make the veth pair {name}"), source))?;
        Ok(())
    }

    /// Gives an interface an address that is usable at once (no duplicate address detection: both
    /// ends of a link are ours). `prefix` is the length of the network's part in bits.
    pub fn add_address(&mut self, name: &str, address: IpAddr, prefix: u8) -> Result<(), LabError> {
        let mut message = AddressMessage::default();
        message.header.index = self.index_of(name)?;
        message.header.prefix_len = prefix;
        message.header.scope = AddressScope::Universe;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        self.conversation
            .request(
                RouteNetlinkMessage::NewAddress(message),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .map_err(|source| {
                failed(format!("cannot give {name} the address {address}"), source)
            })?;
        Ok(())
    }

    fn link(&mut self, name: &str) -> Result<LinkMessage, LabError> {
        let mut wanted = LinkMessage::default();
        wanted.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        self.conversation
            .request(RouteNetlinkMessage::GetLink(wanted), 0)
            .and_then(|answers| {
                answers
                    .into_iter()
                    .find_map(|answer| match answer {
                        RouteNetlinkMessage::NewLink(link) => Some(link),
                        _ => None,
                    })
                    .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            })
            .map_err(|source| failed(format!("cannot find the interface {name}"), source))
    }
}

fn failed(what: impl Into<String>, source: io::Error) -> LabError {
    LabError::Netlink {
        what: what.into(),
        source,
    }
}
