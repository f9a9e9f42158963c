//! What sits on a path and changes what passes (RFC 8684 section 3.7 and appendix of RFC 6897
//! name the kinds that were met in the wild).

use super::link::Chance;
use super::packet::{ACK, FIN, MPTCP, PSH, Packet, RST, SYN};
use crate::random::Random;
use crate::time::{Duration, Instant};

/// The two ways along a link.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the first end to the second.
    Forth = 0,
    /// From the second end to the first.
    Back = 1,
}

/// The kinds of middlebox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Removes option 30.
    StripMptcp {
        /// From SYNs.
        syn: bool,
        /// From SYN/ACKs.
        syn_ack: bool,
        /// From everything else.
        data: bool,
    },
    /// Cuts segments into smaller ones, each with a copy of the options, as segmentation in a
    /// router does.
    Resegment {
        /// Most payload bytes a segment keeps.
        size: usize,
    },
    /// Holds data back for a short time and joins what follows it; the options of the first
    /// segment stay, those of the others are lost.
    Coalesce {
        /// How long a segment waits for the next.
        wait: Duration,
        /// Most payload bytes of a joined segment.
        size: usize,
    },
    /// Changes a byte of the payload and mends the TCP checksum, as an application gateway does.
    EditPayload {
        /// Chance for each segment.
        chance: Chance,
        /// Segments it will still change.
        left: u32,
    },
    /// From some time on, gives the connections of the first end another port, and knows the old
    /// one no more.
    RebindNat {
        /// When the table is lost.
        at: Instant,
        /// What is added to a port from then on.
        shift: u16,
    },
    /// Adds a number to the sequence numbers of the first end, and takes it off what comes back.
    RewriteSequence {
        /// The number.
        delta: u32,
    },
    /// Sends a RST to the receiver beside a segment.
    ForgeReset {
        /// Chance for each segment.
        chance: Chance,
        /// Knows the exact sequence number; otherwise the RST is only in the window.
        exact: bool,
        /// Resets it will still send.
        left: u32,
    },
    /// Makes the window of some segments smaller.
    ShrinkWindow {
        /// Chance for each segment.
        chance: Chance,
        /// Bits that the window is shifted by.
        shift: u8,
    },
}

/// One middlebox of a link.
#[derive(Debug)]
pub struct Middlebox {
    kind: Kind,
    random: Random,
    /// For each direction the segment that a [`Kind::Coalesce`] holds, and when it must go.
    held: [Option<(Packet, Instant)>; 2],
}

impl Middlebox {
    /// A middlebox that draws from `random`.
    pub fn new(kind: Kind, random: Random) -> Self {
        Self {
            kind,
            random,
            held: [None, None],
        }
    }

    /// What it does.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The frames that leave the box when `frame` enters it.
    pub fn process(&mut self, now: Instant, direction: Direction, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(packet) = Packet::parse(&frame) else {
            return vec![frame];
        };
        if !packet.checksum_is_right(&frame) {
            return vec![frame];
        }
        let packets = self.change(now, direction, packet);
        packets.iter().map(Packet::build).collect()
    }

    /// A frame that was held back and goes now.
    pub fn release(&mut self, now: Instant) -> Option<(Direction, Vec<u8>)> {
        for direction in [Direction::Forth, Direction::Back] {
            let held = &mut self.held[direction as usize];
            if let Some((packet, _)) = held.take_if(|(_, until)| *until <= now) {
                return Some((direction, packet.build()));
            }
        }
        None
    }

    /// When a frame that is held back goes.
    pub fn next_release(&self) -> Option<Instant> {
        self.held.iter().flatten().map(|(_, until)| *until).min()
    }

    fn change(&mut self, now: Instant, direction: Direction, mut packet: Packet) -> Vec<Packet> {
        match &mut self.kind {
            Kind::StripMptcp { syn, syn_ack, data } => {
                let strip = match (packet.has(SYN), packet.has(ACK)) {
                    (true, false) => *syn,
                    (true, true) => *syn_ack,
                    (false, _) => *data,
                };
                if strip {
                    packet.strip_option(MPTCP);
                }
            }
            Kind::Resegment { size } => return resegment(packet, *size),
            Kind::Coalesce { wait, size } => {
                let held = &mut self.held[direction as usize];
                return coalesce(held, packet, now + *wait, *size);
            }
            Kind::EditPayload { chance, left } => {
                if *left > 0 && !packet.payload.is_empty() && chance.draw(&mut self.random) {
                    *left -= 1;
                    let position = self.random.below(packet.payload.len() as u64) as usize;
                    packet.payload[position] = packet.payload[position].wrapping_add(1);
                }
            }
            Kind::RebindNat { at, shift } => {
                if now >= *at {
                    rebind(&mut packet, direction, *shift);
                }
            }
            Kind::RewriteSequence { delta } => rewrite_sequence(&mut packet, direction, *delta),
            Kind::ForgeReset {
                chance,
                exact,
                left,
            } => {
                let plain = !packet.has(SYN) && !packet.has(RST);
                if *left > 0 && plain && chance.draw(&mut self.random) {
                    *left -= 1;
                    let beyond = if *exact {
                        0
                    } else {
                        1 + self.random.below(1000) as u32
                    };
                    let reset = forge_reset(&packet, beyond);
                    return vec![packet, reset];
                }
            }
            Kind::ShrinkWindow { chance, shift } => {
                if !packet.has(SYN) && chance.draw(&mut self.random) {
                    packet.set_window(packet.window() >> *shift);
                }
            }
        }
        vec![packet]
    }
}

fn resegment(packet: Packet, size: usize) -> Vec<Packet> {
    if packet.payload.len() <= size || packet.has(SYN) || packet.has(RST) {
        return vec![packet];
    }
    let pieces = packet.payload.chunks(size.max(1));
    let last = pieces.len() - 1;
    let mut sequence = packet.sequence();
    let cut = |(index, piece): (usize, &[u8])| {
        let mut part = packet.clone();
        part.payload = piece.to_vec();
        part.set_sequence(sequence);
        if index != last {
            part.set_flags(packet.flags() & !(FIN | PSH));
        }
        sequence = sequence.wrapping_add(piece.len() as u32);
        part
    };
    pieces.enumerate().map(cut).collect()
}

fn coalesce(
    held: &mut Option<(Packet, Instant)>,
    packet: Packet,
    until: Instant,
    size: usize,
) -> Vec<Packet> {
    let is_data = !packet.payload.is_empty() && packet.flags() & (SYN | RST | FIN) == 0;
    let Some((mut first, first_until)) = held.take() else {
        if is_data {
            *held = Some((packet, until));
            return Vec::new();
        }
        return vec![packet];
    };
    let follows = first.sequence().wrapping_add(first.payload.len() as u32) == packet.sequence();
    let fits = first.payload.len() + packet.payload.len() <= size;
    if is_data && follows && fits {
        first.payload.extend_from_slice(&packet.payload);
        first.set_acknowledgment(packet.acknowledgment());
        first.set_window(packet.window());
        *held = Some((first, first_until));
        return Vec::new();
    }
    if is_data {
        *held = Some((packet, until));
        return vec![first];
    }
    vec![first, packet]
}

/// Packets to the old port come out at a port that nobody has.
fn rebind(packet: &mut Packet, direction: Direction, shift: u16) {
    match direction {
        Direction::Forth => packet.set_source_port(packet.source_port().wrapping_add(shift)),
        Direction::Back => {
            packet.set_destination_port(packet.destination_port().wrapping_sub(shift));
        }
    }
}

fn rewrite_sequence(packet: &mut Packet, direction: Direction, delta: u32) {
    match direction {
        Direction::Forth => packet.set_sequence(packet.sequence().wrapping_add(delta)),
        Direction::Back => {
            if packet.has(ACK) {
                packet.set_acknowledgment(packet.acknowledgment().wrapping_sub(delta));
                packet.shift_sack(delta.wrapping_neg());
            }
        }
    }
}

/// A RST to the receiver of `packet`, `beyond` bytes past what follows it in sequence.
fn forge_reset(packet: &Packet, beyond: u32) -> Packet {
    let mut reset = packet.clone();
    let length = packet.payload.len() as u32 + u32::from(packet.has(FIN));
    reset.set_sequence(packet.sequence().wrapping_add(length).wrapping_add(beyond));
    reset.set_flags(RST);
    reset.options.clear();
    reset.payload.clear();
    reset
}
