//! Where programs are.

use std::env;
use std::path::PathBuf;

/// The program of that name, or nothing when the test is to be skipped for want of it.
pub(crate) fn installed(test: &str, name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders)
        // Not every user has the folders of servers in PATH.
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder: PathBuf| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert_ne!(
            env::var("CI").as_deref(),
            Ok("true"),
            "{test} cannot run here: {name} is not installed"
        );
        eprintln!("skipped {test}: {name} is not installed");
    }
    found
}
