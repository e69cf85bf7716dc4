//! The TOML shape of a scenario, and its checks.

mod fault;
mod workload;

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::error::ScenarioError;
use super::{Scenario, Service};
use crate::servers::NotASpec;
use workload::WorkloadTable;

const DEFAULT_NODES: u8 = 3;
const MAX_NODES: u8 = 9;
const MAX_SECONDS: u64 = 24 * 3600;
const MAX_WORKERS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    service: Service,
    servers: Spanned<String>,
    nodes: Option<Spanned<u8>>,
    seconds: Spanned<u64>,
    #[serde(default)]
    clock_offsets_ms: Vec<i64>,
    #[serde(default)]
    beliefs_must_exclude: bool,
    workload: Spanned<WorkloadTable>,
}

/// The text under scrutiny, for errors that name a place in it.
struct Source<'a> {
    origin: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(&self, span: Range<usize>, message: impl Into<String>) -> ScenarioError {
        ScenarioError::at(self.origin, self.text, span, message)
    }

    fn refused(&self, error: &toml::de::Error) -> ScenarioError {
        ScenarioError::from_toml(self.origin, self.text, error)
    }

    /// The setting of this name, which must be there.
    fn need<T: Clone>(&self, table: &Range<usize>, name: &str, value: &Option<Spanned<T>>) -> Result<T, ScenarioError> {
        value
            .as_ref()
            .map(|spanned| spanned.get_ref().clone())
            .ok_or_else(|| self.wrong(table.clone(), format!("`{name}` is missing here")))
    }

    /// A span of time in milliseconds that must be there and not be zero.
    fn millis(
        &self,
        table: &Range<usize>,
        name: &str,
        value: &Option<Spanned<u64>>,
    ) -> Result<Duration, ScenarioError> {
        let millis = self.need(table, name, value)?;
        match (millis, value) {
            (0, Some(spanned)) => Err(self.wrong(spanned.span(), format!("`{name}` must be more than 0"))),
            _ => Ok(Duration::from_millis(millis)),
        }
    }

    /// A TTL: etcd knows whole seconds only.
    fn ttl(&self, span: Range<usize>, name: &str, millis: u64) -> Result<Duration, ScenarioError> {
        if millis == 0 || !millis.is_multiple_of(1000) {
            return Err(self.wrong(span, format!("`{name}` must be whole seconds and more than 0: etcd's TTLs are")));
        }
        Ok(Duration::from_millis(millis))
    }

    fn share(&self, name: &str, value: &Option<Spanned<f64>>) -> Result<f64, ScenarioError> {
        match value {
            None => Ok(0.0),
            Some(share) if (0.0..=1.0).contains(share.get_ref()) => Ok(*share.get_ref()),
            Some(share) => Err(self.wrong(share.span(), format!("`{name}` is a share, from 0 to 1"))),
        }
    }

    fn count(&self, table: &Range<usize>, name: &str, value: &Option<Spanned<usize>>) -> Result<usize, ScenarioError> {
        let count = self.need(table, name, value)?;
        match value {
            Some(spanned) if !(1..=MAX_WORKERS).contains(&count) => {
                Err(self.wrong(spanned.span(), format!("`{name}` must be from 1 to {MAX_WORKERS}")))
            }
            _ => Ok(count),
        }
    }

    fn reject<T>(&self, owner: &str, name: &str, value: &Option<Spanned<T>>) -> Result<(), ScenarioError> {
        match value {
            None => Ok(()),
            Some(spanned) => Err(self.wrong(spanned.span(), format!("`{name}` is no setting of {owner}"))),
        }
    }
}

pub(super) fn parse(name: &str, origin: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let source = Source { origin, text };
    let mut table = DeTable::parse(text).map_err(|error| source.refused(&error))?;
    // Each package of faults has settings of its own, so they are read apart.
    let nemesis = table.get_mut().remove("nemesis");
    let file = File::deserialize(Deserializer::from(table)).map_err(|error| source.refused(&error))?;
    let seconds = *file.seconds.get_ref();
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(source.wrong(file.seconds.span(), format!("`seconds` must be from 1 to {MAX_SECONDS}")));
    }
    let nodes = match &file.nodes {
        None => DEFAULT_NODES,
        Some(nodes) if (1..=MAX_NODES).contains(nodes.get_ref()) => *nodes.get_ref(),
        Some(nodes) => return Err(source.wrong(nodes.span(), format!("`nodes` must be from 1 to {MAX_NODES}"))),
    };
    Ok(Scenario {
        name: name.to_owned(),
        summary: file.summary,
        service: file.service,
        servers: file
            .servers
            .get_ref()
            .parse()
            .map_err(|error: NotASpec| source.wrong(file.servers.span(), error.to_string()))?,
        nodes,
        duration: Duration::from_secs(seconds),
        clock_offsets_ms: file.clock_offsets_ms,
        workload: workload::workload(&source, &file.workload, file.service)?,
        faults: fault::plans(&source, nemesis, nodes, file.service.runtime())?,
        beliefs_must_exclude: file.beliefs_must_exclude,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::Target;

    const GOOD: &str = r#"
summary = "s"
service = "etcd-v3"
servers = "etcd@3.5.30"
seconds = 10

[workload]
kind = "lease"
workers = 2
ttl_ms = 3000
renew_ms = 1000
hold_ms = 1000
poll_ms = 100

[[nemesis]]
package = "clock"
offset_ms = 5
at_ms = 1
lasts_ms = 2
"#;

    fn error_of(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        parse("x", "x.toml", &GOOD.replacen(from, to, 1)).expect_err("it is wrong").to_string()
    }

    #[test]
    fn the_text_before_it_is_bent_is_good() {
        let scenario = parse("x", "x.toml", GOOD).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.nodes, 3);
        assert_eq!(scenario.faults[0].target, Target::Leader);
    }

    #[test]
    fn a_misspelt_setting_is_named_with_its_place_and_the_nearest_word() {
        let error = error_of("offset_ms", "ofset_ms");
        assert!(error.starts_with("x.toml:17:1: `ofset_ms` is no setting of the package `clock`"), "{error}");
        assert!(error.ends_with("did you mean `offset_ms`?"), "{error}");
    }

    #[test]
    fn a_misspelt_value_is_named_with_its_place_and_the_nearest_word() {
        let error = error_of("\"clock\"", "\"clok\"");
        assert!(error.starts_with("x.toml:16:11: unknown package `clok`"), "{error}");
        assert!(error.ends_with("did you mean `clock`?"), "{error}");
        let error = error_of("at_ms = 1", "at_ms = 1\ntarget = \"leeder\"");
        assert!(error.starts_with("x.toml:19:10: unknown target `leeder`"), "{error}");
        assert!(error.ends_with("did you mean `leader`?"), "{error}");
    }

    #[test]
    fn settings_of_another_workload_or_package_are_refused() {
        assert!(error_of("poll_ms", "keys = 2\npoll_ms").contains("`keys` is no setting of lease"));
        assert!(
            error_of("at_ms", "shape = \"isolate\"\nat_ms").contains("`shape` is no setting of the package `clock`")
        );
    }

    #[test]
    fn what_is_missing_or_out_of_range_is_said() {
        assert!(error_of("offset_ms = 5\n", "").contains("`offset_ms` is missing here"));
        assert!(error_of("seconds = 10", "seconds = 0").contains("`seconds` must be from 1"));
        assert!(error_of("ttl_ms = 3000", "ttl_ms = 2500").contains("whole seconds"));
        assert!(error_of("at_ms", "target = \"n4\"\nat_ms").contains("there is no node n4"));
        assert!(error_of("at_ms = 1", "every_ms = 2\nat_ms = 1").contains("needs `times`"));
        assert!(error_of("seconds = 10", "seconds = ").starts_with("x.toml:5:"));
        assert!(error_of("etcd@3.5.30", "etcd-3.5.30").starts_with("x.toml:4:11: `etcd-3.5.30` names no server"));
    }
}
