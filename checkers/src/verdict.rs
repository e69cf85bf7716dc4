//! What a checker finds: verdicts and anomalies.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The judgement of a history. Merged worst first: `invalid` over `unknown` over `valid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// No correct service could have given these answers.
    Proven,
    /// Worth a look, but a correct service could have given these answers.
    Possible,
}

/// The kinds of anomaly, most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// Servers went on to show different values of the same thing.
    Divergence,
    /// The cluster, or a part of it, stopped serving although nothing was wrong with it.
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
            Self::Divergence => "divergence",
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

/// What a lockup looks like. `docs/poison.md` has an example of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Signature {
    /// No server serves anything that takes agreement, nor reads, though they say that they are well and the same one leads.
    #[serde(rename = "S1")]
    Total,
    /// The same, but reads are served.
    #[serde(rename = "S2")]
    WriteOnly,
    /// One server serves nothing, though it says that it is well.
    #[serde(rename = "S3")]
    OneServer,
    /// One server serves nothing that takes agreement, and goes on with the rest.
    #[serde(rename = "S4")]
    OneServersWrites,
    /// The other way round: one server's reads or keep-alives hang while what takes agreement is served.
    #[serde(rename = "S5")]
    Inverse,
    /// One server answers nobody, not even who asks for its health, and its process runs.
    #[serde(rename = "S6")]
    Deaf,
    /// No majority of the servers answers any more.
    #[serde(rename = "S7")]
    QuorumLost,
    /// The servers answer, and nobody is elected.
    #[serde(rename = "S8")]
    NoElection,
    /// Servers that say that they are well show different values of the same thing.
    #[serde(rename = "S9")]
    Divergence,
    /// A lease outlived its time while the service was locked up.
    #[serde(rename = "S10")]
    ZombieLease,
}

impl Signature {
    /// Its number.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::Total => "S1",
            Self::WriteOnly => "S2",
            Self::OneServer => "S3",
            Self::OneServersWrites => "S4",
            Self::Inverse => "S5",
            Self::Deaf => "S6",
            Self::QuorumLost => "S7",
            Self::NoElection => "S8",
            Self::Divergence => "S9",
            Self::ZombieLease => "S10",
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total lockup behind good health, the same leader",
            Self::WriteOnly => "nothing is written behind good health, and reads go on",
            Self::OneServer => "one server serves nothing behind good health",
            Self::OneServersWrites => "one server writes nothing behind good health, and goes on with the rest",
            Self::Inverse => "one server's reads hang while writes go on",
            Self::Deaf => "one server answers nobody, and its process runs",
            Self::QuorumLost => "no majority of the servers answers",
            Self::NoElection => "the servers answer, and nobody is elected",
            Self::Divergence => "replicas that differ behind good health",
            Self::ZombieLease => "a lease that outlived its time in a lockup",
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number(), self.name())
    }
}

/// One contradiction between what a service promised and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// What it looks like, where there is positive evidence for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Of operations that no order explains: where explaining ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// The faults that were active at that time or had just ended, in words.
    pub faults: Vec<String>,
    /// Who led the cluster around that time, in words; empty where no probe told.
    pub leaders: Vec<String>,
    /// The whole story in one plain sentence.
    pub explanation: String,
}

/// Where the longest part of a history that can be explained ends. All that was answered before can be ordered; with this answer
/// it cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stuck {
    /// The operation whose answer cannot be explained, by its index, as in [`Anomaly::ops`].
    pub op: usize,
    /// States that the object may have been in before that answer, in words: each follows from some order of what was answered until
    /// then, or, of a long history of a lock, from some order of the other answers among the anomaly's. There may be others. None where
    /// they are not known.
    pub states_before: Vec<String>,
}

/// The order in which anomalies stand in a judgement.
pub(crate) fn by_weight(a: &Anomaly, b: &Anomaly) -> Ordering {
    (a.kind, a.at_ns, &a.ops, &a.key).cmp(&(b.kind, b.at_ns, &b.ops, &b.key))
}

/// What one checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckerResult {
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, in a few words: what it counted, or what kept it from judging.
    pub reason: String,
}

/// What all checkers say of a history. Written as `verdict.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
