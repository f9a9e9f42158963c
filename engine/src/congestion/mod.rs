//! Congestion control of one subflow (RFC 5681), in bytes, with the time as an argument.
//!
//! What every algorithm shares lives here: the window, slow start, restart after idle, undo.
//! An `Algorithm` says how the window grows in congestion avoidance and what is left of it after
//! a loss. A further one is a file beside the others, a variant of `Algorithm` and a name in
//! [`ControllerKind`].

mod balia;
mod coupling;
mod cubic;
mod hystart;
mod kind;
mod lia;
mod olia;
mod reno;
#[cfg(test)]
mod tests;
mod window;

pub use coupling::{Coupling, PathSample, Shift};
pub use kind::{ControllerKind, UnknownController};
pub use window::initial_window;

use crate::time::{Duration, Instant};
use balia::Balia;
use cubic::Cubic;
use lia::Lia;
use olia::Olia;
use reno::Reno;
use window::Window;

/// What an acknowledgement tells congestion control.
#[derive(Copy, Clone, Debug)]
pub struct AckSample {
    /// When the acknowledgement arrived.
    pub now: Instant,
    /// Bytes that it newly acknowledged, cumulatively or by SACK.
    pub acked: u32,
    /// The round-trip time it measured, if it measured one.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time (RFC 6298), this measurement included.
    pub srtt: Duration,
    /// The least round-trip time seen.
    pub min_rtt: Duration,
    /// Bytes in flight before it arrived.
    pub in_flight: u32,
    /// True when the window was what held sending back: only then may it grow (RFC 7661). That
    /// is: since the last acknowledgement the bytes in flight came within a segment of the
    /// window, or in slow start to half of it, for there the window doubles each round trip.
    pub cwnd_limited: bool,
    /// True during fast recovery, in which the window does not grow. False in the slow start
    /// after a retransmission timeout.
    pub in_recovery: bool,
    /// What the connection published about all its subflows.
    pub coupling: Coupling,
}

/// The part of congestion control in which algorithms differ.
#[derive(Copy, Clone, Debug)]
enum Algorithm {
    Cubic(Cubic),
    Reno(Reno),
    Lia(Lia),
    Olia(Olia),
    Balia(Balia),
}

impl Algorithm {
    fn new(kind: ControllerKind) -> Self {
        match kind {
            ControllerKind::Cubic => Self::Cubic(Cubic::default()),
            ControllerKind::Reno => Self::Reno(Reno),
            ControllerKind::Lia => Self::Lia(Lia),
            ControllerKind::Olia => Self::Olia(Olia::default()),
            ControllerKind::Balia => Self::Balia(Balia::default()),
        }
    }

    /// Looks at every acknowledgement, whether the window may grow or not.
    fn observe(&mut self, window: &Window, ack: &AckSample) {
        match self {
            Self::Olia(olia) => olia.count(ack.acked),
            Self::Balia(balia) => balia.compare(window, ack),
            Self::Cubic(_) | Self::Reno(_) | Self::Lia(_) => {}
        }
    }

    /// How many bytes the window grows by when `acked` bytes are acknowledged in congestion
    /// avoidance; less than none when it shrinks.
    fn increase(&mut self, window: &Window, acked: f64, ack: &AckSample) -> f64 {
        match self {
            Self::Cubic(cubic) => cubic.increase(window, acked, ack),
            Self::Reno(reno) => reno.increase(window, acked),
            Self::Lia(lia) => lia.increase(window, acked, &ack.coupling),
            Self::Olia(olia) => olia.increase(window, acked, ack),
            Self::Balia(balia) => balia.increase(window, acked, ack),
        }
    }

    /// The slow-start threshold after a loss with `in_flight` bytes outstanding.
    fn reduce(&mut self, window: &Window, in_flight: f64) -> f64 {
        match self {
            Self::Cubic(cubic) => cubic.reduce(window, in_flight),
            Self::Reno(reno) => reno.reduce(in_flight),
            Self::Lia(lia) => lia.reduce(in_flight),
            Self::Olia(olia) => olia.reduce(in_flight),
            Self::Balia(balia) => balia.reduce(in_flight),
        }
    }
}

/// What to go back to when a loss turns out to have been none.
#[derive(Copy, Clone, Debug)]
struct BeforeReduction {
    window: Window,
    algorithm: Algorithm,
}

/// Congestion control of one subflow: how many bytes may be in flight.
#[derive(Clone, Debug)]
pub struct Controller {
    window: Window,
    algorithm: Algorithm,
    before_reduction: Option<BeforeReduction>,
}

/// A [`Controller`] with nothing under way. What it would take back if the last loss was none is given up,
/// and slow start begins a new round.
#[derive(Clone, Debug)]
pub struct RestingController {
    window: Window,
    kind: ControllerKind,
    /// The memory of the algorithm, where it has any.
    algorithm: Option<Box<Algorithm>>,
}

impl RestingController {
    /// The controller as it was.
    pub fn wake(&self) -> Controller {
        let algorithm = self.algorithm.as_deref().copied();
        Controller {
            window: self.window,
            algorithm: algorithm.unwrap_or_else(|| Algorithm::new(self.kind)),
            before_reduction: None,
        }
    }
}

impl Controller {
    /// What is left of it while nothing is under way.
    pub fn rest(&self) -> RestingController {
        let has_memory = match &self.algorithm {
            Algorithm::Cubic(cubic) => cubic.has_lost(),
            Algorithm::Reno(Reno) | Algorithm::Lia(Lia) => false,
            Algorithm::Olia(_) | Algorithm::Balia(_) => true,
        };
        RestingController {
            window: self.window,
            kind: self.kind(),
            algorithm: has_memory.then(|| Box::new(self.algorithm)),
        }
    }

    /// A controller at the initial window (RFC 6928) for segments of `mss` bytes of payload.
    pub fn new(kind: ControllerKind, mss: u32) -> Self {
        Self {
            window: Window::new(mss),
            algorithm: Algorithm::new(kind),
            before_reduction: None,
        }
    }

    /// Which algorithm this is.
    pub const fn kind(&self) -> ControllerKind {
        match self.algorithm {
            Algorithm::Cubic(_) => ControllerKind::Cubic,
            Algorithm::Reno(_) => ControllerKind::Reno,
            Algorithm::Lia(_) => ControllerKind::Lia,
            Algorithm::Olia(_) => ControllerKind::Olia,
            Algorithm::Balia(_) => ControllerKind::Balia,
        }
    }

    /// The congestion window: how many bytes may be in flight. At least one segment.
    pub fn window(&self) -> u32 {
        self.window.bytes()
    }

    /// The slow-start threshold in bytes; `u32::MAX` while no loss has been seen.
    pub fn ssthresh(&self) -> u32 {
        self.window.threshold()
    }

    /// True while the window is below the slow-start threshold.
    pub fn in_slow_start(&self) -> bool {
        self.window.in_slow_start()
    }

    /// Lets the window grow by what an acknowledgement allows.
    pub fn on_ack(&mut self, ack: &AckSample) {
        self.algorithm.observe(&self.window, ack);
        if ack.in_recovery || ack.acked == 0 {
            return;
        }
        if !ack.cwnd_limited {
            if let Algorithm::Cubic(cubic) = &mut self.algorithm {
                cubic.pause(ack.now);
            }
            return;
        }
        let acked = f64::from(ack.acked);
        let left = if self.window.in_slow_start() {
            self.slow_start(acked, ack)
        } else {
            acked
        };
        if left > 0.0 {
            let growth = self.algorithm.increase(&self.window, left, ack);
            if growth < 0.0 {
                self.window.give_way(-growth);
            } else {
                self.window.grow(growth);
            }
        }
    }

    /// A loss was detected and fast recovery begins: call it once for each recovery.
    ///
    /// `in_flight` is the FlightSize of RFC 5681: bytes sent and not cumulatively acknowledged
    /// when the loss was found, those deemed lost among them.
    pub fn on_loss(&mut self, _now: Instant, in_flight: u32) {
        self.remember();
        let flight = self.window.limit_flight(in_flight);
        let threshold = self.algorithm.reduce(&self.window, flight);
        self.window.reduce_to(threshold);
    }

    /// The retransmission timer fired with `in_flight` bytes (FlightSize) outstanding: the window
    /// becomes one segment. The threshold is lowered by the first of several timeouts in a row
    /// only (RFC 5681 section 3.1).
    pub fn on_timeout(&mut self, _now: Instant, in_flight: u32) {
        if !self.window.is_single_segment() {
            self.remember();
            let flight = self.window.limit_flight(in_flight);
            let threshold = self.algorithm.reduce(&self.window, flight);
            self.window.reduce_to(threshold);
            self.window.collapse();
        }
        if let Algorithm::Cubic(cubic) = &mut self.algorithm {
            cubic.on_timeout();
        }
    }

    /// The last loss or timeout was spurious (RFC 3522, RFC 5682, DSACK): window, threshold and
    /// the algorithm's memory are what they were before it.
    pub fn on_spurious(&mut self) {
        if let Some(before) = self.before_reduction.take() {
            self.window.restore(&before.window);
            self.algorithm = before.algorithm;
        }
    }

    /// Sending resumes after nothing was sent or outstanding for `idle`. When that is longer than
    /// the retransmission timeout `rto` the window falls back to the restart window (RFC 5681
    /// section 4.1), and the threshold remembers three quarters of it (RFC 7661 section 4.4.3),
    /// so that slow start soon reaches it again.
    pub fn on_idle(&mut self, now: Instant, idle: Duration, rto: Duration) {
        if idle > rto {
            self.window.restart();
        }
        if let Algorithm::Cubic(cubic) = &mut self.algorithm {
            cubic.pause(now - idle);
        }
    }

    /// The path's segment size changed. Before anything was acknowledged or lost the initial
    /// window follows it; later the window stays what it is in bytes, but at least one segment.
    pub fn set_mss(&mut self, mss: u32) {
        self.window.set_mss(mss);
    }

    /// Bytes that the path carried between two losses, as OLIA measures them: the last whole
    /// interval or the present one, whichever is more. Zero under any other algorithm.
    pub fn bytes_between_losses(&self) -> u64 {
        match &self.algorithm {
            Algorithm::Olia(olia) => olia.bytes_between_losses(),
            _ => 0,
        }
    }

    /// OLIA's alpha of this subflow ([`Shift::alpha`]); no other algorithm has one.
    pub fn set_shift(&mut self, alpha: f64) {
        let remembered = self.before_reduction.as_mut();
        let remembered = remembered.map(|before| &mut before.algorithm);
        for algorithm in [Some(&mut self.algorithm), remembered]
            .into_iter()
            .flatten()
        {
            if let Algorithm::Olia(olia) = algorithm {
                olia.set_alpha(alpha);
            }
        }
    }

    /// Goes on with another algorithm from the same window and threshold. The same kind keeps
    /// what it knows.
    pub fn switch(&mut self, kind: ControllerKind) {
        if self.kind() != kind {
            self.algorithm = Algorithm::new(kind);
            self.before_reduction = None;
        }
    }

    /// Grows the window in slow start and returns how many of the acknowledged bytes are left for
    /// congestion avoidance.
    fn slow_start(&mut self, acked: f64, ack: &AckSample) -> f64 {
        let acked = match &mut self.algorithm {
            // HyStart++ is for the first slow start, while no threshold is known (RFC 9406
            // section 4.3).
            Algorithm::Cubic(cubic) if !self.window.has_threshold() => {
                match cubic.hystart.on_ack(ack) {
                    hystart::Growth::Full => acked,
                    hystart::Growth::Divided(by) => acked / by,
                    hystart::Growth::Over => {
                        self.window.leave_slow_start();
                        return acked;
                    }
                }
            }
            _ => acked,
        };
        self.window.slow_start(acked)
    }

    fn remember(&mut self) {
        let Self {
            window, algorithm, ..
        } = self;
        self.before_reduction = Some(BeforeReduction {
            window: *window,
            algorithm: *algorithm,
        });
    }
}
