//! What each scheduler decides, as tables.

use super::*;

const SEGMENT: u32 = 1_000;

/// Subflow `id` with a round trip of `millis`, a window of `window` segments, and room for the rest
/// beside `in_flight` segments.
fn subflow(id: u32, millis: u64, window: u32, in_flight: u32) -> Candidate {
    Candidate {
        index: id as usize,
        id,
        room: window.saturating_sub(in_flight) * SEGMENT,
        segment_size: SEGMENT,
        congestion_window: window * SEGMENT,
        in_flight: u64::from(in_flight * SEGMENT),
        preferred: false,
        doubted: false,
        smoothed_rtt: Some(Duration::from_millis(millis)),
        rtt_variation: Duration::ZERO,
    }
}

fn demand(queued: u64, window: u64) -> Demand {
    Demand {
        now: Instant::from_millis(1_000),
        queued: queued * u64::from(SEGMENT),
        window: window * u64::from(SEGMENT),
    }
}

fn pick(
    state: &mut SchedulerState,
    candidates: &[Candidate],
    demand: &Demand,
) -> Option<(usize, u64)> {
    let choice = state.pick(candidates.iter().copied(), demand)?;
    Some((choice.index, choice.limit))
}

/// The choice of a scheduler that remembers nothing.
fn first_pick(scheduler: Scheduler, candidates: &[Candidate], demand: &Demand) -> Option<usize> {
    pick(&mut scheduler.into(), candidates, demand).map(|(index, _)| index)
}

#[test]
fn names_are_read_as_they_are_written() {
    for scheduler in Scheduler::ALL {
        assert_eq!(Scheduler::by_name(&scheduler.to_string()), Some(scheduler));
    }
    assert_eq!(Scheduler::by_name("default"), None);
}

#[test]
fn all_fill_the_fastest_first_but_for_those_in_turn() {
    let both = [subflow(0, 50, 10, 0), subflow(1, 10, 10, 0)];
    for scheduler in Scheduler::ALL {
        let expected = usize::from(scheduler != Scheduler::RoundRobin);
        let picked = first_pick(scheduler, &both, &demand(20, 1_000));
        assert_eq!(picked, Some(expected), "{scheduler}");
        let nobody = [subflow(0, 50, 10, 10), subflow(1, 10, 10, 10)];
        assert_eq!(first_pick(scheduler, &nobody, &demand(20, 1_000)), None);
        assert_eq!(first_pick(scheduler, &[], &demand(20, 1_000)), None);
    }
}

#[test]
fn none_but_primary_waits_for_a_subflow_without_anything_in_flight() {
    let closed = Candidate {
        room: 0,
        ..subflow(0, 10, 10, 0)
    };
    let candidates = [closed, subflow(1, 500, 10, 0)];
    for scheduler in Scheduler::ALL {
        let picked = first_pick(scheduler, &candidates, &demand(5, 10));
        let expected = (scheduler != Scheduler::Primary).then_some(1);
        assert_eq!(picked, expected, "{scheduler}");
    }
}

#[test]
fn a_subflow_that_was_never_measured_is_used_last() {
    let unknown = Candidate {
        smoothed_rtt: None,
        ..subflow(0, 0, 10, 0)
    };
    let candidates = [unknown, subflow(1, 900, 10, 0)];
    let picked = first_pick(Scheduler::MinRtt, &candidates, &demand(5, 1_000));
    assert_eq!(picked, Some(1));
    let full = [unknown, subflow(1, 900, 10, 10)];
    for scheduler in [Scheduler::MinRtt, Scheduler::Blest, Scheduler::Ecf] {
        let picked = first_pick(scheduler, &full, &demand(5, 1_000));
        assert_eq!(picked, Some(0), "{scheduler}");
    }
}

/// The fast one, 10 segments each 10 ms, could send 200 and, growing, some more in the 200 ms that
/// a segment on the slow one takes: 1.1 * (10 + 9.5) * 20 = 429.
#[test]
fn blest_leaves_the_slow_one_idle_where_it_would_block_the_window() {
    let paths = [subflow(0, 10, 10, 10), subflow(1, 200, 10, 0)];
    for (window, expected) in [(100, None), (429, None), (431, Some(1)), (5_000, Some(1))] {
        let picked = first_pick(Scheduler::Blest, &paths, &demand(100, window));
        assert_eq!(picked, expected, "window {window}");
    }
    // What is under way on the slow one counts too.
    let paths = [subflow(0, 10, 10, 10), subflow(1, 200, 10, 9)];
    assert_eq!(
        first_pick(Scheduler::Blest, &paths, &demand(100, 431)),
        None
    );
}

#[test]
fn blest_learns_from_a_window_that_was_full() {
    let paths = [subflow(0, 10, 10, 10), subflow(1, 200, 10, 0)];
    let mut state = SchedulerState::from(Scheduler::Blest);
    // From 1.2 by -0.1, then, after the window was full, by +0.1: 390 and 468 segments.
    assert_eq!(
        pick(&mut state, &paths, &demand(100, 450)).map(|(index, _)| index),
        Some(1)
    );
    state.on_window_full();
    let later = Demand {
        now: Instant::from_millis(1_200),
        ..demand(100, 450)
    };
    assert_eq!(pick(&mut state, &paths, &later), None);
}

/// q segments by the fast one take (1 + q / 10) * 10 ms, the slow one takes 100 ms.
#[test]
fn ecf_waits_where_that_completes_earlier() {
    let paths = [subflow(0, 10, 10, 10), subflow(1, 100, 10, 0)];
    // With one segment the slow one would be through before the fast one has room twice.
    for (queued, expected) in [(1, Some(1)), (2, None), (89, None), (90, Some(1))] {
        let picked = first_pick(Scheduler::Ecf, &paths, &demand(queued, 1_000));
        assert_eq!(picked, expected, "{queued} queued");
    }
    // Once waiting, up to 125 ms are waited.
    let mut state = SchedulerState::from(Scheduler::Ecf);
    for (queued, expected) in [(50, None), (114, None), (115, Some(1)), (95, Some(1))] {
        let picked = pick(&mut state, &paths, &demand(queued, 1_000)).map(|(index, _)| index);
        assert_eq!(picked, expected, "then {queued} queued");
    }
}

#[test]
fn round_robin_gives_each_its_turn_and_passes_over_the_full() {
    let mut state = SchedulerState::from(Scheduler::RoundRobin);
    let all = [0, 1, 2].map(|id| subflow(id, 10 * u64::from(id), 100, 0));
    let mut picks = Vec::new();
    for _ in 0..5 {
        picks.extend(pick(&mut state, &all, &demand(1_000, 1_000)));
    }
    let turns = [0, 1, 2, 0, 1].map(|index| (index, 10_000));
    assert_eq!(picks, turns);
    let full = [all[0], all[1], subflow(2, 20, 10, 10)];
    let picked = pick(&mut state, &full, &demand(1_000, 1_000));
    assert_eq!(picked, Some((0, 10_000)));
}

/// The primary sends 10 segments each 10 ms, so it has 40 through when the next one, with 50 ms,
/// has its first acknowledged.
#[test]
fn overflow_takes_what_the_primary_cannot_carry_in_time() {
    let paths = [subflow(0, 10, 10, 10), subflow(1, 50, 100, 0)];
    for (queued, expected) in [(40, None), (41, Some((1, 1_000))), (100, Some((1, 60_000)))] {
        let mut state = SchedulerState::from(Scheduler::Overflow);
        let picked = pick(&mut state, &paths, &demand(queued, 1_000));
        assert_eq!(picked, expected, "{queued} queued");
    }
}

#[test]
fn the_primary_stays_under_load_and_moves_when_idle() {
    for scheduler in [Scheduler::Primary, Scheduler::Overflow] {
        let mut state = SchedulerState::from(scheduler);
        let mut index = |paths: [Candidate; 2]| {
            pick(&mut state, &paths, &demand(1, 1_000)).map(|(index, _)| index)
        };
        assert_eq!(
            index([subflow(0, 10, 10, 0), subflow(1, 20, 10, 0)]),
            Some(0)
        );
        // Its queue fills, and so its round trip grows.
        assert_eq!(
            index([subflow(0, 90, 10, 5), subflow(1, 20, 10, 0)]),
            Some(0)
        );
        // A little slower is chance.
        assert_eq!(
            index([subflow(0, 25, 10, 0), subflow(1, 20, 10, 0)]),
            Some(0)
        );
        assert_eq!(
            index([subflow(0, 60, 10, 0), subflow(1, 20, 10, 0)]),
            Some(1)
        );
        assert_eq!(
            index([subflow(0, 19, 10, 0), subflow(1, 20, 10, 0)]),
            Some(1)
        );
    }
}

#[test]
fn another_is_primary_when_the_primary_has_failed() {
    let mut state = SchedulerState::from(Scheduler::Primary);
    let paths = [subflow(0, 10, 10, 10), subflow(1, 20, 10, 0)];
    assert_eq!(pick(&mut state, &paths, &demand(5, 1_000)), None);
    // The caller ranks it behind.
    let picked = pick(&mut state, &paths[1..], &demand(5, 1_000));
    assert_eq!(picked, Some((1, u64::MAX)));
}

#[test]
fn what_the_application_prefers_goes_first() {
    for scheduler in Scheduler::ALL {
        let mut state = SchedulerState::from(scheduler);
        let mut paths = [0, 1, 2].map(|id| subflow(id, 10 * u64::from(id + 1), 10, 1));
        let first = pick(&mut state, &paths, &demand(1, 1_000));
        assert_eq!(first.map(|(index, _)| index), Some(0), "{scheduler}");
        paths[2].preferred = true;
        for _ in 0..2 {
            let picked = pick(&mut state, &paths, &demand(1, 1_000));
            assert_eq!(picked.map(|(index, _)| index), Some(2), "{scheduler}");
        }
    }
}

#[test]
fn a_path_whose_acknowledgment_is_overdue_comes_last() {
    let doubted = Candidate {
        doubted: true,
        preferred: true,
        ..subflow(0, 10, 10, 1)
    };
    let slow = subflow(1, 50, 10, 0);
    for scheduler in [Scheduler::MinRtt, Scheduler::Blest, Scheduler::Overflow] {
        let picked = first_pick(scheduler, &[doubted, slow], &demand(1, 1_000));
        assert_eq!(picked, Some(1), "{scheduler}");
        let picked = first_pick(scheduler, &[doubted], &demand(1, 1_000));
        assert_eq!(picked, Some(0), "{scheduler}");
    }
}

#[test]
fn the_primary_stays_primary_while_it_is_doubted() {
    let primary = subflow(0, 10, 10, 1);
    let other = subflow(1, 12, 10, 0);
    for (scheduler, meanwhile) in [(Scheduler::Overflow, 1), (Scheduler::Primary, 0)] {
        let mut state = scheduler.into();
        for (doubted, expected) in [(false, 0), (true, meanwhile), (false, 0)] {
            let candidates = [Candidate { doubted, ..primary }, other];
            let picked = pick(&mut state, &candidates, &demand(1, 1_000));
            assert_eq!(
                picked.map(|(index, _)| index),
                Some(expected),
                "{scheduler}"
            );
        }
    }
}
