//! What the tests of ports share.

pub(crate) mod echo;
pub(crate) mod namespace;
pub(crate) mod peer;
