//! Drawing a scenario from its seed.

use super::{
    ConnectionPlan, Fault, HostPlan, LinkPlan, PathPlan, Policy, Scenario, Side, WorkersPlan,
};
use crate::congestion::ControllerKind;
use crate::mptcp::scheduler::Scheduler;
use crate::random::Random;
use crate::stack::{FlowHash, StackConfig, Steering};
use crate::testing::application::Ending;
use crate::testing::host::{Arrival, PostConfig};
use crate::testing::link::{Burst, Chance, LinkConfig};
use crate::testing::middlebox::Kind;
use crate::time::{Duration, Instant};

/// What a scenario is about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Theme {
    /// Anything.
    Mixed,
    /// Transfers long enough for every path to be joined, and to be lost under way.
    Paths,
    /// Connections so short that joins and announcements race with their close and their
    /// fallback, with messages between subflows and home that are late.
    Races,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::from_u64(seed).fork("scenario");
        let theme = match random.below(8) {
            0 | 1 => Theme::Mixed,
            2 | 3 => Theme::Races,
            _ => Theme::Paths,
        };
        let links = draw_links(&mut random, theme);
        let checksum = one_in(&mut random, 4);
        let client = draw_host(&mut random, theme, checksum);
        let server_checksum = one_in(&mut random, 4);
        let server = draw_host(&mut random, theme, server_checksum);
        let paths = match random.below(8) {
            0 if theme == Theme::Mixed => PathPlan::Single,
            0 | 1 => PathPlan::ClientSignals,
            2 => PathPlan::Both,
            _ => PathPlan::ServerSignals,
        };
        let connections = (0..1 + random.below(2))
            .map(|_| draw_connection(&mut random, theme))
            .collect();
        let mut scenario = Self {
            seed,
            links,
            client,
            server,
            paths,
            moderation: None,
            connections,
            faults: Vec::new(),
            policies: [Policy::default(); 2],
            switches: Vec::new(),
        };
        if one_in(&mut random, 2) {
            scenario.draw_middleboxes(&mut random);
        }
        if one_in(&mut random, 2) {
            scenario.draw_faults(&mut random);
        }
        // From a generator of its own, so that the rest of each scenario stays what it was.
        let mut random = Random::from_u64(seed).fork("policies");
        scenario.draw_policies(&mut random);
        let mut random = Random::from_u64(seed).fork("workers");
        for host in [&mut scenario.client, &mut scenario.server] {
            host.workers = draw_workers(&mut random);
        }
        let mut random = Random::from_u64(seed).fork("bursts");
        scenario.draw_bursts(&mut random);
        scenario
    }

    /// In half of the scenarios frames come in bursts, and most hosts have frames that can take several
    /// segments.
    fn draw_bursts(&mut self, random: &mut Random) {
        if one_in(random, 2) {
            return;
        }
        self.moderation = Some(Duration::from_micros(1 + random.below(500)));
        for host in [&mut self.client, &mut self.server] {
            if !one_in(random, 4) {
                host.frame_capacity <<= 1 + random.below(5);
            }
        }
    }

    /// Half of the scenarios have the default policies.
    fn draw_policies(&mut self, random: &mut Random) {
        if one_in(random, 2) {
            return;
        }
        self.policies = [draw_policy(random), draw_policy(random)];
        let mut at = Instant::ZERO;
        for _ in 0..random.below(5) {
            at += Duration::from_millis(1 + random.below(1_000));
            let side = Side::BOTH[random.below(2) as usize];
            self.switches.push((at, side, draw_policy(random)));
        }
    }

    fn draw_middleboxes(&mut self, random: &mut Random) {
        let checksums = self.client.checksum || self.server.checksum;
        for link in &mut self.links {
            if !one_in(random, 2) {
                continue;
            }
            let kind = draw_middlebox(random);
            // Without checksums nobody could tell an edited byte from the true one.
            if checksums || !matches!(kind, Kind::EditPayload { .. }) {
                link.middleboxes.push(kind);
            }
        }
    }

    fn draw_faults(&mut self, random: &mut Random) {
        let mut at = Instant::from_millis(random.below(500));
        for _ in 0..1 + random.below(4) {
            let link = random.below(self.links.len() as u64) as usize;
            let carrier = one_in(random, 2);
            let lasts = Duration::from_millis(1 + random.below(5_000));
            match random.below(8) {
                7 => self.faults.push((at, Fault::Cut { link, carrier })),
                6 if link > 0 => {
                    let side = Side::BOTH[random.below(2) as usize];
                    self.faults.push((at, Fault::Withdraw { side, link }));
                }
                0 if one_in(random, 3) => self.faults.push((at, Fault::Vanish)),
                0 | 1 => self.change(random, link, at, lasts),
                2 => self.flap(link, carrier, at, lasts, 3),
                _ => self.flap(link, carrier, at, lasts, 1),
            }
            at += Duration::from_millis(random.below(1_000));
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// A delay spike or a bad time, and back.
    fn change(&mut self, random: &mut Random, link: usize, at: Instant, lasts: Duration) {
        let before = self.links[link].config[0];
        let config = if one_in(random, 2) {
            LinkConfig {
                delay: before.delay + Duration::from_millis(random.below(1_000)),
                ..before
            }
        } else {
            LinkConfig {
                loss: Chance::percent(10 + random.below(50) as u32),
                ..before
            }
        };
        self.faults.push((at, Fault::Change { link, config }));
        self.faults.push((
            at + lasts,
            Fault::Change {
                link,
                config: before,
            },
        ));
    }

    fn flap(&mut self, link: usize, carrier: bool, at: Instant, lasts: Duration, times: u32) {
        for time in 0..times {
            let from = at + lasts * (2 * time);
            self.faults.push((from, Fault::Cut { link, carrier }));
            self.faults
                .push((from + lasts, Fault::Restore { link, carrier }));
        }
    }
}

fn one_in(random: &mut Random, count: u64) -> bool {
    random.below(count) == 0
}

fn draw_links(random: &mut Random, theme: Theme) -> Vec<LinkPlan> {
    let ipv6 = random.below(3);
    let faulty = !one_in(random, 4);
    let count = match random.below(16) {
        0..=3 if theme == Theme::Mixed => 1,
        0..=11 => 2,
        12 | 13 => 3,
        _ => 4,
    };
    (0..count)
        .map(|index| {
            let forth = draw_link(random, theme, faulty);
            let back = if one_in(random, 2) {
                forth
            } else {
                draw_link(random, theme, faulty)
            };
            let ipv6 = match ipv6 {
                0 => false,
                1 => true,
                _ => index % 2 == 1,
            };
            LinkPlan {
                ipv6,
                config: [forth, back],
                middleboxes: Vec::new(),
            }
        })
        .collect()
}

fn draw_link(random: &mut Random, theme: Theme, faulty: bool) -> LinkConfig {
    let unlimited = theme != Theme::Paths && one_in(random, 4);
    let fastest = if theme == Theme::Paths {
        500_000
    } else {
        5_000_000
    };
    let mut config = LinkConfig {
        delay: Duration::from_micros(100 + random.below(40_000)),
        rate: (!unlimited).then(|| 100_000 + random.below(fastest)),
        queue: 16 * 1024 + random.below(128 * 1024) as usize,
        ..LinkConfig::default()
    };
    if !faulty {
        return config;
    }
    if one_in(random, 2) {
        config.loss = Chance(random.below(50_000) as u32);
    }
    if one_in(random, 6) {
        config.burst = Some(Burst {
            enter: Chance(random.below(10_000) as u32),
            leave: Chance::percent(20),
            loss: Chance::percent(80),
        });
    }
    if one_in(random, 3) {
        config.jitter = Duration::from_micros(random.below(10_000));
    }
    if one_in(random, 3) {
        config.reorder = Chance(random.below(200_000) as u32);
        config.reorder_delay = Duration::from_micros(random.below(20_000));
    }
    if one_in(random, 4) {
        config.duplicate = Chance(random.below(100_000) as u32);
    }
    if one_in(random, 4) {
        config.corrupt = Chance(random.below(20_000) as u32);
    }
    config
}

fn draw_host(random: &mut Random, theme: Theme, checksum: bool) -> HostPlan {
    let late = theme == Theme::Races || one_in(random, 4);
    HostPlan {
        multipath: theme != Theme::Mixed || !one_in(random, 8),
        checksum,
        buffer: (8 * 1024) << random.below(6),
        workers: None,
        frame_capacity: StackConfig::default().frame_capacity,
        message_delay: late.then(|| {
            let longest = if one_in(random, 4) { 30_000 } else { 3_000 };
            let most = Duration::from_micros(1 + random.below(longest));
            (Duration::ZERO, most)
        }),
    }
}

/// Half of the hosts have a single worker.
fn draw_workers(random: &mut Random) -> Option<WorkersPlan> {
    if one_in(random, 2) {
        return None;
    }
    let hash = match random.below(2) {
        0 => FlowHash::Ports,
        _ => FlowHash::Toeplitz(random.bytes()),
    };
    let workers = 1 + random.below(4) as u8;
    let longest = if one_in(random, 4) { 10_000 } else { 500 };
    let post = PostConfig {
        delay: Duration::from_micros(random.below(longest)),
        capacity: 1 + random.below(64) as usize,
        refusal: match random.below(4) {
            0 => Chance::percent(5),
            1 => Chance(1_000),
            _ => Chance::NEVER,
        },
        arrival: match random.below(4) {
            0 => Arrival::Scattered,
            1 => Arrival::First,
            _ => Arrival::Steered,
        },
    };
    Some(WorkersPlan {
        steering: Steering::new(workers, hash)?,
        post,
        spread: !one_in(random, 8),
    })
}

fn draw_policy(random: &mut Random) -> Policy {
    let scheduler = random.below(Scheduler::ALL.len() as u64) as usize;
    let congestion = random.below(ControllerKind::ALL.len() as u64) as usize;
    Policy {
        scheduler: Scheduler::ALL[scheduler],
        congestion: ControllerKind::ALL[congestion],
        redundancy: one_in(random, 4).then(|| 1 + random.below(4) as u8),
    }
}

fn draw_length(random: &mut Random, theme: Theme) -> u64 {
    let bits = match theme {
        Theme::Races => random.below(13),
        Theme::Paths if !one_in(random, 4) => 16 + random.below(3),
        _ if one_in(random, 2) => random.below(16),
        _ => 15 + random.below(4),
    };
    random.below(1 << bits)
}

fn draw_connection(random: &mut Random, theme: Theme) -> ConnectionPlan {
    let (upload, download) = (draw_length(random, theme), draw_length(random, theme));
    let kinds = if theme == Theme::Races { 6 } else { 10 };
    let (client, server) = match random.below(kinds) {
        0 => (Ending::AfterPeer, Ending::Shutdown),
        1 => (Ending::Shutdown, Ending::AfterPeer),
        2 => (Ending::Close, Ending::Shutdown),
        3 => (Ending::Shutdown, Ending::Close),
        5 if one_in(random, 2) => (Ending::Close, Ending::Close),
        4 if one_in(random, 2) => (Ending::Abort(random.below(upload + 1)), Ending::Shutdown),
        4 => (Ending::Shutdown, Ending::Abort(random.below(download + 1))),
        _ => (Ending::Shutdown, Ending::Shutdown),
    };
    let start = Instant::from_millis(1 + random.below(200));
    ConnectionPlan {
        upload,
        download,
        client,
        server,
        start,
    }
}

fn draw_middlebox(random: &mut Random) -> Kind {
    match random.below(8) {
        0 => {
            let which = 1 + random.below(7);
            Kind::StripMptcp {
                syn: which & 1 != 0,
                syn_ack: which & 2 != 0,
                data: which & 4 != 0,
            }
        }
        1 => Kind::Resegment {
            size: 100 + random.below(1_300) as usize,
        },
        2 => Kind::Coalesce {
            wait: Duration::from_micros(random.below(3_000)),
            size: 1_400 + random.below(2_600) as usize,
        },
        3 => Kind::EditPayload {
            chance: Chance::percent(1 + random.below(20) as u32),
            left: 1 + random.below(20) as u32,
        },
        4 => Kind::RebindNat {
            at: Instant::from_millis(random.below(1_500)),
            shift: 1 + random.below(1_000) as u16,
        },
        5 => Kind::RewriteSequence {
            delta: random.next_u32(),
        },
        6 => Kind::ForgeReset {
            chance: Chance::percent(1 + random.below(10) as u32),
            exact: one_in(random, 2),
            left: 1 + random.below(5) as u32,
        },
        _ => Kind::ShrinkWindow {
            chance: Chance::percent(1 + random.below(50) as u32),
            shift: 1 + random.below(4) as u8,
        },
    }
}
