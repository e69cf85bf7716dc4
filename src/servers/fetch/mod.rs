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
mod python;
mod unpack;

use std::path::{Path, PathBuf};

use super::manifest::{Entry, Origin, Package, manifest, nearest};
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
    let is_offline = |package: &'static Package| offline_package(package, options).is_some();
    let is_downloadable = |package: &'static Package| match &package.origin {
        Origin::Debian(_) => apt::is_here(),
        Origin::Python(_) => python::is_here(),
    };
    if cache::program(&options.cache, entry).exists() {
        Availability::Cached
    } else if entry.other_architecture().is_some() || !unpack::is_possible() {
        Availability::OutOfReach
    } else if entry.packages().all(is_offline) {
        Availability::Offline
    } else if entry.packages().all(|package| is_offline(package) || is_downloadable(package)) {
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
    if binary.path.exists() {
        return Ok(binary);
    }
    if let Some(architecture) = entry.other_architecture() {
        let (server, service) = (entry.label(), spec.service.clone());
        return Err(FetchError::OtherArchitecture { server, architecture, service });
    }

    let cache = Cache::lock(&options.cache, progress)?;
    if binary.path.exists() {
        return Ok(binary); // The run that held the cache was after the same server.
    }
    let staging = cache.staging()?;
    let packages = entry
        .packages()
        .map(|package| obtain(entry, package, options, &staging, progress))
        .collect::<Result<Vec<_>, _>>()?;
    progress(&format!("unpacking {}", entry.label()));
    let unpacked = unpack::unpack(entry, &packages, &staging)?;
    cache.admit(&unpacked, entry)?;
    Ok(binary)
}

/// The verified package: in the user's folder of packages, else downloaded into the staging folder.
fn obtain(
    entry: &Entry,
    package: &Package,
    options: &FetchOptions,
    staging: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, FetchError> {
    let file = if let Some(file) = offline_package(package, options) {
        progress(&format!("taking {} from {}", package.file_name(), file.display()));
        file
    } else {
        let file = staging.join(package.file_name());
        match &package.origin {
            Origin::Debian(debian) => {
                progress(&format!("downloading {} ({}) with apt", package.file_name(), megabytes(package.size)));
                apt::download(package, debian, &file)
                    .map_err(|failure| failure.explain(entry, package, debian, at_hand(options)))?;
            }
            Origin::Python(python) => {
                let size = megabytes(python.archive_size);
                progress(&format!("downloading {} for {} ({size}) with pip", python.archive, package.file_name()));
                python::download(entry, python, staging, &file)?;
            }
        }
        file
    };
    digest::verify(&file, &package.sha256)?;
    Ok(file)
}

fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for people")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

fn offline_package(package: &Package, options: &FetchOptions) -> Option<PathBuf> {
    options.packages.as_ref().map(|folder| folder.join(package.file_name())).filter(|file| file.is_file())
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
