//! The timers of a connection: few enough to be looked through.

use super::context::Context;
use super::error::ConnectionError;
use super::send::Wait;
use super::{Connection, Mode};
use crate::mptcp::message::ToSubflow;
use crate::time::Instant;
use crate::wire::mptcp_option::ResetReason;

impl Connection {
    pub(super) fn earliest_timer(&self) -> Option<Instant> {
        let echo = match self.mode {
            Mode::AwaitingEcho { due } => Some(due),
            _ => None,
        };
        let answers = self
            .views
            .iter()
            .filter_map(|view| view.remarks().answer_due)
            .min();
        let closings = self
            .views
            .iter()
            .filter_map(|view| view.remarks().close_due)
            .min();
        [
            self.send.timer.map(|timer| timer.due),
            self.fastclose.as_ref().map(|fastclose| fastclose.due),
            self.join_due,
            self.close_due,
            self.hold.next_timeout(),
            echo,
            answers,
            closings,
            self.path_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn fire_timers(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        if let Some(timer) = self.send.timer
            && timer.due <= now
        {
            self.on_send_timer(timer.wait, cx);
        }
        if self
            .fastclose
            .as_ref()
            .is_some_and(|fastclose| fastclose.due <= now)
        {
            self.repeat_fastclose(cx);
        }
        if self.join_due.is_some_and(|due| due <= now) {
            self.join_due = None;
            self.fail(ConnectionError::PathsLost, cx);
            // Joins under way come too late.
            self.reset_all(&Default::default(), None, cx);
        }
        if self.close_due.is_some_and(|due| due <= now) {
            self.on_close_timeout(cx);
        }
        if let Mode::AwaitingEcho { due } = self.mode
            && due <= now
        {
            self.on_echo_timeout(cx);
        }
        // What it lets go is granted by what follows the timers.
        self.hold.fire(now);
        self.reset_silent(cx);
        self.reset_lingering(cx);
    }

    fn on_send_timer(&mut self, wait: Wait, cx: &mut Context<'_>) {
        self.send.timer = None;
        self.send.backoff = self.send.backoff.saturating_add(1);
        match wait {
            Wait::DataAck if self.send.backoff > self.config.data_retries => {
                self.fail(ConnectionError::TimedOut, cx);
                self.reset_all(&Default::default(), None, cx);
            }
            Wait::DataAck => self.on_data_timeout(cx),
            // A closed window may stay closed: it is probed for as long as the peer answers.
            Wait::Window => {
                cx.counters.window_probes += 1;
                for view in self.views.iter().filter(|view| view.is_ready()) {
                    cx.out.send(view.handle, ToSubflow::Probe);
                }
            }
        }
    }

    /// Gives up the subflows to an address that the peer removed and that answered no probe.
    fn reset_silent(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.views.len() {
            if let Some(view) = self.views.get_mut(index)
                && view.remarks().answer_due.is_some_and(|due| due <= cx.now)
            {
                view.remarks_mut().answer_due = None;
                let handle = view.handle;
                cx.counters.remove_subflow += 1;
                self.reset_view(handle, Some(ResetReason::UnacceptablePerformance), cx);
            }
        }
    }
}
