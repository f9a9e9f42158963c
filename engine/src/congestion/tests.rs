//! The controllers against the formulas and published figures of their RFCs.

use super::*;
use proptest::prelude::*;

const MSS: u32 = 1_000;
const RTT: Duration = Duration::from_millis(100);

/// A sender whose window is always full, on a path with a fixed round-trip time.
struct Path {
    controller: Controller,
    now: Instant,
    rtt: Duration,
}

impl Path {
    fn new(kind: ControllerKind) -> Self {
        Self {
            controller: Controller::new(kind, MSS),
            now: Instant::from_millis(1),
            rtt: RTT,
        }
    }

    fn sample(&self, acked: u32) -> AckSample {
        AckSample {
            now: self.now,
            acked,
            rtt: Some(self.rtt),
            srtt: self.rtt,
            min_rtt: self.rtt,
            in_flight: self.controller.window(),
            cwnd_limited: true,
            in_recovery: false,
            coupling: Coupling::default(),
        }
    }

    /// One segment is acknowledged, at the pace of a full window each round trip.
    fn ack_segment(&mut self) {
        self.now += self
            .rtt
            .mul_f64(f64::from(MSS) / f64::from(self.controller.window()));
        self.controller.on_ack(&self.sample(MSS));
    }

    fn ack_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.ack_segment();
        }
    }

    fn lose(&mut self) {
        self.controller.on_loss(self.now, self.controller.window());
    }

    fn segments(&self) -> f64 {
        f64::from(self.controller.window()) / f64::from(MSS)
    }

    /// Brings the window to `segments` in congestion avoidance, at the beginning of an epoch.
    fn grown_to(mut self, segments: u32) -> Self {
        let missing = segments * MSS - self.controller.window();
        self.controller.on_ack(&self.sample(missing));
        assert_eq!(self.controller.window(), segments * MSS);
        self
    }
}

#[test]
fn the_initial_window_is_that_of_rfc_6928() {
    for (mss, bytes) in [
        (536, 5_360),
        (1_460, 14_600),
        (2_190, 14_600),
        (9_000, 18_000),
    ] {
        assert_eq!(Controller::new(ControllerKind::Reno, mss).window(), bytes);
        let mut renegotiated = Controller::new(ControllerKind::Reno, 1_220);
        renegotiated.set_mss(mss);
        assert_eq!(renegotiated.window(), bytes);
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for kind in ControllerKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "vegas".parse::<ControllerKind>().unwrap_err();
    let message = error.to_string();
    assert_eq!(
        message,
        r#"unknown congestion control "vegas": use one of cubic, reno, lia, olia, balia"#
    );
}

#[test]
fn slow_start_doubles_each_round_trip_and_stops_at_the_threshold() {
    for kind in ControllerKind::ALL {
        let mut path = Path::new(kind);
        path.controller.on_ack(&path.sample(10 * MSS));
        assert_eq!(path.controller.window(), 20 * MSS);
        path.controller.on_timeout(path.now, 20 * MSS);
        let threshold = path.controller.ssthresh();
        assert_eq!(path.controller.window(), MSS);
        assert!(path.controller.in_slow_start());
        path.controller.on_ack(&path.sample(threshold - MSS));
        assert_eq!(path.controller.window(), threshold);
        assert!(!path.controller.in_slow_start());
    }
}

#[test]
fn reno_adds_one_segment_each_round_trip() {
    let mut path = Path::new(ControllerKind::Reno).grown_to(40);
    path.lose();
    assert_eq!(path.controller.window(), 20 * MSS);
    path.ack_for(RTT * 10);
    assert!((path.segments() - 30.0).abs() < 0.5, "{}", path.segments());
}

#[test]
fn the_window_grows_only_when_it_is_what_limits() {
    for kind in ControllerKind::ALL {
        let mut path = Path::new(kind);
        let idle = AckSample {
            cwnd_limited: false,
            ..path.sample(MSS)
        };
        let recovering = AckSample {
            in_recovery: true,
            ..path.sample(MSS)
        };
        path.controller.on_ack(&idle);
        path.controller.on_ack(&recovering);
        assert_eq!(path.controller.window(), 10 * MSS, "{kind}");
        path.controller.on_ack(&path.sample(MSS));
        assert_eq!(path.controller.window(), 11 * MSS, "{kind}");
    }
}

#[test]
fn a_loss_counts_what_was_in_flight_and_leaves_two_segments() {
    let mut path = Path::new(ControllerKind::Reno).grown_to(40);
    path.controller.on_loss(path.now, 16 * MSS);
    assert_eq!(path.controller.window(), 8 * MSS);
    path.controller.on_loss(path.now, MSS);
    assert_eq!(path.controller.window(), 2 * MSS);
    assert_eq!(path.controller.ssthresh(), 2 * MSS);
}

#[test]
fn only_the_first_of_several_timeouts_lowers_the_threshold() {
    for kind in ControllerKind::ALL {
        let mut path = Path::new(kind).grown_to(40);
        path.controller.on_timeout(path.now, 40 * MSS);
        let threshold = path.controller.ssthresh();
        path.controller.on_timeout(path.now + RTT, MSS);
        assert_eq!(path.controller.ssthresh(), threshold, "{kind}");
        path.controller.on_spurious();
        assert_eq!(path.controller.window(), 40 * MSS, "{kind}");
        assert_eq!(path.controller.ssthresh(), u32::MAX, "{kind}");
    }
}

#[test]
fn a_spurious_loss_leaves_no_trace() {
    for kind in ControllerKind::ALL {
        let mut twins = [0, 1].map(|_| {
            let mut path = Path::new(kind).grown_to(100);
            path.lose();
            path.ack_for(Duration::from_secs(2));
            path
        });
        twins[1].lose();
        twins[1].controller.on_spurious();
        let [untouched, undone] = twins.each_mut().map(|path| {
            path.ack_for(Duration::from_secs(3));
            path.controller.window()
        });
        assert_eq!(untouched, undone, "{kind}");
    }
}

#[test]
fn after_idle_time_the_window_restarts_and_remembers() {
    let rto = Duration::from_millis(300);
    let mut path = Path::new(ControllerKind::Reno).grown_to(100);
    path.lose();
    path.controller.on_idle(path.now, rto, rto);
    assert_eq!(path.controller.window(), 50 * MSS);
    path.controller.on_idle(path.now, rto * 2, rto);
    assert_eq!(path.controller.window(), 10 * MSS);
    assert!(path.controller.in_slow_start());
    assert_eq!(path.controller.ssthresh(), 50 * MSS);
}

#[test]
fn a_switch_keeps_window_and_threshold() {
    let mut path = Path::new(ControllerKind::Cubic).grown_to(100);
    path.lose();
    for kind in [
        ControllerKind::Lia,
        ControllerKind::Reno,
        ControllerKind::Cubic,
    ] {
        path.controller.switch(kind);
        assert_eq!(path.controller.kind(), kind);
        assert_eq!(
            (path.controller.window(), path.controller.ssthresh()),
            (70 * MSS, 70 * MSS)
        );
    }
}

#[test]
fn the_window_follows_no_overflow() {
    let mut path = Path::new(ControllerKind::Cubic);
    for _ in 0..4 {
        path.controller.on_ack(&path.sample(u32::MAX));
    }
    assert_eq!(path.controller.window(), 1 << 30);
    path.controller.set_mss(0);
    path.controller.on_timeout(path.now, u32::MAX);
    assert_eq!(path.controller.window(), 1);
}

/// RFC 9438 section 4.2, equation 1, over a whole epoch: W_max 400, down to 280.
#[test]
fn cubic_follows_its_curve() {
    let mut path = Path::new(ControllerKind::Cubic).grown_to(400);
    path.lose();
    assert_eq!(path.controller.window(), 280 * MSS);
    let start = path.now;
    let plateau_at = (120.0_f64 / 0.4).cbrt();
    for _ in 0..100 {
        path.ack_for(RTT);
        let seconds = path.now.saturating_since(start).as_secs_f64();
        let curve = 0.4 * (seconds - plateau_at).powi(3) + 400.0;
        let window = path.segments();
        assert!(
            (window - curve).abs() < 2.0,
            "{window} against {curve} at {seconds} s"
        );
    }
    assert!(
        path.segments() > 410.0,
        "it probes beyond the plateau: {}",
        path.segments()
    );
}

/// RFC 9438 section 4.3: with a short round trip Reno would be faster, and CUBIC keeps up.
#[test]
fn cubic_is_never_slower_than_reno_would_be() {
    let mut path = Path::new(ControllerKind::Cubic).grown_to(20);
    path.rtt = Duration::from_millis(10);
    path.lose();
    // From 14 to 20 segments by 0.529 each round trip, then by one.
    path.ack_for(path.rtt * 11);
    assert!((path.segments() - 19.8).abs() < 0.4, "{}", path.segments());
    path.ack_for(path.rtt * 10);
    assert!((path.segments() - 29.8).abs() < 0.6, "{}", path.segments());
}

/// RFC 9438 section 4.7: a flow that loses before it is back where it was gives up more.
#[test]
fn cubic_converges_fast() {
    let mut path = Path::new(ControllerKind::Cubic).grown_to(400);
    path.lose();
    path.lose();
    assert_eq!(path.controller.window(), 196 * MSS);
    // The plateau is 0.85 of 280 segments and reached after cbrt((238 - 196) / 0.4) seconds.
    path.ack_for(Duration::from_secs_f64((42.0_f64 / 0.4).cbrt()));
    assert!((path.segments() - 238.0).abs() < 0.5, "{}", path.segments());
    path.ack_for(RTT * 5);
    assert!((path.segments() - 238.0).abs() < 0.5, "{}", path.segments());
}

/// RFC 9438 section 5.1: the average window at a given loss rate and 0.1 s.
#[test]
fn cubic_reaches_the_average_window_of_its_model() {
    for (packets_per_loss, segments) in [(10_000_u32, 187.0), (100_000, 1_054.0)] {
        let mut path = Path::new(ControllerKind::Cubic).grown_to(200);
        path.lose();
        let mut sum = 0.0;
        let mut time = 0.0;
        for epoch in 0..12 {
            for _ in 0..packets_per_loss {
                let before = path.now;
                path.ack_segment();
                if epoch >= 8 {
                    let step = path.now.saturating_since(before).as_secs_f64();
                    sum += path.segments() * step;
                    time += step;
                }
            }
            path.lose();
        }
        let average = sum / time;
        assert!(
            (average / segments - 1.0).abs() < 0.1,
            "{average} instead of {segments}"
        );
    }
}

/// RFC 9438 section 5.8: time in which the application did not fill the window does not count.
#[test]
fn cubic_does_not_leap_after_a_pause() {
    let mut path = Path::new(ControllerKind::Cubic).grown_to(100);
    path.lose();
    path.ack_for(Duration::from_secs(1));
    let before = path.segments();
    path.controller.on_ack(&AckSample {
        cwnd_limited: false,
        ..path.sample(MSS)
    });
    path.now += Duration::from_secs(60);
    path.ack_for(RTT);
    let growth = path.segments() - before;
    assert!((0.0..2.0).contains(&growth), "{growth}");
}

/// RFC 9406: the first slow start ends when the round-trip time rises, without a loss.
#[test]
fn cubic_leaves_slow_start_when_the_queue_grows() {
    let mut path = Path::new(ControllerKind::Cubic);
    let base = RTT;
    // Past a window of 64 segments everything queues at a bottleneck.
    for _ in 0..2_000 {
        path.rtt = base.mul_f64((path.segments() / 64.0).max(1.0));
        path.ack_segment();
    }
    assert!(!path.controller.in_slow_start());
    let exit = path.controller.ssthresh() / MSS;
    assert!((64..400).contains(&exit), "{exit}");
}

#[test]
fn cubic_stays_in_slow_start_while_the_path_is_not_full() {
    let mut path = Path::new(ControllerKind::Cubic);
    path.ack_for(RTT * 6);
    assert!(path.controller.in_slow_start());
    assert!(path.segments() > 300.0, "{}", path.segments());
}

#[test]
fn lia_alone_is_reno() {
    let [lia, reno] = [ControllerKind::Lia, ControllerKind::Reno].map(|kind| {
        let mut path = Path::new(kind).grown_to(40);
        path.lose();
        for _ in 0..500 {
            let alone = PathSample {
                window: path.controller.window(),
                srtt: RTT,
                between_losses: 0,
            };
            let coupling = Coupling::of(core::iter::once(alone));
            assert!((coupling.alpha - 1.0).abs() < 1e-9 && !coupling.coupled);
            path.now += Duration::from_millis(2);
            path.controller.on_ack(&AckSample {
                coupling,
                ..path.sample(MSS)
            });
        }
        path.controller.window()
    });
    assert_eq!(lia, reno);
}

/// RFC 6356 section 3.1 by hand: windows 20 and 10, round trips 100 and 50 ms.
#[test]
fn alpha_is_that_of_the_formula() {
    let paths = [(20_000, 100), (10_000, 50)].map(|(window, rtt)| PathSample {
        window,
        srtt: Duration::from_millis(rtt),
        between_losses: 0,
    });
    let coupling = Coupling::of(paths.into_iter());
    // 30 * max(20 / 0.01, 10 / 0.0025) / (20 / 0.1 + 10 / 0.05)^2 = 30 * 4000 / 160000
    assert!((coupling.alpha - 0.75).abs() < 1e-9);
    assert_eq!((coupling.total_window, coupling.coupled), (30_000, true));
    assert_eq!(Coupling::of(core::iter::empty()).total_window, 0);
}

/// A path in congestion avoidance, its round trip in milliseconds and its window in segments.
fn lia_path() -> impl Strategy<Value = (u32, u64)> {
    (5_u32..500, 1_u64..500)
}

proptest! {
    /// RFC 6356 section 2: together no more than one TCP on the best path would take, and on no
    /// path more than a TCP there would.
    #[test]
    fn lia_takes_no_more_than_the_best_path_would(
        paths in prop::collection::vec(lia_path(), 2..9),
    ) {
        let coupling = Coupling::of(paths.iter().map(|(segments, millis)| PathSample {
            window: segments * MSS,
            srtt: Duration::from_millis(*millis),
            between_losses: 0,
        }));
        let mut growth_each_second = 0.0;
        let mut best_alone: f64 = 0.0;
        for (segments, millis) in paths {
            let mut path = Path::new(ControllerKind::Lia).grown_to(segments.max(6) * 2);
            path.controller.on_loss(path.now, segments * 2 * MSS);
            let before = path.controller.window();
            prop_assert_eq!(before, segments * MSS);
            // A whole window is acknowledged each round trip.
            path.controller.on_ack(&AckSample { coupling, ..path.sample(before) });
            let growth = f64::from(path.controller.window() - before);
            prop_assert!(growth <= f64::from(MSS));
            let seconds = Duration::from_millis(millis).as_secs_f64();
            growth_each_second += growth / seconds;
            best_alone = best_alone.max(f64::from(MSS) / seconds);
        }
        prop_assert!(growth_each_second > 0.0);
        prop_assert!(growth_each_second <= best_alone * 1.000_001);
    }
}

/// A path of `segments` in congestion avoidance with a round trip of `millis`.
fn avoiding(kind: ControllerKind, segments: u32, millis: u64) -> Path {
    let mut path = Path::new(kind).grown_to(segments * 2);
    path.controller.on_loss(path.now, segments * 2 * MSS);
    path.rtt = Duration::from_millis(millis);
    path
}

fn sample_of(segments: u32, millis: u64, between_losses: u64) -> PathSample {
    PathSample {
        window: segments * MSS,
        srtt: Duration::from_millis(millis),
        between_losses,
    }
}

/// What a step from 20 segments at 100 ms adds, in bytes, when one segment is acknowledged and
/// another path has 10 segments at 50 ms. Both have a rate of 200 segments a second.
fn step(path: &mut Path) -> f64 {
    let coupling = Coupling::of([sample_of(20, 100, 0), sample_of(10, 50, 0)].into_iter());
    assert!((coupling.total_rate - 4e5).abs() < 1e-3 && (coupling.best_rate - 2e5).abs() < 1e-3);
    let before = path.controller.window.exact();
    path.controller.on_ack(&AckSample {
        coupling,
        ..path.sample(MSS)
    });
    path.controller.window.exact() - before
}

/// draft-khalili section 2 by hand: 1/w * share^2, and the shift over w.
#[test]
fn a_step_of_olia_is_that_of_the_draft() {
    for (alpha, bytes) in [(0.0, 12.5), (0.25, 25.0), (-0.5, -12.5)] {
        let mut path = avoiding(ControllerKind::Olia, 20, 100);
        path.controller.set_shift(alpha);
        let step = step(&mut path);
        assert!((step - bytes).abs() < 1e-6, "{step} with {alpha}");
        assert!(!path.controller.in_slow_start());
    }
}

/// draft-khalili section 2: of three paths the first has the largest window, the second carries
/// most between losses.
#[test]
fn olia_shifts_from_the_largest_window_to_the_best_path() {
    let paths = [
        sample_of(30, 100, 50_000),
        sample_of(10, 100, 90_000),
        sample_of(5, 100, 20_000),
    ];
    let shift = Shift::of(paths.into_iter());
    let third = 1.0 / 3.0;
    assert_eq!(paths.map(|path| shift.alpha(&path)), [-third, third, 0.0]);
    // The best path is the one of the largest window: all is well.
    let settled = [sample_of(30, 100, 90_000), sample_of(10, 100, 50_000)];
    let shift = Shift::of(settled.into_iter());
    assert_eq!(settled.map(|path| shift.alpha(&path)), [0.0, 0.0]);
    // A short round trip makes a path good too.
    let near = [sample_of(30, 400, 90_000), sample_of(10, 10, 50_000)];
    let shift = Shift::of(near.into_iter());
    assert_eq!(near.map(|path| shift.alpha(&path)), [-0.5, 0.5]);
}

#[test]
fn olia_measures_what_comes_between_losses() {
    let mut path = avoiding(ControllerKind::Olia, 20, 100);
    // The window of 40 segments came by 30 acknowledged ones, before the loss.
    assert_eq!(path.controller.bytes_between_losses(), 30_000);
    path.controller.on_ack(&path.sample(20_000));
    assert_eq!(path.controller.bytes_between_losses(), 30_000);
    path.controller.on_ack(&AckSample {
        cwnd_limited: false,
        in_recovery: true,
        ..path.sample(20_000)
    });
    assert_eq!(path.controller.bytes_between_losses(), 40_000);
    path.lose();
    assert_eq!(path.controller.bytes_between_losses(), 40_000);
    path.lose();
    assert_eq!(path.controller.bytes_between_losses(), 0);
}

/// An undone loss brings back the memory from before it, but not an outdated shift.
#[test]
fn a_spurious_loss_keeps_the_shift_of_olia() {
    let mut path = avoiding(ControllerKind::Olia, 20, 100);
    path.lose();
    path.controller.set_shift(0.25);
    path.controller.on_spurious();
    assert_eq!(path.controller.window(), 20 * MSS);
    assert!((step(&mut path) - 25.0).abs() < 1e-6);
}

/// draft-walid section 3 by hand: share^2/w * (1+a)/2 * (4+a)/5, and w/2 * min(a, 1.5) at a loss.
#[test]
fn a_step_of_balia_is_that_of_the_draft() {
    let mut path = avoiding(ControllerKind::Balia, 20, 100);
    let growth = step(&mut path);
    assert!((growth - 12.5).abs() < 1e-6, "{growth}");
    path.lose();
    let left = path.controller.window.exact();
    assert!((left - 20_012.5 / 2.0).abs() < 20.0, "{left}");

    // At 10 segments each 100 ms it has half the rate of the best: a = 2, share = 1/3.
    let mut slow = avoiding(ControllerKind::Balia, 10, 100);
    let before = slow.controller.window.exact();
    let coupling = Coupling::of([sample_of(10, 100, 0), sample_of(10, 50, 0)].into_iter());
    slow.controller.on_ack(&AckSample {
        coupling,
        ..slow.sample(MSS)
    });
    let growth = slow.controller.window.exact() - before;
    assert!((growth - 100.0 / 9.0 * 1.5 * 1.2).abs() < 1e-6, "{growth}");
    slow.lose();
    assert!((slow.controller.window.exact() - 10_020.0 / 4.0).abs() < 10.0);
}

/// One thing that happens to a controller.
#[derive(Clone, Debug)]
enum Happening {
    Ack {
        acked: u32,
        millis: u64,
        limited: bool,
        recovery: bool,
        others: Vec<(u32, u64, u64)>,
    },
    Loss(u32),
    Timeout(u32),
    Spurious,
    Idle(u64),
    Switch(ControllerKind),
    Mss(u32),
    Shift(f64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let other = (any::<u32>(), 0..10_000_u64, any::<u64>());
    let ack = (
        any::<u32>(),
        0..10_000_u64,
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(other, 0..5),
    );
    prop_oneof![
        8 => ack.prop_map(|(acked, millis, limited, recovery, others)| Happening::Ack {
            acked,
            millis,
            limited,
            recovery,
            others,
        }),
        1 => any::<u32>().prop_map(Happening::Loss),
        1 => any::<u32>().prop_map(Happening::Timeout),
        1 => Just(Happening::Spurious),
        1 => (0..100_000_u64).prop_map(Happening::Idle),
        2 => prop::sample::select(ControllerKind::ALL.to_vec()).prop_map(Happening::Switch),
        1 => (0..10_000_u32).prop_map(Happening::Mss),
        1 => (-1.0..1.0).prop_map(Happening::Shift),
    ]
}

proptest! {
    /// Whatever happens, in whatever order, the window is between a segment and the largest that
    /// TCP can use, and a switch changes neither window nor threshold.
    #[test]
    fn no_controller_loses_its_window(
        kind in prop::sample::select(ControllerKind::ALL.to_vec()),
        happenings in prop::collection::vec(happening(), 1..200),
    ) {
        let mut path = Path::new(kind);
        let mut mss = MSS;
        for happening in happenings {
            path.now += Duration::from_millis(3);
            let (window, threshold) = (path.controller.window(), path.controller.ssthresh());
            match happening {
                Happening::Ack { acked, millis, limited, recovery, others } => {
                    path.rtt = Duration::from_millis(millis);
                    let others: Vec<_> = others
                        .into_iter()
                        .map(|(window, millis, between_losses)| PathSample {
                            window,
                            srtt: Duration::from_millis(millis),
                            between_losses,
                        })
                        .collect();
                    path.controller.on_ack(&AckSample {
                        cwnd_limited: limited,
                        in_recovery: recovery,
                        coupling: Coupling::of(others.into_iter()),
                        ..path.sample(acked)
                    });
                }
                Happening::Loss(in_flight) => path.controller.on_loss(path.now, in_flight),
                Happening::Timeout(in_flight) => path.controller.on_timeout(path.now, in_flight),
                Happening::Spurious => path.controller.on_spurious(),
                Happening::Idle(millis) => {
                    let idle = Duration::from_millis(millis);
                    path.now += idle;
                    path.controller.on_idle(path.now, idle, RTT * 3);
                }
                Happening::Switch(kind) => {
                    path.controller.switch(kind);
                    prop_assert_eq!(path.controller.kind(), kind);
                    prop_assert_eq!(path.controller.window(), window);
                    prop_assert_eq!(path.controller.ssthresh(), threshold);
                }
                Happening::Mss(size) => {
                    mss = size.max(1);
                    path.controller.set_mss(size);
                }
                Happening::Shift(alpha) => path.controller.set_shift(alpha),
            }
            let window = path.controller.window();
            prop_assert!((mss..=1 << 30).contains(&window), "{window}");
        }
    }

    /// The shift of OLIA takes from the ones what it gives to the others.
    #[test]
    fn the_shift_adds_up_to_nothing(
        paths in prop::collection::vec((1_u32..100, 1_u64..500, 0_u64..1_000_000), 1..9),
    ) {
        let paths: Vec<_> = paths
            .into_iter()
            .map(|(segments, millis, bytes)| sample_of(segments, millis, bytes))
            .collect();
        let shift = Shift::of(paths.iter().copied());
        let sum: f64 = paths.iter().map(|path| shift.alpha(path)).sum();
        prop_assert!(sum.abs() < 1e-9, "{sum}");
    }
}
