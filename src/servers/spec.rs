//! Which server, in which version.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

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
