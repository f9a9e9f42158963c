//! The process's attachment: its control connection to the engine, and the region that its sockets
//! lie in.
//!
//! It is made by the first socket, made anew by the first one after a fork or after the engine has
//! been restarted, and lives as long as anything needs it. Sockets of other attachments, which came
//! by fork, exec or in a packet, bring their own region (`region`).

mod connection;
mod region;

pub(crate) use region::Region;

use crate::command;
use crate::errno::Errno;
use crate::fork::{self, ForkSafe, ForkSafeGuard};
use crate::sys::message::Descriptors;
use braid_shm::ApplicationSlot;
use braid_shm::abi::{OpenSocket, Operation, Reply, Request};
use connection::{Connection, Failure};
use std::env;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Where the engine listens unless `BRAID_SOCKET` or [`use_engine`] says otherwise.
pub const DEFAULT_ENGINE_PATH: &str = "/run/braid/engine.sock";
/// How often a request is made again because the engine it went to is gone.
const ATTEMPTS: usize = 3;

static STATE: ForkSafe<State> = ForkSafe::new(State {
    path: None,
    current: None,
    foreign: Vec::new(),
    refusal: None,
});

/// The lock, held over a fork.
pub(crate) type StateGuard = ForkSafeGuard<State>;

pub(crate) struct State {
    path: Option<PathBuf>,
    current: Option<Attachment>,
    /// Regions of others. Dead ones are swept out when another comes.
    foreign: Vec<Weak<Region>>,
    refusal: Option<String>,
}

struct Attachment {
    generation: u32,
    region: Arc<Region>,
}

/// A socket that the engine has made or knows.
pub(crate) struct Found {
    pub(crate) region: Arc<Region>,
    pub(crate) slot: ApplicationSlot,
}

pub(crate) fn lock() -> StateGuard {
    STATE.lock()
}

/// Makes the engine at `path` that of all sockets from here on, instead of the one at `BRAID_SOCKET`
/// or [`DEFAULT_ENGINE_PATH`].
pub fn use_engine(path: &Path) {
    let mut state = lock();
    state.path = Some(path.to_owned());
    state.current = None;
}

/// Where the engine listens.
pub fn engine_path() -> PathBuf {
    lock().path().to_owned()
}

/// Why the engine refused the last request of this process, in words for its user.
pub fn last_refusal() -> Option<String> {
    lock().refusal.clone()
}

/// Attaches now, instead of at the first socket. Errors: ENOENT or ECONNREFUSED without an engine;
/// what the engine refused with, such as EACCES.
pub fn attach() -> Result<(), Errno> {
    lock().attached().map(drop)
}

/// Whether the engine would take a socket bound to (`remote` false) or connected to (`remote` true)
/// this sockaddr. Errors: those of [`attach`].
pub fn owns(address: &[u8], remote: bool) -> Result<bool, Errno> {
    let region = Arc::clone(lock().attached()?);
    let operation = Operation::Owns { remote };
    let answer = command::call(&region, (0, 0), None, operation, address)?;
    Ok(answer.result != 0)
}

/// Asks for a socket.
pub(crate) fn open(domain: i32, protocol: i32) -> Result<(Found, OwnedFd), Errno> {
    let request = Request::OpenSocket(OpenSocket {
        domain,
        protocol,
        flags: 0,
        reserved: 0,
    });
    let mut state = lock();
    let (region, answer) = state.ask(&request, None)?;
    let Reply::Opened(opened) = answer.reply else {
        return Err(Errno::new(libc::EPROTO));
    };
    let [Some(descriptor), ..] = answer.descriptors else {
        return Err(Errno::new(libc::EPROTO));
    };
    let slot = region
        .memory()
        .slot(opened.slot, opened.generation)
        .ok_or(Errno::new(libc::EPROTO))?;
    Ok((Found { region, slot }, descriptor))
}

/// Asks which socket a descriptor is that this process did not open. Errors: ENOTSOCK: it is none
/// of this engine.
pub(crate) fn adopt(descriptor: BorrowedFd<'_>) -> Result<Found, Errno> {
    let mut state = lock();
    if !crate::sys::descriptor::is_connected_to(descriptor, state.path()) {
        return Err(Errno::new(libc::ENOTSOCK));
    }
    fork::register();
    let (own, answer) = state.ask(&Request::Adopt, Some(descriptor))?;
    let Reply::Adopted(adopted) = answer.reply else {
        return Err(Errno::new(libc::EPROTO));
    };
    let region = state.region_of(&own, &adopted.region, answer.descriptors)?;
    let slot = region
        .memory()
        .slot(adopted.slot, adopted.generation)
        .ok_or(Errno::new(libc::EPROTO))?;
    Ok(Found { region, slot })
}

impl State {
    fn path(&mut self) -> &Path {
        self.path.get_or_insert_with(|| {
            env::var_os("BRAID_SOCKET").map_or_else(|| DEFAULT_ENGINE_PATH.into(), PathBuf::from)
        })
    }

    /// The region of this process, attached if need be.
    fn attached(&mut self) -> Result<&Arc<Region>, Errno> {
        fork::register();
        let usable = self.current.as_ref().is_some_and(|attachment| {
            attachment.generation == fork::generation() && !attachment.region.look_for_death()
        });
        if !usable {
            self.current = None;
            let region = match self.attach_to_new() {
                Ok(region) => region,
                Err(failure) => return Err(self.refused(&failure)),
            };
            self.current = Some(Attachment {
                generation: fork::generation(),
                region: Arc::new(region),
            });
        }
        let current = self.current.as_ref().ok_or(Errno::new(libc::EIO))?;
        Ok(&current.region)
    }

    fn attach_to_new(&mut self) -> Result<Region, Failure> {
        let connection = Connection::open(self.path())?;
        let (message, descriptors) = connection.attach()?;
        let generation = fork::generation();
        Region::open(&message, descriptors, Arc::new(connection), generation)
            .map_err(Failure::Errno)
    }

    fn refused(&mut self, failure: &Failure) -> Errno {
        match failure {
            Failure::Refused(refused) => {
                self.refusal = Some(refused.text());
                Errno::new(refused.errno)
            }
            Failure::Errno(errno) => *errno,
            Failure::Gone => Errno::new(libc::ECONNRESET),
        }
    }

    /// Asks the engine; when the one that was attached to is gone, the one that took its place.
    fn ask(
        &mut self,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(Arc<Region>, connection::Answer), Errno> {
        for _ in 0..ATTEMPTS {
            let region = Arc::clone(self.attached()?);
            match region.connection().ask(request, descriptor) {
                Ok(answer) => return Ok((region, answer)),
                Err(Failure::Gone) => region.mark_dead(),
                Err(failure) => return Err(self.refused(&failure)),
            }
        }
        Err(Errno::new(libc::ECONNRESET))
    }

    /// The region of an adopted socket, mapped once.
    fn region_of(
        &mut self,
        own: &Arc<Region>,
        message: &braid_shm::abi::Attached,
        descriptors: Descriptors,
    ) -> Result<Arc<Region>, Errno> {
        self.foreign.retain(|region| region.strong_count() > 0);
        let known = std::iter::once(Arc::clone(own))
            .chain(self.foreign.iter().filter_map(Weak::upgrade))
            .find(|region| region.is(message) && !region.is_dead());
        if let Some(region) = known {
            return Ok(region);
        }
        let region = Arc::new(Region::open(
            message,
            descriptors,
            Arc::clone(own.connection()),
            0,
        )?);
        self.foreign.push(Arc::downgrade(&region));
        Ok(region)
    }
}
