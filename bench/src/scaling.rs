//! What a second worker brings: two hosts in this process, whose workers of the same number share a thread
//! on a core of its own, so that one worker each is one busy core and two are two.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use braid_dataplane::worker::{Worker, allowed_cores, pin};
use braid_engine::socket::{ConnectOptions, ListenOptions, SocketError, SocketOptions};
use braid_engine::stack::{ConnectionId, Event, ListenerId, Stack};

use crate::memory_links::{Links, anywhere, hosts, server, text};

/// What an application gives and takes at once.
const PIECE: usize = 64 << 10;

/// Before it is measured, connections come to be and windows open.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long it is measured.
const SAMPLE: Duration = Duration::from_millis(700);

/// What goes on between the hosts.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Connections, each with bytes one way as fast as they go.
    pub connections: u32,
    /// Send and receive buffer of each end in bytes.
    pub buffer: u32,
}

/// Goodput of all connections in Gbit/s.
///
/// # Errors
///
/// When there are fewer cores than workers, or connections cannot be made.
pub fn goodput(links: Links, traffic: Traffic) -> Result<f64, String> {
    let cores = allowed_cores();
    let workers = usize::from(links.workers.get());
    if cores.len() < workers {
        return Err(format!(
            "this takes {workers} cores; this program may use {}",
            cores.len()
        ));
    }
    let [near, far] = hosts(links)?;
    let received = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let mut threads = Vec::new();
    for ((client, server), index) in near.into_iter().zip(far).zip(0..) {
        let share = (traffic.connections + workers as u32 - 1 - index) / workers as u32;
        threads.push(Thread::new(client, server, share, traffic.buffer)?);
    }
    thread::scope(|scope| {
        let running: Vec<_> = threads
            .into_iter()
            .zip(cores)
            .map(|(thread, core)| {
                let (received, over) = (&received, &over);
                scope.spawn(move || {
                    pin(core).map_err(text)?;
                    thread.run(received, over)
                })
            })
            .collect();
        thread::sleep(WARM_UP);
        let (start, before) = (Instant::now(), received.load(Ordering::Relaxed));
        thread::sleep(SAMPLE);
        let bytes = received.load(Ordering::Relaxed) - before;
        let time = start.elapsed();
        over.store(true, Ordering::Relaxed);
        for thread in running {
            thread
                .join()
                .map_err(|_| String::from("a thread panicked"))??;
        }
        if bytes == 0 {
            return Err("nothing moved".into());
        }
        Ok(bytes as f64 * 8.0 / time.as_secs_f64() / 1e9)
    })
}

/// A worker of each host, and the applications whose connections have their home there.
struct Thread {
    client: Worker<Stack>,
    server: Worker<Stack>,
    listener: ListenerId,
    /// Connections that are to be begun.
    due: u32,
    options: SocketOptions,
    writable: VecDeque<ConnectionId>,
    readable: VecDeque<ConnectionId>,
    bytes: Vec<u8>,
}

impl Thread {
    fn new(
        client: Worker<Stack>,
        mut server: Worker<Stack>,
        connections: u32,
        buffer: u32,
    ) -> Result<Self, String> {
        let options = SocketOptions {
            send_buffer: Some(buffer),
            receive_buffer: Some(buffer),
            ..SocketOptions::default()
        };
        let listening = ListenOptions {
            backlog: usize::MAX,
            socket: options.clone(),
            ..ListenOptions::default()
        };
        let listener = server.engine_mut().listen(anywhere(), listening);
        Ok(Self {
            client,
            server,
            listener: listener.map_err(text)?,
            due: connections,
            options,
            writable: VecDeque::new(),
            readable: VecDeque::new(),
            bytes: vec![7; PIECE],
        })
    }

    fn run(mut self, received: &AtomicU64, over: &AtomicBool) -> Result<(), String> {
        while !over.load(Ordering::Relaxed) {
            self.begin_one()?;
            let _ = self.client.step();
            let _ = self.server.step();
            self.take_events()?;
            self.write()?;
            let count = self.read()?;
            received.fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn begin_one(&mut self) -> Result<(), String> {
        if self.due > 0 {
            let now = self.client.now();
            let options = ConnectOptions {
                socket: self.options.clone(),
                ..ConnectOptions::to(server())
            };
            let connection = self.client.engine_mut().connect(now, options);
            self.writable.push_back(connection.map_err(text)?);
            self.due -= 1;
        }
        Ok(())
    }

    fn take_events(&mut self) -> Result<(), String> {
        while let Some(event) = self.client.engine_mut().poll_event() {
            match event {
                Event::Connected(connection) | Event::Writable(connection) => {
                    self.writable.push_back(connection);
                }
                Event::Closed(_, result) => return result.map_err(text),
                _ => {}
            }
        }
        while let Some(event) = self.server.engine_mut().poll_event() {
            match event {
                Event::Acceptable(_) => {
                    while let Some(accepted) = self.server.engine_mut().accept(self.listener) {
                        self.readable.push_back(accepted);
                    }
                }
                Event::Readable(connection) => self.readable.push_back(connection),
                Event::Closed(_, result) => return result.map_err(text),
                _ => {}
            }
        }
        Ok(())
    }

    /// Each writable connection once; one that took all stays writable.
    fn write(&mut self) -> Result<(), String> {
        for _ in 0..self.writable.len().min(32) {
            let Some(connection) = self.writable.pop_front() else {
                break;
            };
            let now = self.client.now();
            match self.client.engine_mut().send(now, connection, &self.bytes) {
                Ok(count) if count == self.bytes.len() => self.writable.push_back(connection),
                Ok(_) | Err(SocketError::WouldBlock | SocketError::NotConnected) => {}
                Err(error) => return Err(text(error)),
            }
        }
        Ok(())
    }

    /// Each readable connection once; how many bytes.
    fn read(&mut self) -> Result<usize, String> {
        let mut total = 0;
        for _ in 0..self.readable.len().min(32) {
            let Some(connection) = self.readable.pop_front() else {
                break;
            };
            let now = self.server.now();
            match self
                .server
                .engine_mut()
                .recv(now, connection, &mut self.bytes)
            {
                Ok(0) | Err(SocketError::WouldBlock | SocketError::NotConnected) => {}
                Ok(count) => {
                    total += count;
                    self.readable.push_back(connection);
                }
                Err(error) => return Err(text(error)),
            }
        }
        Ok(total)
    }
}
