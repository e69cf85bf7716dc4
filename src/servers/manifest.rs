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
    packages: Vec<Package>,
    /// What can be fetched.
    pub(super) servers: Vec<Entry>,
}

/// One server and the packages that it is made of.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    service: String,
    version: String,
    packages: Vec<String>,
    #[serde(flatten)]
    pub(super) made_of: MadeOf,
}

/// What a server consists of, as places in its unpacked packages.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MadeOf {
    /// One program.
    Program(String),
    /// The jars of a Java program.
    Jars(Vec<String>),
}

/// A file that can be had.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its hash, in lowercase hex.
    pub(super) sha256: String,
    #[serde(flatten)]
    pub(super) origin: Origin,
}

/// Where a package comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Origin {
    /// The archive of the distribution.
    Debian(Debian),
    /// A file in a source package of the Python index.
    Python(Python),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Debian {
    /// The release of the distribution that carries the package.
    pub(super) suite: String,
    /// The distribution's word for the processor, for example `amd64`, or `all`.
    architecture: String,
    /// Where the package lies under `pool/main` of the archive.
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Python {
    /// What to ask for, as pip writes it.
    pub(super) requirement: String,
    /// The name of the source package's file.
    pub(super) archive: String,
    /// Its size in bytes.
    pub(super) archive_size: u64,
    /// Its hash, in lowercase hex.
    pub(super) archive_sha256: String,
    /// The file in it.
    pub(super) member: String,
}

impl Entry {
    pub(super) fn spec(&self) -> ServerSpec {
        ServerSpec { service: self.service.clone(), version: self.version.clone() }
    }

    pub(super) fn label(&self) -> String {
        format!("{} {}", self.service, self.version)
    }

    /// The packages that it is made of.
    pub(super) fn packages(&self) -> impl Iterator<Item = &'static Package> {
        let package = |name: &String| manifest().packages.iter().find(move |package| package.name == *name);
        self.packages.iter().filter_map(package)
    }

    /// The processor that it is packaged for, where that is not this machine's.
    pub(super) fn other_architecture(&self) -> Option<&'static str> {
        self.packages().find(|package| !package.runs_here()).and_then(Package::architecture)
    }
}

impl Package {
    /// Its file's name.
    pub(super) fn file_name(&self) -> &str {
        let path = match &self.origin {
            Origin::Debian(debian) => &debian.path,
            Origin::Python(python) => &python.member,
        };
        path.rsplit('/').next().unwrap_or(path)
    }

    fn architecture(&self) -> Option<&str> {
        match &self.origin {
            Origin::Debian(debian) => Some(&debian.architecture),
            Origin::Python(_) => None,
        }
    }

    /// Whether this machine's processor can run it.
    fn runs_here(&self) -> bool {
        let here = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        self.architecture().is_none_or(|architecture| architecture == here || architecture == "all")
    }
}

impl Debian {
    /// Where the package lies in an archive, as the path of a URL that starts at the archive's root.
    pub(super) fn url_path(&self) -> String {
        format!("pool/main/{}", self.path.replace('+', "%2b"))
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
    let asked = place(asked)?;
    known
        .iter()
        .filter_map(|version| Some((asked.abs_diff(place(version)?), version)))
        .min()
        .map(|(_, version)| version.as_str())
}

/// Where a version stands among all: no patch release is as far from another as the next minor one.
fn place(version: &str) -> Option<u128> {
    let mut parts = version.split('.');
    let mut next = || parts.next().unwrap_or("0").parse::<u32>().ok().map(u128::from);
    Some(next()? << 64 | next()? << 32 | next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_hash(text: &str) -> bool {
        text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
    }

    fn stays_inside(path: &str) -> bool {
        !path.is_empty() && !path.starts_with('/') && !path.contains("..")
    }

    #[test]
    fn the_built_in_packages_are_sound() {
        for package in &manifest().packages {
            let name = &package.name;
            assert!(is_hash(&package.sha256) && package.size > 0, "{name}");
            match &package.origin {
                Origin::Debian(debian) => {
                    assert!(package.file_name().ends_with(&format!("_{}.deb", debian.architecture)), "{name}");
                    assert!(!debian.suite.is_empty() && !debian.url_path().contains('+'), "{name}");
                }
                Origin::Python(python) => {
                    assert!(is_hash(&python.archive_sha256) && python.archive_size > package.size, "{name}");
                    assert!(stays_inside(&python.member) && stays_inside(&python.archive), "{name}");
                }
            }
            let users = manifest().servers.iter().filter(|entry| entry.packages.contains(name)).count();
            assert!(users > 0, "{name} belongs to no server");
        }
    }

    #[test]
    fn the_built_in_servers_are_sound() {
        for entry in &manifest().servers {
            let name = entry.label();
            assert!(entry.spec().to_string().parse::<ServerSpec>().is_ok(), "{name}");
            assert_eq!(entry.packages().count(), entry.packages.len(), "{name} has packages that are not listed");
            match &entry.made_of {
                MadeOf::Program(program) => assert!(stays_inside(program), "{name}"),
                MadeOf::Jars(jars) => assert!(jars.len() > 1 && jars.iter().all(|jar| stays_inside(jar)), "{name}"),
            }
        }
    }

    #[test]
    fn the_nearest_version_shares_the_most_significant_numbers() {
        let known = manifest().versions_of("etcd");
        assert_eq!(nearest("3.5.17", &known), Some("3.5.16"));
        assert_eq!(nearest("3.5.29", &known), Some("3.5.30"));
        assert_eq!(nearest("3.4", &known), Some("3.4.23"));
        assert_eq!(nearest("2.3.8", &known), Some("3.3.25"));
        assert_eq!(nearest("3.9.9", &known), Some("3.5.30"));
        assert_eq!(nearest("latest", &known), None);
    }
}
