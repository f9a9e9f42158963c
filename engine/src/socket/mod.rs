//! (module of the skeleton: socket)
