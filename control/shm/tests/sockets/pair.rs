//! One attachment, with one socket.

use braid_shm::{
    ApplicationRegion, ApplicationSlot, EngineRegion, EngineSlot, RegionLayout, SlotFlags,
    SlotHandle, ThreadId, WorkerRegion,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub(crate) struct Attachment {
    pub(crate) engine: EngineRegion,
    pub(crate) application: ApplicationRegion,
}

pub(crate) fn attach(layout: RegionLayout) -> Attachment {
    let engine = EngineRegion::create(layout).expect("a region");
    let application = reopen(&engine);
    Attachment {
        engine,
        application,
    }
}

/// The side of the only worker.
pub(crate) fn worker(engine: &EngineRegion) -> WorkerRegion {
    engine.worker(0).expect("a worker")
}

/// A further mapping of the same region.
pub(crate) fn reopen(engine: &EngineRegion) -> ApplicationRegion {
    let clone = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().expect("a descriptor");
    ApplicationRegion::open(
        engine.layout(),
        clone(engine.descriptor()),
        clone(engine.control_bell().as_fd()),
        (0..engine.layout().workers())
            .filter_map(|number| engine.worker(number))
            .map(|worker| clone(worker.bell().as_fd())),
    )
    .expect("the region just made")
}

/// A socket: the engine's half and the application's.
pub(crate) struct Pair {
    pub(crate) handle: SlotHandle,
    pub(crate) engine: EngineSlot,
    pub(crate) engine_end: OwnedFd,
    pub(crate) application: ApplicationSlot,
    pub(crate) end: OwnedFd,
}

pub(crate) fn open(attachment: &Attachment, slot: u32) -> Pair {
    let handle = attachment
        .engine
        .open_slot(slot, SlotFlags::default())
        .expect("a slot");
    let engine = attachment.engine.engine_slot(&handle).expect("its rings");
    let application = attachment
        .application
        .slot(slot, handle.generation())
        .expect("the same slot");
    let (engine_end, end) = ends();
    Pair {
        handle,
        engine,
        engine_end,
        application,
        end,
    }
}

/// The two ends of a socket's descriptor, the second with the least send buffer.
pub(crate) fn ends() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: two descriptors are written to a live array.
    let made = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        )
    };
    assert_eq!(made, 0);
    // SAFETY: both are new.
    let (engine, end) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    let least: libc::c_int = 0;
    // SAFETY: the value is live.
    let set = unsafe {
        libc::setsockopt(
            end.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            (&raw const least).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(set, 0);
    (engine, end)
}

pub(crate) fn me() -> ThreadId {
    ThreadId::current()
}

/// What poll says of a descriptor within so many milliseconds.
pub(crate) fn poll(fd: BorrowedFd<'_>, events: i16, milliseconds: i32) -> i16 {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, milliseconds) };
    entry.revents
}

pub(crate) fn is_readable(pair: &Pair) -> bool {
    poll(pair.end.as_fd(), libc::POLLIN, 0) & libc::POLLIN != 0
}

pub(crate) fn is_writable(pair: &Pair) -> bool {
    poll(pair.end.as_fd(), libc::POLLOUT, 0) & libc::POLLOUT != 0
}

impl Pair {
    /// The engine hands bytes to the application.
    pub(crate) fn arrive(&mut self, bytes: &[u8]) -> usize {
        self.engine.refresh_receive().expect("honest words");
        let count = self.engine.write(bytes);
        self.engine.publish(&self.engine_end.as_fd());
        count
    }

    /// The engine takes up to `most` bytes from the application.
    pub(crate) fn take(&mut self, most: usize) -> Vec<u8> {
        self.engine.refresh_transmit().expect("honest words");
        let mut bytes = vec![0; most];
        let count = self.engine.peek(0, &mut bytes);
        bytes.truncate(count);
        self.engine.advance(count);
        self.engine.publish(&self.engine_end.as_fd());
        bytes
    }

    pub(crate) fn answer_kick(&mut self) {
        self.engine
            .answer_kick(&self.engine_end.as_fd())
            .expect("honest words");
    }

    pub(crate) fn receive(&self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let count = self
            .application
            .receive(me(), &mut bytes, &self.end.as_fd())
            .expect("honest words");
        bytes.truncate(count);
        bytes
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> usize {
        self.application.send(me(), bytes).expect("honest words")
    }

    pub(crate) fn block(&self) -> usize {
        self.application
            .block(me(), &self.end.as_fd())
            .expect("honest words")
    }
}

pub(crate) fn small() -> RegionLayout {
    RegionLayout::new(70, 4, 4096).expect("a layout")
}
