//! What is particular to one service: what its servers are told, and what their clients ask of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::Source;
use crate::clients::consul::{self, Behavior, Checks, LONGEST_LOCK_DELAY, Reads, SessionNode};
use crate::clients::etcd_v3::LeaseIds;
use crate::scenario::{ScenarioError, Service};
use crate::servers::ServerSettings;

const TICKS_MS: RangeInclusive<u32> = 50..=10_000;
const SYNC_LIMITS: RangeInclusive<u32> = 2..=100;
const HEAPS_MIB: RangeInclusive<u32> = 32..=65_536;

/// What is asked of etcd.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EtcdTable {
    lease_ids: Option<LeaseIdsWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LeaseIdsWord {
    Positive,
    Negative,
}

pub(super) fn of_etcd(
    source: &Source,
    service: Service,
    etcd: Option<&Spanned<EtcdTable>>,
) -> Result<LeaseIds, ScenarioError> {
    let Some(spanned) = etcd else { return Ok(LeaseIds::default()) };
    belongs(source, spanned, Service::EtcdV3, service)?;
    Ok(match spanned.get_ref().lease_ids {
        Some(LeaseIdsWord::Negative) => LeaseIds::Negative,
        Some(LeaseIdsWord::Positive) | None => LeaseIds::Positive,
    })
}

/// What ZooKeeper servers are told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZooKeeperTable {
    tick_ms: Option<Spanned<u32>>,
    sync_limit_ticks: Option<Spanned<u32>>,
    heap_mib: Option<Spanned<u32>>,
    lock: Option<LockWord>,
}

/// Whose lock recipe is used.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LockWord {
    Recipe,
    Library,
}

/// Whether clients of ZooKeeper wait for locks by the library's own recipe.
pub(super) fn by_library(zookeeper: Option<&Spanned<ZooKeeperTable>>) -> bool {
    zookeeper.is_some_and(|table| table.get_ref().lock == Some(LockWord::Library))
}

pub(super) fn of_servers(
    source: &Source,
    service: Service,
    zookeeper: Option<&Spanned<ZooKeeperTable>>,
) -> Result<ServerSettings, ScenarioError> {
    let Some(spanned) = zookeeper else { return Ok(ServerSettings::default()) };
    belongs(source, spanned, Service::Zookeeper, service)?;
    let table = spanned.get_ref();
    let within = |name: &str, value: &Option<Spanned<u32>>, range: RangeInclusive<u32>| match value {
        Some(value) if !range.contains(value.get_ref()) => {
            let message = format!("`{name}` must be from {} to {}", range.start(), range.end());
            Err(source.wrong(value.span(), message))
        }
        value => Ok(value.as_ref().map(|value| *value.get_ref())),
    };
    Ok(ServerSettings {
        tick_ms: within("tick_ms", &table.tick_ms, TICKS_MS)?,
        sync_limit_ticks: within("sync_limit_ticks", &table.sync_limit_ticks, SYNC_LIMITS)?,
        heap_mib: within("heap_mib", &table.heap_mib, HEAPS_MIB)?,
    })
}

/// What is asked of Consul.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsulTable {
    lock_delay_ms: Option<Spanned<u64>>,
    behavior: Option<BehaviorWord>,
    checks: Option<ChecksWord>,
    session_node: Option<Spanned<SessionNodeWord>>,
    reads: Option<ReadsWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BehaviorWord {
    Release,
    Delete,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChecksWord {
    None,
    SerfHealth,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SessionNodeWord {
    Server,
    Client,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReadsWord {
    Consistent,
    Default,
}

pub(super) fn of_consul(
    source: &Source,
    service: Service,
    consul: Option<&Spanned<ConsulTable>>,
) -> Result<consul::Settings, ScenarioError> {
    let default = consul::Settings::default();
    let Some(spanned) = consul else { return Ok(default) };
    belongs(source, spanned, Service::Consul, service)?;
    let table = spanned.get_ref();
    let lock_delay = match &table.lock_delay_ms {
        None => default.lock_delay,
        Some(delay) => {
            let asked = Duration::from_millis(*delay.get_ref());
            if asked > LONGEST_LOCK_DELAY {
                let most = LONGEST_LOCK_DELAY.as_millis();
                return Err(source.wrong(delay.span(), format!("`lock_delay_ms` must be from 0 to {most}")));
            }
            asked
        }
    };
    let checks = table.checks.map_or(default.checks, |word| match word {
        ChecksWord::None => Checks::None,
        ChecksWord::SerfHealth => Checks::SerfHealth,
    });
    let session_node = match &table.session_node {
        None => default.session_node,
        Some(word) => match word.get_ref() {
            SessionNodeWord::Server => SessionNode::Server,
            SessionNodeWord::Client if checks == Checks::SerfHealth => {
                let message =
                    "a node of the clients' own has no `serfHealth` check: leave out `checks`, or choose `server`";
                return Err(source.wrong(word.span(), message));
            }
            SessionNodeWord::Client => SessionNode::Client,
        },
    };
    Ok(consul::Settings {
        lock_delay,
        checks,
        session_node,
        behavior: table.behavior.map_or(default.behavior, |word| match word {
            BehaviorWord::Release => Behavior::Release,
            BehaviorWord::Delete => Behavior::Delete,
        }),
        reads: table.reads.map_or(default.reads, |word| match word {
            ReadsWord::Consistent => Reads::Consistent,
            ReadsWord::Default => Reads::Default,
        }),
    })
}

fn belongs<T>(source: &Source, table: &Spanned<T>, of: Service, service: Service) -> Result<(), ScenarioError> {
    if of == service {
        return Ok(());
    }
    let message = format!("`[{}]` has no place here: the service is `{}`", of.name(), service.name());
    Err(source.wrong(table.span(), message))
}
