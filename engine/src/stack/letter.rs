//! What the workers of one host say to each other: messages between subflows and homes that are on
//! different workers, how a subflow comes to be on another worker than its home, and frames.
//!
//! A letter is opaque to whoever carries it. Those from one worker to another must arrive in the
//! order in which they were taken, all of them, once. Everything in a letter is owned by it, so
//! payloads change hands without being copied. A letter is as long as a line of cache: what is too long and
//! said all the time takes two (`progress_letter`), what is said now and then goes in a box.

use super::batch::{PortId, ReceiveMeta, TransmitMeta};
use super::connection::ConnectionKey;
use super::join_letter::JoinLetter;
use super::neighbor::Told;
use super::order_letter::Order;
use super::progress_letter::{Course, Load};
use super::steering::WorkerId;
use super::subflow::{SubflowAddress, SubflowKey};
use crate::mptcp::message::{Numbering, ToHome};
use crate::sequence::DataSequenceNumber;
use crate::storage::frame::Frame;
use crate::wire::ethernet::MacAddress;
use crate::wire::mptcp_option::DataNumber;
use core::net::IpAddr;

/// A letter from one worker's stack to another's.
#[derive(Debug)]
pub struct Letter(pub(super) Content);

/// What it says.
#[derive(Debug)]
pub(super) enum Content {
    /// [`ToHome::Data`], which is all of the frame.
    Data {
        connection: ConnectionKey,
        subflow: SubflowAddress,
        data_sequence: DataSequenceNumber,
        numbering: Numbering,
        frame: Frame,
        long: bool,
    },
    /// [`ToHome::DataAck`].
    DataAck {
        connection: ConnectionKey,
        subflow: SubflowAddress,
        data_ack: DataNumber,
        window: u32,
    },
    /// The first half of [`ToHome::Progress`], and whose; the second comes next.
    Course { from: WorkerId, course: Course },
    /// The second half.
    Progress {
        connection: ConnectionKey,
        subflow: SubflowAddress,
        load: Load,
    },
    /// Anything else from a subflow to its home.
    Up {
        connection: ConnectionKey,
        subflow: SubflowAddress,
        message: Box<ToHome>,
    },
    /// From home to a subflow.
    Down { subflow: SubflowKey, order: Order },
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
            Content::Data { frame, .. } => frame.memory(),
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
    fn a_letter_is_a_line_of_cache() {
        assert_eq!(size_of::<Letter>(), 64);
    }
}
