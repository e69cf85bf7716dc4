//! The machine's Java runtime.

use std::path::PathBuf;

/// There is no Java runtime.
#[derive(Debug, thiserror::Error)]
#[error(
    "ZooKeeper needs a Java runtime, and there is no `java` on PATH; on Debian and Ubuntu install one as root: apt-get \
     install --no-install-recommends default-jre-headless"
)]
pub struct NoJava;

/// The program `java`, by its whole path: it looks for its libraries beside itself.
///
/// # Errors
/// If there is none on `PATH`.
pub(super) fn find() -> Result<PathBuf, NoJava> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path).map(|folder| folder.join("java"));
    programs.filter_map(|program| program.canonicalize().ok()).find(|program| program.is_file()).ok_or(NoJava)
}
