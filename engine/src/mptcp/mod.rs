//! (module of the skeleton: mptcp)
