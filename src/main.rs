//! The tdg program.

use std::process::ExitCode;

fn main() -> ExitCode {
    tdg::cli::main()
}
