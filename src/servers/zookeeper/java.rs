//! The Java runtime that the servers need.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// No Java runtime was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ZooKeeper needs a Java runtime, and there is neither `$JAVA_HOME/bin/java` nor a `java` in `$PATH`: install one with \
     `apt-get install default-jre-headless`"
)]
pub struct NoJava;

/// The program that runs Java programs: that of `$JAVA_HOME`, or else the first in `$PATH`.
///
/// # Errors
/// If there is none; the error names the command that installs it.
pub fn java() -> Result<PathBuf, NoJava> {
    find(std::env::var_os("JAVA_HOME").as_deref(), std::env::var_os("PATH").as_deref())
}

fn find(home: Option<&OsStr>, path: Option<&OsStr>) -> Result<PathBuf, NoJava> {
    let home = home.filter(|home| !home.is_empty()).map(|home| Path::new(home).join("bin"));
    let path = path.into_iter().flat_map(std::env::split_paths);
    home.into_iter().chain(path).map(|folder| folder.join("java")).find(|file| is_program(file)).ok_or(NoJava)
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder_with_java(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        fs::write(bin.join("java"), "").expect("a file");
        fs::set_permissions(bin.join("java"), fs::Permissions::from_mode(mode)).expect("a mode");
        folder
    }

    #[test]
    fn the_runtime_of_java_home_comes_before_that_of_the_path() {
        let (one, other, useless) = (folder_with_java(0o755), folder_with_java(0o755), folder_with_java(0o644));
        let bin = |folder: &tempfile::TempDir| folder.path().join("bin");
        let path = std::env::join_paths([bin(&useless), bin(&other)]).expect("a path");
        let found = |home: &tempfile::TempDir| find(Some(home.path().as_os_str()), Some(&path)).expect("a runtime");
        assert_eq!(found(&one), bin(&one).join("java"));
        assert_eq!(found(&useless), bin(&other).join("java"));
    }

    #[test]
    fn a_missing_runtime_is_named_with_the_command_that_installs_it() {
        let error = find(None, Some(OsStr::new("/nowhere"))).expect_err("there is none");
        assert!(error.to_string().contains("apt-get install default-jre-headless"), "{error}");
        assert_eq!(find(Some(OsStr::new("")), None), Err(NoJava));
    }
}
