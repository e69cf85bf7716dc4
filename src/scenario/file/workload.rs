//! The workload of a scenario.

use std::time::Duration;

use leasehold_workloads::op::Renewal;
use leasehold_workloads::{CasLock, Lease, LockQueue, Workload};
use serde::Deserialize;
use toml::Spanned;

use super::{Asked, MAX_WORKERS, Source};
use crate::scenario::{ScenarioError, Service};

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
pub(super) struct WorkloadTable {
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
    renewal: Option<Spanned<RenewalWord>>,
    start_ms: Option<Spanned<u64>>,
}

/// How a holder renews.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RenewalWord {
    KeepAlive,
    StatusUpdate,
}

impl From<RenewalWord> for Renewal {
    fn from(word: RenewalWord) -> Self {
        match word {
            RenewalWord::KeepAlive => Self::KeepAlive,
            RenewalWord::StatusUpdate => Self::StatusUpdate,
        }
    }
}

pub(super) fn workload(
    source: &Source,
    spanned: &Spanned<WorkloadTable>,
    asked: Asked,
) -> Result<Workload, ScenarioError> {
    let (at, table) = (&spanned.span(), spanned.get_ref());
    let ttl = |value: &Option<Spanned<u64>>| {
        let millis = source.need(at, "ttl_ms", value)?;
        source.ttl(value.as_ref().map_or(at.clone(), Spanned::span), "ttl_ms", millis, asked)
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
                renewal: table.renewal.as_ref().map_or(Renewal::StatusUpdate, |word| (*word.get_ref()).into()),
                start: Duration::from_millis(table.start_ms.as_ref().map_or(0, |start| *start.get_ref())),
            }))
        }
        WorkloadKind::Lease => {
            source.reject("lease: each worker has a key of its own", "keys", &table.keys)?;
            source.reject("lease", "ttls_ms", &table.ttls_ms)?;
            source.reject("lease", "retry_ms", &table.retry_ms)?;
            source.reject("lease", "reads", &table.reads)?;
            source.reject("lease", "renewal", &table.renewal)?;
            source.reject("lease", "start_ms", &table.start_ms)?;
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
            if asked.service != Service::EtcdV3 {
                return Err(source.wrong(at.clone(), "`lock-queue` needs the Lock service of `etcd-v3`"));
            }
            source.reject("lock-queue: its workers are counted by `ttls_ms`", "workers", &table.workers)?;
            source.reject("lock-queue: it has `ttls_ms`, one for each worker", "ttl_ms", &table.ttl_ms)?;
            source.reject("lock-queue", "renew_ms", &table.renew_ms)?;
            source.reject("lock-queue", "poll_ms", &table.poll_ms)?;
            source.reject("lock-queue", "abandon", &table.abandon)?;
            source.reject("lock-queue", "reads", &table.reads)?;
            source.reject("lock-queue", "renewal", &table.renewal)?;
            source.reject("lock-queue", "start_ms", &table.start_ms)?;
            let ttls = source.need(at, "ttls_ms", &table.ttls_ms)?;
            let span = table.ttls_ms.as_ref().map_or(at.clone(), Spanned::span);
            if ttls.is_empty() || ttls.len() > MAX_WORKERS {
                return Err(source.wrong(span, "`ttls_ms` names the TTL of each worker of a lock: at least one"));
            }
            Ok(Workload::LockQueue(LockQueue {
                keys: source.count(at, "keys", &table.keys)?,
                ttls: ttls
                    .iter()
                    .map(|&ms| source.ttl(span.clone(), "ttls_ms", ms, asked))
                    .collect::<Result<_, _>>()?,
                hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
                retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
            }))
        }
    }
}
