//! What new connections are set up with, which may change while the stack runs.

use super::Stack;
use super::config::{ConfigError, SmallBuffer};
use crate::congestion::ControllerKind;
use crate::mptcp::path_manager::PathManagement;
use crate::mptcp::scheduler::Scheduler;
use crate::socket::Profile;

/// What connections get whose applications say nothing else. Each field is that of
/// [`super::StackConfig`] of the same name.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Defaults {
    /// MPTCP at all; connections that use it go on doing so.
    pub multipath: bool,
    /// Ask for DSS checksums.
    pub checksum: bool,
    /// Congestion controller.
    pub congestion: ControllerKind,
    /// Profile.
    pub profile: Profile,
    /// Scheduler; `None` takes that of the profile.
    pub scheduler: Option<Scheduler>,
    /// Which endpoints are made use of.
    pub path_management: PathManagement,
    /// Send buffer in bytes.
    pub send_buffer: u32,
    /// Receive buffer in bytes.
    pub receive_buffer: u32,
    /// The loss of the first subflow ends the connection.
    pub fate_sharing: bool,
    /// TCP_NODELAY selects a latency profile.
    pub nodelay_selects_latency: bool,
    /// What becomes of connections with small buffers.
    pub small_buffer: SmallBuffer,
}

impl Stack {
    /// What new connections are set up with.
    pub const fn defaults(&self) -> Defaults {
        let config = &self.config;
        Defaults {
            multipath: config.multipath,
            checksum: config.checksum,
            congestion: config.congestion,
            profile: config.profile,
            scheduler: config.scheduler,
            path_management: config.path_management,
            send_buffer: config.send_buffer,
            receive_buffer: config.receive_buffer,
            fate_sharing: config.fate_sharing,
            nodelay_selects_latency: config.nodelay_selects_latency,
            small_buffer: config.small_buffer,
        }
    }

    /// Sets up new connections otherwise from now on, all of it or nothing. Those there are stay as
    /// they are.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the defaults contradict themselves.
    pub fn set_defaults(&mut self, defaults: Defaults) -> Result<(), ConfigError> {
        let mut config = self.config.clone();
        config.multipath = defaults.multipath;
        config.checksum = defaults.checksum;
        config.congestion = defaults.congestion;
        config.profile = defaults.profile;
        config.scheduler = defaults.scheduler;
        config.path_management = defaults.path_management;
        config.send_buffer = defaults.send_buffer;
        config.receive_buffer = defaults.receive_buffer;
        config.fate_sharing = defaults.fate_sharing;
        config.nodelay_selects_latency = defaults.nodelay_selects_latency;
        config.small_buffer = defaults.small_buffer;
        config.check()?;
        self.config = config;
        Ok(())
    }
}
