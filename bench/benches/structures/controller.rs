//! The congestion controllers, in congestion avoidance beside another subflow. An element is an
//! acknowledgment, of two segments.

use std::hint::black_box;

use braid_engine::congestion::{AckSample, Controller, ControllerKind, Coupling, PathSample};
use braid_engine::time::{Duration, Instant};
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

const SEGMENT: u32 = 1_448;
const WINDOW: u32 = 100 * SEGMENT;
const ROUND_TRIP: Duration = Duration::from_millis(10);

/// Acknowledgments of an iteration, which begins with the same window each time.
const ACKNOWLEDGMENTS: u64 = 64;

/// A controller that has lost something with a window of 200 segments.
fn after_loss(kind: ControllerKind) -> Controller {
    let mut controller = Controller::new(kind, SEGMENT);
    let mut now = Instant::from_millis(1);
    while controller.window() < 2 * WINDOW {
        now += Duration::from_micros(100);
        controller.on_ack(&sample(now));
    }
    controller.on_loss(now, controller.window());
    controller
}

fn sample(now: Instant) -> AckSample {
    let path = |milliseconds| PathSample {
        window: WINDOW,
        srtt: Duration::from_millis(milliseconds),
        between_losses: 1 << 20,
    };
    AckSample {
        now,
        acked: 2 * SEGMENT,
        rtt: Some(ROUND_TRIP),
        srtt: ROUND_TRIP,
        min_rtt: ROUND_TRIP,
        in_flight: WINDOW,
        cwnd_limited: true,
        in_recovery: false,
        coupling: Coupling::of([path(10), path(20)].into_iter()),
    }
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "controller");
    for kind in ControllerKind::ALL {
        group.time(
            kind,
            Throughput::Elements(ACKNOWLEDGMENTS),
            || (after_loss(kind), sample(Instant::from_millis(2_000))),
            |(controller, ack)| {
                let mut controller = controller.clone();
                for _ in 0..ACKNOWLEDGMENTS {
                    ack.now += Duration::from_micros(100);
                    controller.on_ack(black_box(ack));
                }
                controller.window()
            },
        );
    }
}
