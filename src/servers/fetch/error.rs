//! Why a server could not be fetched, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::servers::ServerSpec;
use crate::servers::manifest::Entry;

/// Why a server could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No server of this name is in the manifest.
    #[error("`{service}` is no service that can be fetched; known: {}", known.join(", "))]
    UnknownService {
        /// The service asked for.
        service: String,
        /// The services that are known.
        known: Vec<String>,
    },
    /// The service is known, this version of it is not.
    #[error(
        "{spec} cannot be fetched; known versions: {}{}; for another, give `leasehold run` the program: --server-bin {}=PATH",
        known.join(", "),
        nearest.as_ref().map(|version| format!(" (the nearest is {version})")).unwrap_or_default(),
        spec.service
    )]
    UnknownVersion {
        /// The server asked for.
        spec: ServerSpec,
        /// The known version that is nearest to it.
        nearest: Option<String>,
        /// The known versions.
        known: Vec<String>,
    },
    /// The package is for another processor.
    #[error(
        "{server} is packaged for {architecture} only, and this machine is {}; give a program of your own: --server-bin {service}=PATH",
        std::env::consts::ARCH
    )]
    OtherArchitecture {
        /// The server asked for.
        server: String,
        /// The processor that its package is for.
        architecture: &'static str,
        /// Its service.
        service: String,
    },
    /// There is no place for a cache.
    #[error("no place to keep servers: neither LEASEHOLD_CACHE nor XDG_CACHE_HOME nor HOME is set; set one of them")]
    NoCacheFolder,
    /// `LEASEHOLD_PACKAGES` is set and names no folder.
    #[error("LEASEHOLD_PACKAGES names {}, which is no folder; correct it or unset it", .0.display())]
    NoPackagesFolder(PathBuf),
    /// The cache cannot be used.
    #[error("cannot {doing}; set LEASEHOLD_CACHE to a folder that can be written to")]
    Cache {
        /// What failed.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// A package cannot be read.
    #[error("cannot read {}", package.display())]
    Read {
        /// The package.
        package: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The package is not the one that the manifest pins.
    #[error(
        "{} is not the package it should be: its SHA-256 is {found}, not {expected}; remove it or replace it",
        package.display()
    )]
    WrongHash {
        /// The package.
        package: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// The machine lacks a tool: it is no Debian, most likely.
    #[error(
        "cannot run {tool}, which fetching {server} takes (it comes with Debian and its kin); give a program of your own: --server-bin {service}=PATH"
    )]
    NoTool {
        /// The tool.
        tool: &'static str,
        /// The server asked for.
        server: String,
        /// Its service.
        service: String,
        /// Why it cannot be run.
        source: io::Error,
    },
    /// The package manager has no archive to download from.
    #[error(
        "cannot download {server}: apt knows no package archive on this machine{}; put the package {file} into a folder and name it in LEASEHOLD_PACKAGES",
        without_download(at_hand)
    )]
    NoArchive {
        /// The server asked for.
        server: String,
        /// The package's file name.
        file: String,
        /// The servers that need no download.
        at_hand: Vec<String>,
    },
    /// The archive no longer has the package.
    #[error(
        "{server} can no longer be downloaded: the archive has replaced or retired {file} of {suite}{}\napt said: {said}",
        without_download(at_hand)
    )]
    Gone {
        /// The server asked for.
        server: String,
        /// The package's file name.
        file: String,
        /// The release of the distribution that carried it.
        suite: String,
        /// The servers that need no download.
        at_hand: Vec<String>,
        /// The package manager's own words.
        said: String,
    },
    /// The download failed.
    #[error("cannot download {server}: is the network up?{}\napt said: {said}", without_download(at_hand))]
    Download {
        /// The server asked for.
        server: String,
        /// The servers that need no download.
        at_hand: Vec<String>,
        /// The package manager's own words.
        said: String,
    },
    /// pip did not get a package.
    #[error(
        "cannot get {server} with pip: it needs python3 with venv (apt-get install python3-venv), a package index, and some minutes\npip said: {said}"
    )]
    Python {
        /// The server asked for.
        server: String,
        /// pip's own words.
        said: String,
    },
    /// The package cannot be unpacked.
    #[error("cannot unpack {}: {said}", package.display())]
    Unpack {
        /// The package.
        package: PathBuf,
        /// What is wrong with it.
        said: String,
    },
}

impl FetchError {
    pub(super) fn no_tool(tool: &'static str, entry: &Entry, source: io::Error) -> Self {
        Self::NoTool { tool, server: entry.label(), service: entry.spec().service, source }
    }
}

fn without_download(at_hand: &[String]) -> String {
    if at_hand.is_empty() {
        return "; no server is at hand without a download".to_owned();
    }
    format!("; at hand without a download: {}", at_hand.join(", "))
}
