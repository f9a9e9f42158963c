//! mio's event loop over sockets of the engine: edge-triggered epoll of their descriptors.

mod support;

use braid_socket::{BraidListener, BraidStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

const LISTENER: Token = Token(0);
const CLIENTS: usize = 8;
const BYTES: usize = 200_000;

/// A connection of the echo server.
struct Echo {
    stream: BraidStream,
    waiting: Vec<u8>,
    ended: bool,
}

impl Echo {
    /// Moves what can be moved; whether all is done.
    fn work(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 3000];
        loop {
            while !self.waiting.is_empty() {
                match self.stream.write(&self.waiting) {
                    Ok(count) => drop(self.waiting.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            if self.ended {
                return Ok(true);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.waiting.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

fn serve(mut listener: BraidListener) -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    listener.set_nonblocking(true)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Vec<Option<Echo>> = Vec::new();
    let mut open = CLIENTS;
    while open > 0 {
        poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        assert!(
            !events.is_empty(),
            "no event for ten seconds, {open} connections open"
        );
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let token = Token(connections.len() + 1);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, interest)?;
                    connections.push(Some(Echo {
                        stream,
                        waiting: Vec::new(),
                        ended: false,
                    }));
                }
                continue;
            }
            let place = &mut connections[event.token().0 - 1];
            if let Some(echo) = place
                && echo.work()?
            {
                *place = None;
                open -= 1;
            }
        }
    }
    Ok(())
}

#[test]
fn an_echo_server_serves_many_connections_in_one_thread() {
    support::engine();
    let address = support::address();
    let listener = BraidListener::bind(address).unwrap();
    let server = thread::spawn(move || serve(listener).unwrap());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            thread::spawn(move || {
                let sent: Vec<u8> = (0..BYTES).map(|n| (n * (client + 3)) as u8).collect();
                let stream = BraidStream::connect(address).unwrap();
                let copy = stream.try_clone().unwrap();
                let bytes = sent.clone();
                let writer = thread::spawn(move || {
                    (&copy).write_all(&bytes).unwrap();
                    copy.shutdown(std::net::Shutdown::Write).unwrap();
                });
                let mut received = Vec::new();
                (&stream).read_to_end(&mut received).unwrap();
                writer.join().unwrap();
                assert!(
                    received == sent,
                    "client {client}: {} bytes",
                    received.len()
                );
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    server.join().unwrap();
}
