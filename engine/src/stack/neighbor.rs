//! The neighbour cache: link addresses of the hosts and routers on each link, learned by ARP
//! (RFC 826) and neighbour discovery (RFC 4861), which share the states of RFC 4861 section 7.3.
//!
//! It has a fixed number of entries. An entry is made when this stack wants to send, or when a
//! neighbour asks for one of our addresses; an advertisement that nobody asked for makes none. What
//! others caused, be it that they ask or that they are answered, never displaces an entry that
//! subflows use, so the cache cannot be flooded.

use super::batch::PortId;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddress;
use core::net::IpAddr;
use std::collections::HashMap;

/// How long a confirmed entry is believed (REACHABLE_TIME).
const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// Time between solicitations (RETRANS_TIMER).
const RETRANSMIT_TIME: Duration = Duration::from_secs(1);
/// Solicitations in a row without an answer.
const MAX_SOLICITATIONS: u8 = 3;
/// How long a neighbour that did not answer is left alone.
const FAILED_TIME: Duration = Duration::from_secs(1);

/// For whom a packet goes out.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A subflow sends.
    Subflow,
    /// The stack answers somebody: whoever can send to it can cause as many as he likes.
    Answer,
}

impl Purpose {
    /// Up to which class of expendability others make room for an entry.
    const fn displaces(self) -> u8 {
        match self {
            Self::Subflow => 3,
            Self::Answer => 1,
        }
    }
}

/// What is known of a neighbour that a packet is to be handed to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Resolution {
    /// Send it there.
    Known(MacAddress),
    /// Solicitations are under way: keep the packet.
    Pending,
    /// Nobody answers, or there is no room to ask: drop the packet.
    Unreachable,
}

/// A question to send: by broadcast or multicast, or to where the neighbour was last.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Solicitation {
    pub(super) port: PortId,
    pub(super) target: IpAddr,
    pub(super) to: Option<MacAddress>,
}

/// How a neighbour said where it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// It asked for one of our addresses and gave its own.
    Asking,
    /// It advertised itself; `solicited` when that answers a question of ours, `overrides` when
    /// what we knew is to be replaced.
    Advertising {
        /// It answers a question.
        solicited: bool,
        /// It replaces what was known.
        overrides: bool,
    },
}

#[derive(Copy, Clone, Debug)]
enum State {
    Incomplete {
        sent: u8,
        next: Instant,
    },
    Reachable {
        mac: MacAddress,
        until: Instant,
    },
    Stale {
        mac: MacAddress,
    },
    Probe {
        mac: MacAddress,
        sent: u8,
        next: Instant,
    },
    Failed {
        until: Instant,
    },
}

#[derive(Debug)]
struct Entry {
    port: PortId,
    address: IpAddr,
    state: State,
    /// When this stack last sent to it; `None` while only the neighbour has shown interest.
    used: Option<Instant>,
    /// When a subflow last sent to it.
    used_by_subflow: Option<Instant>,
}

impl Entry {
    /// What may go first when room is needed; `None` for what may not go.
    fn expendability(&self, now: Instant) -> Option<(u8, Instant)> {
        let in_use = self
            .used_by_subflow
            .is_some_and(|last| now.saturating_since(last) < REACHABLE_TIME);
        let class = match self.state {
            State::Failed { .. } => 0,
            _ if !in_use => 1,
            State::Incomplete { .. } => 2,
            State::Stale { .. } => 3,
            State::Reachable { .. } | State::Probe { .. } => return None,
        };
        Some((class, self.used.unwrap_or(Instant::ZERO)))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Incomplete { next, .. } | State::Probe { next, .. } => Some(next),
            State::Reachable { .. } | State::Stale { .. } | State::Failed { .. } => None,
        }
    }
}

/// The cache of all interfaces.
#[derive(Debug)]
pub(super) struct Neighbors {
    entries: Vec<Entry>,
    index: HashMap<(PortId, IpAddr), usize, ahash::RandomState>,
    max: usize,
    /// No entry has a deadline before this.
    next_deadline: Option<Instant>,
    /// Neighbours that were asked for when their entry made room for another.
    displaced: Vec<(PortId, IpAddr)>,
    /// Entries refused for want of room.
    refused: u64,
}

impl Neighbors {
    pub(super) fn new(max: usize, seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        Self {
            entries: Vec::new(),
            index: HashMap::with_hasher(ahash::RandomState::with_seeds(a, b, c, d)),
            max: max.max(1),
            next_deadline: None,
            displaced: Vec::new(),
            refused: 0,
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries were refused for want of room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Where to send a packet for `address`; starts to ask when that is not known.
    pub(super) fn resolve(
        &mut self,
        now: Instant,
        port: PortId,
        address: IpAddr,
        purpose: Purpose,
    ) -> Resolution {
        let Some(entry) = self.entry_mut(port, address) else {
            return self.begin(now, port, address, purpose);
        };
        entry.used = Some(now);
        if purpose == Purpose::Subflow {
            entry.used_by_subflow = Some(now);
        }
        let resolution = match entry.state {
            State::Reachable { mac, until } if now < until => return Resolution::Known(mac),
            State::Probe { mac, .. } => return Resolution::Known(mac),
            State::Reachable { mac, .. } | State::Stale { mac } => {
                entry.state = State::Probe {
                    mac,
                    sent: 0,
                    next: now,
                };
                Resolution::Known(mac)
            }
            State::Incomplete { .. } => return Resolution::Pending,
            State::Failed { until } if now < until => return Resolution::Unreachable,
            State::Failed { .. } => {
                entry.state = State::Incomplete { sent: 0, next: now };
                Resolution::Pending
            }
        };
        self.expect(now);
        resolution
    }

    fn begin(
        &mut self,
        now: Instant,
        port: PortId,
        address: IpAddr,
        purpose: Purpose,
    ) -> Resolution {
        let state = State::Incomplete { sent: 0, next: now };
        let entry = Entry {
            port,
            address,
            state,
            used: Some(now),
            used_by_subflow: (purpose == Purpose::Subflow).then_some(now),
        };
        if !self.insert(now, entry, purpose) {
            return Resolution::Unreachable;
        }
        self.expect(now);
        Resolution::Pending
    }

    /// A neighbour on the link of `port` said that `address` is at `mac`. True when packets that
    /// wait for it can go now.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        told: Told,
    ) -> bool {
        if !mac.is_unicast() {
            return false;
        }
        let Some(entry) = self.entry_mut(port, address) else {
            if told == Told::Asking {
                let entry = Entry {
                    port,
                    address,
                    state: State::Stale { mac },
                    used: None,
                    used_by_subflow: None,
                };
                self.insert(now, entry, Purpose::Answer);
            }
            return false;
        };
        let confirmed = State::Reachable {
            mac,
            until: now + REACHABLE_TIME,
        };
        let known = match entry.state {
            State::Incomplete { .. } | State::Failed { .. } => None,
            State::Reachable { mac, .. } | State::Stale { mac } | State::Probe { mac, .. } => {
                Some(mac)
            }
        };
        let (solicited, overrides) = match told {
            Told::Asking => (false, true),
            Told::Advertising {
                solicited,
                overrides,
            } => (solicited, overrides),
        };
        entry.state = match known {
            None if solicited => confirmed,
            None => State::Stale { mac },
            Some(known) if known == mac && solicited => confirmed,
            Some(known) if known == mac => return false,
            Some(_) if overrides && solicited => confirmed,
            Some(_) if overrides => State::Stale { mac },
            // Somebody else claims the address but does not insist: ask again before believing.
            Some(known) => State::Stale { mac: known },
        };
        known.is_none()
    }

    /// The next question that is due. Call until `None`. `failed` is called with each neighbour
    /// that is given up.
    pub(super) fn next_solicitation(
        &mut self,
        now: Instant,
        mut failed: impl FnMut(PortId, IpAddr),
    ) -> Option<Solicitation> {
        for (port, address) in self.displaced.drain(..) {
            failed(port, address);
        }
        if self.next_deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        for entry in &mut self.entries {
            if entry.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            let next = now + RETRANSMIT_TIME;
            let to = match entry.state {
                State::Incomplete { sent, .. } if sent < MAX_SOLICITATIONS => {
                    entry.state = State::Incomplete {
                        sent: sent + 1,
                        next,
                    };
                    None
                }
                State::Probe { mac, sent, .. } if sent < MAX_SOLICITATIONS => {
                    entry.state = State::Probe {
                        mac,
                        sent: sent + 1,
                        next,
                    };
                    Some(mac)
                }
                // Where it was it is no more: ask everybody, if a packet wants to go there.
                State::Probe { .. } => {
                    entry.state = State::Failed { until: now };
                    continue;
                }
                State::Incomplete { .. } => {
                    entry.state = State::Failed {
                        until: now + FAILED_TIME,
                    };
                    failed(entry.port, entry.address);
                    continue;
                }
                _ => continue,
            };
            return Some(Solicitation {
                port: entry.port,
                target: entry.address,
                to,
            });
        }
        self.next_deadline = self.entries.iter().filter_map(Entry::deadline).min();
        None
    }

    /// When [`Self::next_solicitation`] has something to do next.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Forgets what was learned by `port`, whose link went down: on its return hosts may have
    /// moved. `failed` is called with each neighbour that was being asked for.
    pub(super) fn forget_port(
        &mut self,
        now: Instant,
        port: PortId,
        mut failed: impl FnMut(PortId, IpAddr),
    ) {
        for entry in self.entries.iter_mut().filter(|entry| entry.port == port) {
            if matches!(entry.state, State::Incomplete { .. }) {
                failed(port, entry.address);
            }
            entry.state = State::Failed { until: now };
        }
    }

    fn expect(&mut self, deadline: Instant) {
        self.next_deadline = Some(
            self.next_deadline
                .map_or(deadline, |former| former.min(deadline)),
        );
    }

    fn entry_mut(&mut self, port: PortId, address: IpAddr) -> Option<&mut Entry> {
        let place = *self.index.get(&(port, address))?;
        self.entries.get_mut(place)
    }

    /// Adds an entry, in place of one that the purpose may displace when the cache is full.
    fn insert(&mut self, now: Instant, entry: Entry, purpose: Purpose) -> bool {
        let key = (entry.port, entry.address);
        if self.entries.len() < self.max {
            self.index.insert(key, self.entries.len());
            self.entries.push(entry);
            return true;
        }
        let victim = self
            .entries
            .iter()
            .enumerate()
            .filter_map(|(place, other)| Some((other.expendability(now)?, place)))
            .min()
            .filter(|((class, _), _)| *class <= purpose.displaces());
        let Some((_, place)) = victim else {
            self.refused += 1;
            return false;
        };
        if let Some(former) = self.entries.get_mut(place) {
            let former = core::mem::replace(former, entry);
            if matches!(former.state, State::Incomplete { .. }) {
                self.displaced.push((former.port, former.address));
            }
            self.index.remove(&(former.port, former.address));
            self.index.insert(key, place);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::interface::tests::ip;
    use super::*;

    const PORT: PortId = PortId(0);
    const ANSWER: Told = Told::Advertising {
        solicited: true,
        overrides: true,
    };

    fn mac(number: u8) -> MacAddress {
        MacAddress([2, 0, 0, 0, 1, number])
    }

    fn host(number: u32) -> IpAddr {
        IpAddr::V4(core::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    fn questions(cache: &mut Neighbors, now: Instant) -> (Vec<Solicitation>, Vec<IpAddr>) {
        let mut failed = Vec::new();
        let mut asked = Vec::new();
        while let Some(question) = cache.next_solicitation(now, |_, address| failed.push(address)) {
            asked.push(question);
        }
        (asked, failed)
    }

    #[test]
    fn asks_three_times_a_second_apart_and_gives_up_for_a_while() {
        let mut cache = Neighbors::new(4, [1; 4]);
        let address = ip("fd00::2");
        assert_eq!(
            cache.resolve(at(0), PORT, address, Purpose::Subflow),
            Resolution::Pending
        );
        let question = Solicitation {
            port: PORT,
            target: address,
            to: None,
        };
        for second in 0..3 {
            assert_eq!(questions(&mut cache, at(second)), (vec![question], vec![]));
            assert_eq!(questions(&mut cache, at(second)), (vec![], vec![]));
            assert_eq!(cache.next_timeout(), Some(at(second + 1)));
        }
        assert_eq!(questions(&mut cache, at(3)), (vec![], vec![address]));
        assert_eq!(
            cache.resolve(at(3), PORT, address, Purpose::Subflow),
            Resolution::Unreachable
        );
        assert_eq!(
            cache.resolve(at(4), PORT, address, Purpose::Subflow),
            Resolution::Pending
        );
        assert_eq!(questions(&mut cache, at(4)).0, [question]);
    }

    #[test]
    fn an_answer_resolves_and_is_confirmed_by_unicast_when_it_ages() {
        let mut cache = Neighbors::new(4, [1; 4]);
        cache.resolve(at(0), PORT, host(1), Purpose::Subflow);
        questions(&mut cache, at(0));
        assert!(cache.learn(at(0), PORT, host(1), mac(1), ANSWER));
        assert_eq!(
            cache.resolve(at(29), PORT, host(1), Purpose::Subflow),
            Resolution::Known(mac(1))
        );
        assert_eq!(questions(&mut cache, at(29)).0, []);
        assert_eq!(
            cache.resolve(at(31), PORT, host(1), Purpose::Subflow),
            Resolution::Known(mac(1))
        );
        let probe = Solicitation {
            port: PORT,
            target: host(1),
            to: Some(mac(1)),
        };
        assert_eq!(questions(&mut cache, at(31)).0, [probe]);
        assert!(!cache.learn(at(31), PORT, host(1), mac(1), ANSWER));
        assert_eq!(questions(&mut cache, at(40)).0, []);
    }

    #[test]
    fn a_neighbour_that_moved_is_asked_for_again() {
        let mut cache = Neighbors::new(4, [1; 4]);
        cache.learn(at(0), PORT, host(1), mac(1), Told::Asking);
        assert_eq!(
            cache.resolve(at(0), PORT, host(1), Purpose::Subflow),
            Resolution::Known(mac(1))
        );
        for second in 0..4 {
            questions(&mut cache, at(second));
        }
        assert_eq!(
            cache.resolve(at(4), PORT, host(1), Purpose::Subflow),
            Resolution::Pending
        );
        assert!(cache.learn(at(4), PORT, host(1), mac(9), ANSWER));
        assert_eq!(
            cache.resolve(at(4), PORT, host(1), Purpose::Subflow),
            Resolution::Known(mac(9))
        );
    }

    #[test]
    fn unasked_advertisements_make_no_entry() {
        let mut cache = Neighbors::new(4, [1; 4]);
        assert!(!cache.learn(at(0), PORT, host(1), mac(1), ANSWER));
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_claim_that_does_not_override_is_verified() {
        let mut cache = Neighbors::new(4, [1; 4]);
        cache.resolve(at(0), PORT, host(1), Purpose::Subflow);
        cache.learn(at(0), PORT, host(1), mac(1), ANSWER);
        let claim = Told::Advertising {
            solicited: false,
            overrides: false,
        };
        cache.learn(at(1), PORT, host(1), mac(66), claim);
        assert_eq!(
            cache.resolve(at(1), PORT, host(1), Purpose::Subflow),
            Resolution::Known(mac(1))
        );
        assert_eq!(questions(&mut cache, at(1)).0.len(), 1);
    }

    #[test]
    fn a_flood_of_askers_displaces_only_itself() {
        let mut cache = Neighbors::new(8, [1; 4]);
        cache.resolve(at(0), PORT, host(1), Purpose::Subflow);
        cache.learn(at(0), PORT, host(1), mac(1), ANSWER);
        cache.learn(at(0), PORT, host(2), mac(2), Told::Asking);
        cache.resolve(at(1), PORT, host(2), Purpose::Subflow);
        for number in 100..10_000 {
            cache.learn(at(2), PORT, host(number), mac(66), Told::Asking);
        }
        assert_eq!(cache.len(), 8);
        assert_eq!(
            cache.resolve(at(2), PORT, host(1), Purpose::Subflow),
            Resolution::Known(mac(1))
        );
        assert_eq!(
            cache.resolve(at(2), PORT, host(2), Purpose::Subflow),
            Resolution::Known(mac(2))
        );
        assert_eq!(
            cache.resolve(at(2), PORT, host(3), Purpose::Subflow),
            Resolution::Pending
        );
    }

    #[test]
    fn a_cache_of_live_neighbours_refuses_more() {
        let mut cache = Neighbors::new(3, [1; 4]);
        for number in 0..3 {
            cache.resolve(at(0), PORT, host(number), Purpose::Subflow);
            cache.learn(at(0), PORT, host(number), mac(1), ANSWER);
        }
        assert_eq!(
            cache.resolve(at(1), PORT, host(9), Purpose::Subflow),
            Resolution::Unreachable
        );
        cache.learn(at(1), PORT, host(9), mac(9), Told::Asking);
        assert_eq!((cache.len(), cache.refused()), (3, 2));
    }
}
