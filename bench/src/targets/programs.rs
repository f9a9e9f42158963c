//! Unmodified programs with both ends under `braid exec`, beside the same on Linux's Multipath TCP (T11).

use super::{Bound, Target};
use crate::contender::Contender;
use crate::contender::process::{Failure, Processes};
use crate::contender::programs::{Programs, Under};
use crate::interleaved::{Compared, Other, compare_beside};

pub(super) const REDIS: Target = Target {
    number: 11,
    part: "",
    what: "redis-benchmark, 50 clients: requests/s",
    peer: "Linux MPTCP by mptcpize",
    bound: Bound::ratio_at_least(1.5),
    measure: |rounds| {
        let programs = Programs::Redis {
            pipelined: 1,
            requests: 120_000,
        };
        beside_linux(programs, rounds)
    },
};

pub(super) const REDIS_PIPELINED: Target = Target {
    part: "b",
    what: "redis-benchmark, 50 clients, 16 requests pipelined: requests/s",
    measure: |rounds| {
        let programs = Programs::Redis {
            pipelined: 16,
            requests: 1_000_000,
        };
        beside_linux(programs, rounds)
    },
    ..REDIS
};

pub(super) const HTTP: Target = Target {
    part: "c",
    what: "wrk with nginx, 50 clients: requests/s",
    measure: |rounds| beside_linux(Programs::Http, rounds),
    ..REDIS
};

fn beside_linux(programs: Programs, rounds: u32) -> Result<Compared, String> {
    let processes = Processes::new(None).map_err(|error| error.to_string())?;
    processes.look_for(Contender::BraidExec)?;
    processes.look_for(Contender::LinuxMptcp)?;
    let rate = |under| {
        let rate = programs.requests_per_second(under, &processes);
        rate.map_err(|failure| match failure {
            Failure::Absent(reason) | Failure::Failed(reason) => reason,
        })
    };
    compare_beside(
        rounds,
        || rate(Under::BraidExec),
        || rate(Under::Mptcpize),
        vec![Other::new("Linux TCP", || rate(Under::Nothing))],
    )
}
