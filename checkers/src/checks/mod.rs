//! The checkers. Each is a pure function from a [`Run`] to its word and the anomalies that it found.

pub mod activity;
pub mod clock;
pub mod double_acquisition;
pub mod fencing;
pub mod lock_delay;
pub mod lockup;
pub mod lost_grant;
pub mod overdue_expiry;
pub mod phantom_grant;
pub mod premature_expiry;
pub mod probes;
pub mod split_belief;
pub mod stale_read;
pub mod stats;
pub mod well_formed;

use std::collections::BTreeMap;

use crate::context::{Context, Pulse};
use crate::explain::Count;
use crate::history::{Header, History, Op, Ops, RunTime, Surroundings, Word};
use crate::holds::{Grant, Grants, grants};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Verdict};

use probes::Probes;

/// Everything that the checkers need to know of a history, worked out once.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// What was run, and what the service promises.
    pub header: &'a Header,
    /// The clients' operations.
    pub ops: &'a [Op],
    /// The grants, by lock.
    pub grants: Grants,
    /// The processes behind the owners of the grants, by lock and owner.
    pub acquirers: BTreeMap<(Word, String), u64>,
    /// The faults and the leaders.
    pub context: Context,
    /// How regularly the nodes answered.
    pub pulse: Pulse,
    /// What the nodes said of themselves.
    pub probes: Probes,
    /// When the record ends.
    pub end: RunTime,
}

impl<'a> Run<'a> {
    /// Works it out.
    #[must_use]
    pub fn of(history: &'a History, ops: &'a Ops, surroundings: &Surroundings) -> Self {
        let end = history.events.last().map_or(RunTime::default(), |event| event.time);
        let grants = grants(&history.header, &ops.all, surroundings);
        let acquirers =
            grants.values().flatten().map(|grant| ((grant.key.clone(), grant.owner.clone()), grant.process));
        Self {
            header: &history.header,
            ops: &ops.all,
            acquirers: acquirers.collect(),
            grants,
            context: Context::of(surroundings),
            pulse: Pulse::of(&surroundings.leaders, &ops.all, end),
            probes: Probes::of(history),
            end,
        }
    }

    /// All grants of all locks.
    pub fn all_grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values().flatten()
    }

    /// An anomaly, with what went on around it.
    pub(crate) fn anomaly(&self, finding: Finding) -> Anomaly {
        let Finding { kind, grade, key, ops, at, margin_ns, explanation } = finding;
        Anomaly {
            kind,
            grade,
            key: key.to_owned(),
            ops,
            at_ns: at.as_nanos(),
            margin_ns,
            lease_gone_for_ns: None,
            faults: self.context.faults_around(at),
            leaders: self.context.leaders_around(at),
            explanation,
        }
    }
}

/// What a checker found out by itself about an anomaly.
pub(crate) struct Finding<'a> {
    pub(crate) kind: AnomalyKind,
    pub(crate) grade: Grade,
    pub(crate) key: &'a str,
    pub(crate) ops: Vec<usize>,
    pub(crate) at: RunTime,
    pub(crate) margin_ns: u64,
    pub(crate) explanation: String,
}

/// A checker's word: invalid where an anomaly is proven, with the number of what it looked at.
pub(crate) fn word(anomalies: &[Anomaly], looked_at: Count) -> CheckerResult {
    let proven = anomalies.iter().filter(|anomaly| anomaly.grade == Grade::Proven).count();
    let possible = anomalies.len() - proven;
    let verdict = if proven > 0 { Verdict::Invalid } else { Verdict::Valid };
    let reason = match (proven, possible) {
        (0, 0) => format!("nothing found in {looked_at}"),
        (0, _) => format!("{possible} possible, none proven, in {looked_at}"),
        (_, 0) => format!("{proven} proven in {looked_at}"),
        _ => format!("{proven} proven and {possible} possible in {looked_at}"),
    };
    CheckerResult { verdict, reason }
}
