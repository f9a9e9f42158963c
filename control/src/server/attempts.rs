//! A connect() to one of several addresses: they are tried in order until one answers, all of them
//! within the time that one connect() may take.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::home::ConnectionName;
use super::table::Key;

/// How long a connect() may take without TCP_USER_TIMEOUT: a SYN and six repetitions, the last of
/// which is waited for (RFC 6298 section 5; tcp_syn_retries of tcp(7)).
const CONNECT_TIME: Duration = Duration::from_secs(127);

/// What is left to try for a socket.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) socket: Key,
    /// The one that is under way.
    pub(super) connection: ConnectionName,
    /// It gives way to the next one then.
    pub(super) due: Instant,
    pub(super) rest: Addresses,
}

/// Addresses that were not tried yet, and until when they may be.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    left: VecDeque<SocketAddr>,
    all: Vec<SocketAddr>,
    end: Instant,
}

impl Addresses {
    pub(super) fn new(all: Vec<SocketAddr>, now: Instant, user_timeout: Option<Duration>) -> Self {
        Self {
            left: all.iter().copied().collect(),
            all,
            end: now + user_timeout.unwrap_or(CONNECT_TIME),
        }
    }

    /// The next address, and when it has to have answered: each has an equal share of the time that
    /// is left. `None` once there is none, or no time.
    pub(super) fn next(&mut self, now: Instant) -> Option<(SocketAddr, Instant)> {
        let left = u32::try_from(self.left.len()).unwrap_or(u32::MAX);
        let time = self.end.saturating_duration_since(now);
        if time.is_zero() {
            return None;
        }
        let address = self.left.pop_front()?;
        Some((address, now + time / left.max(1)))
    }

    /// Whether there is more than one, of which any is to be tried.
    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The others: where further subflows go.
    pub(super) fn but(&self, one: SocketAddr) -> Vec<SocketAddr> {
        let others = self.all.iter().copied();
        others.filter(|address| *address != one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_share_the_time() {
        let all: Vec<SocketAddr> = (1..=3)
            .map(|port| SocketAddr::from(([10, 0, 0, 1], port)))
            .collect();
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut addresses = Addresses::new(all.clone(), now, Some(9 * second));
        assert_eq!(addresses.next(now), Some((all[0], now + 3 * second)));
        // The first has failed early.
        let later = now + second;
        assert_eq!(addresses.next(later), Some((all[1], later + 4 * second)));
        assert_eq!(addresses.but(all[1]), [all[0], all[2]]);
        assert_eq!(addresses.next(now + 9 * second), None);
        assert_eq!(addresses.next(later), Some((all[2], now + 9 * second)));
        assert_eq!(addresses.next(later), None);
    }
}
