//! The configuration file as it is written: TOML tables whose values are typed already, and
//! nothing of what one table has to do with another.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::policy::{ExclusiveProtocol, SmallBufferAction};
use super::value::{Bytes, LinkAddress, Network, Time, UserId};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) engine: EngineTable,
    pub(super) dpdk: Option<Spanned<DpdkTable>>,
    #[serde(default, rename = "port")]
    pub(super) ports: Vec<Spanned<PortTable>>,
    #[serde(default, rename = "route")]
    pub(super) routes: Vec<Spanned<RouteTable>>,
    #[serde(default, rename = "endpoint")]
    pub(super) endpoints: Vec<Spanned<EndpointTable>>,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) defaults: DefaultsTable,
    #[serde(default)]
    pub(super) policy: PolicyTable,
    #[serde(default, rename = "program")]
    pub(super) programs: Vec<Spanned<ProgramTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EngineTable {
    pub(super) socket: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) allow_users: Vec<UserId>,
    pub(super) workers: Option<Spanned<u16>>,
    pub(super) cores: Option<Spanned<Vec<usize>>>,
    pub(super) shutdown_timeout: Option<Time>,
    pub(super) idle: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortTable {
    pub(super) name: Option<String>,
    pub(super) kind: PortKindName,
    pub(super) interface: Option<String>,
    pub(super) device: Option<String>,
    pub(super) arguments: Option<String>,
    pub(super) mac: Option<LinkAddress>,
    pub(super) mtu: Option<u16>,
    pub(super) addresses: Vec<Network>,
    #[serde(default)]
    pub(super) gateways: Vec<IpAddr>,
    pub(super) offload: Option<bool>,
    pub(super) receive_descriptors: Option<u16>,
    pub(super) transmit_descriptors: Option<u16>,
    pub(super) promiscuous: Option<bool>,
}

#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PortKindName {
    AfPacket,
    Tap,
    Dpdk,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DpdkTable {
    pub(super) main_core: Option<usize>,
    #[serde(default)]
    pub(super) arguments: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteTable {
    pub(super) to: Network,
    pub(super) port: String,
    pub(super) gateway: Option<IpAddr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointTable {
    pub(super) id: u8,
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    pub(super) flags: Vec<EndpointFlagName>,
}

#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndpointFlagName {
    Signal,
    Subflow,
    Backup,
    Fullmesh,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) subflows: Option<Spanned<u8>>,
    pub(super) add_addr_accepted: Option<Spanned<u8>>,
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) listeners: Option<Spanned<usize>>,
    pub(super) applications: Option<Spanned<usize>>,
    pub(super) sockets_per_application: Option<Spanned<u32>>,
    pub(super) threads_per_application: Option<Spanned<u32>>,
    pub(super) buffer: Option<Spanned<Bytes>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultsTable {
    pub(super) congestion: Option<Spanned<String>>,
    pub(super) scheduler: Option<Spanned<String>>,
    pub(super) profile: Option<Spanned<String>>,
    pub(super) path_manager: Option<Spanned<String>>,
    pub(super) ondemand_after: Option<Bytes>,
    pub(super) checksum: Option<bool>,
    pub(super) send_buffer: Option<Spanned<Bytes>>,
    pub(super) receive_buffer: Option<Spanned<Bytes>>,
    pub(super) shared_ring: Option<Spanned<Bytes>>,
    pub(super) ephemeral_ports: Option<Spanned<[u16; 2]>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyTable {
    pub(super) default_enable: Option<bool>,
    pub(super) fate_sharing: Option<bool>,
    pub(super) nodelay_selects_latency: Option<bool>,
    pub(super) small_buffer: Option<SmallBufferTable>,
    pub(super) exclusive_with: Option<Vec<ExclusiveProtocol>>,
    pub(super) take_unspecified: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmallBufferTable {
    pub(super) action: SmallBufferAction,
    pub(super) bound: Spanned<Bytes>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramTable {
    pub(super) name: String,
    pub(super) enable: Option<bool>,
    pub(super) congestion: Option<Spanned<String>>,
    pub(super) scheduler: Option<Spanned<String>>,
    pub(super) profile: Option<Spanned<String>>,
}
