//! The yardstick: bytes one way from Linux to Linux over virtual Ethernet links, by Multipath TCP or TCP at
//! both ends; with sockets of this program, or by iperf3.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::BenchError;
use super::arrivals::Arrivals;
use super::hosts::server;
use super::linux_server::LinuxServer;
use super::server::Service;
use super::workload::{Goodput, WARM_UP};
use crate::demo::baseline::Baseline;
use crate::lab::link::Family;
use crate::peer::PeerProtocol;

/// What the sender gives at once.
const PIECE: usize = 256 << 10;

/// How long a call of the sender may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before iperf3's server is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Two Linux hosts in namespaces, joined by so many links. Call [`super::isolate`] before.
#[derive(Debug)]
pub struct LinuxPair(Baseline);

impl LinuxPair {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// When the namespaces cannot be made.
    pub fn create(links: u8) -> Result<Self, BenchError> {
        Ok(Self(Baseline::create(links, Family::V4, false)?))
    }

    /// One connection, as [`super::workload::Bulk`] has it with an engine at one end, for about so long. TCP
    /// uses the first link only.
    ///
    /// # Errors
    ///
    /// When the connection ends early.
    pub fn goodput(&self, protocol: PeerProtocol, time: Duration) -> Result<Goodput, BenchError> {
        let hosts = &self.0;
        let linux = LinuxServer::listen(hosts.server(), protocol, Service::Sink)?;
        let arrivals = Arrivals::new();
        // The receiver goes on until the sender has ended, which could be stuck otherwise.
        let (sent_all, over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| linux.serve(&arrivals, &over));
            let sender = scope.spawn(|| hosts.client().run(|| send(protocol, &sent_all)));
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

    /// The same by iperf3 at both ends, under mptcpize where it is to speak Multipath TCP: Gbit/s that its
    /// server received, of whole seconds.
    ///
    /// # Errors
    ///
    /// When a program is not installed, or tells no figure.
    pub fn iperf3(&self, protocol: PeerProtocol, time: Duration) -> Result<f64, BenchError> {
        let address = server();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let seconds = time.as_secs().max(1).to_string();
        let ends = ["-p", &port];
        let server = || iperf3(protocol).args(["-s", "-1"]).args(ends).spawn();
        let failed = |what| BenchError::system::<io::Error>(what);
        let server = self.0.server().run(server)?;
        let server = server.map_err(failed(
            "cannot start iperf3; apt-get install iperf3 mptcpize",
        ))?;
        let mut server = Ended(server);
        let ask = || {
            let mut client = iperf3(protocol);
            client.args(["-J", "-O", "1", "-t", &seconds, "-c", &host]);
            client.args(ends).stdout(Stdio::piped()).output()
        };
        let begun = Instant::now();
        loop {
            let output = self.0.client().run(ask)?;
            let output = output.map_err(failed("cannot start iperf3"))?;
            if let Some(figure) = received(&output.stdout) {
                return Ok(figure);
            }
            let server_is_there = matches!(server.0.try_wait(), Ok(None));
            if !server_is_there || begun.elapsed() > PATIENCE {
                let told = String::from_utf8_lossy(&output.stdout);
                return Err(BenchError::Impossible(format!(
                    "iperf3 told no rate: {told}"
                )));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// The program, silent, and with the sockets of this protocol.
fn iperf3(protocol: PeerProtocol) -> Command {
    let mut command = match protocol {
        PeerProtocol::Plain => Command::new("iperf3"),
        PeerProtocol::Multipath => {
            let mut command = Command::new("mptcpize");
            command.args(["run", "iperf3"]);
            command
        }
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Gbit/s that the receiver counted, of what the client tells in JSON.
fn received(told: &[u8]) -> Option<f64> {
    let told: serde_json::Value = serde_json::from_slice(told).ok()?;
    let bits = told
        .get("end")?
        .get("sum_received")?
        .get("bits_per_second")?;
    Some(bits.as_f64().filter(|bits| *bits > 0.0)? / 1e9)
}

/// A program that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn send(protocol: PeerProtocol, over: &AtomicBool) -> io::Result<()> {
    let protocol = Some(protocol.number());
    let mut socket = Socket::new(Domain::IPV4, Type::STREAM, protocol)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&server().into(), PATIENCE)?;
    let bytes = vec![0x5a; PIECE];
    while !over.load(Ordering::Acquire) {
        socket.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iperf3_received_is_read_from_what_it_tells() {
        let told = br#"{"end": {"sum_sent": {"bits_per_second": 3e9},
                                "sum_received": {"bits_per_second": 2.5e9}}}"#;
        assert_eq!(received(told), Some(2.5));
        assert_eq!(received(br#"{"error": "unable to connect"}"#), None);
        assert_eq!(received(b""), None);
    }
}
