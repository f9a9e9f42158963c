//! Leaving the machine's own network, with or without root.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use super::LabError;

/// Moves this process into a network namespace of its own, so that whatever it does next cannot
/// touch the machine's network.
///
/// Where that takes privileges the process does not have, it also makes a user namespace of its
/// own, in which it is privileged. A user namespace is entered by a whole process: call this
/// before any thread is started.
pub fn leave_host_network() -> Result<(), LabError> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => return Ok(()),
        Err(nix::errno::Errno::EPERM) => {}
        Err(error) => {
            return Err(LabError::NamespacesForbidden {
                reason: error.into(),
            });
        }
    }
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|error| {
        LabError::NamespacesForbidden {
            reason: error.into(),
        }
    })?;
    map_identity(uid, gid).map_err(|reason| LabError::NamespacesForbidden { reason })
}

/// Keeps the user's own ids inside the namespace: capabilities come from having made it, and
/// files keep the owner they would have had outside.
fn map_identity(uid: Uid, gid: Gid) -> io::Result<()> {
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    // The kernel takes a group map from the unprivileged only once setgroups is given up.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}
