//! `leasehold fetch`.

use clap::Args;

use super::servers::listing;
use super::terminal::{note, say};
use super::{Exit, Failure, OrExit};
use crate::servers::{FetchOptions, ServerSpec, fetch as fetch_server};

/// What to get.
#[derive(Debug, Args)]
pub(super) struct FetchArguments {
    /// The servers to get, for example `etcd@3.4.23`; without any, those that are known are listed.
    #[arg(value_name = "SERVICE@VERSION")]
    servers: Vec<ServerSpec>,
}

pub(super) fn fetch(arguments: &FetchArguments) -> Result<Exit, Failure> {
    let options = FetchOptions::from_environment().or_exit(Exit::Unavailable)?;
    if arguments.servers.is_empty() {
        say(&listing(&options))?;
    }
    for server in &arguments.servers {
        let binary = fetch_server(server, &options, &mut |step| note(step)).or_exit(Exit::Unavailable)?;
        say(&format!("{}  {}\n", binary.label, binary.path.display()))?;
    }
    Ok(Exit::Valid)
}
