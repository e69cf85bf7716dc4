//! From packages to the folder of a server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::JARS;
use super::{FetchError, is_on_path};
use crate::servers::manifest::{Entry, MadeOf};

const TOOL: &str = "dpkg-deb";

/// Whether this machine can unpack packages.
pub(super) fn is_possible() -> bool {
    is_on_path(TOOL)
}

/// Unpacks the packages of a server below the staging folder and returns the folder of the server.
pub(super) fn unpack(entry: &Entry, packages: &[PathBuf], staging: &Path) -> Result<PathBuf, FetchError> {
    let files = staging.join("unpacked");
    for package in packages {
        unpack_one(entry, package, &files)?;
    }
    match &entry.made_of {
        MadeOf::Program(program) if files.join(program).is_file() => Ok(files),
        MadeOf::Program(program) => Err(missing(packages, program)),
        MadeOf::Jars(jars) => gather(jars, packages, &files, staging),
    }
}

fn unpack_one(entry: &Entry, package: &Path, into: &Path) -> Result<(), FetchError> {
    let refused = |said: String| FetchError::Unpack { package: package.to_owned(), said };
    if package.extension().is_none_or(|extension| extension != "deb") {
        let name = package.file_name().unwrap_or_default();
        let copied = fs::create_dir_all(into).and_then(|()| fs::copy(package, into.join(name)));
        return copied.map(drop).map_err(|error| refused(error.to_string()));
    }
    // The option takes the files and nothing else: no maintainer script runs.
    let output = Command::new(TOOL).arg("-x").arg(package).arg(into).output();
    let output = output.map_err(|source| FetchError::no_tool(TOOL, entry, source))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// A folder with the jars of a Java program and no other: where one lies beside others, Java may pick those as well.
fn gather(jars: &[String], packages: &[PathBuf], files: &Path, staging: &Path) -> Result<PathBuf, FetchError> {
    let home = staging.join("server");
    let folder = home.join(JARS);
    let failed = |source: io::Error| FetchError::Cache { doing: format!("fill {}", folder.display()), source };
    fs::create_dir_all(&folder).map_err(failed)?;
    for jar in jars {
        let file = files.join(jar);
        if !file.is_file() {
            return Err(missing(packages, jar));
        }
        let name = file.file_name().unwrap_or_default();
        // Many are links; the copy is the file itself.
        fs::copy(&file, folder.join(name)).map_err(failed)?;
    }
    Ok(home)
}

fn missing(packages: &[PathBuf], file: &str) -> FetchError {
    let package = packages.first().cloned().unwrap_or_default();
    FetchError::Unpack { package, said: format!("it does not contain {file}") }
}
