//! Our engine and Linux's Multipath TCP over two links with large segments, beside Linux to Linux over two
//! links (T9).

use super::{Bound, Target};
use crate::contender::links::{LinksTask, Program, Protocol, Way};
use crate::contender::process::{Failure, Processes};
use crate::interleaved::{Compared, Other, compare_beside};

pub(super) const TO_LINUX: Target = Target {
    number: 9,
    part: "",
    what: "engine to Linux over two packet sockets, large segments: Gbit/s",
    peer: "Linux MPTCP to Linux",
    bound: Bound::ratio_at_least(1.0),
    measure: |rounds| beside_linux(LinksTask::ToLinux(Way::AfPacket), &OTHERS, rounds),
};

pub(super) const FROM_LINUX: Target = Target {
    part: "b",
    what: "Linux to engine over two packet sockets, large segments: Gbit/s",
    measure: |rounds| beside_linux(LinksTask::FromLinux(Way::AfPacket), &[], rounds),
    ..TO_LINUX
};

pub(super) const TO_LINUX_BY_TAP: Target = Target {
    part: "c",
    what: "engine to Linux over two TAP devices, large segments: Gbit/s",
    measure: |rounds| beside_linux(LinksTask::ToLinux(Way::Tap), &[], rounds),
    ..TO_LINUX
};

pub(super) const FROM_LINUX_BY_TAP: Target = Target {
    part: "d",
    what: "Linux to engine over two TAP devices, large segments: Gbit/s",
    measure: |rounds| beside_linux(LinksTask::FromLinux(Way::Tap), &[], rounds),
    ..TO_LINUX
};

/// What else carries bytes from Linux to Linux.
const OTHERS: [(&str, Protocol, Program); 3] = [
    ("Linux TCP, one link", Protocol::Tcp, Program::Own),
    (
        "iperf3, Linux MPTCP by mptcpize",
        Protocol::Multipath,
        Program::Iperf3,
    ),
    (
        "iperf3, Linux TCP, one link",
        Protocol::Tcp,
        Program::Iperf3,
    ),
];

fn beside_linux(
    ours: LinksTask,
    others: &[(&'static str, Protocol, Program)],
    rounds: u32,
) -> Result<Compared, String> {
    let processes = Processes::new(None).map_err(|error| error.to_string())?;
    let goodput = |task| {
        processes.transfer(task).map_err(|failure| match failure {
            Failure::Absent(reason) | Failure::Failed(reason) => reason,
        })
    };
    let others = others.iter().map(|&(name, protocol, program)| {
        Other::new(name, move || goodput(LinksTask::Linux(protocol, program)))
    });
    let linux = LinksTask::Linux(Protocol::Multipath, Program::Own);
    compare_beside(
        rounds,
        || goodput(ours),
        || goodput(linux),
        others.collect(),
    )
}
