//! What a checker finds: verdicts and anomalies.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The judgement of a history. Merged worst first: `invalid` over `unknown` over `valid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing in the history contradicts what the service promises.
    Valid,
    /// The history does not allow a judgement. Never shown as a pass.
    Unknown,
    /// At least one broken promise is proven.
    Invalid,
}

impl Verdict {
    /// The worse of two verdicts.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        self.max(other)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        })
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// No correct service could have given these answers.
    Proven,
    /// Worth a look, but a correct service could have given these answers.
    Possible,
}

/// The kinds of anomaly, most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyKind {
    /// One lock was held by two at once.
    DoubleAcquisition,
    /// A lease ended before the time that was promised for it.
    PrematureExpiry,
    /// No order of the operations explains all answers.
    Nonlinearizable,
    /// A job that a lock guards ran twice at once, whoever is to blame.
    DoubleRun,
    /// A client was told that it had been given a lock, and it never had.
    PhantomGrant,
    /// A client was told that it had not been given a lock, and it had.
    LostGrant,
    /// A later grant of a lock carries no greater fencing token than an earlier one.
    Fencing,
    /// A lock whose holder lost it was given to another before the promised delay had passed.
    LockDelayBroken,
    /// A read that was promised to be current showed a holder that was gone before it was asked.
    StaleRead,
    /// The cluster, or a part of it, stopped to serve although nothing was wrong with it.
    Lockup,
    /// The service kept its word, yet two clients were each entitled to believe that they held the lock.
    SplitBelief,
    /// A lease was still there long after it had to end.
    OverdueExpiry,
}

impl AnomalyKind {
    /// Its name as it stands in verdicts and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DoubleAcquisition => "double-acquisition",
            Self::PrematureExpiry => "premature-expiry",
            Self::DoubleRun => "double-run",
            Self::PhantomGrant => "phantom-grant",
            Self::LostGrant => "lost-grant",
            Self::Fencing => "fencing",
            Self::LockDelayBroken => "lock-delay-broken",
            Self::StaleRead => "stale-read",
            Self::Lockup => "lockup",
            Self::SplitBelief => "split-belief",
            Self::OverdueExpiry => "overdue-expiry",
            Self::Nonlinearizable => "nonlinearizable",
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One contradiction between what a service promised and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What went wrong.
    pub kind: AnomalyKind,
    /// How sure it is.
    pub grade: Grade,
    /// The lock.
    pub key: String,
    /// The operations that show it, by index in [`crate::history::Ops`] (the order of their invocations).
    pub ops: Vec<usize>,
    /// When it began, in ns since the start of the run.
    pub at_ns: u64,
    /// By how much the promise was broken, in ns. Always positive.
    pub margin_ns: u64,
    /// For a lock that was given when its lease was gone already: for how long it had been gone when the client was told
    /// that the lock is its own, in ns. Such a double acquisition is a moment, not a stretch with two holders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_gone_for_ns: Option<u64>,
    /// The faults that were active at that time or had just ended, in words.
    pub faults: Vec<String>,
    /// Who led the cluster around that time, in words; empty where no probe told.
    pub leaders: Vec<String>,
    /// The whole story in one plain sentence.
    pub explanation: String,
}

/// What one checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerResult {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, in a few words: what it counted, or what kept it from judging.
    pub reason: String,
}

/// What all checkers say of a history. Written as `verdict.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst verdict of all checkers.
    pub verdict: Verdict,
    /// Everything found, most serious first.
    pub anomalies: Vec<Anomaly>,
    /// How many client operations were judged.
    pub ops: usize,
    /// Each checker's word, by name.
    pub checkers: BTreeMap<String, CheckerResult>,
}

impl Judgement {
    /// As it stands in `verdict.json`: the same bytes for the same history.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("a judgement has string keys only, so it can always be written as JSON") + "\n"
    }
}
