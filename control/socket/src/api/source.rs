//! mio's event sources: the descriptor, which follows the socket's readiness edge by edge.

use super::{BraidListener, BraidStream, Socket};
use crate::calls;
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, wanted: Interest) -> io::Result<()> {
        calls::watch_for_good(self.raw(), true)?;
        SourceFd(&self.raw()).register(registry, token, wanted)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        wanted: Interest,
    ) -> io::Result<()> {
        calls::watch_for_good(self.raw(), true)?;
        SourceFd(&self.raw()).reregister(registry, token, wanted)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.raw()).deregister(registry)
    }
}

macro_rules! by_socket {
    ($($name:ident)*) => {$(
        impl Source for $name {
            fn register(&mut self, registry: &Registry, token: Token, wanted: Interest) -> io::Result<()> {
                self.0.register(registry, token, wanted)
            }

            fn reregister(&mut self, registry: &Registry, token: Token, wanted: Interest) -> io::Result<()> {
                self.0.reregister(registry, token, wanted)
            }

            fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
                self.0.deregister(registry)
            }
        }
    )*};
}

by_socket!(BraidStream BraidListener);
