//! A packet socket with its rings (packet(7), the kernel's networking/packet_mmap.rst).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::filter::Instruction;
use super::ring::{BLOCK, Mapping, Rings, SLOT, SLOTS_PER_BLOCK};

/// A raw packet socket, without rings as yet.
#[derive(Debug)]
pub(crate) struct PacketSocket(OwnedFd);

/// By which rule the kernel spreads frames over the sockets of a group.
#[derive(Clone, Debug)]
pub(crate) enum Spread {
    /// A program says the number of the socket. It sees each frame from its IP header on.
    Program(Box<[Instruction]>),
    /// By the queue of the network card that it came in at, all sockets in turn.
    QueueOfCard,
}

/// A group of sockets that share what arrives at their interface. It ends with the last of them.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Group(libc::c_int);

/// A refusal by the kernel, and what was asked for.
pub(crate) type Refusal = (&'static str, io::Error);

impl PacketSocket {
    /// A socket that receives nothing until it is bound.
    pub(crate) fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above made this descriptor and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the rings, each frame in them after a `virtio_net_hdr`.
    pub(crate) fn make_rings(
        &self,
        receive_blocks: usize,
        transmit_blocks: usize,
    ) -> Result<Rings, Refusal> {
        const ON: libc::c_int = 1;
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        self.set(libc::PACKET_VERSION, &version)
            .map_err(|e| ("packet_mmap version 2", e))?;
        self.set(libc::PACKET_VNET_HDR, &ON)
            .map_err(|e| ("PACKET_VNET_HDR", e))?;
        self.set(libc::PACKET_LOSS, &ON)
            .map_err(|e| ("PACKET_LOSS", e))?;
        self.set(libc::PACKET_IGNORE_OUTGOING, &ON)
            .map_err(|e| ("PACKET_IGNORE_OUTGOING", e))?;
        self.set(libc::PACKET_RX_RING, &ring_request(receive_blocks))
            .map_err(|e| ("a receive ring", e))?;
        self.set(libc::PACKET_TX_RING, &ring_request(transmit_blocks))
            .map_err(|e| ("a transmit ring", e))?;
        let length = (receive_blocks + transmit_blocks) * BLOCK;
        Mapping::of_socket(self.0.as_fd(), length)
            .and_then(|mapping| Rings::new(mapping, receive_blocks, transmit_blocks))
            .map_err(|e| ("mapping the rings", e))
    }

    /// Hands frames to the driver without queueing discipline and traffic control.
    pub(crate) fn bypass_queueing(&self) -> io::Result<()> {
        self.set(libc::PACKET_QDISC_BYPASS, &1)
    }

    /// Asks for room for `bytes` under way to the interface; the kernel may grant less.
    pub(crate) fn ask_send_buffer(&self, bytes: libc::c_int) {
        if self
            .set_at(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes)
            .is_err()
        {
            let _ = self.set_at(libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes);
        }
    }

    /// Starts to receive all frames that arrive by the interface, whatever their address.
    pub(crate) fn bind(&self, interface: libc::c_int) -> io::Result<()> {
        // SAFETY: the address is plain integers, for which zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface;
        // SAFETY: the address lives across the call and its length is stated.
        check(unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        })?;
        let promiscuous = libc::packet_mreq {
            mr_ifindex: interface,
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &promiscuous)
    }

    /// Makes the socket, which is bound, the first of a new group.
    pub(crate) fn found_group(&self, spread: &Spread) -> io::Result<Group> {
        let kind = match spread {
            Spread::Program(_) => libc::PACKET_FANOUT_CBPF,
            Spread::QueueOfCard => libc::PACKET_FANOUT_QM,
        };
        let flags = libc::PACKET_FANOUT_FLAG_UNIQUEID | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        let request = ((kind | flags) << 16).cast_signed();
        self.set(libc::PACKET_FANOUT, &request)?;
        if let Spread::Program(program) = spread {
            self.set_program(libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, program)?;
        }
        // The answer has the number that the kernel chose.
        let mut group = 0;
        self.get_at(libc::SOL_PACKET, libc::PACKET_FANOUT, &mut group)?;
        Ok(Group(group))
    }

    /// Makes the socket, which is bound to the same interface, the next of a group.
    pub(crate) fn join_group(&self, group: Group) -> io::Result<()> {
        self.set(libc::PACKET_FANOUT, &group.0)
    }

    /// Keeps of each frame, seen from its Ethernet header on, as many bytes as the program says.
    pub(crate) fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        self.set_program(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
    }

    /// Has the kernel take the frames offered in the transmit ring.
    pub(crate) fn kick(&self) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: with a transmit ring the buffer is not read; null and zero are allowed.
        let sent = unsafe { libc::send(fd, std::ptr::null(), 0, libc::MSG_DONTWAIT) };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The error that the socket holds, if any. Asking clears it; while it stands the socket
    /// polls as ready.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let mut error: libc::c_int = 0;
        self.get_at(libc::SOL_SOCKET, libc::SO_ERROR, &mut error)
            .ok()?;
        (error != 0).then(|| io::Error::from_raw_os_error(error))
    }

    /// How many frames found the receive ring full since the last call.
    pub(crate) fn take_drops(&self) -> u64 {
        let mut statistics = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        match self.get_at(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut statistics) {
            Ok(()) => u64::from(statistics.tp_drops),
            Err(_) => 0,
        }
    }

    fn set<T: PlainOption>(&self, option: libc::c_int, value: &T) -> io::Result<()> {
        self.set_at(libc::SOL_PACKET, option, value)
    }

    fn set_at<T: PlainOption>(
        &self,
        level: libc::c_int,
        option: libc::c_int,
        value: &T,
    ) -> io::Result<()> {
        let length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the value lives across the call and its length is stated.
        check(unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                length,
            )
        })
    }

    fn set_program(
        &self,
        level: libc::c_int,
        option: libc::c_int,
        program: &[Instruction],
    ) -> io::Result<()> {
        let value = libc::sock_fprog {
            len: libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?,
            filter: program.as_ptr().cast_mut(),
        };
        // SAFETY: the value and the program it points to live across the call, their lengths are
        // stated, and the kernel writes to neither.
        check(unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                size_of_val(&value) as libc::socklen_t,
            )
        })
    }

    fn get_at<T: PlainOption>(
        &self,
        level: libc::c_int,
        option: libc::c_int,
        value: &mut T,
    ) -> io::Result<()> {
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the value lives across the call, its length is stated, and any bytes that the
        // kernel writes make a value of a `PlainOption`.
        check(unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                std::ptr::from_mut(value).cast(),
                &raw mut length,
            )
        })
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Types of socket options.
///
/// # Safety
///
/// They consist of integers without padding, so that any bytes make a value.
unsafe trait PlainOption {}

// SAFETY: an integer.
unsafe impl PlainOption for libc::c_int {}
// SAFETY: four integers of the same size.
unsafe impl PlainOption for libc::tpacket_req {}
// SAFETY: two integers of the same size.
unsafe impl PlainOption for libc::tpacket_stats {}
// SAFETY: an `int`, two `short`s and eight bytes, in this order.
unsafe impl PlainOption for libc::packet_mreq {}

fn ring_request(blocks: usize) -> libc::tpacket_req {
    libc::tpacket_req {
        tp_block_size: BLOCK as libc::c_uint,
        tp_block_nr: blocks as libc::c_uint,
        tp_frame_size: SLOT as libc::c_uint,
        tp_frame_nr: (blocks * SLOTS_PER_BLOCK) as libc::c_uint,
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
