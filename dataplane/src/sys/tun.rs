//! Requests to the TUN/TAP driver (the kernel's networking/tuntap.rst).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use braid_engine::wire::ethernet::MacAddress;

use super::interface::InterfaceName;

/// What every device of ours is: Ethernet frames, each after a `virtio_net_hdr` and nothing else.
const DEVICE_FLAGS: libc::c_int = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;

/// Opens the driver without blocking; the file is no device yet.
pub(crate) fn open() -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")
}

/// How many queues a TAP device may have.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Queues {
    /// The file is the device.
    One,
    /// Each file that is attached is a queue of it.
    Many,
}

/// Makes the file the TAP device of this name, or a queue of it. It is created unless it exists.
pub(crate) fn attach(file: &File, name: &InterfaceName, queues: Queues) -> io::Result<()> {
    let mut request = name.request();
    request.ifr_ifru.ifru_flags = flags_field(match queues {
        Queues::One => DEVICE_FLAGS,
        Queues::Many => DEVICE_FLAGS | libc::IFF_MULTI_QUEUE,
    });
    // SAFETY: TUNSETIFF reads and writes one `ifreq`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

/// The device that the file is, and whether it is of the kind that [`attach`] makes.
pub(crate) fn identify(file: &File) -> io::Result<(InterfaceName, bool)> {
    let mut request = InterfaceName::default().request();
    // SAFETY: TUNGETIFF writes one `ifreq`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETIFF, &raw mut request) })?;
    // SAFETY: the kernel filled this member in answer to TUNGETIFF.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let wanted = flags_field(DEVICE_FLAGS);
    Ok((InterfaceName::of(&request), flags & wanted == wanted))
}

/// Sets the length of the header before each frame, and which offloads the kernel may leave to
/// the reader.
pub(crate) fn configure(file: &File, header: usize, offload: bool) -> io::Result<()> {
    let fd = file.as_raw_fd();
    let header = libc::c_int::try_from(header).map_err(io::Error::other)?;
    // SAFETY: TUNSETVNETHDRSZ reads one `int`.
    check(unsafe { libc::ioctl(fd, libc::TUNSETVNETHDRSZ, &raw const header) })?;
    let offloads = if offload {
        libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN
    } else {
        0
    };
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(fd, libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) })?;
    set_nonblocking(fd)
}

/// The Ethernet address of the kernel's side of the device, whichever namespace that is in.
pub(crate) fn ethernet_address(file: &File) -> io::Result<MacAddress> {
    let mut request = InterfaceName::default().request();
    // SAFETY: SIOCGIFHWADDR writes one `ifreq`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) })?;
    // SAFETY: the kernel filled this member in answer to SIOCGIFHWADDR.
    let data = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
    let mut bytes = [0; 6];
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = u8::from_ne_bytes(from.to_ne_bytes());
    }
    Ok(MacAddress(bytes))
}

fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    check(flags.min(0))?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })
}

/// The low half of the flags, as `ifr_flags` holds them.
fn flags_field(flags: libc::c_int) -> libc::c_short {
    let [low, high, ..] = flags.to_le_bytes();
    libc::c_short::from_le_bytes([low, high])
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
