//! Enters real sandboxes, as root and as an ordinary user, and checks what they promise.
//!
//! This one program plays three parts, told apart by its first argument: the driver, which runs each
//! scenario in a process of its own and watches it from outside; the scenario, which enters a sandbox and
//! checks it from inside; and the servers that scenarios start on the nodes. Arguments that are no part are
//! filters on the names of the tests, as usual.

mod driver;
mod leftovers;
mod scenarios;
mod servers;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["server", name, ref rest @ ..] => servers::run(name, rest),
        ["scenario", name, medium, folder] => scenarios::run(name, medium, folder),
        _ => driver::run(&words),
    }
}
