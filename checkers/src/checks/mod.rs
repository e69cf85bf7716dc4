//! The checkers. Each is a pure function from a [`Run`] to its word and the anomalies that it found.

pub mod activity;
pub mod clock;
mod crowd;
pub mod divergence;
pub mod double_acquisition;
pub mod double_run;
pub mod fencing;
pub mod guarded;
pub mod lock_delay;
pub mod lockup;
pub mod lost_grant;
pub mod nonlinearizable;
pub mod overdue_expiry;
pub mod phantom_grant;
pub mod premature_expiry;
pub mod probes;
pub mod split_belief;
pub mod stale_read;
pub mod stats;
pub mod well_formed;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::context::{Context, Pulse};
use crate::explain::Count;
use crate::history::{Action, Header, Op, Ops, Outcome, RunTime, Word};
use crate::holds::{Grant, Grants};
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Verdict};

use divergence::Replicas;
use double_run::Runs;
use guarded::Guarded;
use lockup::service::Service;
use nonlinearizable::Registers;
use probes::Probes;

/// Everything that the checkers need to know of a history, worked out once.
///
/// Of what is settled, see [`crate::live`], it holds the sums.
#[derive(Debug)]
pub struct Run<'a> {
    /// What was run, and what the service promises.
    pub header: &'a Header,
    /// The clients' operations that are not settled.
    pub ops: &'a Ops,
    /// The grants among them, by lock.
    pub grants: Grants,
    /// The processes behind the owners of the grants, by lock and owner.
    pub acquirers: BTreeMap<(Word, String), u64>,
    /// The faults and the leaders.
    pub context: Context,
    /// How regularly the nodes answered.
    pub pulse: Pulse,
    /// What the nodes said of themselves.
    pub probes: &'a Probes,
    /// Which requests were served.
    pub service: &'a Service,
    /// What the ledger of a job took.
    pub runs: &'a Runs,
    /// Which writes were accepted under fencing tokens.
    pub guarded: &'a Guarded,
    /// What servers showed of their own state.
    pub replicas: &'a Replicas,
    /// The registers, where the run is about such.
    pub registers: Option<&'a Registers>,
    /// How many ops there were of each kind, settled or not.
    pub totals: &'a Totals,
    /// What is left of the settled grants, by lock.
    pub settled: &'a BTreeMap<Word, SettledLock>,
    /// When the record ends.
    pub end: RunTime,
}

/// How many ops there were.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Of all kinds.
    pub ops: usize,
    /// Acquisitions that were answered `ok`.
    pub grants: usize,
    /// Those of them that came with a fencing token.
    pub tokens: usize,
    /// Acquisitions that failed.
    pub refused: usize,
    /// Linearizable reads that were answered.
    pub reads: usize,
    /// By the op's name.
    pub by_kind: BTreeMap<Word, Tried>,
}

/// How many ops of one kind there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// With any end, or none.
    pub all: usize,
    /// With `ok`.
    pub ok: usize,
}

impl Totals {
    /// Counts an op that begins.
    pub(crate) fn begin(&mut self, op: &Op) {
        self.ops += 1;
        self.kind(op).all += 1;
    }

    /// Counts what became of it.
    pub(crate) fn end(&mut self, op: &Op) {
        self.kind(op).ok += usize::from(op.outcome == Outcome::Ok);
        match &op.action {
            Action::Acquire { granted: Some(granted), .. } => {
                self.grants += 1;
                self.tokens += usize::from(granted.token.is_some());
            }
            Action::Acquire { .. } => self.refused += usize::from(op.outcome == Outcome::Fail),
            Action::Read { linearizable: true, seen: Some(_) } => self.reads += 1,
            _ => {}
        }
    }

    fn kind(&mut self, op: &Op) -> &mut Tried {
        if !self.by_kind.contains_key(&op.f) {
            self.by_kind.insert(op.f.clone(), Tried::default());
        }
        self.by_kind.get_mut(&op.f).expect("it was put there if it was missing")
    }
}

/// What is left of the grants of one lock that are settled.
#[derive(Clone, Debug)]
pub struct SettledLock {
    /// When none of them may hold it any more; `None` where that is not known of all.
    pub free_from: Option<RunTime>,
    /// The greatest TTL of any.
    pub longest_ttl: Duration,
    /// The greatest fencing token of any.
    pub greatest_token: Option<u64>,
    /// When the last of them was answered.
    pub until: RunTime,
}

impl<'a> Run<'a> {
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
            signature: None,
            stuck: None,
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
