//! (module of the skeleton: tcp)
