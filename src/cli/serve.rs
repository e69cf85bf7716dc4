//! `leasehold serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::terminal::{note, say};
use super::{Exit, Failure, OrExit};
use crate::index;

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold serve                                  the runs in ./results, at http://127.0.0.1:7117/
  leasehold serve results/suites --listen [::1]:0  those of all suites, at any free port

Ctrl-C ends it.";

/// Which runs, and where.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The folder in which runs lie, however deep.
    #[arg(default_value = "results")]
    folder: PathBuf,
    /// The address to listen on. Whoever can reach it can read all that lies in the folder.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7117")]
    listen: SocketAddr,
}

pub(super) fn serve(arguments: &ServeArguments) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.or_exit(Exit::Internal)?.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).or_exit(Exit::Internal)?;
        let mut terminate = signal(SignalKind::terminate()).or_exit(Exit::Internal)?;
        let served = index::serve(&arguments.folder, arguments.listen).await.or_exit(Exit::Unavailable)?;
        if !served.address.ip().is_loopback() {
            note("it is served to other machines as well: whoever reaches it can read all results");
        }
        say(&format!("http://{}/\n", served.address))?;
        let end = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        served.until(end).await.or_exit(Exit::Internal)
    })?;
    Ok(Exit::Valid)
}
