//! The TOML shape of a scenario, and its checks.

use std::ops::Range;
use std::time::Duration;

use leasehold_workloads::{CasLock, Lease, LockQueue, Workload};
use serde::Deserialize;
use toml::Spanned;

use super::error::{ScenarioError, did_you_mean};
use super::faults::{ElectionMeans, Fault, FaultPlan, PartitionShape, TARGET_WORDS, Target};
use super::{Scenario, Service};

const DEFAULT_NODES: u8 = 3;
const MAX_NODES: u8 = 9;
const MAX_SECONDS: u64 = 24 * 3600;
const MAX_WORKERS: usize = 1000;
const MAX_TIMES: u32 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    summary: String,
    service: Service,
    servers: String,
    nodes: Option<Spanned<u8>>,
    seconds: Spanned<u64>,
    #[serde(default)]
    clock_offsets_ms: Vec<i64>,
    #[serde(default)]
    beliefs_must_exclude: bool,
    workload: Spanned<WorkloadTable>,
    #[serde(default)]
    nemesis: Vec<Spanned<FaultTable>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WorkloadKind {
    CasLock,
    Lease,
    LockQueue,
}

/// The settings of all workloads; [`workload`] says which one has which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadTable {
    kind: WorkloadKind,
    workers: Option<Spanned<usize>>,
    keys: Option<Spanned<usize>>,
    ttl_ms: Option<Spanned<u64>>,
    ttls_ms: Option<Spanned<Vec<u64>>>,
    renew_ms: Option<Spanned<u64>>,
    hold_ms: Option<Spanned<u64>>,
    retry_ms: Option<Spanned<u64>>,
    poll_ms: Option<Spanned<u64>>,
    abandon: Option<Spanned<f64>>,
    reads: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Package {
    Clock,
    Election,
    Pause,
    Kill,
    Partition,
}

/// The settings of all packages; [`fault`] says which one has which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultTable {
    package: Package,
    target: Option<Spanned<String>>,
    offset_ms: Option<Spanned<i64>>,
    how: Option<Spanned<ElectionMeans>>,
    shape: Option<Spanned<PartitionShape>>,
    at_ms: u64,
    lasts_ms: Option<Spanned<u64>>,
    every_ms: Option<Spanned<u64>>,
    times: Option<Spanned<u32>>,
    #[serde(default)]
    jitter_ms: u64,
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
    let file: File = toml::from_str(text).map_err(|error| ScenarioError::from_toml(origin, text, &error))?;
    let source = Source { origin, text };
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
        servers: file.servers,
        nodes,
        duration: Duration::from_secs(seconds),
        clock_offsets_ms: file.clock_offsets_ms,
        workload: workload(&source, &file.workload, file.service)?,
        faults: file.nemesis.iter().map(|table| fault(&source, table, nodes)).collect::<Result<_, _>>()?,
        beliefs_must_exclude: file.beliefs_must_exclude,
        text: text.to_owned(),
    })
}

fn workload(source: &Source, spanned: &Spanned<WorkloadTable>, service: Service) -> Result<Workload, ScenarioError> {
    let (at, table) = (&spanned.span(), spanned.get_ref());
    let ttl = |value: &Option<Spanned<u64>>| {
        let millis = source.need(at, "ttl_ms", value)?;
        source.ttl(value.as_ref().map_or(at.clone(), Spanned::span), "ttl_ms", millis)
    };
    match table.kind {
        WorkloadKind::CasLock => {
            source.reject("cas-lock", "ttls_ms", &table.ttls_ms)?;
            source.reject("cas-lock", "poll_ms", &table.poll_ms)?;
            Ok(Workload::CasLock(CasLock {
                workers: source.count(at, "workers", &table.workers)?,
                keys: source.count(at, "keys", &table.keys)?,
                ttl: ttl(&table.ttl_ms)?,
                renew_every: source.millis(at, "renew_ms", &table.renew_ms)?,
                hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
                retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
                abandon: source.share("abandon", &table.abandon)?,
                reads: source.share("reads", &table.reads)?,
            }))
        }
        WorkloadKind::Lease => {
            source.reject("lease: each worker has a key of its own", "keys", &table.keys)?;
            source.reject("lease", "ttls_ms", &table.ttls_ms)?;
            source.reject("lease", "retry_ms", &table.retry_ms)?;
            source.reject("lease", "reads", &table.reads)?;
            Ok(Workload::Lease(Lease {
                workers: source.count(at, "workers", &table.workers)?,
                ttl: ttl(&table.ttl_ms)?,
                renew_every: source.millis(at, "renew_ms", &table.renew_ms)?,
                hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
                poll_every: source.millis(at, "poll_ms", &table.poll_ms)?,
                abandon: match &table.abandon {
                    None => 1.0,
                    some => source.share("abandon", some)?,
                },
            }))
        }
        WorkloadKind::LockQueue => {
            if service != Service::EtcdV3 {
                return Err(source.wrong(at.clone(), "`lock-queue` needs the Lock service of `etcd-v3`"));
            }
            source.reject("lock-queue: its workers are counted by `ttls_ms`", "workers", &table.workers)?;
            source.reject("lock-queue: it has `ttls_ms`, one for each worker", "ttl_ms", &table.ttl_ms)?;
            source.reject("lock-queue", "renew_ms", &table.renew_ms)?;
            source.reject("lock-queue", "poll_ms", &table.poll_ms)?;
            source.reject("lock-queue", "abandon", &table.abandon)?;
            source.reject("lock-queue", "reads", &table.reads)?;
            let ttls = source.need(at, "ttls_ms", &table.ttls_ms)?;
            let span = table.ttls_ms.as_ref().map_or(at.clone(), Spanned::span);
            if ttls.is_empty() || ttls.len() > MAX_WORKERS {
                return Err(source.wrong(span, "`ttls_ms` names the TTL of each worker of a lock: at least one"));
            }
            Ok(Workload::LockQueue(LockQueue {
                keys: source.count(at, "keys", &table.keys)?,
                ttls: ttls.iter().map(|&ms| source.ttl(span.clone(), "ttls_ms", ms)).collect::<Result<_, _>>()?,
                hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
                retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
            }))
        }
    }
}

fn fault(source: &Source, spanned: &Spanned<FaultTable>, nodes: u8) -> Result<FaultPlan, ScenarioError> {
    let (at, table) = (&spanned.span(), spanned.get_ref());
    let fault = match table.package {
        Package::Clock => {
            let offset_ms = source.need(at, "offset_ms", &table.offset_ms)?;
            Fault::Clock { offset_ms }
        }
        Package::Election => Fault::Election { how: source.need(at, "how", &table.how)? },
        Package::Pause => Fault::Pause,
        Package::Kill => Fault::Kill,
        Package::Partition => Fault::Partition { shape: source.need(at, "shape", &table.shape)? },
    };
    let package = fault.package();
    if package != "clock" {
        source.reject(&format!("the package `{package}`"), "offset_ms", &table.offset_ms)?;
    }
    if package != "election" {
        source.reject(&format!("the package `{package}`"), "how", &table.how)?;
    } else {
        source.reject("the package `election`: it lasts until another node leads", "lasts_ms", &table.lasts_ms)?;
        source.reject("the package `election`: it always aims at the leader", "target", &table.target)?;
    }
    if package != "partition" {
        source.reject(&format!("the package `{package}`"), "shape", &table.shape)?;
    }
    let lasts = match package {
        "election" => Duration::ZERO,
        _ => source.millis(at, "lasts_ms", &table.lasts_ms)?,
    };
    let times = times(source, table)?;
    Ok(FaultPlan {
        fault,
        target: target(source, table, nodes)?,
        at: Duration::from_millis(table.at_ms),
        lasts,
        times,
        every: match times {
            1 => Duration::ZERO,
            _ => source.millis(at, "every_ms", &table.every_ms)?,
        },
        jitter: Duration::from_millis(table.jitter_ms),
    })
}

fn times(source: &Source, table: &FaultTable) -> Result<u32, ScenarioError> {
    match (&table.times, &table.every_ms) {
        (None, None) => Ok(1),
        (None, Some(every)) => Err(source.wrong(every.span(), "`every_ms` needs `times`: how often to repeat it")),
        (Some(times), _) if (1..=MAX_TIMES).contains(times.get_ref()) => Ok(*times.get_ref()),
        (Some(times), _) => Err(source.wrong(times.span(), format!("`times` must be from 1 to {MAX_TIMES}"))),
    }
}

fn target(source: &Source, table: &FaultTable, nodes: u8) -> Result<Target, ScenarioError> {
    let Some(word) = &table.target else {
        return Ok(Target::Leader);
    };
    let target = word.get_ref().parse().map_err(|message| {
        let known = TARGET_WORDS.map(|word| format!("`{word}`")).join(", ");
        let hint = did_you_mean(word.get_ref(), &TARGET_WORDS);
        source.wrong(word.span(), format!("{message}, expected one of {known} or a node like `n1`{hint}"))
    })?;
    match target {
        Target::Node(node) if node.number() > nodes => {
            Err(source.wrong(word.span(), format!("there is no node {node}: the cluster has {nodes}")))
        }
        target => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(error.starts_with("x.toml:17:1: unknown field `ofset_ms`"), "{error}");
        assert!(error.ends_with("did you mean `offset_ms`?"), "{error}");
    }

    #[test]
    fn a_misspelt_value_is_named_with_its_place_and_the_nearest_word() {
        let error = error_of("\"clock\"", "\"clok\"");
        assert!(error.starts_with("x.toml:16:11: unknown variant `clok`"), "{error}");
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
    }
}
