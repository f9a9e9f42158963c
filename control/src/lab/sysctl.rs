//! Kernel settings of the namespace that the calling thread is in.

use std::fs;

use super::LabError;

/// Writes a network setting by its dotted name, such as `net.mptcp.checksum_enabled`.
///
/// An interface with a dot in its name cannot be named this way; the laboratory has none.
pub fn write(name: &str, value: &str) -> Result<(), LabError> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(path, value).map_err(|source| LabError::Sysctl {
        name: name.to_owned(),
        value: value.to_owned(),
        source,
    })
}
