//! Where the library of `braid exec` is.

use std::path::{Path, PathBuf};

/// `libbraid_preload.so`, as it was built with `braid`.
pub(crate) fn library() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_braid")).parent().unwrap();
    [folder.join("deps"), folder.to_path_buf()]
        .map(|folder| folder.join("libbraid_preload.so"))
        .into_iter()
        .find(|path| path.is_file())
        .expect("libbraid_preload.so is built with braid")
}
