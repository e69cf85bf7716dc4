//! Server processes: how they start, on which node, and how one knows what became of them.

mod command;
mod process;
mod spawner;

pub use command::{AtExec, InChild, ServerCommand};
pub use process::ServerProcess;
pub use spawner::Spawner;
