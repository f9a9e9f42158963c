//! The Unix socket that applications and the command line come to (unix(7)).

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::StartError;

/// Peers that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The listening socket; its file is removed with it.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    address: SocketAddrUnix,
    /// The file of the socket, to be told from one that another engine has put in its place.
    file: (u64, u64),
}

impl Listener {
    /// Listens at `path`. A file that an engine left behind is replaced; one that somebody listens
    /// on, or that is no socket, is not.
    pub(super) fn bind(path: &Path) -> Result<Self, StartError> {
        let failed = |source: io::Error| StartError::Socket {
            path: path.into(),
            source,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
        clear_path(path, &address)?;
        let socket = new_socket().map_err(failed)?;
        rustix::net::bind(&socket, &address).map_err(|error| failed(error.into()))?;
        // Who may attach is decided by the credentials of the peer, not by the file's mode.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
        rustix::net::listen(&socket, BACKLOG).map_err(|error| failed(error.into()))?;
        let file = identity(path).map_err(failed)?;
        Ok(Self {
            socket,
            path: path.into(),
            address,
            file,
        })
    }

    /// The address of that path.
    pub(super) fn address(&self) -> &SocketAddrUnix {
        &self.address
    }

    /// The next peer, if one waits.
    pub(super) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match rustix::net::accept_with(&self.socket, flags) {
                Ok(peer) => return Ok(Some(peer)),
                Err(Errno::AGAIN) => return Ok(None),
                // The peer has gone again.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // What cannot be removed is replaced by the next engine.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
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

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("braid-listener-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_a_live_one_is_not() {
        let folder = folder("stale");
        let path = folder.join("engine.sock");
        let first = Listener::bind(&path).unwrap();
        let refused = Listener::bind(&path).unwrap_err();
        assert!(
            matches!(refused, StartError::AlreadyRunning { .. }),
            "{refused}"
        );
        // As after kill -9: the file stays and nobody listens.
        let kept = folder.join("kept");
        fs::hard_link(&path, &kept).unwrap();
        drop(first);
        assert!(!path.exists());
        fs::rename(&kept, &path).unwrap();
        let second = Listener::bind(&path).unwrap();
        drop(second);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_kept() {
        let folder = folder("file");
        let path = folder.join("engine.sock");
        fs::write(&path, "precious").unwrap();
        let refused = Listener::bind(&path).unwrap_err();
        assert!(
            matches!(refused, StartError::NotASocket { .. }),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_dir_all(folder).unwrap();
    }
}
