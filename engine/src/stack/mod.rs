//! One core's protocol engine and what it exchanges with its ports.

mod batch;
mod config;
mod interface;
mod mailbox;
mod neighbor;
mod ports;
mod rate_limit;
mod route;
mod secrets;

pub use batch::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, Segmentation,
    TransmitBatch, TransmitMeta,
};
pub use config::{ConfigError, MAX_BUFFER, StackConfig, SynCookies};
pub use interface::InterfaceConfig;
pub use route::Prefix;
