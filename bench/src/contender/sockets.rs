//! A program that uses braid-socket. The engine is where BRAID_SOCKET says.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use braid_socket::{BraidListener, BraidStream, calls};

use super::kernel::NonBlocking;
use super::{Task, engine};
use crate::load::{Outcome, Pace, sleeping, spinning};

const PORT: u16 = 7;

pub(super) fn run(task: Task) -> io::Result<Outcome> {
    let listener = BraidListener::bind(SocketAddr::new(engine::ADDRESS, PORT))?;
    let mut client = BraidStream::connect(SocketAddr::new(engine::ADDRESS, PORT))?;
    let (mut server, _) = listener.accept()?;
    match task.pace {
        Pace::Sleeping => sleeping::run(&mut client, &mut server, task.load),
        Pace::Spinning => {
            for end in [&client, &server] {
                // Without `BraidStream::set_nonblocking`, which also makes it fit for an epoll.
                calls::set_nonblocking(end.as_raw_fd(), true)?;
            }
            spinning::run(&mut NonBlocking { client, server }, task.load)
        }
    }
}
