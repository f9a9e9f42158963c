//! No segment, whatever it says, makes the state machine panic, grow without bound or send without
//! end (debug builds check every overflow).

mod tcp_support;

use braid_engine::congestion::Coupling;
use braid_engine::sequence::SequenceNumber;
use braid_engine::storage::frame::Frame;
use braid_engine::tcp::Payload;
use braid_engine::tcp::{Content, State, TcbConfig};
use braid_engine::time::Duration;
use braid_engine::wire::tcp::{TcpFlags, TcpHeader};
use braid_engine::wire::tcp_option::{SackBlock, Timestamps};
use tcp_support::{ISS, Pair, Random};

/// A number near one that matters, or any.
fn near(random: &mut Random, anchors: &[SequenceNumber]) -> SequenceNumber {
    if random.chance(100) {
        return SequenceNumber(random.next() as u32);
    }
    let anchor = anchors[random.below(anchors.len() as u64) as usize];
    let spread = [3, 2_000, 100_000, 1 << 31][random.below(4) as usize];
    anchor + random.below(spread) as u32 - (random.below(spread) / 2) as u32
}

fn arbitrary(random: &mut Random, theirs: &[SequenceNumber], ours: &[SequenceNumber]) -> TcpHeader {
    let flags = match random.below(10) {
        0 => TcpFlags::from_bits_truncate(random.next() as u8),
        1 => TcpFlags::SYN,
        2 => TcpFlags::SYN | TcpFlags::ACK,
        3 if random.chance(50) => TcpFlags::RST,
        4 if random.chance(100) => TcpFlags::FIN | TcpFlags::ACK,
        _ => TcpFlags::ACK,
    };
    let mut header = TcpHeader {
        sequence: near(random, theirs),
        acknowledgment: near(random, ours),
        flags,
        window: random.next() as u16,
        ..TcpHeader::default()
    };
    let options = &mut header.options;
    if random.chance(900) {
        options.timestamps = Some(Timestamps {
            value: random.below(3_000) as u32,
            echo: random.next() as u32,
        });
    }
    for _ in 0..random.below(5) {
        let _ = options.sack.try_push(SackBlock {
            start: near(random, ours),
            end: near(random, ours),
        });
    }
    if random.chance(200) {
        options.maximum_segment_size = Some(random.next() as u16);
        options.window_scale = Some(random.below(15) as u8);
        options.sack_permitted = true;
    }
    header
}

fn torment(seed: u64) {
    let config = TcbConfig {
        receive_window: 200_000,
        ..TcbConfig::default()
    };
    let mut pair = if seed.is_multiple_of(4) {
        Pair::new(seed, config.clone(), config)
    } else {
        Pair::established(seed, config.clone(), config)
    };
    let mut random = Random::new(seed ^ 0x5eed);
    pair.drop = Some(Box::new(|_, _| true));
    for _ in 0..2_000 {
        let tcb = &pair.ends[0].tcb;
        if tcb.state() == State::Closed {
            break;
        }
        let ours = [
            ISS,
            ISS + 1 + tcb.acknowledged_offset() as u32,
            ISS + 1 + tcb.sent_offset() as u32,
        ];
        let peer = tcb.peer_initial_sequence().unwrap_or(ISS + 77);
        let theirs = [
            peer,
            peer + 1 + tcb.received_offset() as u32,
            peer + 1 + tcb.received_offset() as u32 + 200_000,
        ];
        let header = arbitrary(&mut random, &theirs, &ours);
        let now = pair.now;
        let end = &mut pair.ends[0];
        let length = [0, 0, 1, 100, 1_448, 2_000][random.below(6) as usize];
        let payload = (length > 0).then(|| Payload {
            frame: Frame::from(vec![0; length].as_slice()),
            range: 0..length,
            segments: random.below(3) as u16,
        });
        let marked = random.chance(100);
        let before = end.tcb.received_offset();
        let coupling = Coupling::default();
        end.tcb
            .receive(now, &header, payload, marked, coupling, &mut end.pool);
        let mut delivered = before;
        while let Some(piece) = end.tcb.take_in_order() {
            assert_eq!(piece.offset, delivered, "seed {seed}");
            delivered += piece.range.len() as u64;
        }
        assert_eq!(delivered, end.tcb.received_offset(), "seed {seed}");
        match random.below(12) {
            0 => pair.write(0, random.below(50_000) as u32),
            1 => pair.ends[0].tcb.request_probe(),
            2 => pair.ends[0]
                .tcb
                .set_receive_window(random.below(200_000) as u32),
            3 => pair.ends[0].tcb.on_packet_too_big(
                now,
                random.next() as u16,
                near(&mut random, &ours),
            ),
            4 if random.chance(20) => pair.ends[0].tcb.close(),
            5 => {
                pair.ends[0].content = Content {
                    mptcp_option_length: random.below(8) as usize * 4,
                    max_payload: random.below(70_000) as u32 + 1,
                    max_segments: random.below(45) as u16,
                    max_frame_payload: random.below(65_000) as u32 + 1,
                };
            }
            6 => {
                let span = random.below(2_000);
                pair.run_for(Duration::from_millis(span));
            }
            _ => {}
        }
        let before_sending = pair.ends[0].tcb.progress();
        let sent = pair.flush(0);
        let bytes: usize = sent.iter().map(|wire| wire.payload.len()).sum();
        let window = before_sending.congestion_window as usize;
        assert!(
            bytes <= window + 65_535,
            "seed {seed}: {bytes} bytes at once"
        );
        for wire in &sent {
            let length = wire.header.options.len() + pair.ends[0].content.mptcp_option_length;
            assert!(length <= 40 || wire.has(TcpFlags::SYN), "seed {seed}");
        }
        let progress = pair.ends[0].tcb.progress();
        assert!(progress.congestion_window > 0, "seed {seed}");
        assert!(progress.acknowledged <= progress.granted, "seed {seed}");
    }
}

#[test]
fn any_segment_is_survived() {
    for seed in 0..400 {
        torment(seed);
    }
}
