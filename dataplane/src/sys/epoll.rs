//! Being told that a descriptor has become writable, where the kernel's saying that it is writable
//! is not enough (epoll(7), edge-triggered).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Becomes readable each time that the kernel announces room for what is written to a descriptor.
#[derive(Debug)]
pub(crate) struct RoomEvents(OwnedFd);

impl RoomEvents {
    /// Those of `descriptor`.
    pub(crate) fn of(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above made this descriptor and nothing else owns it.
        let events = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let mut wanted = libc::epoll_event {
            events: (libc::EPOLLOUT | libc::EPOLLET) as u32,
            u64: 0,
        };
        // SAFETY: the event lives across the call, and both descriptors are open.
        let added = unsafe {
            libc::epoll_ctl(
                events.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                descriptor.as_raw_fd(),
                &raw mut wanted,
            )
        };
        if added < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(events)
    }

    /// Forgets what was announced so far.
    pub(crate) fn clear(&self) {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: there is room for the one event asked for. Nothing is waited for; a call that
        // fails leaves the event standing, and whoever waits for it looks once more in vain.
        unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, 0) };
    }
}

impl AsFd for RoomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::sys::poll;

    #[test]
    fn room_is_announced_once_when_it_comes() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let events = RoomEvents::of(near.as_fd()).unwrap();
        let announced = || poll::readable([events.as_fd()], Some(Duration::ZERO)).unwrap();
        assert!(announced(), "there is room from the start");
        events.clear();
        assert!(!announced());
        let full = loop {
            if let Err(error) = near.write(&[0; 4_096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        events.clear();
        assert!(!announced() && !poll::is_writable(near.as_fd()));
        far.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 16];
        while far.read(&mut buffer).is_ok() {}
        assert!(announced() && poll::is_writable(near.as_fd()));
        events.clear();
        assert!(!announced());
    }
}
