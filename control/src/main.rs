//! The command line of Braid.

fn main() {}
