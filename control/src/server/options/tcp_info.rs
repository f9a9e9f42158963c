//! Linux's `struct tcp_info` (linux/tcp.h), as TCP_INFO and MPTCP_TCPINFO give it.
//!
//! What the engine does not count is zero, as with kernels that do not know a field.

use std::time::Duration;

use braid_engine::tcp::{State, TcpInfo};
use braid_engine::time::Instant;

/// The state of a socket without a connection.
pub(super) const CLOSE: u8 = 7;

/// The state of a listener.
pub(super) const LISTEN: u8 = 10;

/// Bytes of the struct, to `tcpi_rehash`.
pub(super) const LENGTH: usize = 240;

/// Linux's numbers of the states (`TCP_ESTABLISHED` and so on).
pub(super) const fn state(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => CLOSE,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Closing => 11,
    }
}

/// The struct of a socket that has only a state.
pub(super) fn of_state(state: u8) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH];
    if let Some(first) = bytes.first_mut() {
        *first = state;
    }
    bytes
}

/// The struct for one subflow.
pub(super) fn encode(info: &TcpInfo, now: Instant) -> Vec<u8> {
    let mut bytes = of_state(state(info.state));
    let (send_scale, receive_scale) = info.window_scales.unwrap_or_default();
    let options = u8::from(info.timestamps)
        | u8::from(info.sack) << 1
        | u8::from(info.window_scales.is_some()) << 2
        | u8::from(info.ecn) << 3;
    for (offset, value) in [
        (1, info.congestion_state as u8),
        (2, info.timeouts.min(255) as u8),
        (3, info.probes.min(255) as u8),
        (4, info.timeouts.min(255) as u8),
        (5, options),
        (6, send_scale & 15 | receive_scale << 4),
    ] {
        put(&mut bytes, offset, &[value]);
    }
    let segment = u64::from(info.send_segment_size.max(1));
    let segments = |count: u64| word(count.div_ceil(segment));
    let idle = micros(now.saturating_since(info.last_activity)) / 1_000;
    let rtt = info.smoothed_rtt.map_or(0, micros);
    for (offset, value) in [
        (8, micros(info.retransmission_timeout)),
        (12, micros(info.delayed_ack)),
        (16, info.send_segment_size),
        (20, u32::from(info.advertised_segment_size)),
        (24, segments(info.unacknowledged)),
        (28, segments(info.selectively_acknowledged)),
        (32, segments(info.lost)),
        (44, idle),
        (52, idle),
        (56, idle),
        // The IP packet: IPv4 and TCP headers without options.
        (60, info.path_segment_size.saturating_add(40)),
        (64, word(info.receive_window)),
        (68, rtt),
        (72, micros(info.rtt_variation)),
        (76, segments(info.slow_start_threshold.into())),
        (80, segments(info.congestion_window.into())),
        (84, u32::from(info.advertised_segment_size)),
        (88, 3),
        (92, rtt),
        (96, word(info.receive_window)),
        (100, word(info.retransmissions)),
        (144, word(info.not_sent)),
        (148, micros(info.minimum_rtt)),
        (228, info.send_window),
        (232, word(info.receive_window)),
    ] {
        put(&mut bytes, offset, &value.to_ne_bytes());
    }
    for (offset, value) in [
        (112, u64::MAX),
        (120, info.bytes_acknowledged),
        (128, info.bytes_received),
        (200, info.bytes_sent),
        (208, info.retransmissions.saturating_mul(segment)),
    ] {
        put(&mut bytes, offset, &value.to_ne_bytes());
    }
    bytes
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..offset + value.len()) {
        place.copy_from_slice(value);
    }
}

fn word(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
