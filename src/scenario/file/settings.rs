//! What the servers of a scenario are told.

use serde::Deserialize;
use toml::Spanned;

use super::Source;
use crate::scenario::{ScenarioError, Service};
use crate::servers::ServerSettings;

const TICKS_MS: std::ops::RangeInclusive<u32> = 50..=10_000;
const SYNC_LIMITS: std::ops::RangeInclusive<u32> = 2..=100;

/// What ZooKeeper servers can be told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZooKeeperTable {
    tick_ms: Option<Spanned<u32>>,
    sync_limit_ticks: Option<Spanned<u32>>,
}

pub(super) fn settings(
    source: &Source,
    service: Service,
    zookeeper: Option<&Spanned<ZooKeeperTable>>,
) -> Result<ServerSettings, ScenarioError> {
    let Some(spanned) = zookeeper else { return Ok(ServerSettings::default()) };
    if service != Service::Zookeeper {
        let message = format!("`[zookeeper]` says what its servers are told, and the service is `{}`", service.name());
        return Err(source.wrong(spanned.span(), message));
    }
    let table = spanned.get_ref();
    let within = |name: &str, value: &Option<Spanned<u32>>, range: std::ops::RangeInclusive<u32>| match value {
        Some(value) if !range.contains(value.get_ref()) => {
            let message = format!("`{name}` must be from {} to {}", range.start(), range.end());
            Err(source.wrong(value.span(), message))
        }
        value => Ok(value.as_ref().map(|value| *value.get_ref())),
    };
    Ok(ServerSettings {
        tick_ms: within("tick_ms", &table.tick_ms, TICKS_MS)?,
        sync_limit_ticks: within("sync_limit_ticks", &table.sync_limit_ticks, SYNC_LIMITS)?,
    })
}
