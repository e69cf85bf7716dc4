//! `leasehold completions` and `leasehold man`: what a shell and a reader of manuals need, made from the one definition of the flags.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::terminal::say;
use super::{Arguments, Exit, Failure, OrExit};

pub(super) const EXAMPLES: &str = "\
Examples:
  leasehold completions bash > ~/.local/share/bash-completion/completions/leasehold
  leasehold completions zsh > ~/.zfunc/_leasehold";

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

/// Where to write the manual.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// A folder for all pages, one for each command; left out, the first page is printed.
    folder: Option<PathBuf>,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "leasehold", &mut script);
    say(&String::from_utf8_lossy(&script)).map(|()| Exit::Valid)
}

pub(super) fn man(arguments: &ManArguments) -> Result<Exit, Failure> {
    match &arguments.folder {
        Some(folder) => {
            fs::create_dir_all(folder).or_exit(Exit::Unavailable)?;
            clap_mangen::generate_to(Arguments::command(), folder).or_exit(Exit::Unavailable)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page).or_exit(Exit::Internal)?;
            say(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Valid)
}
