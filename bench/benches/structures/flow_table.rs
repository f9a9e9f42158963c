//! The flow table at 1, 10^3 and 10^6 entries. An element is one look-up, or one flow that comes and goes;
//! each is of another flow than the one before, in no order.

use std::net::{Ipv4Addr, SocketAddr};

use braid_engine::storage::flow_table::{FlowTable, FourTuple};
use criterion::{Criterion, Throughput};

use crate::harness::Group;
use crate::instructions::Marked;

/// Look-ups of one iteration.
const LOOK_UPS: u32 = 1_024;

/// Prime, and so without a factor in common with how many flows there are.
const STRIDE: u32 = 611_953;

fn flow(number: u32) -> FourTuple {
    let address = Ipv4Addr::from_bits(0x0a00_0000 | number >> 8);
    FourTuple {
        local: SocketAddr::new([10, 255, 0, 1].into(), 443),
        remote: SocketAddr::new(address.into(), 32_768 + (number & 0xff) as u16),
    }
}

/// A table of flows, and the next to be looked up.
struct Flows {
    table: FlowTable<u64>,
    count: u32,
    next: u32,
}

impl Flows {
    fn new(count: u32) -> Self {
        let mut table = FlowTable::new([1, 2, 3, 4], count as usize + 1);
        for number in 0..count {
            table
                .insert(flow(number), number.into())
                .expect("there is room");
        }
        Self {
            table,
            count,
            next: 0,
        }
    }

    fn next(&mut self) -> u32 {
        self.next = (self.next + STRIDE) % self.count;
        self.next
    }

    /// Looks flows up whose numbers are larger than those of the flows there are by `beyond`.
    fn look_up(&mut self, beyond: u32) -> usize {
        let found = |flows: &mut Self| {
            let number = flows.next() + beyond;
            flows.table.get(&flow(number)).is_some()
        };
        (0..LOOK_UPS).filter(|_| found(self)).count()
    }

    fn replace(&mut self) {
        for _ in 0..LOOK_UPS {
            let flow = flow(self.next());
            let value = self.table.remove(&flow).unwrap_or_default();
            // There is the room of the one that went.
            let _ = self.table.insert(flow, value);
        }
    }
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "flow_table");
    for count in [1, 1_000, 1_000_000] {
        let elements = Throughput::Elements(LOOK_UPS.into());
        let flows = || Flows::new(count);
        group.time(
            format_args!("present of {count}"),
            elements.clone(),
            flows,
            |flows| {
                let found = flows.look_up(0);
                assert_eq!(found, LOOK_UPS as usize);
            },
        );
        group.time(
            format_args!("absent of {count}"),
            elements.clone(),
            flows,
            |flows| {
                let found = flows.look_up(count);
                assert_eq!(found, 0);
            },
        );
        group.time(
            format_args!("removed and added of {count}"),
            elements,
            flows,
            Flows::replace,
        );
    }
}
