//! (module of the skeleton: congestion)
