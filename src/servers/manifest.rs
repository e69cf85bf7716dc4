//! The servers that can be fetched, as `fixtures/servers.json` lists them.

use std::sync::LazyLock;

use serde::Deserialize;

use super::ServerSpec;

/// The list, in the order of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    #[expect(dead_code, reason = "it explains the file to its readers")]
    about: String,
    /// What can be fetched.
    pub(super) servers: Vec<Entry>,
}

/// One server and the package that it comes in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    service: String,
    version: String,
    /// The release of the distribution that carries the package.
    pub(super) suite: String,
    /// The distribution's word for the processor, for example `amd64`.
    pub(super) architecture: String,
    /// Where the package lies under `pool/main` of the archive.
    package: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its hash, in lowercase hex.
    pub(super) sha256: String,
    /// Where the program lies in the package.
    pub(super) binary: String,
}

impl Entry {
    pub(super) fn spec(&self) -> ServerSpec {
        ServerSpec { service: self.service.clone(), version: self.version.clone() }
    }

    pub(super) fn label(&self) -> String {
        format!("{} {}", self.service, self.version)
    }

    /// The package's file name.
    pub(super) fn file_name(&self) -> &str {
        self.package.rsplit('/').next().unwrap_or(&self.package)
    }

    /// Where the package lies in an archive, as the path of a URL that starts at the archive's root.
    pub(super) fn url_path(&self) -> String {
        format!("pool/main/{}", self.package.replace('+', "%2b"))
    }

    /// Whether this machine's processor can run it.
    pub(super) fn runs_here(&self) -> bool {
        let here = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        self.architecture == here
    }
}

impl Manifest {
    pub(super) fn find(&self, spec: &ServerSpec) -> Option<&Entry> {
        self.servers.iter().find(|entry| entry.service == spec.service && entry.version == spec.version)
    }

    /// The versions of a service that are known.
    pub(super) fn versions_of(&self, service: &str) -> Vec<String> {
        self.servers.iter().filter(|entry| entry.service == service).map(|entry| entry.version.clone()).collect()
    }

    /// The services that are known.
    pub(super) fn services(&self) -> Vec<String> {
        let mut services: Vec<_> = self.servers.iter().map(|entry| entry.service.clone()).collect();
        services.dedup();
        services
    }
}

/// The list that is built into the program.
pub(super) fn manifest() -> &'static Manifest {
    static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../fixtures/servers.json")).expect("the built-in manifest is well-formed")
    });
    &MANIFEST
}

/// The version that is nearest to the one asked for: the first of its numbers that differs counts most.
pub(super) fn nearest<'a>(asked: &str, known: &'a [String]) -> Option<&'a str> {
    let asked = numbers(asked)?;
    known
        .iter()
        .filter_map(|version| Some((distance(&asked, &numbers(version)?), version)))
        .min()
        .map(|(_, version)| version.as_str())
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.split('.');
    let mut next = || parts.next().unwrap_or("0").parse().ok();
    Some([next()?, next()?, next()?])
}

fn distance(a: &[u32; 3], b: &[u32; 3]) -> [u32; 3] {
    std::array::from_fn(|i| a[i].abs_diff(b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_manifest_is_sound() {
        for entry in &manifest().servers {
            let name = entry.label();
            assert!(entry.spec().to_string().parse::<ServerSpec>().is_ok(), "{name}");
            assert!(entry.sha256.len() == 64 && entry.sha256.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
            assert!(entry.size > 0 && !entry.suite.is_empty(), "{name}");
            assert!(entry.file_name().ends_with(&format!("_{}.deb", entry.architecture)), "{name}");
            assert!(!entry.binary.starts_with('/') && !entry.binary.contains(".."), "{name}");
            assert!(!entry.url_path().contains('+'), "{name}");
        }
    }

    #[test]
    fn the_nearest_version_shares_the_most_significant_numbers() {
        let known = manifest().versions_of("etcd");
        assert_eq!(nearest("3.5.17", &known), Some("3.5.16"));
        assert_eq!(nearest("3.5.29", &known), Some("3.5.30"));
        assert_eq!(nearest("3.4", &known), Some("3.4.23"));
        assert_eq!(nearest("2.3.8", &known), Some("3.3.25"));
        assert_eq!(nearest("latest", &known), None);
    }
}
