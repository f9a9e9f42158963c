//! A session of two hosts of our engine, and what one of them sent.

use std::net::SocketAddr;

use braid_dataplane::port::memory::{MemoryOptions, MemoryPort};
use braid_dataplane::port::{Burst, POOL_FRAME_CAPACITY, Port};
use braid_engine::socket::{ConnectOptions, ListenOptions};
use braid_engine::stack::{PortId, TransmitMeta};
use braid_engine::storage::frame::FramePool;

use super::{FLOODED, FLOODING, PORT, host};
use crate::memory_links::{some, text, turn};

/// Turns after which the session should long be over.
const PATIENCE: usize = 100_000;

/// Bytes that the client sends in all: more than the session's packets hold.
const BYTES: usize = 4 << 20;

/// A link whose frames without offloads are looked at on their way.
fn link() -> Result<(MemoryPort, MemoryPort), String> {
    let options = MemoryOptions {
        checksum: false,
        segmentation: false,
        ..MemoryOptions::default()
    };
    MemoryPort::pair(options).map_err(text)
}

/// What passes between two links.
struct Tap {
    pool: FramePool,
    burst: Burst,
}

impl Tap {
    /// Passes on what comes by `from`, and shows each frame.
    fn pass(
        &mut self,
        from: &mut MemoryPort,
        to: &mut MemoryPort,
        mut show: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        from.receive(PortId(0), &mut self.pool, &mut self.burst)
            .map_err(text)?;
        for received in self.burst.drain(..) {
            let bytes = received.frame.bytes();
            show(bytes);
            // Where there is no room the frame is lost, as on any link.
            if let Some(room) = to.reserve(bytes.len()) {
                room.copy_from_slice(bytes);
                to.commit(bytes.len(), TransmitMeta::default());
            }
            self.pool.put(received.frame);
        }
        to.flush().map_err(text)
    }
}

/// The first `most` frames that a client sends to [`FLOODED`]: its handshake, and data.
pub(super) fn record(most: usize) -> Result<Vec<Vec<u8>>, String> {
    let (near, mut near_tap) = link()?;
    let (far, mut far_tap) = link()?;
    let mut client = host(1, vec![(FLOODING, near.into())])?;
    let mut server = host(2, vec![(FLOODED, far.into())])?;
    let address = SocketAddr::new(FLOODED.address.into(), PORT);
    let listener = server
        .engine_mut()
        .listen(address, ListenOptions::default());
    let listener = listener.map_err(text)?;
    let now = client.now();
    let sending = client
        .engine_mut()
        .connect(now, ConnectOptions::to(address));
    let sending = sending.map_err(text)?;
    let mut tap = Tap {
        pool: FramePool::new(POOL_FRAME_CAPACITY, 64),
        burst: Burst::new(),
    };
    let bytes = vec![0x5a; BYTES];
    let (mut receiving, mut into, mut sent) = (None, vec![0; 1 << 16], 0);
    let mut frames = Vec::new();
    for _ in 0..PATIENCE {
        let now = client.now();
        sent += some(client.engine_mut().send(now, sending, &bytes[sent..]))?;
        turn(&mut client);
        tap.pass(&mut near_tap, &mut far_tap, |frame| {
            frames.push(frame.to_vec());
        })?;
        turn(&mut server);
        tap.pass(&mut far_tap, &mut near_tap, |_| {})?;
        receiving = receiving.or_else(|| server.engine_mut().accept(listener));
        if let Some(receiving) = receiving {
            let now = server.now();
            some(server.engine_mut().recv(now, receiving, &mut into))?;
        }
        if frames.len() >= most {
            frames.truncate(most);
            return Ok(frames);
        }
    }
    Err(format!("the session ends after {} frames", frames.len()))
}
