//! Fetching a server: from the cache, from a folder of packages, or with the machine's own package manager.
//!
//! Nothing is installed. A package is unpacked into the cache, where several versions live side by side; its hash is
//! verified wherever it came from. Everything here is plain blocking code without threads, for it runs before the
//! process clones itself into a sandbox.

mod apt;
mod cache;
mod digest;
mod error;
mod options;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::manifest::{Entry, manifest, nearest};
use super::{ServerBinary, ServerSpec};
use cache::Cache;
pub use error::FetchError;
pub use options::FetchOptions;

/// A server that can be fetched, and where from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServer {
    /// The server.
    pub spec: ServerSpec,
    /// Where it would come from.
    pub availability: Availability,
}

/// Where a server would come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It is in the cache, ready to run.
    Cached,
    /// Its package is in the folder of packages.
    Offline,
    /// The machine's package manager can be asked for it.
    Downloadable,
    /// This machine has neither a package of it nor the tools to get one, or cannot run it.
    OutOfReach,
}

impl Availability {
    /// The same in words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Cached => "here",
            Self::Offline => "in the folder of packages",
            Self::Downloadable => "to be downloaded",
            Self::OutOfReach => "not to be had on this machine",
        }
    }
}

/// Every server that can be fetched, in the manifest's order.
#[must_use]
pub fn known(options: &FetchOptions) -> Vec<KnownServer> {
    let to_known = |entry: &Entry| KnownServer { spec: entry.spec(), availability: availability(entry, options) };
    manifest().servers.iter().map(to_known).collect()
}

fn availability(entry: &Entry, options: &FetchOptions) -> Availability {
    let can_unpack = || entry.runs_here() && is_on_path("dpkg-deb");
    if cache::program(&options.cache, entry).is_file() {
        Availability::Cached
    } else if can_unpack() && offline_package(entry, options).is_some() {
        Availability::Offline
    } else if can_unpack() && apt::is_here() {
        Availability::Downloadable
    } else {
        Availability::OutOfReach
    }
}

/// Makes the server ready to run, and tells on the way what takes time.
///
/// Runs that fetch at the same time wait for each other, and a fetch that is cut off at any point leaves the cache whole.
///
/// # Errors
/// If the server is unknown, cannot be had, or is not what the manifest says.
pub fn fetch(
    spec: &ServerSpec,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<ServerBinary, FetchError> {
    let entry = manifest().find(spec).ok_or_else(|| unknown(spec))?;
    let binary = ServerBinary { path: cache::program(&options.cache, entry), label: entry.label() };
    if binary.path.is_file() {
        return Ok(binary);
    }
    if !entry.runs_here() {
        return Err(FetchError::OtherArchitecture {
            server: entry.label(),
            architecture: entry.architecture.clone(),
            service: spec.service.clone(),
        });
    }

    let cache = Cache::lock(&options.cache, progress)?;
    if binary.path.is_file() {
        return Ok(binary); // The run that held the cache was after the same server.
    }
    let staging = cache.staging()?;
    let package = obtain(entry, options, &staging, progress)?;
    progress(&format!("unpacking {}", entry.label()));
    let unpacked = staging.join("unpacked");
    unpack(&package, &unpacked, entry)?;
    cache.admit(&unpacked, entry)?;
    Ok(binary)
}

/// The verified package: in the user's folder of packages, else downloaded into the staging folder.
fn obtain(
    entry: &Entry,
    options: &FetchOptions,
    staging: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, FetchError> {
    let package = if let Some(package) = offline_package(entry, options) {
        progress(&format!("taking {} from {}", entry.label(), package.display()));
        package
    } else {
        #[expect(clippy::cast_precision_loss, reason = "it is rounded for people")]
        let megabytes = entry.size as f64 / 1e6;
        progress(&format!("downloading {} ({megabytes:.1} MB) with apt", entry.label()));
        let package = staging.join(entry.file_name());
        apt::download(entry, &package).map_err(|failure| failure.explain(entry, at_hand(options)))?;
        package
    };
    digest::verify(&package, &entry.sha256)?;
    Ok(package)
}

fn offline_package(entry: &Entry, options: &FetchOptions) -> Option<PathBuf> {
    options.packages.as_ref().map(|folder| folder.join(entry.file_name())).filter(|package| package.is_file())
}

fn unpack(package: &Path, into: &Path, entry: &Entry) -> Result<(), FetchError> {
    // The option takes the files and nothing else: no maintainer script runs.
    let output = Command::new("dpkg-deb").arg("-x").arg(package).arg(into).output();
    let output = output.map_err(|source| FetchError::no_tool("dpkg-deb", entry, source))?;
    if !output.status.success() {
        return Err(FetchError::Unpack {
            package: package.to_owned(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let program = into.join(&entry.binary);
    match fs::metadata(&program) {
        Ok(found) if found.is_file() => Ok(()),
        _ => Err(FetchError::Unpack {
            package: package.to_owned(),
            said: format!("it does not contain {}", entry.binary),
        }),
    }
}

/// The servers that can be had without a download.
fn at_hand(options: &FetchOptions) -> Vec<String> {
    let is_at_hand = |server: &KnownServer| matches!(server.availability, Availability::Cached | Availability::Offline);
    known(options).into_iter().filter(is_at_hand).map(|server| server.spec.to_string()).collect()
}

fn unknown(spec: &ServerSpec) -> FetchError {
    let known = manifest().versions_of(&spec.service);
    if known.is_empty() {
        return FetchError::UnknownService { service: spec.service.clone(), known: manifest().services() };
    }
    let nearest = nearest(&spec.version, &known).map(str::to_owned);
    FetchError::UnknownVersion { spec: spec.clone(), nearest, known }
}

fn is_on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}
