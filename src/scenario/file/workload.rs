//! The workload of a scenario.

use std::ops::Range;
use std::time::Duration;

use leasehold_checkers::history::MOST_PERMITS;
use leasehold_workloads::op::{Guard, Renewal};
use leasehold_workloads::{Canary, CasLock, Duty, Guarded, Lease, Mutex, Register, Workload};
use serde::Deserialize;
use toml::Spanned;

use super::{Asked, MAX_WORKERS, Source};
use crate::scenario::{ScenarioError, WorkloadKind};

/// The settings of all workloads; [`WorkloadKind::settings`] says which one has which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadTable {
    kind: Spanned<WorkloadKind>,
    workers: Option<Spanned<usize>>,
    keys: Option<Spanned<usize>>,
    ttl_ms: Option<Spanned<u64>>,
    ttls_ms: Option<Spanned<Vec<u64>>>,
    renew_ms: Option<Spanned<u64>>,
    hold_ms: Option<Spanned<u64>>,
    step_ms: Option<Spanned<u64>>,
    retry_ms: Option<Spanned<u64>>,
    poll_ms: Option<Spanned<u64>>,
    every_ms: Option<Spanned<u64>>,
    abandon: Option<Spanned<f64>>,
    reads: Option<Spanned<f64>>,
    cas: Option<Spanned<f64>>,
    renewal: Option<Spanned<RenewalWord>>,
    guard: Option<Spanned<GuardWord>>,
    start_ms: Option<Spanned<u64>>,
    idle: Option<Spanned<usize>>,
    crash_ms: Option<Spanned<u64>>,
    settle_ms: Option<Spanned<u64>>,
    permits: Option<Spanned<usize>>,
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

/// Who guards the work.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum GuardWord {
    None,
    Token,
    Service,
}

impl From<GuardWord> for Guard {
    fn from(word: GuardWord) -> Self {
        match word {
            GuardWord::None => Self::None,
            GuardWord::Token => Self::Token,
            GuardWord::Service => Self::Service,
        }
    }
}

impl WorkloadKind {
    /// The names of its settings.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::CasLock => &[
                "workers", "keys", "ttl_ms", "renew_ms", "hold_ms", "retry_ms", "abandon", "reads", "renewal",
                "start_ms",
            ],
            Self::Lease => &["workers", "ttl_ms", "renew_ms", "hold_ms", "poll_ms", "abandon"],
            Self::Mutex | Self::Election => {
                &["workers", "keys", "ttl_ms", "ttls_ms", "renew_ms", "renewal", "hold_ms", "retry_ms"]
            }
            Self::Semaphore => {
                &["permits", "workers", "keys", "ttl_ms", "renew_ms", "hold_ms", "retry_ms", "abandon", "reads"]
            }
            Self::FencedLock | Self::Job => {
                &["workers", "keys", "ttl_ms", "renew_ms", "hold_ms", "step_ms", "retry_ms", "guard"]
            }
            Self::Register => &["workers", "keys", "every_ms", "reads", "cas"],
            Self::Canary => &["ttl_ms", "renew_ms", "every_ms", "hold_ms", "idle", "crash_ms", "settle_ms"],
        }
    }
}

impl WorkloadTable {
    /// The settings that are there, with their places.
    fn given(&self) -> impl Iterator<Item = (&'static str, Range<usize>)> {
        fn span<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
            value.as_ref().map(Spanned::span)
        }
        [
            ("workers", span(&self.workers)),
            ("keys", span(&self.keys)),
            ("ttl_ms", span(&self.ttl_ms)),
            ("ttls_ms", span(&self.ttls_ms)),
            ("renew_ms", span(&self.renew_ms)),
            ("hold_ms", span(&self.hold_ms)),
            ("step_ms", span(&self.step_ms)),
            ("retry_ms", span(&self.retry_ms)),
            ("poll_ms", span(&self.poll_ms)),
            ("every_ms", span(&self.every_ms)),
            ("abandon", span(&self.abandon)),
            ("reads", span(&self.reads)),
            ("cas", span(&self.cas)),
            ("renewal", span(&self.renewal)),
            ("guard", span(&self.guard)),
            ("start_ms", span(&self.start_ms)),
            ("idle", span(&self.idle)),
            ("crash_ms", span(&self.crash_ms)),
            ("settle_ms", span(&self.settle_ms)),
            ("permits", span(&self.permits)),
        ]
        .into_iter()
        .filter_map(|(name, span)| Some((name, span?)))
    }
}

pub(super) fn workload(
    source: &Source,
    spanned: &Spanned<WorkloadTable>,
    asked: Asked,
) -> Result<Workload, ScenarioError> {
    let table = spanned.get_ref();
    let kind = *table.kind.get_ref();
    if let Some(reason) = kind.why_not_on(asked.service) {
        let text = format!("`{}` does not run on `{}`: {reason}", kind.name(), asked.service.name());
        return Err(source.wrong(table.kind.span(), text));
    }
    if let Some((name, span)) = table.given().find(|(name, _)| !kind.settings().contains(name)) {
        return Err(source.wrong(span, format!("`{name}` is no setting of {}", kind.name())));
    }
    let settings = Settings { source, at: spanned.span(), table, asked };
    Ok(match kind {
        WorkloadKind::CasLock => Workload::CasLock(settings.cas_lock()?),
        WorkloadKind::Lease => Workload::Lease(settings.lease()?),
        WorkloadKind::Mutex => Workload::Mutex(settings.mutex("mutexes", Renewal::KeepAlive)?),
        WorkloadKind::Election => Workload::Election(settings.mutex("elections", Renewal::StatusUpdate)?),
        WorkloadKind::Semaphore => {
            Workload::Semaphore(settings.mutex("semaphores", Renewal::KeepAlive)?, settings.permits()?)
        }
        WorkloadKind::FencedLock => Workload::Guarded(settings.guarded(Duty::Writes)?),
        WorkloadKind::Job => Workload::Guarded(settings.guarded(Duty::Job)?),
        WorkloadKind::Register => Workload::Register(settings.register()?),
        WorkloadKind::Canary => Workload::Canary(settings.canary()?),
    })
}

/// The settings of one workload, on their way to their types.
struct Settings<'a> {
    source: &'a Source<'a>,
    /// Where the table stands, for what is missing in it.
    at: Range<usize>,
    table: &'a WorkloadTable,
    asked: Asked,
}

impl Settings<'_> {
    fn cas_lock(&self) -> Result<CasLock, ScenarioError> {
        let Self { source, at, table, .. } = self;
        Ok(CasLock {
            workers: source.count(at, "workers", &table.workers)?,
            keys: source.count(at, "keys", &table.keys)?,
            ttl: self.ttl()?,
            renew_every: source.millis(at, "renew_ms", &table.renew_ms)?,
            hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
            retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
            abandon: source.share("abandon", &table.abandon)?,
            reads: source.share("reads", &table.reads)?,
            renewal: self.renewal(Renewal::StatusUpdate),
            start: Duration::from_millis(table.start_ms.as_ref().map_or(0, |start| *start.get_ref())),
        })
    }

    fn lease(&self) -> Result<Lease, ScenarioError> {
        let Self { source, at, table, .. } = self;
        Ok(Lease {
            workers: source.count(at, "workers", &table.workers)?,
            ttl: self.ttl()?,
            renew_every: source.millis(at, "renew_ms", &table.renew_ms)?,
            hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
            poll_every: source.millis(at, "poll_ms", &table.poll_ms)?,
            abandon: self.share_or("abandon", &table.abandon, 1.0)?,
        })
    }

    fn mutex(&self, prefix: &'static str, how: Renewal) -> Result<Mutex, ScenarioError> {
        let Self { source, at, table, .. } = self;
        if table.ttls_ms.is_some() {
            return self.mutex_with_ttls(prefix);
        }
        Ok(Mutex {
            prefix,
            keys: source.count(at, "keys", &table.keys)?,
            ttls: vec![self.ttl()?; source.count(at, "workers", &table.workers)?],
            renewal: Some((source.millis(at, "renew_ms", &table.renew_ms)?, self.renewal(how))),
            hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
            abandon: self.share_or("abandon", &table.abandon, 0.0)?,
            reads: self.share_or("reads", &table.reads, 0.0)?,
            retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
        })
    }

    fn permits(&self) -> Result<usize, ScenarioError> {
        let permits = self.source.count(&self.at, "permits", &self.table.permits)?;
        if permits > MOST_PERMITS {
            let span = self.table.permits.as_ref().map_or(self.at.clone(), Spanned::span);
            return Err(self.source.wrong(span, format!("`permits` must be from 1 to {MOST_PERMITS}")));
        }
        Ok(permits)
    }

    /// So many workers for each lock as there are TTLs, and nobody renews.
    fn mutex_with_ttls(&self, prefix: &'static str) -> Result<Mutex, ScenarioError> {
        let Self { source, at, table, .. } = self;
        let others = ["workers", "ttl_ms", "renew_ms", "renewal"];
        if let Some((name, span)) = table.given().find(|(name, _)| others.contains(name)) {
            return Err(source.wrong(span, format!("`{name}` is no setting beside `ttls_ms`: there nobody renews")));
        }
        let ttls = source.need(at, "ttls_ms", &table.ttls_ms)?;
        let span = table.ttls_ms.as_ref().map_or(at.clone(), Spanned::span);
        if ttls.is_empty() || ttls.len() > MAX_WORKERS {
            return Err(source.wrong(span, "`ttls_ms` names the TTL of each worker of a lock: at least one"));
        }
        let ttls: Vec<Duration> =
            ttls.iter().map(|&ms| source.ttl(span.clone(), "ttls_ms", ms, self.asked)).collect::<Result<_, _>>()?;
        let keys = source.count(at, "keys", &table.keys)?;
        Ok(Mutex {
            prefix,
            keys,
            // Workers take turns at the locks.
            ttls: ttls.into_iter().flat_map(|ttl| std::iter::repeat_n(ttl, keys)).collect(),
            renewal: None,
            abandon: 0.0,
            reads: 0.0,
            hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
            retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
        })
    }

    fn guarded(&self, duty: Duty) -> Result<Guarded, ScenarioError> {
        let Self { source, at, table, .. } = self;
        let guard: Guard = source.need(at, "guard", &table.guard)?.into();
        let refused = match (duty, guard) {
            (Duty::Writes, Guard::None) => Some("`fenced-lock` is about a guard: `token` or `service`"),
            (Duty::Job, Guard::Service) => Some("the ledger of a job is the harness's: its guard is `none` or `token`"),
            (_, Guard::Service) => self.asked.service.why_no_guarded_write(),
            _ => None,
        };
        if let Some(reason) = refused {
            return Err(source.wrong(table.guard.as_ref().map_or(at.clone(), Spanned::span), reason));
        }
        Ok(Guarded {
            duty,
            guard,
            workers: source.count(at, "workers", &table.workers)?,
            keys: source.count(at, "keys", &table.keys)?,
            ttl: self.ttl()?,
            renew_every: source.millis(at, "renew_ms", &table.renew_ms)?,
            hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
            step_every: source.millis(at, "step_ms", &table.step_ms)?,
            retry_every: source.millis(at, "retry_ms", &table.retry_ms)?,
            wait: self.asked.service.waits_for_a_guarded_lock(guard),
        })
    }

    fn register(&self) -> Result<Register, ScenarioError> {
        let Self { source, at, table, .. } = self;
        Ok(Register {
            workers: source.count(at, "workers", &table.workers)?,
            keys: source.count(at, "keys", &table.keys)?,
            every: source.millis(at, "every_ms", &table.every_ms)?,
            reads: self.share_or("reads", &table.reads, 0.6)?,
            cas: self.share_or("cas", &table.cas, 0.5)?,
        })
    }

    fn canary(&self) -> Result<Canary, ScenarioError> {
        let Self { source, at, table, asked } = self;
        let nodes = usize::from(asked.nodes);
        let idle = match &table.idle {
            Some(idle) if *idle.get_ref() > nodes => {
                return Err(source.wrong(idle.span(), format!("`idle` is a number of servers, and there are {nodes}")));
            }
            idle => idle.as_ref().map_or(0, |idle| *idle.get_ref()),
        };
        let instant = |name, given: &Option<Spanned<u64>>| match given {
            None => Ok(None),
            given => source.millis(at, name, given).map(Some),
        };
        Ok(Canary {
            nodes,
            idle,
            ttl: self.ttl()?,
            renew_every: source.millis(at, "renew_ms", &table.renew_ms)?,
            every: source.millis(at, "every_ms", &table.every_ms)?,
            hold_for: source.millis(at, "hold_ms", &table.hold_ms)?,
            crash_at: instant("crash_ms", &table.crash_ms)?,
            settle_at: instant("settle_ms", &table.settle_ms)?,
        })
    }

    fn ttl(&self) -> Result<Duration, ScenarioError> {
        let Self { source, at, table, .. } = self;
        let millis = source.need(at, "ttl_ms", &table.ttl_ms)?;
        source.ttl(table.ttl_ms.as_ref().map_or(at.clone(), Spanned::span), "ttl_ms", millis, self.asked)
    }

    fn renewal(&self, unless_said: Renewal) -> Renewal {
        self.table.renewal.as_ref().map_or(unless_said, |word| (*word.get_ref()).into())
    }

    fn share_or(&self, name: &str, value: &Option<Spanned<f64>>, unless_said: f64) -> Result<f64, ScenarioError> {
        if value.is_none() { Ok(unless_said) } else { self.source.share(name, value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn scenario(service: &str, workload: &str) -> Result<Workload, String> {
        let text = format!(
            "summary = 's'\nservice = '{service}'\nservers = 'etcd@3.5.30'\nseconds = 9\n\n[workload]\n{workload}"
        );
        Scenario::parse("x", "x.toml", &text).map(|scenario| scenario.workload).map_err(|error| error.to_string())
    }

    const JOB: &str = "kind = 'job'\nworkers = 2\nkeys = 1\nttl_ms = 3000\nrenew_ms = 1000\nhold_ms = 4000\nstep_ms = 300\nretry_ms = 100\n";
    const MUTEX: &str = "kind = 'mutex'\nkeys = 2\nhold_ms = 1000\nretry_ms = 100\n";

    #[test]
    fn a_job_says_who_guards_it() {
        let guarded = |kind: &str, guard: &str| {
            let text = JOB.replace("job", kind) + &format!("guard = '{guard}'\n");
            scenario("etcd-v3", &text).map(|workload| workload.name())
        };
        assert_eq!(guarded("job", "none"), Ok("job"));
        assert_eq!(guarded("job", "token"), Ok("job"));
        assert_eq!(guarded("fenced-lock", "service"), Ok("fenced-lock"));
        let refused = guarded("fenced-lock", "none").expect_err("nobody guards");
        assert!(refused.starts_with("x.toml:15:9: `fenced-lock` is about a guard"), "{refused}");
        assert!(guarded("job", "service").expect_err("it is ours").contains("the ledger of a job is the harness's"));
        assert!(scenario("etcd-v3", JOB).expect_err("it is not said").contains("`guard` is missing here"));
        let v2 = scenario("etcd-v2", &(JOB.replace("job", "fenced-lock") + "guard = 'service'"));
        assert!(v2.expect_err("no transactions").contains("no transaction"));
    }

    #[test]
    fn a_mutex_has_workers_that_renew_or_ttls_of_leases_that_nobody_renews() {
        let with = |more: &str| scenario("etcd-v3", &(MUTEX.to_owned() + more));
        let renewing = with("workers = 4\nttl_ms = 3000\nrenew_ms = 1000");
        let Ok(Workload::Mutex(renewing)) = renewing else { panic!("{renewing:?}") };
        assert_eq!((renewing.ttls.len(), renewing.renewal.is_some()), (4, true));
        let each = with("ttls_ms = [60_000, 2_000]");
        let Ok(Workload::Mutex(each)) = each else { panic!("{each:?}") };
        assert_eq!(each.renewal, None);
        assert_eq!(each.ttls.iter().map(Duration::as_secs).collect::<Vec<_>>(), [60, 60, 2, 2]);
        let both = with("ttls_ms = [60_000]\nworkers = 4").expect_err("they exclude each other");
        assert!(both.starts_with("x.toml:12:11: `workers` is no setting beside `ttls_ms`"), "{both}");
        let old_name = scenario("etcd-v3", &(MUTEX.replace("mutex", "lock-queue") + "ttls_ms = [2_000]"));
        assert_eq!(old_name.map(|workload| workload.name()), Ok("mutex"));
    }

    #[test]
    fn a_register_has_shares_and_no_ttl() {
        let register = scenario("etcd-v2", "kind = 'register'\nworkers = 3\nkeys = 2\nevery_ms = 10\ncas = 1.0");
        let Ok(Workload::Register(register)) = register else { panic!("{register:?}") };
        assert_eq!((register.reads, register.cas), (0.6, 1.0));
        let text = "kind = 'register'\nworkers = 3\nkeys = 2\nevery_ms = 10\nttl_ms = 3000";
        let refused = scenario("etcd-v3", text).expect_err("registers have no leases");
        assert!(refused.ends_with("`ttl_ms` is no setting of register"), "{refused}");
        assert!(refused.starts_with("x.toml:11:10:"), "{refused}");
    }

    #[test]
    fn a_semaphore_says_how_many_may_hold_it() {
        let text = |permits: &str| {
            let lock = MUTEX.replace("mutex", "semaphore");
            format!("{lock}workers = 6\nttl_ms = 3000\nrenew_ms = 1000\nabandon = 0.2\n{permits}")
        };
        let semaphore = scenario("consul", &text("permits = 3"));
        let Ok(semaphore @ Workload::Semaphore(..)) = semaphore else { panic!("{semaphore:?}") };
        assert_eq!((semaphore.name(), &*semaphore.model()), ("semaphore", "lease-semaphore:3"));
        assert_eq!((semaphore.final_reads().len(), semaphore.workers()), (0, 6));
        assert!(scenario("consul", &text("")).expect_err("how many?").contains("`permits` is missing here"));
        assert!(scenario("consul", &text("permits = 65")).expect_err("too many").contains("from 1 to 64"));
        assert!(
            scenario("etcd-v2", &text("permits = 3")).expect_err("no recipe").contains("`semaphore` does not run on")
        );
    }

    #[test]
    fn what_a_service_does_not_offer_is_refused_with_the_reason() {
        let refused = scenario("etcd-v2", &(MUTEX.to_owned() + "ttls_ms = [2_000]")).expect_err("no queue");
        assert!(refused.starts_with("x.toml:7:8: `mutex` does not run on `etcd-v2`: "), "{refused}");
    }
}
