//! Kernel settings of the namespace that the calling thread is in.

use std::fs;

use super::LabError;

/// Writes a network setting by its dotted name, such as `net.mptcp.checksum_enabled`.
///
/// An interface with a dot in its name cannot be named this way; the laboratory has none.
///
/// A setting that has the value already is left alone: some containers let settings be read only.
pub fn write(name: &str, value: &str) -> Result<(), LabError> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    if fs::read_to_string(&path).is_ok_and(|present| present.trim() == value) {
        return Ok(());
    }
    fs::write(path, value).map_err(|source| LabError::Sysctl {
        name: name.to_owned(),
        value: value.to_owned(),
        source,
    })
}
