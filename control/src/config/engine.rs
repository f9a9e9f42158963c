//! The table `[engine]`: where it listens, who may attach, and its workers.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use braid_dataplane::worker::IdlePolicy;
use braid_engine::stack::Steering;
use toml::Spanned;

use super::DEFAULT_SOCKET;
use super::document::EngineTable;
use super::error::Fault;
use super::value::Time;

/// The longest path that fits an address of a Unix socket, its closing zero not counted.
const LONGEST_SOCKET_PATH: usize = 107;

/// The table, checked.
pub(super) struct Engine {
    pub(super) socket: PathBuf,
    pub(super) allow_users: Vec<u32>,
    pub(super) workers: NonZeroU8,
    pub(super) cores: Option<Vec<usize>>,
    pub(super) shutdown_timeout: Duration,
    pub(super) idle: IdlePolicy,
}

pub(super) fn engine(table: EngineTable) -> Result<Engine, Fault> {
    let workers = workers(table.workers.as_ref())?;
    Ok(Engine {
        socket: socket(table.socket)?,
        allow_users: table.allow_users.into_iter().map(|user| user.0).collect(),
        workers,
        cores: cores(table.cores, workers)?,
        shutdown_timeout: table
            .shutdown_timeout
            .map_or(Duration::from_secs(5), |Time(time)| time),
        idle: idle(table.idle.as_ref())?,
    })
}

fn workers(written: Option<&Spanned<u16>>) -> Result<NonZeroU8, Fault> {
    let Some(written) = written else {
        return Ok(NonZeroU8::MIN);
    };
    let most = Steering::MAX_WORKERS;
    let count = u8::try_from(*written.get_ref()).ok();
    count
        .filter(|count| *count <= most)
        .and_then(NonZeroU8::new)
        .ok_or_else(|| {
            let sentence = format!(
                "workers is {}: choose from 1 to {most}, no more than there are cores to spare",
                written.get_ref()
            );
            Fault::new(written.span(), sentence)
        })
}

fn cores(
    written: Option<Spanned<Vec<usize>>>,
    workers: NonZeroU8,
) -> Result<Option<Vec<usize>>, Fault> {
    let Some(written) = written else {
        return Ok(None);
    };
    let (place, cores) = (written.span(), written.into_inner());
    if cores.len() != usize::from(workers.get()) {
        let sentence = format!(
            "cores names {} for {workers} workers: name one for each, or leave it out",
            cores.len()
        );
        return Err(Fault::new(place, sentence));
    }
    Ok(Some(cores))
}

fn socket(written: Option<Spanned<PathBuf>>) -> Result<PathBuf, Fault> {
    let Some(path) = written else {
        return Ok(DEFAULT_SOCKET.into());
    };
    let length = path.get_ref().as_os_str().len();
    if !path.get_ref().is_absolute() || length > LONGEST_SOCKET_PATH {
        return Err(Fault::new(
            path.span(),
            format!(
                "the socket needs an absolute path of at most {LONGEST_SOCKET_PATH} bytes, such \
                 as \"{DEFAULT_SOCKET}\""
            ),
        ));
    }
    Ok(path.into_inner())
}

fn idle(written: Option<&Spanned<String>>) -> Result<IdlePolicy, Fault> {
    let Some(written) = written else {
        return Ok(IdlePolicy::default());
    };
    if written.get_ref() == "spin" {
        return Ok(IdlePolicy::Spin);
    }
    Time::parse(written.get_ref())
        .map(|Time(after)| IdlePolicy::Sleep { after })
        .ok_or_else(|| {
            Fault::new(
                written.span(),
                "idle says how long a worker polls in vain before it sleeps: write a time, such \
                 as \"20us\", or \"spin\" for a worker that never sleeps",
            )
        })
}
