//! What the workers of one host say to each other: messages between subflows and homes that are on
//! different workers, how a subflow comes to be on another worker than its home, and frames.
//!
//! A letter is opaque to whoever carries it. Those from one worker to another must arrive in the
//! order in which they were taken, all of them, once. Everything in a letter is owned by it, so
//! payloads change hands without being copied.

use super::batch::{PortId, ReceiveMeta, TransmitMeta};
use super::connection::ConnectionKey;
use super::join_letter::JoinLetter;
use super::neighbor::Told;
use super::subflow::{SubflowAddress, SubflowKey};
use crate::mptcp::message::{ToHome, ToSubflow};
use crate::storage::frame::Frame;
use crate::wire::ethernet::MacAddress;
use core::net::IpAddr;

/// A letter from one worker's stack to another's.
#[derive(Debug)]
pub struct Letter(pub(super) Content);

/// What it says.
#[derive(Debug)]
pub(super) enum Content {
    /// From a subflow to its home.
    Up {
        connection: ConnectionKey,
        subflow: SubflowAddress,
        message: ToHome,
    },
    /// From home to a subflow.
    Down {
        subflow: SubflowKey,
        message: ToSubflow,
    },
    /// The bytes of the next grant to a subflow, or some of them.
    Bytes { subflow: SubflowKey, frame: Frame },
    /// How a further subflow comes about.
    Join(Box<JoinLetter>),
    /// A frame that came in elsewhere and is of a flow of the addressee.
    Received { frame: Frame, meta: ReceiveMeta },
    /// A frame to be sent by a port that the addressee drives.
    Transmit {
        port: PortId,
        frame: Frame,
        meta: TransmitMeta,
    },
    /// A frame that is free goes back to the pool it was taken from.
    Recycle(Frame),
    /// Where a neighbour said it is.
    Neighbor {
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        told: Told,
    },
}

impl Letter {
    /// Bytes of memory of the frame of received data that it carries.
    pub(super) fn carried(&self) -> usize {
        match &self.0 {
            Content::Up {
                message: ToHome::Data { frame, .. },
                ..
            } => frame.memory(),
            _ => 0,
        }
    }
}

impl From<JoinLetter> for Letter {
    fn from(letter: JoinLetter) -> Self {
        Self(Content::Join(Box::new(letter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn is_send<T: Send>() {}
    const _: () = is_send::<Letter>();

    impl Letter {
        /// A letter that can be told from others.
        pub(in super::super) fn numbered(number: usize) -> Self {
            let mut frame = Frame::with_capacity(number);
            frame.set_filled(0..number);
            Self(Content::Recycle(frame))
        }

        pub(in super::super) fn number(&self) -> usize {
            match &self.0 {
                Content::Recycle(frame) => frame.bytes().len(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_letter_is_small_enough_to_be_moved_about() {
        assert!(size_of::<Letter>() <= 256, "{}", size_of::<Letter>());
    }
}
