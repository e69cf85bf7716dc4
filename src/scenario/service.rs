//! The services and the interfaces that clients speak to them.

use std::time::Duration;

use crate::servers::zookeeper::ZooKeeperOptions;
use crate::servers::{ServerSettings, Software};

/// A service and the interface that the clients speak to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// etcd's first interface: keys with a TTL, over HTTP.
    EtcdV2,
    /// etcd's present interface: leases, transactions and the Lock service, over gRPC.
    EtcdV3,
    /// Consul: sessions and its key-value store, over HTTP.
    Consul,
    /// ZooKeeper: sessions and ephemeral nodes.
    Zookeeper,
}

impl Service {
    /// Its name in scenarios and histories.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EtcdV2 => "etcd-v2",
            Self::EtcdV3 => "etcd-v3",
            Self::Consul => "consul",
            Self::Zookeeper => "zookeeper",
        }
    }

    /// The servers that offer it.
    #[must_use]
    pub fn software(self) -> Software {
        match self {
            Self::EtcdV2 | Self::EtcdV3 => Software::Etcd,
            Self::Consul => Software::Consul,
            Self::Zookeeper => Software::ZooKeeper,
        }
    }

    /// Whether servers with these settings grant such a TTL as it is asked for.
    ///
    /// # Errors
    /// What TTLs they grant, in words that go on from `must be`.
    pub fn grants(self, ttl: Duration, settings: ServerSettings) -> Result<(), String> {
        match self {
            Self::EtcdV2 | Self::EtcdV3 if ttl.is_zero() || ttl.subsec_nanos() > 0 => {
                Err("whole seconds and more than 0: etcd's TTLs are".to_owned())
            }
            // Our servers take sessions from a second on; a Consul that is told nothing takes 10 s at least.
            Self::Consul if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&ttl) => {
                Err("from 1000 to 86400000: Consul's sessions are".to_owned())
            }
            Self::Zookeeper => {
                let tick_ms = settings.tick_ms.unwrap_or(ZooKeeperOptions::default().tick_ms);
                let tick = Duration::from_millis(tick_ms.into());
                if (2 * tick..=20 * tick).contains(&ttl) {
                    return Ok(());
                }
                Err(format!(
                    "from {} to {}: ZooKeeper's sessions last 2 to 20 ticks, which are of {tick_ms} ms here (`tick_ms` of \
                     `[zookeeper]`)",
                    2 * tick_ms,
                    20 * tick_ms
                ))
            }
            Self::EtcdV2 | Self::EtcdV3 | Self::Consul => Ok(()),
        }
    }
}
