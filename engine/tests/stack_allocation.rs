//! A connection in its steady state takes no memory from the heap: frames go round between ports
//! and stacks, and every queue has the length it needs.

mod stack_support;

use braid_engine::stack::{
    Capabilities, ConnectionId, PortId, ReceiveMeta, ReceivedChecksum, Stack, StackConfig,
    TransmitBatch, TransmitMeta,
};
use braid_engine::storage::frame::Frame;
use braid_engine::time::{Duration, Instant};
use core::net::SocketAddr;
use stack_support::{OFFLOAD, PLAIN, Side, interface, v4};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;

/// Counts what the stacks allocate; the test's own allocations are between their calls.
struct Counting;

thread_local! {
    static COUNTS: Cell<Option<u64>> = const { Cell::new(None) };
}

fn note() {
    COUNTS.with(|counts| counts.set(counts.get().map(|count| count + 1)));
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here and there.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` or `realloc` above, so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as for `dealloc`; the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `call` and returns how often it allocated.
fn counted<R>(call: impl FnOnce() -> R) -> (R, u64) {
    COUNTS.with(|counts| counts.set(Some(0)));
    let result = call();
    let count = COUNTS.with(|counts| counts.take());
    (result, count.unwrap_or_default())
}

/// Frames under way to the other stack, and spare ones.
#[derive(Default)]
struct Wire {
    under_way: VecDeque<(Frame, PortId, TransmitMeta)>,
    spare: Vec<Frame>,
    reserved: Option<Frame>,
}

impl TransmitBatch for Wire {
    fn reserve(&mut self, _: PortId, length: usize) -> Option<&mut [u8]> {
        let spare = || Frame::with_capacity(70_000);
        let frame = self
            .reserved
            .take()
            .or_else(|| self.spare.pop())
            .unwrap_or_else(spare);
        self.reserved = Some(frame);
        self.reserved.as_mut()?.buffer_mut().get_mut(..length)
    }

    fn commit(&mut self, port: PortId, length: usize, meta: TransmitMeta) {
        let Some(mut frame) = self.reserved.take() else {
            return;
        };
        frame.set_filled(0..length);
        self.under_way.push_back((frame, port, meta));
    }
}

struct End {
    stack: Stack,
    wire: Wire,
}

impl End {
    fn new(side: Side, capabilities: Capabilities) -> Self {
        let config = StackConfig {
            frame_capacity: 70_000,
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, [side as u8; 32]);
        for link in 0..2 {
            stack
                .add_interface(interface(side, link, capabilities))
                .unwrap();
        }
        Self {
            stack,
            wire: Wire::default(),
        }
    }

    /// Sends what is due; the count of allocations is the stack's alone.
    fn transmit(&mut self, now: Instant) -> u64 {
        // The wire's own queue and frames are there before.
        self.wire.under_way.reserve(4_096);
        while self.wire.spare.len() < 4_096 {
            self.wire.spare.push(self.stack.frame_pool().take());
        }
        counted(|| self.stack.transmit(now, &mut self.wire)).1
    }

    fn receive(&mut self, now: Instant, other: &mut Wire) -> u64 {
        let mut allocations = 0;
        while let Some((frame, port, meta)) = other.under_way.pop_front() {
            other.spare.push(self.stack.frame_pool().take());
            let meta = ReceiveMeta {
                port,
                checksum: ReceivedChecksum::Verified,
                segment_size: meta.segmentation.map(|cut| cut.segment_size),
            };
            allocations += counted(|| self.stack.receive(now, frame, meta)).1;
        }
        allocations
    }
}

/// Moves `total` bytes and returns how often the stacks allocated.
fn transfer(
    now: &mut Instant,
    ends: (&mut End, &mut End),
    ids: (ConnectionId, ConnectionId),
    total: usize,
) -> u64 {
    let (client, server) = ends;
    let bytes = vec![7; 100_000];
    let mut buffer = vec![0; 1 << 20];
    let (mut sent, mut received, mut allocations) = (0, 0, 0);
    while received < total {
        *now += Duration::from_micros(500);
        if sent < total {
            let (result, count) = counted(|| client.stack.send(*now, ids.0, &bytes));
            sent += result.unwrap_or_default();
            allocations += count;
        }
        allocations += client.transmit(*now);
        allocations += server.receive(*now, &mut client.wire);
        let (result, count) = counted(|| server.stack.recv(*now, ids.1, &mut buffer));
        received += result.unwrap_or_default();
        allocations += count;
        allocations += server.transmit(*now);
        allocations += client.receive(*now, &mut server.wire);
        allocations += counted(|| client.stack.advance(*now)).1;
        allocations += counted(|| server.stack.advance(*now)).1;
        while client.stack.poll_event().is_some() || server.stack.poll_event().is_some() {}
    }
    allocations
}

#[test]
fn a_running_transfer_does_not_allocate() {
    for capabilities in [PLAIN, OFFLOAD] {
        let mut client = End::new(Side::Client, capabilities);
        let mut server = End::new(Side::Server, capabilities);
        let mut now = Instant::from_millis(1);
        let any = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 80);
        let listener = server.stack.listen(any, Default::default()).unwrap();
        let remote = SocketAddr::new(v4(Side::Server, 0), 80);
        let options = braid_engine::socket::ConnectOptions::to(remote);
        let connection = client.stack.connect(now, options).unwrap();
        let accepted = loop {
            now += Duration::from_millis(1);
            client.transmit(now);
            server.receive(now, &mut client.wire);
            server.transmit(now);
            client.receive(now, &mut server.wire);
            if let Some(accepted) = server.stack.accept(listener) {
                break accepted;
            }
        };
        let ids = (connection, accepted);
        transfer(&mut now, (&mut client, &mut server), ids, 60_000_000);
        let allocations = transfer(&mut now, (&mut client, &mut server), ids, 20_000_000);
        assert_eq!(allocations, 0, "with {capabilities:?}");
    }
}
