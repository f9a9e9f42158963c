//! A subscription to the kernel's interfaces (rtnetlink(7), group RTNLGRP_LINK).
//!
//! Answers to questions come by the same socket as what the kernel tells unasked, so that they are
//! in the order of what happened.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Header of a message (RFC 3549 section 2.3.2).
const HEADER: usize = 16;
/// The part of a message that is read: both headers are at its beginning.
const READ: usize = 256;
/// An answer that is an error.
const ERROR: u16 = libc::NLMSG_ERROR as u16;

/// What the kernel says of an interface.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in super::super) enum LinkState {
    /// Frames pass.
    Up,
    /// It was set down.
    SetDown,
    /// It is set up, but the cable is out or the other end is down.
    NoCarrier,
    /// It waits for something, such as its key.
    Dormant,
    /// There is none any more.
    Gone,
}

impl LinkState {
    fn of(flags: LinkFlags) -> Self {
        if !flags.contains(LinkFlags::Up) {
            Self::SetDown
        } else if !flags.contains(LinkFlags::LowerUp) {
            Self::NoCarrier
        } else if flags.contains(LinkFlags::Dormant) {
            Self::Dormant
        } else {
            Self::Up
        }
    }

    /// Why no frames pass, in words.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::SetDown => "set down",
            Self::NoCarrier => "no carrier",
            Self::Dormant => "dormant",
            Self::Gone => "gone",
        }
    }
}

/// Something that was read from the socket.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Notice {
    /// The state of the interface of this index.
    Link { index: u32, state: LinkState },
    /// Nothing about a link.
    Other,
    /// The socket was full: some of what came after the messages that wait is missing.
    Overflow,
}

/// The subscription.
pub(super) struct LinkSocket(Socket);

impl LinkSocket {
    /// Subscribes to the interfaces of the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // Nobody else may send to it then.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.add_membership(libc::RTNLGRP_LINK)?;
        Ok(Self(socket))
    }

    /// Asks for the state of an interface; [`Self::next`] has the answer at its time.
    pub(super) fn ask(&self, index: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        // An error bears the number of its question, and not what was asked.
        header.sequence_number = index;
        let payload = NetlinkPayload::InnerMessage(RouteNetlinkMessage::GetLink(link));
        let mut packet = NetlinkMessage::new(header, payload);
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        Ok(())
    }

    /// The next message; `None` when none waits.
    pub(super) fn next(&self) -> Option<Notice> {
        let mut buffer = [0; READ];
        match recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => Some(parse(buffer.get(..length).unwrap_or(&buffer))),
            Err(Errno::AGAIN) => None,
            Err(Errno::INTR) => Some(Notice::Other),
            // ENOBUFS; after any other something may be missing too.
            Err(_) => Some(Notice::Overflow),
        }
    }
}

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads both headers and no attribute, of which later kernels have more.
fn parse(message: &[u8]) -> Notice {
    let Some((header, payload)) = message.split_first_chunk::<HEADER>() else {
        return Notice::Other;
    };
    let [_, _, _, _, type_0, type_1, _, _, number @ .., _, _, _, _] = *header;
    let link = |payload| {
        let link = LinkHeader::parse(payload).ok()?;
        // A bridge tells by messages of its own family whom it takes and lets go.
        (link.interface_family == AddressFamily::Unspec).then_some(link)
    };
    let notice = match u16::from_ne_bytes([type_0, type_1]) {
        libc::RTM_NEWLINK => link(payload).map(|link| Notice::Link {
            index: link.index,
            state: LinkState::of(link.flags),
        }),
        libc::RTM_DELLINK => link(payload).map(|link| Notice::Link {
            index: link.index,
            state: LinkState::Gone,
        }),
        ERROR => payload.first_chunk().and_then(|code| {
            let gone = i32::from_ne_bytes(*code) == -libc::ENODEV;
            gone.then_some(Notice::Link {
                index: u32::from_ne_bytes(number),
                state: LinkState::Gone,
            })
        }),
        _ => None,
    };
    notice.unwrap_or(Notice::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, family: u8, flags: i32) -> Vec<u8> {
        let mut bytes = 32_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([family, 0, 0, 0]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    fn state(flags: i32) -> LinkState {
        match parse(&message(libc::RTM_NEWLINK, 0, flags)) {
            Notice::Link { index: 7, state } => state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_say_why_no_frames_pass() {
        let (up, carrier, dormant) = (libc::IFF_UP, 1 << 16, 1 << 17);
        assert_eq!(state(up | carrier), LinkState::Up);
        assert_eq!(state(carrier), LinkState::SetDown);
        assert_eq!(state(up), LinkState::NoCarrier);
        assert_eq!(state(up | carrier | dormant), LinkState::Dormant);
    }

    #[test]
    fn only_the_interface_itself_tells_its_end() {
        let deleted = message(libc::RTM_DELLINK, libc::AF_UNSPEC as u8, 0);
        let gone = Notice::Link {
            index: 7,
            state: LinkState::Gone,
        };
        assert_eq!(parse(&deleted), gone);
        let left_a_bridge = message(libc::RTM_DELLINK, libc::AF_BRIDGE as u8, 0);
        assert_eq!(parse(&left_a_bridge), Notice::Other);
    }

    #[test]
    fn a_question_about_nothing_is_answered_with_its_number() {
        let mut error = message(ERROR, 0, 0);
        error[8..12].copy_from_slice(&9_u32.to_ne_bytes());
        error[16..20].copy_from_slice(&(-libc::ENODEV).to_ne_bytes());
        let gone = Notice::Link {
            index: 9,
            state: LinkState::Gone,
        };
        assert_eq!(parse(&error), gone);
        error[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(parse(&error), Notice::Other);
    }

    #[test]
    fn what_is_cut_short_says_nothing() {
        let whole = message(libc::RTM_NEWLINK, 0, libc::IFF_UP);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Notice::Other, "{length} bytes");
        }
    }

    #[test]
    fn the_kernel_answers_for_what_there_is_and_what_there_is_not() {
        let socket = LinkSocket::open().unwrap();
        // The loopback interface of every namespace.
        socket.ask(1).unwrap();
        socket.ask(0x7fff_fff0).unwrap();
        let mut told = Vec::new();
        while let Some(notice) = socket.next() {
            told.extend(match notice {
                Notice::Link { index, state } => Some((index, state == LinkState::Gone)),
                _ => None,
            });
        }
        assert!(told.contains(&(1, false)), "{told:?}");
        assert!(told.contains(&(0x7fff_fff0, true)), "{told:?}");
    }
}
