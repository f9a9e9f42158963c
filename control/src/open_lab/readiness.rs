//! When the program of the other side listens, so that the command can connect.
//!
//! Nothing is connected to, which a server might take for its only client: the kernel's table of
//! sockets (proc(5), /proc/net/tcp) and the engine's listeners tell.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::programs::PeerProgram;
use super::topology::Topology;
use super::{OpenLabError, Plan};
use crate::management::{Client, ListenerRow, Request};

/// How long a port that is named may take to be listened at.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long any port may take where none is named: the program may be a client.
const SETTLING: Duration = Duration::from_secs(1);

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(10);

/// The state of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// Waits until the program of the other side listens at the port of the plan; without one, a little
/// for any port.
pub(super) fn wait(
    plan: &Plan,
    topology: &Topology,
    peer: &mut PeerProgram,
) -> Result<(), OpenLabError> {
    let start = Instant::now();
    let patience = match plan.wait_port {
        Some(_) => PATIENCE,
        None => SETTLING,
    };
    loop {
        let ports = if plan.reverse {
            engine_ports(topology)?
        } else {
            topology.peer().run(kernel_ports)?
        };
        let listens = match plan.wait_port {
            Some(port) => ports.contains(&port),
            None => !ports.is_empty(),
        };
        if listens {
            return Ok(());
        }
        let ended = peer.ended();
        let waited = start.elapsed() > patience;
        match (plan.wait_port, ended) {
            (Some(port), Some(status)) => {
                return Err(OpenLabError::NobodyListens {
                    port,
                    reason: format!("the command of --peer has ended ({status})"),
                });
            }
            (Some(port), None) if waited => {
                return Err(OpenLabError::NobodyListens {
                    port,
                    reason: format!("waited {} s for the command of --peer", patience.as_secs()),
                });
            }
            (None, Some(_)) => return Ok(()),
            (None, None) if waited => return Ok(()),
            _ => thread::sleep(INTERVAL),
        }
    }
}

fn engine_ports(topology: &Topology) -> Result<Vec<u16>, OpenLabError> {
    let mut client = Client::connect(&topology.socket())?;
    let listeners: Vec<ListenerRow> = client.ask(&Request::ShowListeners)?;
    let ports = listeners.iter().map(|listener| listener.address.port());
    Ok(ports.collect())
}

/// The ports that sockets of the calling thread's namespace listen at.
fn kernel_ports() -> Vec<u16> {
    ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(listening_port).collect::<Vec<_>>())
        .collect()
}

/// The port of a line such as `0: 00000000:1F90 00000000:0000 0A ...`, if it listens.
fn listening_port(line: &str) -> Option<u16> {
    let mut words = line.split_whitespace().skip(1);
    let (_, port) = words.next()?.rsplit_once(':')?;
    let state = words.nth(1)?;
    (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_told_from_others() {
        let listens = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000";
        assert_eq!(listening_port(listens), Some(8_080));
        let connected = "   1: 0201010A:1F90 0101010A:A2C4 01 00000000:00000000 00:00000000 0000";
        assert_eq!(listening_port(connected), None);
        let title = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";
        assert_eq!(listening_port(title), None);
    }
}
