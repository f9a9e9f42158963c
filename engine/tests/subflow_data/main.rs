//! Data on subflows: mappings, their widths and checksums, DATA_FIN, signals, and copies of bytes that
//! home lets go (RFC 8684 sections 3.3 and 3.4).

mod checksum;
mod closing;
mod late_mappings;
mod mapping;
mod retaining;
mod signals;
#[path = "../subflow_harness/mod.rs"]
mod subflow_harness;
mod support;
