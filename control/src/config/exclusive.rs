//! Whether SHIM6 or HIP is in use on this host (draft-scharf-mptcp-api-01 section 6.7).
//!
//! Neither is part of the kernel: each is a program that runs beside it, and HIP shows itself also
//! by a host identity tag among the addresses of the interfaces.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use super::policy::{ExclusiveProtocol, is_host_identity_tag};

/// The programs that implement a protocol, as they are called in the process table.
const fn programs(protocol: ExclusiveProtocol) -> &'static [&'static str] {
    match protocol {
        ExclusiveProtocol::Shim6 => &["shim6d"],
        ExclusiveProtocol::Hip => &["hipd", "hipfw"],
    }
}

/// Those of `protocols` that are in use on this host, each with what gives it away.
pub fn in_use(protocols: &[ExclusiveProtocol]) -> Vec<(ExclusiveProtocol, String)> {
    seen_in(Path::new("/proc"), protocols)
}

/// As [`in_use`], by a process file system that is mounted there (proc(5)).
fn seen_in(proc: &Path, protocols: &[ExclusiveProtocol]) -> Vec<(ExclusiveProtocol, String)> {
    let running = running_programs(proc);
    protocols
        .iter()
        .filter_map(|&protocol| {
            let program = programs(protocol)
                .iter()
                .find(|name| running.iter().any(|other| other == *name))
                .map(|name| format!("the program {name} runs"));
            let tag = || {
                let tag = interface_addresses(proc).into_iter().find(|address| {
                    protocol == ExclusiveProtocol::Hip && is_host_identity_tag(*address)
                })?;
                Some(format!("an interface has the host identity tag {tag}"))
            };
            Some((protocol, program.or_else(tag)?))
        })
        .collect()
}

/// Names of the programs that run, as far as this user may see them.
fn running_programs(proc: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir(proc) else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// The IPv6 addresses of the kernel's interfaces.
fn interface_addresses(proc: &Path) -> Vec<IpAddr> {
    let table = fs::read_to_string(proc.join("net/if_inet6")).unwrap_or_default();
    table
        .lines()
        .filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok())
        .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [ExclusiveProtocol; 2] = [ExclusiveProtocol::Shim6, ExclusiveProtocol::Hip];
    /// fd00::1 on an interface, as /proc/net/if_inet6 has it.
    const USUAL: &str = "fd000000000000000000000000000001 02 40 00 80 link1\n";
    /// 2001:20::9 likewise.
    const TAG: &str = "20010020000000000000000000000009 02 80 00 80 hip0\n";

    /// What shows on a host where a program of that name runs and that has these addresses.
    fn seen(program: &str, addresses: &str) -> Vec<(ExclusiveProtocol, String)> {
        let proc = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("1/comm", "init\n".to_owned()),
            ("77/comm", format!("{program}\n")),
            ("net/if_inet6", addresses.to_owned()),
        ] {
            let path = proc.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let seen = seen_in(proc.path(), &BOTH);
        assert_eq!(seen_in(proc.path(), &[]), []);
        seen
    }

    #[test]
    fn a_host_with_neither_shows_neither() {
        assert_eq!(seen("sshd", USUAL), []);
        assert_eq!(seen_in(Path::new("/nonexistent"), &BOTH), []);
    }

    #[test]
    fn the_programs_of_a_protocol_show_it() {
        for (program, protocol) in [
            ("shim6d", ExclusiveProtocol::Shim6),
            ("hipd", ExclusiveProtocol::Hip),
            ("hipfw", ExclusiveProtocol::Hip),
        ] {
            let reason = format!("the program {program} runs");
            assert_eq!(seen(program, USUAL), [(protocol, reason)]);
        }
    }

    #[test]
    fn a_host_identity_tag_shows_hip() {
        let seen = seen("sshd", &format!("{USUAL}{TAG}"));
        let reason = "an interface has the host identity tag 2001:20::9".to_owned();
        assert_eq!(seen, [(ExclusiveProtocol::Hip, reason)]);
    }
}
