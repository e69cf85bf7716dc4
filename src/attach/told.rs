//! What servers tell of themselves.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

/// What a server tells of itself, as far as promises depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Its version, as its makers count.
    pub version: String,
    /// Whether it has a vote, or only passes on what others decide.
    pub is_server: bool,
    /// The shortest TTL that it takes.
    pub least_ttl: Option<Duration>,
    /// ZooKeeper's unit of time, in milliseconds.
    pub tick_ms: Option<u32>,
    /// For how many ticks one of its followers may be out of touch with the leader.
    pub sync_limit_ticks: Option<u32>,
}

impl Told {
    /// What two servers of one cluster promise together: the greater of each, for who leads is not for us to say.
    pub(super) fn and(self, other: &Self) -> Self {
        // What one of them keeps to itself is not known of the cluster.
        let greater = |one: Option<u32>, two: Option<u32>| one.zip(two).map(|(one, two)| one.max(two));
        Self {
            version: self.version,
            is_server: self.is_server && other.is_server,
            least_ttl: self.least_ttl.max(other.least_ttl),
            tick_ms: greater(self.tick_ms, other.tick_ms),
            sync_limit_ticks: greater(self.sync_limit_ticks, other.sync_limit_ticks),
        }
    }
}

/// Reads what etcd says at `/version`.
pub(super) fn by_etcd(body: &[u8]) -> Result<Told, String> {
    #[derive(Deserialize)]
    struct Version {
        etcdserver: String,
    }
    let version: Version = serde_json::from_slice(body).map_err(|_| "/version tells no version of etcd".to_owned())?;
    Ok(Told { version: plain(&version.etcdserver)?, is_server: true, ..Told::default() })
}

/// Reads what Consul says at `/v1/agent/self`.
pub(super) fn by_consul(body: &[u8]) -> Result<Told, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct AgentSelf {
        config: Config,
        #[serde(default)]
        debug_config: DebugConfig,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        version: String,
        server: bool,
    }
    #[derive(Default, Deserialize)]
    struct DebugConfig {
        #[serde(rename = "SessionTTLMin", default)]
        session_ttl_min: String,
    }
    /// What a server takes that is told nothing else.
    const USUAL: Duration = Duration::from_secs(10);
    let told: AgentSelf =
        serde_json::from_slice(body).map_err(|_| "/v1/agent/self tells no agent of Consul".to_owned())?;
    let least = told.debug_config.session_ttl_min.parse::<SignedDuration>().ok();
    let least = least.and_then(|least| Duration::try_from(least).ok()).filter(|least| !least.is_zero());
    Ok(Told {
        version: plain(&told.config.version)?,
        is_server: told.config.server,
        least_ttl: Some(least.unwrap_or(USUAL)),
        ..Told::default()
    })
}

/// The version in what ZooKeeper says to `srvr`: `Zookeeper version: 3.4.6-1569965, built on …`.
pub(super) fn version_of_zookeeper(said: &str) -> Option<String> {
    let version = said.lines().find_map(|line| line.strip_prefix("Zookeeper version: "))?;
    plain(version.split(['-', ',']).next()?.trim()).ok()
}

/// Reads what ZooKeeper says to `conf`, where it is allowed.
pub(super) fn by_zookeeper(version: String, settings: &str) -> Told {
    let number = |name: &str| {
        let line = settings.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        line.and_then(|number| number.trim().parse::<u32>().ok()).filter(|number| (1..=600_000).contains(number))
    };
    Told {
        version,
        is_server: true,
        least_ttl: None,
        tick_ms: number("tickTime"),
        sync_limit_ticks: number("syncLimit"),
    }
}

/// A version as it may stand in records.
fn plain(version: &str) -> Result<String, String> {
    let is_plain = version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+~".contains(c));
    match is_plain && version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= 40 {
        true => Ok(version.to_owned()),
        false => Err("it tells a version that is none".to_owned()),
    }
}

/// Whether a server says that nobody leads.
pub(super) fn says_no_leader(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said).to_lowercase();
    ["no cluster leader", "no leader", "knows no leader", "serves no requests"].iter().any(|words| said.contains(words))
}

/// Whether a server says that it does not know us, or that we may not.
pub(super) fn is_denial(said: &str) -> bool {
    const WORDS: [&str; 10] = [
        "authentication failed",
        "user name is empty",
        "PermissionDenied",
        "permission denied",
        "Permission denied",
        "Unauthenticated",
        "invalid auth token",
        "status 403",
        "ACL not found",
        "not authorized",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_tells_its_version() {
        let told = by_etcd(br#"{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}"#).map(|told| told.version);
        assert_eq!(told, Ok("3.5.30".to_owned()));
        for other in [&b""[..], b"404 page not found", b"{}", br#"{"etcdserver":"<b>"}"#, br#"{"etcdserver":3}"#] {
            assert!(by_etcd(other).is_err());
        }
    }

    #[test]
    fn consul_tells_its_shortest_ttl() {
        let least = |debug: &str| {
            let text = format!(r#"{{"Config":{{"Version":"1.8.7","Server":true}},"DebugConfig":{debug}}}"#);
            by_consul(text.as_bytes()).expect("an agent").least_ttl.expect("a TTL").as_secs()
        };
        assert_eq!([least("{}"), least(r#"{"SessionTTLMin":"0s"}"#)], [10, 10]);
        assert_eq!([least(r#"{"SessionTTLMin":"1s"}"#), least(r#"{"SessionTTLMin":"1m30s"}"#)], [1, 90]);
        assert!(by_consul(b"{\"Config\":{}}").is_err());
    }

    #[test]
    fn zookeeper_tells_its_version_and_where_it_is_allowed_its_ticks() {
        let said = "Zookeeper version: 3.4.6-1569965, built on 02/20/2014 09:09 GMT\nMode: leader\n";
        assert_eq!(version_of_zookeeper(said).as_deref(), Some("3.4.6"));
        assert_eq!(version_of_zookeeper("HTTP/1.1 400 Bad Request"), None);
        let told = by_zookeeper("3.8.0".to_owned(), "clientPort=2181\ntickTime=2000\nsyncLimit=5\n");
        assert_eq!((told.tick_ms, told.sync_limit_ticks), (Some(2_000), Some(5)));
        let silent = by_zookeeper("3.8.0".to_owned(), "conf is not executed because it is not in the whitelist.");
        assert_eq!(silent.tick_ms, None);
        assert_eq!(told.and(&silent).tick_ms, None);
    }
}
