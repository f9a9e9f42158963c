//! What the program `braid` is made of: the command line, the configuration and server of the
//! engine, the demonstration, the measurements, and the laboratory of namespaces and links that it and the
//! interoperation tests run in.

pub mod bench;
pub mod cli;
pub mod config;
pub mod demo;
pub mod lab;
pub mod management;
pub mod open_lab;
pub mod peer;
pub mod server;
pub mod stream;
