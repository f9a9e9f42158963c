//! SYN cookies (RFC 4987 section 3.6): a half-open connection that is kept in the numbers of the
//! SYN/ACK instead of in memory.
//!
//! The initial sequence number carries the time and the MSS under a secret hash. Window scale,
//! SACK and ECN travel in the lowest bits of the timestamp, where the peer uses timestamps.
//! The MPTCP key is a secret function of the flow: the peer's third ACK repeats it, which
//! proves that it is the one that was given out (RFC 8684 section 3.1 has the third ACK carry both
//! keys for this).

use super::handshake::{SynOffer, timestamp_clock};
use super::secrets::Secrets;
use super::steering::Place;
use crate::mptcp::crypto::KeyDigest;
use crate::sequence::SequenceNumber;
use crate::storage::flow_table::FourTuple;
use crate::time::Instant;
use crate::wire::mptcp_option::Key;
use crate::wire::tcp::TcpHeader;

/// The segment sizes that a cookie can tell apart.
const SEGMENT_SIZES: [u16; 8] = [536, 1200, 1300, 1400, 1440, 1460, 4312, 8948];

/// A cookie is taken for one to two periods after it was made.
const PERIOD_SECONDS: u64 = 64;

const HASH_BITS: u32 = 24;
const HASH_MASK: u32 = (1 << HASH_BITS) - 1;
const SIZE_MASK: u32 = 7;
const TIME_MASK: u32 = 31;

/// Keys looked at for one whose token leads to this worker. With the most workers there may be, one
/// cookie in 10^13 finds none, and its connection takes no joins.
const KEYS: u64 = 1024;

/// The lowest bits of the timestamp: four for the scale, one for SACK, one for ECN.
const TIMESTAMP_BITS: u32 = 6;
const NO_SCALE: u32 = 15;
const SACK_BIT: u32 = 1 << 4;
const ECN_BIT: u32 = 1 << 5;

fn period(now: Instant) -> u32 {
    (now.as_millis() / 1_000 / PERIOD_SECONDS) as u32
}

fn hash(secrets: &Secrets, flow: &FourTuple, irs: SequenceNumber, public: u32) -> u32 {
    let extra = u64::from(irs.0) << 32 | u64::from(public);
    secrets.cookie.hash_flow(flow, extra) as u32 & HASH_MASK
}

/// The initial sequence number that remembers the SYN.
pub(super) fn encode(
    secrets: &Secrets,
    flow: &FourTuple,
    offer: &SynOffer,
    now: Instant,
) -> SequenceNumber {
    let size = SEGMENT_SIZES
        .iter()
        .rposition(|size| *size <= offer.maximum_segment_size)
        .unwrap_or(0) as u32;
    let public = (period(now) & TIME_MASK) << 3 | size;
    SequenceNumber(public << HASH_BITS | hash(secrets, flow, offer.irs, public))
}

/// The timestamp of the SYN/ACK: the clock, with what else the SYN offered in the lowest bits.
/// It is never ahead of the clock, or the peer would take what follows for old.
pub(super) fn encode_timestamp(offer: &SynOffer, now: Instant, offset: u32) -> u32 {
    let mut bits = offer.window_scale.map_or(NO_SCALE, u32::from);
    if offer.sack {
        bits |= SACK_BIT;
    }
    if offer.ecn {
        bits |= ECN_BIT;
    }
    let clock = timestamp_clock(now, offset);
    let value = clock >> TIMESTAMP_BITS << TIMESTAMP_BITS | bits;
    if value.wrapping_sub(clock) as i32 > 0 {
        value.wrapping_sub(1 << TIMESTAMP_BITS)
    } else {
        value
    }
}

/// The MPTCP key given out with the cookie `iss`: the first of a series whose token leads to this
/// worker.
pub(super) fn local_key(
    secrets: &Secrets,
    place: &Place,
    flow: &FourTuple,
    iss: SequenceNumber,
) -> Key {
    let nth = |number: u64| {
        let extra = number << 32 | u64::from(iss.0);
        Key(secrets.cookie_key.hash_flow(flow, extra))
    };
    (0..KEYS)
        .map(nth)
        .find(|key| place.is_alone() || place.is_home_of(KeyDigest::from(*key).token))
        .unwrap_or_else(|| nth(0))
}

/// A handshake whose third ACK carries a genuine cookie.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Remembered {
    pub(super) iss: SequenceNumber,
    pub(super) offer: SynOffer,
}

/// Reads the cookie of a third ACK; `None` when it is forged, or too old.
pub(super) fn decode(
    secrets: &Secrets,
    flow: &FourTuple,
    ack: &TcpHeader,
    now: Instant,
) -> Option<Remembered> {
    let iss = ack.acknowledgment - 1;
    let irs = ack.sequence - 1;
    let public = iss.0 >> HASH_BITS;
    if iss.0 & HASH_MASK != hash(secrets, flow, irs, public) {
        return None;
    }
    let age = (period(now) & TIME_MASK).wrapping_sub(public >> 3) & TIME_MASK;
    if age > 1 {
        return None;
    }
    let maximum_segment_size = *SEGMENT_SIZES.get((public & SIZE_MASK) as usize)?;
    let bits = ack.options.timestamps.map(|timestamps| timestamps.echo);
    let window_scale = bits
        .map(|bits| bits & 15)
        .filter(|scale| *scale != NO_SCALE)
        .map(|scale| scale.min(14) as u8);
    let offer = SynOffer {
        irs,
        maximum_segment_size,
        window_scale,
        sack: bits.is_some_and(|bits| bits & SACK_BIT != 0),
        timestamp: ack.options.timestamps.map(|timestamps| timestamps.value),
        ecn: bits.is_some_and(|bits| bits & ECN_BIT != 0),
    };
    Some(Remembered { iss, offer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::time::Duration;
    use crate::wire::tcp::TcpFlags;
    use crate::wire::tcp_option::Timestamps;

    const NOW: Instant = Instant::from_millis(1_000_003);

    fn flow(port: u16) -> FourTuple {
        FourTuple {
            local: ([10, 0, 0, 1], 80).into(),
            remote: ([10, 0, 0, 2], port).into(),
        }
    }

    fn offer() -> SynOffer {
        SynOffer {
            irs: SequenceNumber(u32::MAX),
            maximum_segment_size: 1460,
            window_scale: Some(9),
            sack: true,
            timestamp: Some(77),
            ecn: false,
        }
    }

    fn third_ack(iss: SequenceNumber, offer: &SynOffer, echo: u32) -> TcpHeader {
        let mut header = TcpHeader {
            sequence: offer.irs + 1,
            acknowledgment: iss + 1,
            flags: TcpFlags::ACK,
            ..TcpHeader::default()
        };
        header.options.timestamps = offer.timestamp.map(|value| Timestamps {
            value: value + 5,
            echo,
        });
        header
    }

    #[test]
    fn the_third_ack_brings_back_what_the_syn_said() {
        let secrets = Secrets::new(&Random::from_u64(3));
        let echo = encode_timestamp(&offer(), NOW, 1234);
        let iss = encode(&secrets, &flow(9), &offer(), NOW);
        let ack = third_ack(iss, &offer(), echo);
        let remembered = decode(&secrets, &flow(9), &ack, NOW).unwrap();
        let expected = SynOffer {
            timestamp: Some(82),
            ..offer()
        };
        assert_eq!(
            remembered,
            Remembered {
                iss,
                offer: expected
            }
        );
    }

    #[test]
    fn without_timestamps_only_the_segment_size_comes_back() {
        let secrets = Secrets::new(&Random::from_u64(3));
        let plain = SynOffer {
            timestamp: None,
            maximum_segment_size: 1399,
            ..offer()
        };
        let iss = encode(&secrets, &flow(9), &plain, NOW);
        let remembered = decode(&secrets, &flow(9), &third_ack(iss, &plain, 0), NOW)
            .unwrap()
            .offer;
        assert_eq!(remembered.maximum_segment_size, 1300);
        assert_eq!((remembered.window_scale, remembered.sack), (None, false));
    }

    #[test]
    fn forged_foreign_and_old_cookies_are_refused() {
        let secrets = Secrets::new(&Random::from_u64(3));
        let iss = encode(&secrets, &flow(9), &offer(), NOW);
        let genuine = third_ack(iss, &offer(), 0);
        let later = |seconds| NOW + Duration::from_secs(seconds);
        assert!(decode(&secrets, &flow(9), &genuine, later(60)).is_some());
        assert!(decode(&secrets, &flow(9), &genuine, later(130)).is_none());
        assert!(decode(&secrets, &flow(8), &genuine, NOW).is_none());
        let forged = third_ack(iss + 1, &offer(), 0);
        assert!(decode(&secrets, &flow(9), &forged, NOW).is_none());
        let larger = third_ack(iss + (1 << HASH_BITS), &offer(), 0);
        assert!(decode(&secrets, &flow(9), &larger, NOW).is_none());
    }

    #[test]
    fn the_timestamp_never_runs_ahead_of_the_clock() {
        for milliseconds in 0..200 {
            let now = Instant::from_millis(milliseconds);
            let offset = u32::MAX - 99;
            let behind =
                timestamp_clock(now, offset).wrapping_sub(encode_timestamp(&offer(), now, offset));
            assert!(behind < 64, "{behind} behind at {milliseconds}");
        }
    }
}
