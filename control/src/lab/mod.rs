//! Namespaces, links and kernel settings for a network that exists only while the program runs.
//!
//! Everything is made by system calls and netlink, so that a machine needs neither root nor the
//! `ip` program: a process without privileges becomes privileged in a user namespace of its own
//! ([`isolation`]), and what it makes there vanishes with it. A [`namespace::Namespace`] is held
//! by a file descriptor and entered by short-lived threads; nothing leaves this process.

pub mod isolation;
pub mod link;
pub mod namespace;
pub mod netlink;
pub mod sysctl;

use std::io;

/// Why a laboratory network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel or a container's policy refuses new namespaces.
    #[error(
        "this machine refuses namespaces ({reason}): allow unprivileged user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, \
         kernel.apparmor_restrict_unprivileged_userns=0), run as root, or use --peer engine"
    )]
    NamespacesForbidden {
        /// What the kernel answered.
        reason: io::Error,
    },
    /// The kernel has no Multipath TCP, an early one, or it is switched off.
    ///
    /// Of what the laboratory uses, these came last: sysctl `net.mptcp.checksum_enabled` with
    /// Linux 5.14, the options of `SOL_MPTCP` with 5.16, and the path manager for the root of a
    /// user namespace with 6.1.
    #[error(
        "this kernel lacks Multipath TCP, or parts of it ({reason}): use a Linux of 5.16 or \
         later (6.1 without root) built with CONFIG_MPTCP and with sysctl net.mptcp.enabled=1, \
         or use --peer engine"
    )]
    NoMultipathTcp {
        /// What the kernel answered.
        reason: io::Error,
    },
    /// A thread could not enter a namespace that this process made.
    #[error("cannot enter a network namespace: {0}")]
    Enter(#[source] io::Error),
    /// A netlink request failed.
    #[error("{what}: {source}")]
    Netlink {
        /// The request, in words.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A kernel setting could not be written.
    #[error("cannot set {name} to {value}: {source}")]
    Sysctl {
        /// The setting's dotted name.
        name: String,
        /// The value asked for.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
}
