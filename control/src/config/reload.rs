//! What a new configuration changes of the one that is in use.

use braid_engine::stack::StackConfig;

use super::Config;

impl Config {
    /// The parts in which `new` differs and which take a restart, by the names that they have in
    /// the file. Everything else can change while the engine runs: `allow_users`,
    /// `shutdown_timeout`, the endpoints, the limits on subflows, the defaults of connections to
    /// come, the policy and the programs.
    pub fn changes_needing_restart(&self, new: &Self) -> Vec<&'static str> {
        // What can change is set equal; what is left in the stack's configuration cannot.
        let mut stack = new.stack.clone();
        take_over(&mut stack, &self.stack);
        [
            ("engine.socket", self.socket != new.socket),
            ("engine.idle", self.idle != new.idle),
            ("engine.workers", self.workers != new.workers),
            ("engine.cores", self.cores != new.cores),
            ("dpdk", self.dpdk != new.dpdk),
            ("port", self.ports != new.ports),
            ("route", self.routes != new.routes),
            (
                "limits of applications, defaults.shared_ring",
                self.applications != new.applications,
            ),
            (
                "limits.connections, limits.listeners, defaults.ephemeral_ports",
                self.stack != stack,
            ),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    /// Takes over from `new` what can change while the engine runs.
    pub fn reload(&mut self, new: Self) {
        self.allow_users = new.allow_users;
        self.shutdown_timeout = new.shutdown_timeout;
        self.endpoints = new.endpoints;
        self.limits = new.limits;
        take_over(&mut self.stack, &new.stack);
        self.policy = new.policy;
        self.programs = new.programs;
    }
}

/// What a running stack takes over from another configuration.
fn take_over(stack: &mut StackConfig, from: &StackConfig) {
    stack.multipath = from.multipath;
    stack.checksum = from.checksum;
    stack.congestion = from.congestion;
    stack.profile = from.profile;
    stack.scheduler = from.scheduler;
    stack.path_management = from.path_management;
    stack.send_buffer = from.send_buffer;
    stack.receive_buffer = from.receive_buffer;
    stack.fate_sharing = from.fate_sharing;
    stack.nodelay_selects_latency = from.nodelay_selects_latency;
    stack.small_buffer = from.small_buffer;
}
