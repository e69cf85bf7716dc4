//! The `leasehold` command. See `leasehold --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    leasehold::cli::main()
}
