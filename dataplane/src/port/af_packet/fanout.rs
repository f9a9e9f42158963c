//! How the kernel spreads what arrives over the queues of a port (packet(7), `PACKET_FANOUT`).
//!
//! The queues are packet sockets of one group, each of whose frames goes to one of them. The kernel
//! numbers them in the order in which they joined. When the interface has been down it has them join
//! again in the order in which they were made, which is therefore the same. When one is closed the last
//! takes its number, and the numbers wrap at how many are left.

use std::num::NonZeroU8;

use braid_engine::stack::FlowHash;

use crate::sys::filter::{
    Instruction, OUTGOING, end_with, end_with_accumulator, index_past_ipv4, load_byte,
    load_ether_type, load_half, load_packet_type, load_word, load_word_at_index, multiply,
    shift_right, skip, skip_if_any, skip_unless,
};
use crate::sys::packet::Spread;

/// Keeps nothing: for a socket that is no member of its group as yet, and would have every frame.
pub(super) const NOTHING: [Instruction; 1] = [end_with(0)];

/// Keeps what arrives, and not what is sent by the interface: a group sees that too, before Linux 6.1
/// whatever its members are told.
pub(super) const ARRIVING: [Instruction; 4] = [
    load_packet_type(),
    skip_unless(OUTGOING, 1),
    end_with(0),
    end_with(u32::MAX),
];

/// Instructions that compute the queue of a TCP segment, see [`by_ports`].
const PROGRAM: usize = 19;

/// By which rule the kernel spreads frames, so that most find the worker their flow belongs to.
pub(super) fn spread(hash: FlowHash, queues: NonZeroU8) -> Spread {
    match hash {
        FlowHash::Ports => Spread::Program(by_ports(queues).into()),
        // Too much for a program without loops: the card has done it, as far as it has that key and
        // as many queues.
        FlowHash::Toeplitz(_) => Spread::QueueOfCard,
    }
}

/// [`FlowHash::Ports`] of whole TCP segments; queue 0 for all else. An IPv6 header counts as that
/// of a segment if nothing stands between the two.
///
/// The program sees a frame that arrives from its IP header on, whatever the type of the socket, and
/// a filter of the same socket sees it from the Ethernet header on.
fn by_ports(queues: NonZeroU8) -> [Instruction; PROGRAM] {
    const IPV4: u32 = 0x0800;
    const IPV6: u32 = 0x86dd;
    const TCP: u32 = 6;
    const MORE_FRAGMENTS_AND_OFFSET: u32 = 0x3fff;
    [
        load_ether_type(),
        skip_unless(IPV4, 7),
        load_byte(9),
        skip_unless(TCP, 14),
        load_half(6),
        skip_if_any(MORE_FRAGMENTS_AND_OFFSET, 12),
        index_past_ipv4(0),
        // The source port, which is the peer's, and after it our own.
        load_word_at_index(),
        skip(4),
        skip_unless(IPV6, 8),
        load_byte(6),
        skip_unless(TCP, 6),
        load_word(40),
        multiply(0x9E37_79B1),
        shift_right(16),
        multiply(queues.get() as u32),
        shift_right(16),
        end_with_accumulator(),
        end_with(0),
    ]
}
