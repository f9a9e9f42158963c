//! The program `braid`.

use std::process::ExitCode;

fn main() -> ExitCode {
    braid_control::cli::main()
}
