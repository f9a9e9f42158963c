//! A message on a connection and its answer, which is the message sent back.

use std::time::Duration;

use braid_engine::socket::{ConnectOptions, SocketOptions};
use braid_engine::stack::{ConnectionId, Stack};
use braid_engine::time::Instant;

use super::super::driver::{drive, some};
use super::super::hosts::{Demand, Hosts, server, shares};
use super::super::server::Service;
use super::super::{BenchError, Links};
use super::paced::{Operation, Paced, Pacer, Rate, wait};

/// How far a message and its answer have come.
#[derive(Copy, Clone, Debug)]
pub(super) struct Exchange {
    connection: ConnectionId,
    unsent: usize,
    awaited: usize,
}

impl Exchange {
    /// A new connection to the server, on which nothing is under way.
    pub(super) fn connect(now: Instant, stack: &mut Stack) -> Result<Self, BenchError> {
        let options = ConnectOptions {
            socket: SocketOptions {
                nodelay: true,
                ..SocketOptions::default()
            },
            ..ConnectOptions::to(server())
        };
        let connection = stack.connect(now, options);
        Ok(Self {
            connection: connection.map_err(BenchError::engine("cannot connect"))?,
            unsent: 0,
            awaited: 0,
        })
    }

    /// Which connection it is on.
    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// A message of so many bytes is due, and its answer.
    pub(super) fn begin(&mut self, bytes: usize) {
        (self.unsent, self.awaited) = (bytes, bytes);
    }

    /// Sends what there is room for of the message that was begun.
    pub(super) fn send(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        message: &[u8],
    ) -> Result<(), BenchError> {
        if self.unsent > 0 {
            let rest = &message[message.len() - self.unsent..];
            let sent = stack.send(now, self.connection, rest);
            self.unsent -= some(sent, "cannot send a message")?;
        }
        Ok(())
    }

    /// Takes what has come; whether the answer is complete by that. `into` has room for all of it.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        stack: &mut Stack,
        into: &mut [u8],
    ) -> Result<bool, BenchError> {
        while self.awaited > 0 {
            let received = stack.recv(now, self.connection, &mut into[..self.awaited]);
            let count = some(received, "cannot receive an answer")?;
            if count == 0 {
                return Ok(false);
            }
            self.awaited -= count;
        }
        Ok(true)
    }
}

/// Has so many connections carry messages at their pace to a far host that sends them back; `operation` is what
/// a worker does with its share of them, in which `at_once` messages may be under way at a time.
pub(super) fn measure<O: Operation>(
    links: &Links,
    connections: u32,
    at_once: usize,
    (rate, time): (Rate, Duration),
    operation: impl Fn(u32) -> O,
) -> Result<Paced, BenchError> {
    let hosts = Hosts::create(links, Demand::of(connections))?;
    let rate = rate.of_each(links.workers);
    let pacers = shares(connections, links.workers)
        .map(|share| Pacer::new(operation(share), at_once, time, rate));
    let (pacers, ()) = drive(hosts, Service::Echo, pacers.collect(), |scene| {
        wait(scene, time)
    })?;
    Paced::of(&pacers)
}
