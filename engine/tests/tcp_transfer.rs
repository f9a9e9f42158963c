//! Streams through a pipe that loses, reorders and duplicates arrive byte for byte.

mod tcp_support;

use braid_engine::tcp::{Content, State, TcbConfig};
use braid_engine::time::Duration;
use tcp_support::{Faults, Pair};

const MEBIBYTE: u32 = 1 << 20;

fn config() -> TcbConfig {
    TcbConfig {
        receive_window: 4 * MEBIBYTE,
        ..TcbConfig::default()
    }
}

fn transfer(pair: &mut Pair, bytes: u32, limit: Duration) {
    pair.write(0, bytes);
    pair.ends[0].tcb.close();
    pair.write(1, bytes / 8);
    pair.ends[1].tcb.close();
    pair.run_until(limit, |pair| {
        pair.ends[1].fin
            && pair.ends[0].fin
            && pair
                .ends
                .iter()
                .all(|end| matches!(end.tcb.state(), State::Closed | State::TimeWait))
    });
    assert_eq!(pair.ends[1].received, u64::from(bytes));
    assert_eq!(pair.ends[0].received, u64::from(bytes / 8));
}

#[test]
fn eight_mebibytes_through_a_clean_pipe_without_retransmission() {
    let mut pair = Pair::established(1, config(), config());
    pair.nanos_per_byte = 80;
    transfer(&mut pair, 8 * MEBIBYTE, Duration::from_secs(60));
    for end in &pair.ends {
        assert_eq!(end.tcb.progress().retransmissions, 0);
        assert_eq!(end.timeouts, 0);
    }
}

#[test]
fn eight_mebibytes_through_a_bad_pipe() {
    for seed in 0..6 {
        let mut pair = Pair::established(seed, config(), config());
        pair.nanos_per_byte = 80;
        pair.faults = Faults {
            loss_per_mille: 10,
            duplicate_per_mille: 10,
            reorder_per_mille: 20,
            reorder_by: Duration::from_millis(5),
        };
        transfer(&mut pair, 8 * MEBIBYTE, Duration::from_secs(600));
    }
}

#[test]
fn large_emissions_of_segmentation_offload_are_no_different() {
    for seed in 10..14 {
        let mut pair = Pair::established(seed, config(), config());
        pair.nanos_per_byte = 80;
        for end in &mut pair.ends {
            end.content = Content {
                mptcp_option_length: 20,
                max_payload: 40_000,
                max_segments: 44,
                max_frame_payload: 65_000,
            };
        }
        pair.faults = Faults {
            loss_per_mille: 10,
            duplicate_per_mille: 5,
            reorder_per_mille: 5,
            reorder_by: Duration::from_millis(5),
        };
        transfer(&mut pair, 4 * MEBIBYTE, Duration::from_secs(600));
    }
}

#[test]
fn without_sack_and_timestamps_it_is_slower_and_still_exact() {
    let plain = TcbConfig {
        sack: false,
        timestamps: false,
        window_scale: 0,
        ..config()
    };
    for seed in 20..24 {
        let mut pair = Pair::established(seed, plain.clone(), config());
        pair.nanos_per_byte = 80;
        pair.faults = Faults {
            loss_per_mille: 10,
            duplicate_per_mille: 10,
            reorder_per_mille: 10,
            reorder_by: Duration::from_millis(5),
        };
        transfer(&mut pair, MEBIBYTE, Duration::from_secs(600));
    }
}

#[test]
fn one_segment_in_five_lost_is_survived() {
    for seed in 30..34 {
        let mut pair = Pair::established(seed, config(), config());
        pair.faults.loss_per_mille = 200;
        transfer(&mut pair, 256 * 1024, Duration::from_secs(3_000));
    }
}

#[test]
fn small_writes_and_small_windows() {
    for seed in 40..50 {
        let small = TcbConfig {
            receive_window: 3_000,
            window_scale: 0,
            ..config()
        };
        let mut pair = Pair::established(seed, small.clone(), small);
        pair.faults.loss_per_mille = 20;
        let mut left = 100_000_u32;
        while left > 0 {
            let bytes = (pair.random.below(4_000) as u32 + 1).min(left);
            left -= bytes;
            pair.write(0, bytes);
            let pause = pair.random.below(20);
            pair.run_for(Duration::from_millis(pause));
        }
        pair.run_until(Duration::from_secs(600), |pair| {
            pair.ends[1].received == 100_000
        });
    }
}
