//! Losses are mended by SACK, RACK and probes of the tail, not by timeouts; reordering is no loss.

mod tcp_support;

use braid_engine::tcp::{Content, TcbConfig};
use braid_engine::time::Duration;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use tcp_support::{Faults, Pair};

fn config() -> TcbConfig {
    TcbConfig {
        receive_window: 1 << 20,
        ..TcbConfig::default()
    }
}

/// Sends `bytes` and loses the first transmission of the data segments with these numbers.
fn lose(seed: u64, bytes: u32, numbers: &[u64]) -> Pair {
    let mut pair = Pair::established(seed, config(), config());
    pair.nanos_per_byte = 800;
    let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
    let mut count = 0;
    pair.drop = Some(Box::new(move |from, wire| {
        if from != 0 || wire.payload.is_empty() || wire.retransmission {
            return false;
        }
        count += 1;
        numbers.contains(&count)
    }));
    pair.write(0, bytes);
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.ends[1].received == u64::from(bytes)
    });
    pair
}

#[test]
fn a_single_loss_is_mended_without_a_timeout() {
    for lost in [2, 5, 20, 50, 90] {
        let pair = lose(lost, 200_000, &[lost]);
        assert_eq!(pair.ends[0].timeouts, 0, "segment {lost}");
        assert_eq!(
            pair.ends[0].tcb.progress().retransmissions,
            1,
            "segment {lost}"
        );
        assert_eq!(pair.ends[0].fast_retransmits, 1, "segment {lost}");
    }
}

#[test]
fn a_burst_of_losses_is_mended_without_a_timeout() {
    let burst: Vec<u64> = (60..75).collect();
    let pair = lose(1, 400_000, &burst);
    assert_eq!(pair.ends[0].timeouts, 0);
    assert_eq!(pair.ends[0].tcb.progress().retransmissions, 15);
    assert_eq!(
        pair.ends[0].fast_retransmits, 1,
        "one reduction for the burst"
    );
    let every_other: Vec<u64> = (60..90).step_by(2).collect();
    let pair = lose(2, 400_000, &every_other);
    assert_eq!(pair.ends[0].timeouts, 0);
    assert_eq!(pair.ends[0].tcb.progress().retransmissions, 15);
}

#[test]
fn a_lost_tail_is_probed_before_the_timeout() {
    // 14,480 bytes are ten full segments.
    for lost in [&[10_u64][..], &[8, 9, 10][..]] {
        let pair = lose(3, 14_480, lost);
        assert_eq!(pair.ends[0].timeouts, 0, "{lost:?}");
        assert!(
            pair.ends[0].tcb.progress().retransmissions >= lost.len() as u64,
            "{lost:?}"
        );
    }
}

#[test]
fn a_lost_retransmission_is_found_by_time() {
    let mut pair = Pair::established(4, config(), config());
    pair.nanos_per_byte = 800;
    let mut times = 0;
    pair.drop = Some(Box::new(move |from, wire| {
        // The byte at offset 28,960 of the stream is lost twice.
        let first = wire.header.sequence == tcp_support::ISS + 1 + 28_960;
        if from == 0 && first && !wire.payload.is_empty() && times < 2 {
            times += 1;
            return true;
        }
        false
    }));
    pair.write(0, 400_000);
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.ends[1].received == 400_000
    });
    assert_eq!(pair.ends[0].timeouts, 0);
    assert_eq!(pair.ends[0].tcb.progress().retransmissions, 2);
}

#[test]
fn everything_lost_ends_in_a_timeout_and_then_goes_on() {
    let mut pair = Pair::established(5, config(), config());
    let lossy = Rc::new(Cell::new(true));
    let filter = Rc::clone(&lossy);
    pair.drop = Some(Box::new(move |_, _| filter.get()));
    pair.write(0, 100_000);
    pair.run_for(Duration::from_secs(3));
    assert!(pair.ends[0].timeouts >= 2);
    let progress = pair.ends[0].tcb.progress();
    assert_eq!(progress.timeouts, pair.ends[0].timeouts);
    assert!(progress.in_recovery);
    assert!(progress.congestion_window <= 1_460);
    lossy.set(false);
    pair.run_until(Duration::from_secs(20), |pair| {
        pair.ends[1].received == 100_000
    });
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.ends[0].tcb.progress().timeouts, 0);
}

#[test]
fn reordering_within_a_quarter_round_trip_costs_nothing_once_it_is_known() {
    let mut pair = Pair::established(6, config(), config());
    pair.delay = Duration::from_millis(20);
    pair.nanos_per_byte = 800;
    pair.faults = Faults {
        reorder_per_mille: 200,
        reorder_by: Duration::from_millis(6),
        ..Faults::NONE
    };
    pair.write(0, 2_000_000);
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.ends[1].received == 2_000_000
    });
    let progress = pair.ends[0].tcb.progress();
    assert_eq!(pair.ends[0].timeouts, 0);
    assert!(
        progress.retransmissions < 40,
        "{} of 1400 segments were sent again for nothing",
        progress.retransmissions
    );
}

#[test]
fn a_delay_spike_is_no_loss_and_the_window_comes_back() {
    let mut pair = Pair::established(7, config(), config());
    pair.write(0, 60_000);
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.ends[1].received == 60_000
    });
    let before = pair.ends[0].tcb.progress().congestion_window;
    pair.delay = Duration::from_millis(900);
    pair.write(0, 30_000);
    pair.run_for(Duration::from_millis(905));
    assert!(pair.ends[0].timeouts > 0, "the spike outlasts the timeout");
    pair.delay = Duration::from_millis(10);
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.ends[1].received == 90_000
    });
    pair.run_for(Duration::from_secs(2));
    let after = pair.ends[0].tcb.progress();
    assert!(
        after.congestion_window >= before,
        "{after:?}, before {before}"
    );
    assert!(!after.in_recovery);
}

#[test]
fn icmp_lowers_the_segment_size_and_nothing_waits_for_a_timeout() {
    let mut pair = Pair::established(8, config(), config());
    pair.mtu = Some(1_000);
    pair.write(0, 100_000);
    pair.flush(0);
    let now = pair.now;
    let forged = tcp_support::ISS + 500_000;
    pair.ends[0].tcb.on_packet_too_big(now, 600, forged);
    assert_eq!(pair.ends[0].tcb.maximum_segment(), 1_460, "not in flight");
    let quoted = tcp_support::ISS + 1;
    pair.ends[0].tcb.on_packet_too_big(now, 1_000, quoted);
    assert_eq!(pair.ends[0].tcb.maximum_segment(), 1_000);
    pair.run_until(Duration::from_secs(10), |pair| {
        pair.ends[1].received == 100_000
    });
    assert_eq!(pair.ends[0].timeouts, 0);
    let window = pair.ends[0].tcb.progress().slow_start_threshold;
    assert_eq!(window, u32::MAX, "a size is no sign of congestion");
}

#[test]
fn a_black_hole_is_found_by_timeouts_and_tried_again_later() {
    let mut pair = Pair::established(9, config(), config());
    pair.mtu = Some(1_100);
    pair.write(0, 50_000);
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.ends[1].received == 50_000
    });
    assert_eq!(pair.ends[0].tcb.maximum_segment(), 1_024);
    pair.mtu = None;
    pair.run_for(Duration::from_secs(700));
    assert_eq!(pair.ends[0].tcb.maximum_segment(), 1_460);
}

#[test]
fn segmentation_offload_recovers_without_a_timeout_too() {
    let mut pair = Pair::established(10, config(), config());
    pair.nanos_per_byte = 800;
    pair.ends[0].content = Content {
        max_segments: 40,
        max_frame_payload: 65_000,
        ..Content::default()
    };
    let mut count = 0;
    pair.drop = Some(Box::new(move |from, wire| {
        if from != 0 || wire.payload.is_empty() || wire.retransmission {
            return false;
        }
        count += 1;
        count % 60 == 30
    }));
    pair.write(0, 1_000_000);
    pair.run_until(Duration::from_secs(60), |pair| {
        pair.ends[1].received == 1_000_000
    });
    assert_eq!(pair.ends[0].timeouts, 0);
    let sent_again = pair.ends[0].tcb.progress().retransmissions;
    assert!((11..=16).contains(&sent_again), "{sent_again}");
}
