//! Downloading a package with the machine's own package manager.
//!
//! Where to download from is the machine's own configuration, read when it is needed, so a mirror or a proxy that the user has
//! set up is used, and nothing is contacted that the machine does not trust already. `apt-helper` installs nothing, and
//! neither it nor the question before it needs root or an index.

use std::io;
use std::path::Path;
use std::process::{Command, Output};

use super::FetchError;
use crate::servers::manifest::{Debian, Entry, Package};

const HELPER: &str = "/usr/lib/apt/apt-helper";

/// Whether this machine has the package manager.
pub(super) fn is_here() -> bool {
    Path::new(HELPER).is_file()
}

/// Why a download failed.
pub(super) enum Failure {
    NoTool(&'static str, io::Error),
    NoArchive,
    /// Every archive says that it has no such file.
    Gone(String),
    Failed(String),
}

impl Failure {
    pub(super) fn explain(self, entry: &Entry, package: &Package, debian: &Debian, at_hand: Vec<String>) -> FetchError {
        let server = entry.label();
        let file = package.file_name().to_owned();
        match self {
            Self::NoTool(tool, source) => FetchError::no_tool(tool, entry, source),
            Self::NoArchive => FetchError::NoArchive { server, file, at_hand },
            Self::Gone(said) => FetchError::Gone { server, file, suite: debian.suite.clone(), at_hand, said },
            Self::Failed(said) => FetchError::Download { server, at_hand, said },
        }
    }
}

/// Downloads the package from the first of the machine's archives that has it.
///
/// All releases of a distribution share one pool, so a machine of one release can fetch the packages of another.
pub(super) fn download(package: &Package, debian: &Debian, to: &Path) -> Result<(), Failure> {
    let mut failure = Failure::NoArchive;
    for archive in archives()? {
        let url = format!("{}/{}", archive.trim_end_matches('/'), debian.url_path());
        let output = fetch_file(&url, to, &package.sha256)?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        failure = if said.contains("404") { Failure::Gone(said) } else { Failure::Failed(said) };
    }
    Err(failure)
}

fn fetch_file(url: &str, to: &Path, sha256: &str) -> Result<Output, Failure> {
    let mut command = Command::new(HELPER);
    if nix::unistd::geteuid().is_root() {
        // Else it would drop to a user that may not write into the cache.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    command.arg("download-file").arg(url).arg(to).arg(format!("SHA256:{sha256}"));
    in_english(&mut command).output().map_err(|error| Failure::NoTool("apt-helper", error))
}

/// The roots of the machine's package archives, the likeliest first.
fn archives() -> Result<Vec<String>, Failure> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]);
    let output = in_english(&mut command).output().map_err(|error| Failure::NoTool("apt-get", error))?;
    Ok(in_order_of_likelihood(&String::from_utf8_lossy(&output.stdout)))
}

fn in_order_of_likelihood(listed: &str) -> Vec<String> {
    let mut archives: Vec<String> = Vec::new();
    for line in listed.lines().map(str::trim) {
        // An archive of security updates has a pool of its own, without these packages.
        let serves = !line.is_empty() && !line.trim_end_matches('/').ends_with("-security");
        if serves && !archives.iter().any(|archive| archive == line) {
            archives.push(line.to_owned());
        }
    }
    archives.sort_by_key(|archive| !archive.trim_end_matches('/').ends_with("/debian"));
    archives
}

/// What a tool says is looked at, so it must not be translated.
fn in_english(command: &mut Command) -> &mut Command {
    command.env("LC_ALL", "C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_comes_first_and_security_updates_never() {
        let listed = "file:/srv/ours/\nfile:/mirror/debian/\nfile:/mirror/debian/\nfile:/mirror/debian-security/\n\n";
        assert_eq!(in_order_of_likelihood(listed), ["file:/mirror/debian/", "file:/srv/ours/"]);
        assert!(in_order_of_likelihood("").is_empty());
    }
}
