//! The yardstick: bytes one way from Linux to Linux over virtual Ethernet links, by Multipath TCP at both
//! ends.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::BenchError;
use super::arrivals::Arrivals;
use super::hosts::server;
use super::linux_server::LinuxServer;
use super::server::Service;
use super::workload::{Goodput, WARM_UP};
use crate::demo::baseline::Baseline;
use crate::lab::link::Family;

/// What the sender gives at once.
const PIECE: usize = 256 << 10;

/// How long a call of the sender may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection over so many links, as [`super::workload::Bulk`] has it with an engine at one end, for
/// about so long. Call [`super::isolate`] before.
///
/// # Errors
///
/// When the namespaces cannot be made, or the connection ends early.
pub fn linux_to_linux(links: u8, time: Duration) -> Result<Goodput, BenchError> {
    let hosts = Baseline::create(links, Family::V4, false)?;
    let linux = LinuxServer::listen(hosts.server(), Service::Sink)?;
    let arrivals = Arrivals::new();
    // The receiver goes on until the sender has ended, which could be stuck otherwise.
    let (sent_all, over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| linux.serve(&arrivals, &over));
        let sender = scope.spawn(|| hosts.client().run(|| send(&sent_all)));
        thread::sleep(time.mul_f64(WARM_UP));
        let goodput = Goodput::watch(&arrivals, time.mul_f64(1.0 - WARM_UP), thread::sleep);
        sent_all.store(true, Ordering::Release);
        let sent = sender.join();
        over.store(true, Ordering::Release);
        match sent {
            Ok(sent) => sent?.map_err(BenchError::system("Linux cannot send"))?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        goodput
    })
}

fn send(over: &AtomicBool) -> io::Result<()> {
    let mut socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&server().into(), PATIENCE)?;
    let bytes = vec![0x5a; PIECE];
    while !over.load(Ordering::Acquire) {
        socket.write_all(&bytes)?;
    }
    Ok(())
}
