//! Which server, in which version.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use nix::unistd::{AccessFlags, access};

use super::{Runtime, Software};

/// A server by name and version, written `etcd@3.4.23`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerSpec {
    /// The service, for example `etcd`.
    pub service: String,
    /// Its version, as its makers count.
    pub version: String,
}

impl fmt::Display for ServerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.service, self.version)
    }
}

/// The text does not name a server.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no server: write SERVICE@VERSION, for example etcd@3.4.23")]
pub struct NotASpec(String);

impl FromStr for ServerSpec {
    type Err = NotASpec;

    fn from_str(text: &str) -> Result<Self, NotASpec> {
        // Both parts become names of folders in the cache, so nothing may stand in them that leads elsewhere.
        let is_name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+~".contains(c))
        };
        match text.split_once('@') {
            Some((service, version)) if is_name(service) && is_name(version) => {
                Ok(Self { service: service.to_owned(), version: version.to_owned() })
            }
            _ => Err(NotASpec(text.to_owned())),
        }
    }
}

/// A server that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinary {
    /// The program.
    pub path: PathBuf,
    /// What it is, for people: `etcd 3.4.23`.
    pub label: String,
}

/// There are no servers at this place.
#[derive(Debug, thiserror::Error)]
pub enum NotAProgram {
    /// There is nothing, or it cannot be reached.
    #[error("there is nothing at {}; give {}", path.display(), wanted(*software))]
    Missing {
        /// What was wanted.
        software: Software,
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a folder, for example.
    #[error("{} is no file; give {}", path.display(), wanted(*software))]
    NoFile {
        /// What was wanted.
        software: Software,
        /// The place.
        path: PathBuf,
    },
    /// A folder was wanted.
    #[error("{} is no folder with jars in it; give {}", path.display(), wanted(*software))]
    NoJars {
        /// What was wanted.
        software: Software,
        /// The place.
        path: PathBuf,
    },
    /// This user may not run it.
    #[error("{} cannot be run; make it executable: chmod +x {}", path.display(), path.display())]
    NotExecutable {
        /// The place.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn wanted(software: Software) -> String {
    match software {
        Software::Etcd | Software::Consul => format!("the path of the program itself: --server-bin {software}=PATH"),
        Software::ZooKeeper => format!("the folder of its jars: --server-bin {software}=FOLDER"),
    }
}

impl ServerBinary {
    /// Servers of the user's own.
    ///
    /// # Errors
    /// If there is nothing at this place that this user may run.
    pub fn own(software: Software, path: &Path) -> Result<Self, NotAProgram> {
        let found = path.canonicalize();
        let path = found.map_err(|source| NotAProgram::Missing { software, path: path.to_owned(), source })?;
        match software.runtime() {
            Runtime::Jvm if !has_jars(&path) => return Err(NotAProgram::NoJars { software, path }),
            Runtime::Go if !path.is_file() => return Err(NotAProgram::NoFile { software, path }),
            Runtime::Go => {
                if let Err(errno) = access(&path, AccessFlags::X_OK) {
                    return Err(NotAProgram::NotExecutable { path, source: errno.into() });
                }
            }
            Runtime::Jvm => {}
        }
        Ok(Self { label: format!("{software} ({})", path.display()), path })
    }
}

fn has_jars(folder: &Path) -> bool {
    let is_jar = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "jar"))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(is_jar))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_reads_back_as_it_was_written() {
        let spec: ServerSpec = "etcd@3.4.23".parse().expect("a spec");
        assert_eq!((spec.service.as_str(), spec.version.as_str()), ("etcd", "3.4.23"));
        assert_eq!(spec.to_string(), "etcd@3.4.23");
    }

    #[test]
    fn what_could_lead_out_of_the_cache_is_no_spec() {
        for text in ["etcd", "@3.4", "etcd@", "../etcd@1", "etcd@../..", "etcd@1/2", "et cd@1", "etcd@1@2", ""] {
            assert!(text.parse::<ServerSpec>().is_err(), "{text}");
        }
    }
}
