//! A connection from `connect` to `accept`, both ends together, with keys and tokens; that of regular TCP
//! beside it. An element is a connection. Those before it have been aborted.

use braid_engine::socket::ConnectOptions;
use braid_engine::stack::ConnectionId;
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::hosts::{CLIENT, Hosts, SERVER, server};
use crate::instructions::Marked;

/// Two hosts, and what each made of the last connection.
struct Meeting {
    hosts: Hosts,
    last: Option<[ConnectionId; 2]>,
}

impl Meeting {
    fn new() -> Self {
        let hosts = Hosts::new(1);
        Self { hosts, last: None }
    }

    fn part(&mut self) {
        let Hosts { stacks, now, .. } = &mut self.hosts;
        for (stack, connection) in stacks
            .iter_mut()
            .zip(self.last.take().into_iter().flatten())
        {
            stack.abort(*now, connection);
        }
        self.hosts.exchange();
    }

    fn meet(&mut self, options: ConnectOptions) {
        let hosts = &mut self.hosts;
        let connected = hosts.stacks[CLIENT].connect(hosts.now, options);
        // SYN, SYN/ACK and ACK; before the first of all, who has which address.
        let accepted = (0..4).find_map(|_| {
            hosts.transmit(CLIENT, usize::MAX);
            hosts.receive(SERVER);
            let accepted = hosts.stacks[SERVER].accept(hosts.listener);
            if accepted.is_none() {
                hosts.transmit(SERVER, usize::MAX);
                hosts.receive(CLIENT);
            }
            accepted
        });
        let accepted = accepted.expect("nothing is lost");
        self.last = Some([connected.expect("there is a route"), accepted]);
    }
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "handshake");
    for (name, multipath) in [("multipath", true), ("regular TCP", false)] {
        let options = ConnectOptions {
            multipath,
            ..ConnectOptions::to(server())
        };
        group.time_prepared(
            name,
            Throughput::Elements(1),
            Meeting::new,
            |meeting| {
                meeting.part();
                options.clone()
            },
            Meeting::meet,
        );
    }
}
