//! The Unix socket that applications and the command line come to (unix(7)).

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::StartError;

/// Peers that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The mode of the socket's file: for the engine's own user and root, or for everybody, of whom the
/// peer's credentials then say who may attach.
const OWN_MODE: u32 = 0o600;
const OPEN_MODE: u32 = 0o666;

/// The listening sockets; the file of the one is removed with it.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// The file of the socket, held open, so that nobody can put another in its place.
    file: OwnedFd,
    /// Where the pairs of sockets are made: it has the same name, but no file any more, so that no
    /// stranger finds it.
    pairs: Unnamed,
}

/// A listening socket whose file was removed.
#[derive(Debug)]
struct Unnamed {
    socket: OwnedFd,
    /// What is left of the file.
    _file: OwnedFd,
    /// A path to that, for this process.
    address: SocketAddrUnix,
}

impl Listener {
    /// Listens at `path`, where other users than the engine's own and root come through only if
    /// `others`. A file that an engine left behind is replaced; one that somebody listens on, or that
    /// is no socket, is not.
    pub(super) fn bind(path: &Path, others: bool) -> Result<Self, StartError> {
        let failed = |source: io::Error| StartError::Socket {
            path: path.into(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
        clear_path(path, &address)?;
        let (socket, file) = bound(path, &address).map_err(failed)?;
        // Its file goes at once; the name stays.
        fs::remove_file(path).map_err(failed)?;
        let pairs = Unnamed {
            socket,
            address: SocketAddrUnix::new(path_of(&file)).map_err(|error| failed(error.into()))?,
            _file: file,
        };
        let (socket, file) = bound(path, &address).map_err(failed)?;
        let listener = Self {
            socket,
            path: path.into(),
            file,
            pairs,
        };
        listener.admit_others(others).map_err(failed)?;
        for socket in [&listener.pairs.socket, &listener.socket] {
            rustix::net::listen(socket, BACKLOG).map_err(|error| failed(error.into()))?;
        }
        Ok(listener)
    }

    /// Lets other users than the engine's own and root through to the socket, or not.
    pub(super) fn admit_others(&self, others: bool) -> io::Result<()> {
        let mode = if others { OPEN_MODE } else { OWN_MODE };
        // By the descriptor: at the path there may be something else by now.
        fs::set_permissions(path_of(&self.file), fs::Permissions::from_mode(mode))
    }

    /// Connects to where only this process comes. Whatever is accepted there is its own.
    pub(super) fn connect_pair(&self, end: &OwnedFd) -> io::Result<()> {
        Ok(rustix::net::connect(end, &self.pairs.address)?)
    }

    /// The next connection that this process has made, if one waits.
    pub(super) fn accept_pair(&self) -> io::Result<Option<OwnedFd>> {
        accept(&self.pairs.socket)
    }

    /// The next peer, if one waits.
    pub(super) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        accept(&self.socket)
    }
}

fn accept(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        match rustix::net::accept_with(socket, flags) {
            Ok(peer) => return Ok(Some(peer)),
            Err(Errno::AGAIN) => return Ok(None),
            // The peer has gone again.
            Err(Errno::CONNABORTED | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A new socket at `path`, for its owner alone, and its file.
fn bound(path: &Path, address: &SocketAddrUnix) -> io::Result<(OwnedFd, OwnedFd)> {
    let socket = new_socket()?;
    // The mode that bind(2) gives the file is that of the socket.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(OWN_MODE))?;
    rustix::net::bind(&socket, address)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    Ok((socket, file))
}

/// The path by which this process comes to a file that it holds, wherever that is.
fn path_of(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path).unwrap_or(false) {
            // What cannot be removed is replaced by the next engine.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the file is still the one at `path`, and not one that another engine has put in its place.
fn is_at(file: &OwnedFd, path: &Path) -> io::Result<bool> {
    let own = rustix::fs::fstat(file)?;
    let there = fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()) == (own.st_dev, own.st_ino))
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok(socket)
}

/// Removes a socket that nobody listens on.
fn clear_path(path: &Path, address: &SocketAddrUnix) -> Result<(), StartError> {
    let failed = |source: io::Error| StartError::Socket {
        path: path.into(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(StartError::NotASocket { path: path.into() });
        }
        Ok(_) => {}
    }
    let probe = new_socket().map_err(failed)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed),
        Err(Errno::NOENT) => Ok(()),
        // Connected, or the queue of whoever listens is full.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => {
            Err(StartError::AlreadyRunning { path: path.into() })
        }
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let first = Listener::bind(&path, false).unwrap();
        let refused = Listener::bind(&path, false).unwrap_err();
        assert!(
            matches!(refused, StartError::AlreadyRunning { .. }),
            "{refused}"
        );
        // As after kill -9: the file stays and nobody listens.
        let kept = folder.path().join("kept");
        fs::hard_link(&path, &kept).unwrap();
        drop(first);
        assert!(!path.exists());
        fs::rename(&kept, &path).unwrap();
        let second = Listener::bind(&path, false).unwrap();
        drop(second);
    }

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_file_is_the_owners_alone_until_others_are_admitted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = Listener::bind(&path, false).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        listener.admit_others(true).unwrap();
        assert_eq!(mode_of(&path), 0o666);
        listener.admit_others(false).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        drop(listener);
        let listener = Listener::bind(&path, true).unwrap();
        assert_eq!(mode_of(&path), 0o666);
        drop(listener);
    }

    #[test]
    fn what_takes_the_place_of_the_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (
            folder.path().join("engine.sock"),
            folder.path().join("victim"),
        );
        let moved = folder.path().join("moved");
        fs::write(&victim, "precious").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o640)).unwrap();
        let listener = Listener::bind(&path, false).unwrap();
        fs::rename(&path, &moved).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        listener.admit_others(true).unwrap();
        assert_eq!((mode_of(&victim), mode_of(&moved)), (0o640, 0o666));
        drop(listener);
        assert!(path.is_symlink() && victim.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        fs::write(&path, "precious").unwrap();
        let refused = Listener::bind(&path, false).unwrap_err();
        assert!(
            matches!(refused, StartError::NotASocket { .. }),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
