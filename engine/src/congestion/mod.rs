//! Congestion controllers.

/// Which controller.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ControllerKind {
    /// RFC 9438.
    Cubic,
    /// RFC 5681.
    Reno,
    /// RFC 6356.
    Lia,
}

/// What couples the subflows of a connection (RFC 6356).
#[derive(Copy, Clone, Debug, Default)]
pub struct Coupling {
    /// The aggressiveness factor.
    pub alpha: f64,
    /// Sum of the congestion windows in bytes.
    pub total_window: u64,
    /// More than one subflow is coupled.
    pub coupled: bool,
}
