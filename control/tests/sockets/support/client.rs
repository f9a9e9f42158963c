//! A program that speaks to the shared memory directly.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use braid_shm::abi::{
    ABI_VERSION, AcceptedMessage, Attach, Attached, MAX_MESSAGE_BYTES, MAX_MESSAGE_DESCRIPTORS,
    OpenSocket, Operation, Plain, Reply, Request, SocketAddressStorage,
};
use braid_shm::{ApplicationRegion, ApplicationSlot, ReadEnd, ThreadId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An attached program.
pub(crate) struct Client {
    connection: OwnedFd,
    pub(crate) region: ApplicationRegion,
    /// A copy of the region's memory, to write over it.
    pub(crate) memory: OwnedFd,
}

impl Client {
    pub(crate) fn attach(path: &Path) -> Self {
        Self::try_attach(path).unwrap_or_else(|refused| panic!("not attached: {refused:?}"))
    }

    /// What the engine says instead of attaching is the error.
    pub(crate) fn try_attach(path: &Path) -> Result<Self, Box<Reply>> {
        let connection = connect(path);
        let attach = Request::Attach(Attach {
            version: ABI_VERSION,
            pid: std::process::id(),
            flags: 0,
            reserved: 0,
        });
        send(&connection, &attach.encode(), &[]);
        let (packet, descriptors) = receive(&connection);
        let attached = match Reply::parse(&packet).unwrap() {
            Reply::Attached(attached) => attached,
            other => return Err(Box::new(other)),
        };
        let memory = descriptors[0].try_clone().unwrap();
        Ok(Self {
            connection,
            region: open_region(&attached, descriptors),
            memory,
        })
    }

    pub(crate) fn request(&self, request: &Request, with: &[&OwnedFd]) -> (Reply, Vec<OwnedFd>) {
        send(&self.connection, &request.encode(), with);
        let (packet, descriptors) = receive(&self.connection);
        (Reply::parse(&packet).unwrap(), descriptors)
    }

    pub(crate) fn open(&self) -> Socket {
        self.open_domain(libc::AF_INET)
    }

    pub(crate) fn open_domain(&self, domain: i32) -> Socket {
        let open = Request::OpenSocket(OpenSocket {
            domain,
            protocol: 0,
            flags: 0,
            reserved: 0,
        });
        let (reply, mut descriptors) = self.request(&open, &[]);
        let Reply::Opened(opened) = reply else {
            panic!("not opened: {reply:?}");
        };
        Socket {
            end: descriptors.remove(0),
            slot: self.region.slot(opened.slot, opened.generation).unwrap(),
        }
    }

    /// Whether the engine has closed the control connection.
    pub(crate) fn is_cut_off(&self) -> bool {
        wait(&self.connection, PollFlags::RDHUP, Duration::ZERO)
    }
}

fn open_region(attached: &Attached, descriptors: Vec<OwnedFd>) -> ApplicationRegion {
    let mut descriptors = descriptors.into_iter();
    let (memory, control_bell) = (descriptors.next().unwrap(), descriptors.next().unwrap());
    let layout = attached.layout().unwrap();
    ApplicationRegion::open(layout, memory, control_bell, descriptors).unwrap()
}

/// A socket of the program.
pub(crate) struct Socket {
    pub(crate) end: OwnedFd,
    pub(crate) slot: ApplicationSlot,
}

impl Socket {
    /// Asks the control thread; the reply's data, or an errno.
    pub(crate) fn call(&self, operation: Operation, argument: &[u8]) -> Result<Vec<u8>, i32> {
        let mut block = self.slot.region().claim(ThreadId::current(), 0).unwrap();
        let mut reply = Vec::new();
        let (slot, generation) = (self.slot.slot(), self.slot.generation());
        let gone = || wait(&self.end, PollFlags::HUP, Duration::ZERO);
        let result = block.call(slot, generation, operation, argument, &mut reply, gone);
        match result {
            Ok(0..) => Ok(reply),
            Ok(errno) => Err(i32::try_from(-errno).unwrap()),
            Err(_) => Err(libc::ECONNRESET),
        }
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> Result<(), i32> {
        self.call(Operation::Bind, &sockaddr(address)).map(|_| ())
    }

    pub(crate) fn listen(&self, backlog: i32) -> Result<(), i32> {
        self.call(Operation::Listen { backlog }, &[]).map(|_| ())
    }

    pub(crate) fn local_address(&self) -> Result<SocketAddr, i32> {
        self.call(Operation::LocalAddress, &[])
            .map(|bytes| address(&bytes))
    }

    pub(crate) fn peer_address(&self) -> Result<SocketAddr, i32> {
        self.call(Operation::PeerAddress, &[])
            .map(|bytes| address(&bytes))
    }

    pub(crate) fn set(&self, level: i32, name: i32, value: &[u8]) -> Result<(), i32> {
        self.call(Operation::SetOption { level, name }, value)
            .map(|_| ())
    }

    pub(crate) fn get(&self, level: i32, name: i32) -> Result<Vec<u8>, i32> {
        let capacity = 4096;
        self.call(
            Operation::GetOption {
                level,
                name,
                capacity,
            },
            &[],
        )
    }

    /// connect(), and the wait for its end.
    pub(crate) fn connect(&self, remote: SocketAddr) -> Result<(), i32> {
        let thread = ThreadId::current();
        self.slot.block(thread, &self.end.as_fd()).unwrap();
        self.call(Operation::Connect, &sockaddr(remote))?;
        assert!(
            wait(&self.end, PollFlags::OUT, PATIENCE),
            "connect takes too long"
        );
        self.slot.take_error().map_or(Ok(()), Err)
    }

    pub(crate) fn accept(&self) -> (Self, SocketAddr) {
        let (packet, mut descriptors) = receive(&self.end);
        let message = AcceptedMessage::read(&packet);
        let slot = self.slot.region().slot(message.slot, message.generation);
        let accepted = Self {
            end: descriptors.remove(0),
            slot: slot.unwrap(),
        };
        (accepted, message.remote.address().unwrap())
    }

    pub(crate) fn send_all(&self, mut bytes: &[u8]) -> Result<(), i32> {
        let thread = ThreadId::current();
        while !bytes.is_empty() {
            if self.slot.write_closed() || wait(&self.end, PollFlags::HUP, Duration::ZERO) {
                return Err(self.slot.take_error().unwrap_or(libc::EPIPE));
            }
            let sent = self.slot.send(thread, bytes).unwrap();
            bytes = &bytes[sent..];
            if sent == 0 && self.slot.block(thread, &self.end.as_fd()).unwrap() == 0 {
                assert!(
                    wait(&self.end, PollFlags::OUT, PATIENCE),
                    "no room in {PATIENCE:?}"
                );
            }
        }
        Ok(())
    }

    /// Waits for bytes; 0 is the end.
    pub(crate) fn recv(&self, into: &mut [u8]) -> Result<usize, i32> {
        let thread = ThreadId::current();
        loop {
            let end = self.slot.read_end();
            let count = self.slot.receive(thread, into, &self.end.as_fd()).unwrap();
            if count > 0 {
                return Ok(count);
            }
            if end != ReadEnd::Open {
                return self.slot.take_error().map_or(Ok(0), Err);
            }
            if wait(&self.end, PollFlags::HUP, Duration::ZERO) {
                return Err(libc::ECONNRESET);
            }
            let _watch = self.slot.watch();
            if self.slot.unread().unwrap() == 0 {
                assert!(
                    wait(&self.end, PollFlags::IN, PATIENCE),
                    "nothing came in {PATIENCE:?}"
                );
            }
        }
    }

    /// Says that no more will be sent.
    pub(crate) fn finish(&self) {
        let how = libc::SHUT_WR;
        self.call(Operation::Shutdown { how }, &[]).unwrap();
    }

    /// close().
    pub(crate) fn close(self) {
        self.slot.set_orderly(true);
    }
}

impl Read for &Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.recv(into).map_err(io::Error::from_raw_os_error)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.send_all(bytes);
        sent.map_err(io::Error::from_raw_os_error)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let storage = SocketAddressStorage::new(address);
    let mut bytes = vec![0; SocketAddressStorage::BYTES];
    storage.write(&mut bytes);
    bytes
}

fn address(bytes: &[u8]) -> SocketAddr {
    SocketAddressStorage::from_sockaddr(bytes)
        .unwrap()
        .address()
        .unwrap()
}

/// Whether one of `flags` is there within `time`.
pub(crate) fn wait(end: &OwnedFd, flags: PollFlags, time: Duration) -> bool {
    let mut fds = [PollFd::new(end, flags)];
    let timeout = Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    };
    poll(&mut fds, Some(&timeout)).unwrap() > 0 && fds[0].revents().intersects(flags)
}

pub(crate) fn connect(path: &Path) -> OwnedFd {
    try_connect(path).unwrap()
}

/// Whether the engine's socket can be connected to at all.
pub(crate) fn reach(path: &Path) -> rustix::io::Result<()> {
    try_connect(path).map(drop)
}

fn try_connect(path: &Path) -> rustix::io::Result<OwnedFd> {
    let connection = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::connect(&connection, &SocketAddrUnix::new(path)?)?;
    Ok(connection)
}

pub(crate) fn send(connection: &OwnedFd, packet: &[u8], with: &[&OwnedFd]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = with.iter().map(AsFd::as_fd).collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    rustix::net::sendmsg(
        connection,
        &[IoSlice::new(packet)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )
    .unwrap();
}

pub(crate) fn receive(connection: &OwnedFd) -> (Vec<u8>, Vec<OwnedFd>) {
    assert!(
        wait(connection, PollFlags::IN, PATIENCE),
        "no packet in {PATIENCE:?}"
    );
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut packet = vec![0; MAX_MESSAGE_BYTES];
    let message = rustix::net::recvmsg(
        connection,
        &mut [IoSliceMut::new(&mut packet)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )
    .unwrap();
    packet.truncate(message.bytes);
    let descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    (packet, descriptors)
}
