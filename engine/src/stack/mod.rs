//! (module of the skeleton: stack)
