//! What a connection is told at its creation.

use crate::congestion::ControllerKind;
use crate::mptcp::path_manager::{MAX_SUBFLOWS, PathManagement};
use crate::mptcp::scheduler::Scheduler;
use crate::socket::Profile;
use crate::time::Duration;

/// Which side opened the connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// This side sent the first SYN.
    Client,
    /// The peer did.
    Server,
}

/// How MP_FASTCLOSE travels (RFC 8684 section 3.5).
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum FastcloseForm {
    /// On a RST of every subflow.
    #[default]
    Reset,
    /// On an ACK of one subflow, repeated until the peer resets it; the others are reset.
    Acknowledgment,
}

/// Settings of one connection.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct ConnectionConfig {
    /// Bytes that the application can write ahead of the peer's DATA_ACK.
    pub send_buffer: usize,
    /// Bytes that can wait for the application: the receive window. As much again is kept free
    /// for what a peer sends beyond it.
    pub receive_buffer: usize,
    /// Which subflow carries the next bytes.
    pub scheduler: Scheduler,
    /// On how many subflows each byte goes out, 1 to 32; `None` leaves it to the scheduler, which
    /// means one, and all of them with [`Scheduler::Redundant`].
    pub redundancy: Option<u8>,
    /// Congestion controller of the subflows; [`ControllerKind::is_coupled`] tells
    /// whether they look at each other.
    pub congestion: ControllerKind,
    /// What the connection is to be good at. The scheduler is `scheduler` all the same.
    pub profile: Profile,
    /// Which endpoints it makes use of.
    pub path_management: PathManagement,
    /// Subflows at a time, beside the limits of the host; at least one.
    pub max_subflows: u8,
    /// The loss of the first subflow ends the connection.
    pub fate_sharing: bool,
    /// How the application's abort is told to the peer.
    pub fastclose: FastcloseForm,
    /// How long a connection without subflows waits for a join (break before make).
    pub break_before_make: Duration,
    /// How long a closed connection without progress lingers before it is aborted.
    pub close_timeout: Duration,
    /// First interval between repetitions of an ADD_ADDR; doubles.
    pub add_address_interval: Duration,
    /// Repetitions of an ADD_ADDR that is not echoed.
    pub add_address_retries: u8,
    /// First wait before a lost path is opened again; doubles.
    pub rejoin_interval: Duration,
    /// The longest wait before a lost path is opened again.
    pub rejoin_interval_max: Duration,
    /// Messages between subflows and home take time, so a subflow may acknowledge data before home
    /// has counted it, and must be told of the DATA_ACK that follows.
    pub distant_subflows: bool,
    /// Data-level timeouts in a row without progress after which the connection is given up.
    pub data_retries: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            send_buffer: 4 << 20,
            receive_buffer: 4 << 20,
            scheduler: Scheduler::default(),
            redundancy: None,
            congestion: ControllerKind::Cubic,
            profile: Profile::default(),
            path_management: PathManagement::default(),
            max_subflows: MAX_SUBFLOWS as u8,
            fate_sharing: false,
            fastclose: FastcloseForm::default(),
            break_before_make: Duration::from_secs(60),
            close_timeout: Duration::from_secs(60),
            add_address_interval: Duration::from_secs(1),
            add_address_retries: 3,
            rejoin_interval: Duration::from_secs(1),
            rejoin_interval_max: Duration::from_secs(30),
            distant_subflows: false,
            data_retries: 15,
        }
    }
}
