//! Getting a file out of a source package of the Python index, with the machine's own pip.
//!
//! pip builds the metadata of a source package by running its `setup.py`, so it is told the package's hash and refuses any
//! other before that. An environment of its own keeps everything away from the user's Python.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{FetchError, digest, is_on_path};
use crate::servers::manifest::{Entry, Python};

const TOOL: &str = "python3";

/// Old source packages are built with tools that newer ones have dropped.
const BUILD_TOOLS: [&str; 2] = ["wheel", "setuptools<70"];

/// Whether this machine can be asked for Python packages.
pub(super) fn is_here() -> bool {
    is_on_path(TOOL)
}

/// Downloads the source package into the staging folder and takes the file out of it.
pub(super) fn download(entry: &Entry, python: &Python, staging: &Path, to: &Path) -> Result<(), FetchError> {
    let environment = staging.join("python");
    let downloads = staging.join("downloads");
    let requirements = staging.join("requirements.txt");
    let pinned = format!("{} --hash=sha256:{}\n", python.requirement, python.archive_sha256);
    std::fs::write(&requirements, pinned)
        .map_err(|source| FetchError::Cache { doing: format!("write {}", requirements.display()), source })?;

    run(entry, Command::new(TOOL).args(["-m", "venv"]).arg(&environment))?;
    let pip = || {
        let mut command = Command::new(environment.join("bin/python"));
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]);
        command
    };
    run(entry, pip().arg("install").args(BUILD_TOOLS))?;
    run(
        entry,
        pip()
            .args(["download", "--no-cache-dir", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"])
            .args(["--require-hashes", "--requirement"])
            .arg(&requirements)
            .arg("--dest")
            .arg(&downloads),
    )?;
    let archive = downloads.join(&python.archive);
    digest::verify(&archive, &python.archive_sha256)?;
    extract(entry, &archive, &python.member, to)
}

fn run(entry: &Entry, command: &mut Command) -> Result<(), FetchError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| FetchError::no_tool(TOOL, entry, source))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(FetchError::Python { server: entry.label(), said: last_words(&output) })
    }
}

fn extract(entry: &Entry, archive: &Path, member: &str, to: &Path) -> Result<(), FetchError> {
    let written = |source: io::Error| FetchError::Cache { doing: format!("write {}", to.display()), source };
    let file = std::fs::File::create(to).map_err(written)?;
    let output = Command::new("tar").arg("-xzOf").arg(archive).arg(member).stdout(file).output();
    let output = output.map_err(|source| FetchError::no_tool("tar", entry, source))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(FetchError::Unpack { package: archive.to_owned(), said: last_words(&output) })
    }
}

/// What a tool said last: the rest of what pip says is a long story.
fn last_words(output: &Output) -> String {
    const LINES: usize = 4;
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).join("\n");
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
