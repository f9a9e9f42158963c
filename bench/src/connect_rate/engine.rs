//! Two of our hosts in this process: workers of the same number share a core.

use std::num::NonZeroU8;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use braid_dataplane::worker::{allowed_cores, pin};
use braid_engine::socket::SocketError;
use braid_engine::stack::{Event, Stack};
use braid_engine::time::Instant as Time;

use super::{MESSAGE, SAMPLE, WARM_UP};
use crate::crowd::{Crowd, open};
use crate::memory_links::{Links, text};

/// Connections that each worker has on their way.
const AT_A_TIME: usize = 64;

/// Bytes of each buffer.
const BUFFER: u32 = 8 << 10;

/// Two hosts of two workers each, with connections that stay.
#[derive(Debug)]
pub struct Engine {
    crowds: Vec<Crowd>,
}

impl Engine {
    /// Opens the connections that stay.
    ///
    /// # Errors
    ///
    /// When they cannot be made, or there are not two cores.
    pub fn with(connections: usize) -> Result<Self, String> {
        if allowed_cores().len() < 2 {
            return Err("this takes two cores; this program may use one".into());
        }
        let workers = NonZeroU8::MIN.saturating_add(1);
        let links = Links {
            workers,
            ..Links::ONE
        };
        let mut crowds = Crowd::between_hosts(links, connections, BUFFER)?;
        let each = connections / crowds.len();
        open(&mut crowds, each, 1)?;
        Ok(Self { crowds })
    }

    /// Thousands of connections a second that come and go.
    ///
    /// # Errors
    ///
    /// When one fails.
    pub fn rate(&mut self) -> Result<f64, String> {
        let (gone, over) = (&AtomicU64::new(0), &AtomicBool::new(false));
        let busy = &AtomicUsize::new(self.crowds.len());
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .crowds
                .iter_mut()
                .zip(allowed_cores())
                .map(|(crowd, core)| {
                    scope.spawn(move || {
                        pin(core).map_err(text)?;
                        come_and_go(crowd, gone, over, busy)
                    })
                })
                .collect();
            thread::sleep(WARM_UP);
            let (start, before) = (Instant::now(), gone.load(Ordering::Relaxed));
            thread::sleep(SAMPLE);
            let count = gone.load(Ordering::Relaxed) - before;
            let time = start.elapsed();
            over.store(true, Ordering::Relaxed);
            for thread in threads {
                let ended = thread.join();
                ended.map_err(|_| String::from("a thread panicked"))??;
            }
            Ok(count as f64 / time.as_secs_f64() / 1e3)
        })
    }
}

/// Until it is over, and then until none is on its way: neither of this worker's connections nor of those of
/// the `busy` others, whose far end may be here.
fn come_and_go(
    crowd: &mut Crowd,
    gone: &AtomicU64,
    over: &AtomicBool,
    busy: &AtomicUsize,
) -> Result<(), String> {
    let mut is_busy = true;
    let on_their_way = |crowd: &Crowd| {
        let open = crowd.client.engine().connection_count();
        open.saturating_sub(crowd.connections.len())
    };
    loop {
        if over.load(Ordering::Relaxed) {
            if is_busy && on_their_way(crowd) == 0 {
                is_busy = false;
                busy.fetch_sub(1, Ordering::Relaxed);
            }
            if busy.load(Ordering::Relaxed) == 0 {
                return Ok(());
            }
        } else {
            while on_their_way(crowd) < AT_A_TIME {
                crowd.begin()?;
            }
        }
        let mut failed = None;
        let mut ended = 0;
        crowd.step_serving(
            |now, engine| failed = speak(now, engine).err(),
            |now, engine| ended = listen(now, engine),
        );
        if let Some(error) = failed {
            return Err(text(error));
        }
        gone.fetch_add(ended, Ordering::Relaxed);
    }
}

/// The client's application: sends its message as soon as it can, and closes.
fn speak(now: Time, engine: &mut Stack) -> Result<(), SocketError> {
    while let Some(event) = engine.poll_event() {
        if let Event::Connected(connection) = event {
            engine.send(now, connection, &MESSAGE)?;
            engine.close(now, connection);
        }
    }
    Ok(())
}

/// The server's: reads to the end, and closes; how many connections came to that.
fn listen(now: Time, engine: &mut Stack) -> u64 {
    let mut ended = 0;
    while let Some(event) = engine.poll_event() {
        let (Event::Readable(connection) | Event::PeerFinished(connection)) = event else {
            continue;
        };
        let mut into = MESSAGE;
        loop {
            match engine.recv(now, connection, &mut into) {
                Ok(0) => {
                    engine.close(now, connection);
                    ended += 1;
                    break;
                }
                Ok(_) => {}
                // The second of two events finds the connection closed.
                Err(_) => break,
            }
        }
    }
    ended
}
