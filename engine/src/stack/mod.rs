//! One core's protocol engine and what it exchanges with its ports.

mod batch;

pub use batch::{
    Capabilities, ChecksumOffload, PortId, ReceiveMeta, ReceivedChecksum, Segmentation,
    TransmitBatch, TransmitMeta,
};
