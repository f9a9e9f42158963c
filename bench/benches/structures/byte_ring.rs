//! The shared-memory rings of a socket, both ends in one thread: what an application sends and the engine
//! takes out, and what the engine puts in and the application receives. Bytes are those of one call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use braid_shm::{
    ApplicationRegion, ApplicationSlot, EngineRegion, EngineSlot, RegionLayout, SlotFlags,
    ThreadId, WorkerRegion,
};
use criterion::{Criterion, Throughput};
use socket2::{Domain, Socket, Type};

use crate::harness::Group;
use crate::instructions::Marked;

/// Of messages, a segment and a large segment.
const LENGTHS: [usize; 3] = [64, 1_448, 65_160];

/// A socket, seen from both sides, and the bytes of a call.
struct Ends {
    worker: WorkerRegion,
    engine: EngineSlot,
    engine_end: OwnedFd,
    application: ApplicationSlot,
    application_end: OwnedFd,
    thread: ThreadId,
    from: Vec<u8>,
    into: Vec<u8>,
}

impl Ends {
    fn new(length: usize) -> Self {
        let layout = RegionLayout::new(1, 1, 256 << 10).expect("a sound layout");
        let region = EngineRegion::create(layout).expect("a region");
        let worker = region.worker(0).expect("there is one");
        let clone = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().expect("a descriptor");
        let application = ApplicationRegion::open(
            layout,
            clone(region.descriptor()),
            clone(region.control_bell().as_fd()),
            [clone(worker.bell().as_fd())],
        );
        let handle = region.open_slot(0, SlotFlags::default()).expect("a slot");
        let application = application
            .expect("the region just made")
            .slot(0, handle.generation());
        let (engine_end, application_end) =
            Socket::pair(Domain::UNIX, Type::SEQPACKET, None).expect("a pair");
        Self {
            worker,
            engine: region.engine_slot(&handle).expect("its rings"),
            engine_end: engine_end.into(),
            application: application.expect("the same slot"),
            application_end: application_end.into(),
            thread: ThreadId::current(),
            from: (0..length).map(|n| n as u8).collect(),
            into: vec![0; length],
        }
    }

    fn send(&mut self) {
        let sent = self.application.send(self.thread, &self.from);
        assert_eq!(sent, Ok(self.from.len()));
        self.worker.take_kicks(|_| {});
        let waiting = self.engine.refresh_transmit();
        assert_eq!(waiting, Ok(self.into.len()));
        self.engine.peek(0, &mut self.into);
        self.engine.advance(self.into.len());
        self.engine.publish(&self.engine_end.as_fd());
    }

    fn receive(&mut self) {
        let room = self.engine.refresh_receive();
        assert!(room.is_ok_and(|room| room >= self.from.len()));
        self.engine.write(&self.from);
        self.engine.publish(&self.engine_end.as_fd());
        let end = self.application_end.as_fd();
        let received = self.application.receive(self.thread, &mut self.into, &end);
        assert_eq!(received, Ok(self.into.len()));
    }
}

pub(crate) fn bench(criterion: &mut Criterion<Marked>) {
    let mut group = Group::new(criterion, "byte_ring");
    for length in LENGTHS {
        let bytes = Throughput::Bytes(length as u64);
        let ends = || Ends::new(length);
        group.time(
            format_args!("send {length}"),
            bytes.clone(),
            ends,
            Ends::send,
        );
        group.time(format_args!("receive {length}"), bytes, ends, Ends::receive);
    }
}
