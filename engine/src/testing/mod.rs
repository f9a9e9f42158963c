//! (module of the skeleton: testing)
