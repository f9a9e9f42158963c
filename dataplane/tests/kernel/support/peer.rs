//! A host behind a port, just able to do ARP, ICMP echo and a TCP connection without loss.

use std::time::{Duration, Instant};

use braid_dataplane::port::{Burst, POOL_FRAME_CAPACITY, Port, Received};
use braid_engine::stack::{ChecksumOffload, PortId, ReceivedChecksum, Segmentation, TransmitMeta};
use braid_engine::storage::frame::FramePool;
use braid_engine::wire::ethernet::MacAddress;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Where the payload of a TCP segment without options starts.
pub(crate) const PAYLOAD: usize = 54;

const OWN_ETHERNET: [u8; 6] = [2, 0, 0, 0, 0, 2];
const OWN_IP: [u8; 4] = [10, 9, 0, 2];
const KERNEL_IP: [u8; 4] = [10, 9, 0, 1];
/// The port that its connections are from.
pub(crate) const OWN_TCP_PORT: u16 = 4_000;

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

pub(crate) struct Peer<P> {
    pub(crate) port: P,
    pool: FramePool,
    waiting: Vec<Received>,
    kernel_ethernet: [u8; 6],
}

/// What of a TCP segment the tests look at.
pub(crate) struct Segment {
    /// The port it is from.
    pub(crate) source_port: u16,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) checksum: ReceivedChecksum,
    pub(crate) segment_size: Option<u16>,
}

impl<P: Port> Peer<P> {
    pub(crate) fn new(port: P) -> Self {
        let pool = FramePool::new(POOL_FRAME_CAPACITY, 64);
        Self {
            port,
            pool,
            waiting: Vec::new(),
            kernel_ethernet: [0xff; 6],
        }
    }

    pub(crate) fn send(&mut self, frame: &[u8], meta: TransmitMeta) {
        self.port
            .reserve(frame.len())
            .expect("room at the port")
            .copy_from_slice(frame);
        self.port.commit(frame.len(), meta);
        self.port.flush().unwrap();
    }

    /// The next received frame that `pick` makes something of.
    pub(crate) fn receive<R>(&mut self, pick: impl Fn(&Received) -> Option<R>) -> Option<R> {
        self.receive_within(PATIENCE, pick)
    }

    fn receive_within<R>(
        &mut self,
        patience: Duration,
        pick: impl Fn(&Received) -> Option<R>,
    ) -> Option<R> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            while !self.waiting.is_empty() {
                let received = self.waiting.remove(0);
                let picked = pick(&received);
                self.pool.put(received.frame);
                if picked.is_some() {
                    return picked;
                }
            }
            let mut burst = Burst::new();
            if self
                .port
                .receive(PortId(5), &mut self.pool, &mut burst)
                .unwrap()
                == 0
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.waiting.extend(burst);
        }
        None
    }

    /// Throws away what has been received.
    pub(crate) fn drain(&mut self) {
        let mut burst = Burst::new();
        while self
            .port
            .receive(PortId(5), &mut self.pool, &mut burst)
            .unwrap()
            > 0
        {
            burst.clear();
        }
        self.waiting.clear();
    }

    /// Asks for the kernel's Ethernet address, and uses it from then on.
    pub(crate) fn resolve(&mut self) -> MacAddress {
        let mut request = self.ethernet(0x0806);
        request.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend(OWN_ETHERNET);
        request.extend(OWN_IP);
        request.extend([0; 6]);
        request.extend(KERNEL_IP);
        // An interface loses what is sent in the moment after it was set up: ask again.
        let reply = (0..20).find_map(|_| {
            self.send(&request, TransmitMeta::default());
            self.receive_within(PATIENCE / 20, Self::arp_reply)
        });
        self.kernel_ethernet = reply.expect("an ARP reply");
        MacAddress(self.kernel_ethernet)
    }

    /// The sender of an ARP reply of the kernel.
    fn arp_reply(received: &Received) -> Option<[u8; 6]> {
        let bytes = received.frame.bytes();
        let reply = bytes.get(12..14) == Some(&[8, 6]) && bytes.get(20..22) == Some(&[0, 2]);
        (reply && bytes.get(28..32) == Some(&KERNEL_IP))
            .then(|| bytes.get(22..28)?.try_into().ok())
            .flatten()
    }

    /// Sends an echo request with this payload; the payload of the reply.
    pub(crate) fn echo(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut message = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
        message.extend(payload);
        let checksum = !sum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let mut frame = self.ipv4(1, message.len());
        frame.extend(message);
        self.send(&frame, TransmitMeta::default());
        self.receive(|received| {
            let bytes = received.frame.bytes();
            (bytes.get(23) == Some(&1) && bytes.get(34) == Some(&0) && sum(&bytes[34..]) == 0xffff)
                .then(|| bytes[42..].to_vec())
        })
    }

    /// Sends a segment with its checksum left to the port, to be cut into pieces of
    /// `segment_size` when it is given.
    pub(crate) fn send_segment(
        &mut self,
        port: u16,
        flags: u8,
        sequence: u32,
        acknowledgment: u32,
        payload: &[u8],
        segment_size: Option<u16>,
    ) {
        let frame = self.segment(port, flags, sequence, acknowledgment, payload);
        let segmentation = segment_size.map(|segment_size| Segmentation {
            ipv6: false,
            header_length: PAYLOAD as u16,
            segment_size,
        });
        let checksum = ChecksumOffload::Partial {
            start: 34,
            offset: 16,
        };
        self.send(
            &frame,
            TransmitMeta {
                checksum,
                segmentation,
            },
        );
    }

    /// A segment with a partial checksum.
    pub(crate) fn segment(
        &self,
        port: u16,
        flags: u8,
        sequence: u32,
        acknowledgment: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let length = 20 + payload.len();
        let mut frame = self.ipv4(6, length);
        let pseudo_header = [
            &OWN_IP[..],
            &KERNEL_IP,
            &[0, 6],
            &(length as u16).to_be_bytes(),
        ]
        .concat();
        frame.extend(OWN_TCP_PORT.to_be_bytes());
        frame.extend(port.to_be_bytes());
        frame.extend(sequence.to_be_bytes());
        frame.extend(acknowledgment.to_be_bytes());
        frame.extend([0x50, flags, 0xff, 0xff]);
        frame.extend(sum(&pseudo_header).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    /// The next segment from this port.
    fn receive_segment(&mut self, tcp_port: u16) -> Option<Segment> {
        let from_there = |segment: &Segment| segment.source_port == tcp_port;
        self.receive(|received| segment_of(received).filter(from_there))
    }

    /// Connects to the kernel's `tcp_port`, sends `request` in one frame, and receives until the
    /// kernel closes: what it sent, and the segments that carried it.
    pub(crate) fn exchange(&mut self, tcp_port: u16, request: &[u8]) -> (Vec<u8>, Vec<Segment>) {
        let mut sequence = 1_000;
        self.send_segment(tcp_port, SYN, sequence, 0, &[], None);
        sequence += 1;
        let answer = self
            .receive_segment(tcp_port)
            .expect("an answer to the SYN");
        assert_eq!(answer.flags, SYN | ACK);
        let mut next = answer.sequence.wrapping_add(1);
        self.send_segment(tcp_port, ACK, sequence, next, &[], None);
        self.send_segment(tcp_port, ACK | PSH, sequence, next, request, Some(1_460));
        sequence += request.len() as u32;
        let mut received = Vec::new();
        let mut segments = Vec::new();
        loop {
            let segment = self
                .receive_segment(tcp_port)
                .expect("a segment of the kernel");
            if segment.sequence != next {
                continue;
            }
            next = next.wrapping_add(segment.payload.len() as u32);
            received.extend(&segment.payload);
            let finished = segment.flags & FIN != 0;
            next = next.wrapping_add(u32::from(finished));
            let nothing_to_say = segment.payload.is_empty() && !finished;
            segments.push(segment);
            if finished {
                self.send_segment(tcp_port, ACK | FIN, sequence, next, &[], None);
                return (received, segments);
            }
            if !nothing_to_say {
                self.send_segment(tcp_port, ACK, sequence, next, &[], None);
            }
        }
    }

    fn ethernet(&self, kind: u16) -> Vec<u8> {
        [
            &self.kernel_ethernet[..],
            &OWN_ETHERNET,
            &kind.to_be_bytes(),
        ]
        .concat()
    }

    fn ipv4(&self, protocol: u8, length: usize) -> Vec<u8> {
        let mut header = vec![0x45, 0];
        header.extend((20 + length as u16).to_be_bytes());
        header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        header.extend(OWN_IP);
        header.extend(KERNEL_IP);
        let checksum = !sum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        [self.ethernet(0x0800), header].concat()
    }
}

/// Reads a TCP segment over IPv4 without IP options.
pub(crate) fn segment_of(received: &Received) -> Option<Segment> {
    let bytes = received.frame.bytes();
    if bytes.get(12..14) != Some(&[8, 0]) || bytes.get(23) != Some(&6) {
        return None;
    }
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let end = 14 + usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let payload = 34 + usize::from(bytes[46] >> 4) * 4;
    Some(Segment {
        source_port: u16::from_be_bytes([bytes[34], bytes[35]]),
        flags: bytes[47],
        sequence: word(38),
        acknowledgment: word(42),
        payload: bytes[payload..end].to_vec(),
        checksum: received.meta.checksum,
        segment_size: received.meta.segment_size,
    })
}

/// The Internet checksum's sum (RFC 1071), not inverted.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
