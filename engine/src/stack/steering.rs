//! Which worker a flow belongs to, where the stacks of several workers are one host.
//!
//! The answer follows from the flow alone, by the hash that ports use to spread what they receive
//! (receive-side scaling), so that most frames arrive where they belong. A frame that arrives
//! elsewhere, because its port hashes otherwise or not at all, is handed over: each flow is on
//! exactly one worker whatever the ports do.
//!
//! When a worker has ended, its flows are shared by those that are left; the others stay where they
//! are.

use crate::storage::flow_table::FourTuple;
use crate::wire::mptcp_option::Token;
use core::net::IpAddr;
use core::num::NonZeroU8;

/// Entries of the indirection table that leads from a hash to a queue.
const INDIRECTION: u32 = 128;

/// The multiplier of Fibonacci hashing: 2^32 over the golden ratio.
const GOLDEN: u32 = 0x9E37_79B1;

/// Names one of the workers of a host, counted from zero.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WorkerId(u8);

impl WorkerId {
    /// The worker that a host with a single one has.
    pub const FIRST: Self = Self(0);

    /// The worker of this number. One that the host has not is as though it were not there: nothing
    /// is sent to it.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its number, to find it in a list of all.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How the addresses and ports of a flow select a worker.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum FlowHash {
    /// Fibonacci hashing of the two ports alone, which a filter of classic BPF can compute
    /// (PACKET_FANOUT_CBPF): with `ports` the remote port in the upper and the local one in the
    /// lower half of 32 bits, `(ports * 0x9E3779B1 >> 16) * workers >> 16`.
    #[default]
    Ports,
    /// The Toeplitz hash of network cards with this key, over addresses and ports as they come in;
    /// its lowest seven bits lead to the queues in turn.
    Toeplitz([u8; 40]),
}

impl FlowHash {
    /// Which of so many workers.
    fn select(&self, flow: &FourTuple, workers: NonZeroU8) -> WorkerId {
        let workers = u32::from(workers.get());
        let selected = match self {
            Self::Ports => scale(ports_hash(flow), workers),
            Self::Toeplitz(key) => toeplitz(key, flow) % INDIRECTION % workers,
        };
        WorkerId(selected as u8)
    }
}

fn ports_hash(flow: &FourTuple) -> u32 {
    let ports = u32::from(flow.remote.port()) << 16 | u32::from(flow.local.port());
    ports.wrapping_mul(GOLDEN)
}

/// One of `count` by a hash. The lower bits of a product know little of the upper ones of its factor,
/// and Linux hands out ephemeral ports of one parity: so the highest decide.
const fn scale(hash: u32, count: u32) -> u32 {
    ((hash >> 16) * count) >> 16
}

/// What a flow of this hash weighs at a worker. Both are mixed well, as hashes of flows differ in few
/// bits (the finalizer of MurmurHash3).
const fn weight(hash: u32, worker: WorkerId) -> u32 {
    let mixed = hash ^ (worker.0 as u32 + 1).wrapping_mul(GOLDEN);
    let mixed = (mixed ^ mixed >> 16).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    mixed ^ mixed >> 16
}

/// The hash over source address, destination address, source port and destination port of a
/// received segment.
fn toeplitz(key: &[u8; 40], flow: &FourTuple) -> u32 {
    let mut input = [0; 36];
    let length = match (flow.remote.ip(), flow.local.ip()) {
        (IpAddr::V4(remote), IpAddr::V4(local)) => {
            input[..4].copy_from_slice(&remote.octets());
            input[4..8].copy_from_slice(&local.octets());
            8
        }
        (remote, local) => {
            input[..16].copy_from_slice(&ipv6_octets(remote));
            input[16..32].copy_from_slice(&ipv6_octets(local));
            32
        }
    };
    input[length..length + 2].copy_from_slice(&flow.remote.port().to_be_bytes());
    input[length + 2..length + 4].copy_from_slice(&flow.local.port().to_be_bytes());
    let mut window = u64::from_be_bytes([
        key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
    ]);
    let mut hash = 0;
    for (place, byte) in input[..length + 4].iter().enumerate() {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                hash ^= (window >> 32) as u32;
            }
            window <<= 1;
        }
        window |= u64::from(key.get(place + 8).copied().unwrap_or_default());
    }
    hash
}

fn ipv6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The rule by which the workers of a host share its flows; the same on all of them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Steering {
    workers: NonZeroU8,
    hash: FlowHash,
    /// The workers that have ended, a bit for each; never all of them.
    lost: u32,
}

impl Steering {
    /// The most workers that a host may have.
    pub const MAX_WORKERS: u8 = 32;

    /// The rule of a host with a single worker.
    pub const ALONE: Self = Self {
        workers: NonZeroU8::MIN,
        hash: FlowHash::Ports,
        lost: 0,
    };

    /// The rule for so many workers, 1 to [`Self::MAX_WORKERS`]; `None` for another number.
    pub const fn new(workers: u8, hash: FlowHash) -> Option<Self> {
        match NonZeroU8::new(workers) {
            Some(count) if workers <= Self::MAX_WORKERS => Some(Self {
                workers: count,
                hash,
                lost: 0,
            }),
            _ => None,
        }
    }

    /// How many workers there are.
    pub const fn workers(&self) -> u8 {
        self.workers.get()
    }

    /// How a flow selects a worker.
    pub const fn hash(&self) -> FlowHash {
        self.hash
    }

    /// There is only one worker.
    pub const fn is_alone(&self) -> bool {
        self.workers.get() == 1
    }

    /// The worker that a flow of this host belongs to.
    pub fn worker_of(&self, flow: &FourTuple) -> WorkerId {
        if self.is_alone() {
            return WorkerId::FIRST;
        }
        let selected = self.hash.select(flow, self.workers);
        if self.has_lost(selected) {
            self.substitute(flow)
        } else {
            selected
        }
    }

    /// Who takes a flow of a worker that has ended: the one that lives and has the greatest weight for
    /// it (rendezvous hashing). So each of those that are left has its share, and what one of them has
    /// taken stays with it when another ends.
    fn substitute(&self, flow: &FourTuple) -> WorkerId {
        let hash = ports_hash(flow);
        let living = self.all().filter(|worker| !self.has_lost(*worker));
        let heaviest = living.max_by_key(|worker| weight(hash, *worker));
        heaviest.unwrap_or(WorkerId::FIRST)
    }

    /// The rule once a worker has ended too. The last that lives is never without its flows.
    #[must_use]
    pub fn without(self, worker: WorkerId) -> Self {
        let bit = self.bit(worker);
        let lost = self.lost | bit;
        let all_lost = lost.count_ones() == u32::from(self.workers.get());
        Self {
            lost: if all_lost { self.lost } else { lost },
            ..self
        }
    }

    /// A worker of this host has ended.
    pub fn has_lost(&self, worker: WorkerId) -> bool {
        self.lost & self.bit(worker) != 0
    }

    /// The bit of a worker; none for one that there is not.
    fn bit(&self, worker: WorkerId) -> u32 {
        if worker.0 < self.workers.get() {
            1_u32.checked_shl(worker.0.into()).unwrap_or_default()
        } else {
            0
        }
    }

    /// The worker that is home to the connection of a token of this host.
    pub fn home_of(&self, token: Token) -> WorkerId {
        self.nth(token.0)
    }

    /// The worker that comes so many after another, all in turn.
    pub fn after(&self, worker: WorkerId, steps: u32) -> WorkerId {
        self.nth(u32::from(worker.0).wrapping_add(steps % u32::from(self.workers.get())))
    }

    fn nth(&self, number: u32) -> WorkerId {
        WorkerId((number % u32::from(self.workers.get())) as u8)
    }

    /// All workers.
    pub fn all(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.workers.get()).map(WorkerId)
    }
}

impl Default for Steering {
    fn default() -> Self {
        Self::ALONE
    }
}

/// Which worker of its host a stack is of.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    worker: WorkerId,
    steering: Steering,
}

impl Place {
    /// The place of one worker; `None` when the host has no such worker.
    pub const fn new(worker: WorkerId, steering: Steering) -> Option<Self> {
        if worker.0 < steering.workers() {
            Some(Self { worker, steering })
        } else {
            None
        }
    }

    /// The worker.
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// How the host's workers share flows.
    pub const fn steering(&self) -> &Steering {
        &self.steering
    }

    /// There is no other worker, nor ever was.
    pub const fn is_alone(&self) -> bool {
        self.steering.is_alone()
    }

    /// Another worker has ended.
    pub(super) fn lose(&mut self, worker: WorkerId) {
        if worker != self.worker {
            self.steering = self.steering.without(worker);
        }
    }

    /// A flow of this host belongs to this worker.
    pub fn owns(&self, flow: &FourTuple) -> bool {
        self.steering.worker_of(flow) == self.worker
    }

    /// This worker is home to the connection of a token of this host.
    pub fn is_home_of(&self, token: Token) -> bool {
        self.steering.home_of(token) == self.worker
    }

    /// Every worker but this one.
    pub fn others(&self) -> impl Iterator<Item = WorkerId> + use<> {
        let own = self.worker;
        self.steering.all().filter(move |worker| *worker != own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;

    /// The key and the vectors of Microsoft's "Verifying the RSS Hash Calculation".
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn flow(destination: &str, source: &str) -> FourTuple {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("a valid address");
        FourTuple {
            local: parse(destination),
            remote: parse(source),
        }
    }

    #[test]
    fn toeplitz_gives_the_published_hashes() {
        let vectors = [
            ("161.142.100.80:1766", "66.9.149.187:2794", 0x51cc_c178),
            ("65.69.140.83:4739", "199.92.111.2:14230", 0xc626_b0ea),
            ("12.22.207.184:38024", "24.19.198.95:12898", 0x5c2b_394a),
            ("209.142.163.6:2217", "38.27.205.30:48228", 0xafc7_327f),
            ("202.188.127.2:1303", "153.39.163.191:44251", 0x10e8_28a2),
            (
                "[3ffe:2501:200:3::1]:1766",
                "[3ffe:2501:200:1fff::7]:2794",
                0x4020_7d3d,
            ),
            (
                "[ff02::1]:4739",
                "[3ffe:501:8::260:97ff:fe40:efab]:14230",
                0xdde5_1bbf,
            ),
            (
                "[fe80::200:f8ff:fe21:67cf]:38024",
                "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251",
                0x02d1_feef,
            ),
        ];
        for (destination, source, hash) in vectors {
            assert_eq!(toeplitz(&KEY, &flow(destination, source)), hash, "{source}");
        }
    }

    #[test]
    fn the_indirection_table_leads_to_the_workers_in_turn() {
        let steering = Steering::new(3, FlowHash::Toeplitz(KEY)).unwrap();
        let flow = flow("161.142.100.80:1766", "66.9.149.187:2794");
        assert_eq!(steering.worker_of(&flow).number(), (0x78 % 3) as u8);
    }

    #[test]
    fn ports_are_hashed_as_a_filter_of_classic_bpf_does() {
        let steering = Steering::new(4, FlowHash::Ports).unwrap();
        for local in [80, 443, 8_000] {
            let mut seen = [0_u32; 4];
            // Linux hands out ephemeral ports of one parity.
            for remote in (32_768..61_000).step_by(2) {
                let flow = FourTuple {
                    local: ([10, 0, 0, 1], local).into(),
                    remote: ([10, 0, 0, 2], remote).into(),
                };
                let ports = u32::from(remote) << 16 | u32::from(local);
                let expected = ports.wrapping_mul(0x9E37_79B1) >> 30;
                let worker = steering.worker_of(&flow);
                assert_eq!(u32::from(worker.number()), expected);
                seen[worker.index()] += 1;
            }
            assert!(seen.iter().all(|count| *count > 3_000), "{local}: {seen:?}");
        }
    }

    /// Flows to one port, as Linux makes them, and the worker of each.
    fn shares(steering: &Steering) -> Vec<(FourTuple, WorkerId)> {
        let flows = (32_768..61_000).step_by(2).map(|remote| FourTuple {
            local: ([10, 0, 0, 1], 80).into(),
            remote: ([10, 0, 0, 2], remote).into(),
        });
        flows
            .map(|flow| (flow, steering.worker_of(&flow)))
            .collect()
    }

    #[test]
    fn the_flows_of_a_worker_that_has_ended_are_shared_by_those_left() {
        let key = FlowHash::Toeplitz(KEY);
        for hash in [FlowHash::Ports, key] {
            let all = Steering::new(4, hash).unwrap();
            let (one, two) = (WorkerId(1), WorkerId(3));
            let left = all.without(one).without(two);
            assert!(left.has_lost(one) && left.has_lost(two) && !left.has_lost(WorkerId(0)));
            let mut taken = [0_u32; 4];
            for ((_, before), (_, after)) in shares(&all).into_iter().zip(shares(&left)) {
                match before {
                    WorkerId(1 | 3) => taken[after.index()] += 1,
                    living => assert_eq!(after, living, "others stay where they are"),
                }
            }
            assert_eq!((taken[1], taken[3]), (0, 0));
            let least = taken.iter().sum::<u32>() / 3;
            assert!(taken[0] > least && taken[2] > least, "{hash:?}: {taken:?}");
        }
    }

    #[test]
    fn a_flow_that_a_worker_has_taken_stays_with_it_when_another_ends() {
        let most = Steering::new(32, FlowHash::Ports).unwrap();
        let mut left = most;
        for ended in [5, 0, 31, 6, 17] {
            let before = shares(&left);
            left = left.without(WorkerId(ended));
            for ((_, before), (_, after)) in before.into_iter().zip(shares(&left)) {
                assert!(!left.has_lost(after));
                assert!(before == after || before.0 == ended);
            }
        }
    }

    #[test]
    fn the_last_worker_keeps_its_flows_and_one_that_there_is_not_has_none() {
        let two = Steering::new(2, FlowHash::Ports).unwrap();
        assert_eq!(two.without(WorkerId(2)), two);
        assert_eq!(two.without(WorkerId(40)), two);
        let last = two.without(WorkerId(0));
        assert_eq!(last.without(WorkerId(1)), last);
        assert!(shares(&last).iter().all(|(_, worker)| worker.0 == 1));
        let most = Steering::new(32, FlowHash::Ports).unwrap();
        let all = |of: Steering, worker| of.without(WorkerId(worker));
        let last = (0..32).fold(most, all);
        assert!(shares(&last).iter().all(|(_, worker)| worker.0 == 31));
    }

    #[test]
    fn a_place_is_of_a_worker_that_there_is() {
        assert_eq!(Steering::new(0, FlowHash::Ports), None);
        assert_eq!(Steering::new(33, FlowHash::Ports), None);
        let steering = Steering::new(2, FlowHash::Ports).unwrap();
        assert_eq!(Place::new(WorkerId(2), steering), None);
        let place = Place::new(WorkerId(1), steering).unwrap();
        assert!(place.others().eq([WorkerId(0)]));
        assert_eq!(steering.after(WorkerId(1), 3), WorkerId(0));
        assert!(Place::default().is_alone());
    }
}
