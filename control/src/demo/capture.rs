//! Captures of the links, one file each.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::lab::link::Link;

/// Makes the directory where needed and finds out whether files can be written there.
pub fn check_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let probe = directory.join(".braid-can-write");
    File::create(&probe)?;
    fs::remove_file(probe)
}

/// The capture file of a link.
pub fn file_of(directory: &Path, link: Link) -> PathBuf {
    directory.join(format!("{}.pcapng", link.interface()))
}
