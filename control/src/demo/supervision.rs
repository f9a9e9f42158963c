//! What goes on beside a transfer: a link is cut and restored, and the progress is shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::engine_host::Gate;
use crate::lab::LabError;
use crate::lab::link::Link;
use crate::lab::namespace::Namespace;
use crate::lab::netlink::RouteSocket;
use crate::peer::Progress;

/// How often a supervisor looks.
const INTERVAL: Duration = Duration::from_millis(1);

/// How long the only link is cut: nothing arrives meanwhile that could tell the time.
const OUTAGE: Duration = Duration::from_millis(300);

/// How a link is cut.
enum Knife<'a> {
    /// The kernel's interface goes down.
    Interface { routes: RouteSocket, name: String },
    /// The engine at the other end is told that its link is down.
    Gate(&'a Gate),
}

impl Knife<'_> {
    fn set_link(&mut self, up: bool) -> Result<(), LabError> {
        match self {
            Self::Interface { routes, name } => routes.set_up(name, up),
            Self::Gate(gate) => {
                gate.set(up);
                Ok(())
            }
        }
    }
}

/// A link to be cut and restored while a transfer runs.
pub struct Cut<'a> {
    knife: Knife<'a>,
    stage: Stage,
    cut_at: u64,
    restore_at: u64,
    /// No other link is left, so that only time can end the outage.
    only_link: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    Whole,
    Severed { since: Instant },
    Restored,
}

impl<'a> Cut<'a> {
    /// Cuts the last of `links` links after a quarter of `bytes` and restores it after the half; the
    /// only link is restored a third of a second later.
    ///
    /// `namespace` is the host whose interface goes down; the other one sees its frames vanish.
    pub fn in_the_middle(namespace: &Namespace, links: u8, bytes: u64) -> Result<Self, LabError> {
        let routes = namespace.routes()?;
        let name = Link(links).interface();
        let knife = Knife::Interface { routes, name };
        Ok(Self::with(knife, bytes, links == 1))
    }

    /// The same by closing and opening the gate of the last link.
    pub(super) fn at_gate(gate: &'a Gate, links: u8, bytes: u64) -> Self {
        Self::with(Knife::Gate(gate), bytes, links == 1)
    }

    fn with(knife: Knife<'a>, bytes: u64, only_link: bool) -> Self {
        Self {
            knife,
            stage: Stage::Whole,
            cut_at: bytes / 4,
            restore_at: bytes / 2,
            only_link,
        }
    }

    /// Takes the step, if any, that is due when `received` bytes have arrived.
    fn step(&mut self, received: u64) -> Result<(), LabError> {
        match self.stage {
            Stage::Whole if received >= self.cut_at => {
                self.knife.set_link(false)?;
                let since = Instant::now();
                self.stage = Stage::Severed { since };
            }
            Stage::Severed { since }
                if received >= self.restore_at || (self.only_link && since.elapsed() >= OUTAGE) =>
            {
                self.knife.set_link(true)?;
                self.stage = Stage::Restored;
            }
            _ => {}
        }
        Ok(())
    }

    fn describe(&self) -> &'static str {
        match self.stage {
            Stage::Whole => "",
            Stage::Severed { .. } if self.only_link => "the only link cut",
            Stage::Severed { .. } => "one link cut",
            Stage::Restored => "link restored",
        }
    }

    /// Restores the link if the transfer ended while it was cut.
    fn finish(&mut self) -> Result<bool, LabError> {
        let was_cut = self.stage != Stage::Whole;
        if matches!(self.stage, Stage::Severed { .. }) {
            self.knife.set_link(true)?;
            self.stage = Stage::Restored;
        }
        Ok(was_cut)
    }
}

/// Ends the supervisor however the transfer ends. One left behind by a panic would never return,
/// and the panic with it.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `transfer` and supervises it from a second thread until it returns.
///
/// Gives what the transfer gave, and whether a link was cut meanwhile.
pub fn supervise<T>(
    progress: &Progress,
    bar: &ProgressBar,
    mut cut: Option<Cut<'_>>,
    transfer: impl FnOnce() -> T,
) -> Result<(T, bool), LabError> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let supervisor = scope.spawn(|| -> Result<bool, LabError> {
            while !over.load(Ordering::Acquire) {
                let received = progress.received();
                if let Some(cut) = &mut cut {
                    cut.step(received)?;
                    bar.set_message(cut.describe());
                }
                bar.set_position(received);
                thread::sleep(INTERVAL);
            }
            bar.set_position(progress.received());
            bar.abandon();
            cut.as_mut().map_or(Ok(false), Cut::finish)
        });
        let given = {
            let _over = Over(&over);
            transfer()
        };
        match supervisor.join() {
            Ok(was_cut) => Ok((given, was_cut?)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_panic_in_a_transfer_is_not_waited_for() {
        let (ended, wait) = mpsc::channel();
        thread::spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let bar = ProgressBar::hidden();
                supervise(&Progress::default(), &bar, None, || {
                    panic!("as the test asks")
                })
                .map(|((), was_cut)| was_cut)
            }));
            ended.send(result.is_err()).unwrap();
        });
        assert_eq!(wait.recv_timeout(Duration::from_secs(10)), Ok(true));
    }
}
