//! Whether SHIM6 or HIP is in use on this host (draft-scharf-mptcp-api-01 section 6.7).
//!
//! Neither is part of the kernel: each is a program that runs beside it, and HIP shows itself also
//! by a host identity tag among the addresses of the interfaces.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};

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
    let running = running_programs();
    protocols
        .iter()
        .filter_map(|&protocol| {
            let program = programs(protocol)
                .iter()
                .find(|name| running.iter().any(|other| other == *name))
                .map(|name| format!("the program {name} runs"));
            let tag = || {
                let tag = interface_addresses().into_iter().find(|address| {
                    protocol == ExclusiveProtocol::Hip && is_host_identity_tag(*address)
                })?;
                Some(format!("an interface has the host identity tag {tag}"))
            };
            Some((protocol, program.or_else(tag)?))
        })
        .collect()
}

/// Names of the programs that run, as far as this user may see them.
fn running_programs() -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

/// The IPv6 addresses of the kernel's interfaces.
fn interface_addresses() -> Vec<IpAddr> {
    let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok())
        .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
        .collect()
}
