//! When each lock was certainly held, and by whom.
//!
//! # Definitions
//!
//! All times are on the harness's one clock. A service acts on an op that it answers at some instant between the op's
//! invocation `inv` and its completion `end`. For a grant `g`, which is an acquisition that was answered `ok`:
//!
//! * **Earliest legal expiry** `E(g) = max over the ok acquisition and renewals r of inv(r) + T/(1+rho) - slack`. A
//!   lease that the service prolonged at some instant after `inv(r)` lives for `T` by the service's clock, which runs
//!   at most `1+rho` times as fast as ours. `T` is what the service answered. (Where the TTLs differ see
//!   [below](#ttls-that-differ).)
//!   Where the service counts from the *request* (etcd's v2 API turns a TTL into an instant as soon as it reads it), an older
//!   request may be carried out last. Then `E` is the **least** `inv(r) + ...` over all that may have taken effect last: the
//!   unanswered, and those `ok` that were not over when the last of the `ok` was invoked.
//!   Where renewals are answered by servers that do not keep the leases (ZooKeeper's followers), only those count that certainly
//!   reached the one that does: see `checkers/src/second_hand.rs`.
//!   Where a lease may end with the server over which it was made (Consul), `E` is no later than when that server may have lost its place
//!   in the cluster: see `checkers/src/servers.rs`.
//! * **Cut** `c(g) = min(E(g), R(g))`, with `R(g)` the invocation of its first release, whatever became of that.
//! * **Gone by** `D(g)`: the earliest completion of an observation that the lease is gone: see [`crate::observations`].
//! * **Core**: `[end(g), c(g))` where `end(g) < c(g)`. A correct service lets nobody else hold the lock in it.
//! * **Floater**: a grant without a core. Its **window** is `[max(inv(g), c(g)), min(end(g), D(g))]`. The answer came
//!   late, but the grant was made at *some* instant, and the hold covers an instant of the window, or all instants just
//!   before it begins.
//!
//! # The theorem
//!
//! Let a *schedule* give each grant a half-open hold `[alpha, omega)` with `inv <= alpha <= min(end, D)`, `alpha <
//! omega`, `omega <= D`, and `omega >= c` where `alpha < c`; a schedule is *legal* where no two holds of one lock
//! overlap. What a correct service does is a legal schedule: it grants between invocation and completion, it keeps a
//! lease until `c` at least, and a lease that is gone by `D` ended before. Let `D(g) >= c(g)` for all grants (otherwise
//! `g` is itself a premature expiry). Then:
//!
//! **There is a legal schedule if and only if no two cores overlap and no floater's window lies inside another
//! grant's core**, where *inside* excludes both ends.
//!
//! *Only if.* A hold covers its core: it begins at `end` at the latest and lasts until `c` at least. So overlapping
//! cores are overlapping holds. A floater's hold that begins before `c` covers all instants just before `c`, and then
//! `c` is the window's begin; one that begins at `c` or later begins at an instant of the window, as `inv <= alpha <=
//! min(end, D)`. If the window lies inside another core, both the instants just before its begin and all of its own
//! instants belong to that core, so the two holds overlap.
//!
//! *If.* Shrink each hold with a core to its core, and each floater's to an instant of its window that is in no core.
//! There is one: cores are disjoint, so a window that lies in their union lies in a chain of cores that touch; if it
//! reaches from one into the next it contains the point where they touch, at which a hold of no length fits between
//! them; else it lies in one core, and not inside, so it shares an end with it, and the hold fits there. (Two floaters
//! at one instant come one after the other.) The measure of such a hold is zero, which is the limit of what a service
//! does, and no recording could tell the difference.
//!
//! The criterion without `D` is the zone test of Gibbons and Korach (*Testing Shared Memories*, SIAM J. Comput. 26(4),
//! 1997) carried over to holds. `tests/oracle.rs` compares it with a search through all schedules of small instances.
//!
//! `D` is what convicts etcd's Lock RPC before 3.5 (issues 9921 and 11456), which answered `ok` to a waiter whose lease
//! had run out: without it, the grant might have been made at the very instant of the answer.
//!
//! # TTLs that differ
//!
//! A renewal with a shorter TTL brings the expiry forward, so the maximum above would promise too much. What counts is
//! which op the service carried out last. Let `M` be the greatest `inv` of all ok ops of the grant (that are known, where renewals
//! are passed on). The last one was
//! carried out after all of these, so no earlier than `M`. It was an ok op that ended at `M` or later, or it was an
//! unanswered renewal, which was carried out after its own `inv` as well. So `E = min over these r of max(M, inv(r)) +
//! T(r)/(1+rho) - slack`, which is the formula above where all TTLs are the same.
//!
//! # Assumptions
//!
//! A lease is granted, or prolonged, within the acquisition that takes the lock on it; an acquisition on a session that
//! is older needs a slack of that age. An owner names one acquisition, so its key is created once and never comes back.
//! Nobody but the owner's own release, and the end of its lease, may take the lock from it. Unanswered renewals ask for
//! the TTL that the history says, or else for no shorter one than was granted.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::Duration;

use crate::beliefs::beliefs;
use crate::history::{Action, Granted, Header, Op, Ops, RunTime, Surroundings, Word};
use crate::observations::{Observation, Witnesses, reads_of_the_past};
use crate::second_hand::Hearsay;
use crate::servers::Servers;

/// From an instant until another, which does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first instant.
    pub from: RunTime,
    /// The first instant after it.
    pub until: RunTime,
}

impl Span {
    /// How long the two have in common.
    #[must_use]
    pub fn overlap(self, other: Self) -> Duration {
        self.until.min(other.until).since(self.from.max(other.from))
    }

    /// How long it is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.until.since(self.from)
    }
}

/// What is certain about when a grant stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It stood throughout.
    Core(Span),
    /// It stood at some instant of the window, or at all instants just before it. Both ends belong to the window.
    Floater {
        /// The first instant of the window.
        from: RunTime,
        /// The last instant of the window.
        to: RunTime,
    },
    /// The record contradicts itself about this grant, so it is used against no other.
    Nowhere,
}

/// One acquisition that the service granted, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The lock.
    pub key: Word,
    /// The name of this acquisition.
    pub owner: String,
    /// The client that acquired it.
    pub process: u64,
    /// The acquisition, by index.
    pub acquire: usize,
    /// When it was asked for.
    pub invoked: RunTime,
    /// When it was answered.
    pub ended: RunTime,
    /// Its fencing token.
    pub token: Option<u64>,
    /// Its renewals of any outcome, by index, in the order of their invocations. Any process may have sent them.
    pub renewals: Vec<usize>,
    /// Its releases of any outcome, by index, in the order of their invocations.
    pub releases: Vec<usize>,
    /// What may have prolonged its lease, by index, in the order of their invocations: its renewals, and where any sign of life
    /// does that ([`SecondHand`](crate::contract::SecondHand)) its releases as well.
    pub prolonged_by: Vec<usize>,
    /// The greatest TTL that was asked for or granted.
    pub longest_ttl: Duration,
    /// Before this the lease may not end but by a release.
    pub earliest_expiry: RunTime,
    /// When its first release was invoked.
    pub release_invoked: Option<RunTime>,
    /// When its process asked for the same lock again.
    pub asked_again: Option<RunTime>,
    /// What is certain about when it stood.
    pub hold: Hold,
    /// What shows that its lease is gone, earliest first.
    pub losses: Vec<Observation>,
    /// When its client was entitled to believe that it holds the lock, in order and disjoint.
    pub beliefs: Vec<Span>,
}

impl Grant {
    /// The core, where it has one.
    #[must_use]
    pub fn core(&self) -> Option<Span> {
        match self.hold {
            Hold::Core(span) => Some(span),
            Hold::Floater { .. } | Hold::Nowhere => None,
        }
    }

    /// The first release that was invoked other than this op.
    pub(crate) fn release_other_than(&self, op: Option<usize>, ops: &Ops) -> Option<RunTime> {
        self.releases.iter().find(|release| Some(**release) != op).map(|release| ops[*release].invoked)
    }
}

/// All grants of a history, by lock, each lock's in the order of their invocations.
pub type Grants = BTreeMap<Word, Vec<Grant>>;

/// Finds the grants of a history, and what is certain about each.
#[must_use]
pub fn grants(header: &Header, ops: &Ops, surroundings: &Surroundings) -> Grants {
    let promise = Promise::of(header, surroundings);
    let by_owner = ops_by_owner(ops);
    let mut grants = Grants::new();
    for op in ops {
        if let Some(grant) = promise.grant(op, ops, &by_owner) {
            grants.entry(op.key.clone()).or_default().push(grant);
        }
    }
    let mut witnesses = Witnesses::of(header, ops, surroundings);
    let acquisitions = acquisitions_by_process(ops);
    let mut all: Vec<&mut Grant> = grants.values_mut().flatten().collect();
    on_all_cores(&mut all, |grant| {
        grant.asked_again = asked_again(grant, &acquisitions);
        grant.losses = witnesses.losses(grant, ops);
        grant.hold = hold(grant);
        grant.beliefs = beliefs(grant, ops);
    });
    let of_the_past = reads_of_the_past(ops, &grants);
    if !of_the_past.is_empty() {
        witnesses.forget(&of_the_past);
        // What is certain about when each stood rests on no read.
        grants.values_mut().flatten().for_each(|grant| grant.losses = witnesses.losses(grant, ops));
    }
    grants
}

/// Does this to each grant; what becomes of one depends on no other.
fn on_all_cores(grants: &mut [&mut Grant], work: impl Fn(&mut Grant) + Sync) {
    /// With fewer, to start another thread costs more than it saves.
    const PAYS: usize = 10_000;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let part = grants.len().div_ceil(cores).max(PAYS);
    let mut parts = grants.chunks_mut(part);
    let own = parts.next();
    thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| part.iter_mut().for_each(|grant| work(grant)));
        }
        own.into_iter().flatten().for_each(|grant| work(grant));
    });
}

/// When each process asked for each lock, in order.
fn acquisitions_by_process(ops: &Ops) -> BTreeMap<(&str, u64), Vec<RunTime>> {
    let mut acquisitions: BTreeMap<(&str, u64), Vec<RunTime>> = BTreeMap::new();
    for op in ops.iter().filter(|op| matches!(op.action, Action::Acquire { .. })) {
        acquisitions.entry((&op.key, op.process)).or_default().push(op.invoked);
    }
    acquisitions
}

fn asked_again(grant: &Grant, acquisitions: &BTreeMap<(&str, u64), Vec<RunTime>>) -> Option<RunTime> {
    let asked = acquisitions.get(&(grant.key.as_str(), grant.process))?;
    asked.get(asked.partition_point(|asked| *asked < grant.ended)).copied()
}

/// The renewals and releases of each acquisition, by lock and owner.
#[derive(Default)]
struct Owned {
    renewals: Vec<usize>,
    releases: Vec<usize>,
}

fn ops_by_owner(ops: &Ops) -> HashMap<(&str, &str), Owned> {
    let mut by_owner: HashMap<(&str, &str), Owned> = HashMap::new();
    for op in ops {
        match &op.action {
            Action::Renew { owner, .. } => by_owner.entry((&op.key, owner)).or_default().renewals.push(op.index),
            Action::Release { owner } => by_owner.entry((&op.key, owner)).or_default().releases.push(op.index),
            Action::Acquire { .. }
            | Action::Read { .. }
            | Action::Register { .. }
            | Action::Work(_)
            | Action::Other => {}
        }
    }
    by_owner
}

/// How long a lease lives at least.
struct Promise {
    rate_error_ppm: u64,
    slack: Duration,
    counts_from_request: bool,
    hearsay: Option<Hearsay>,
    /// `None` where leases do not end with servers.
    servers: Option<Servers>,
}

impl Promise {
    fn of(header: &Header, surroundings: &Surroundings) -> Self {
        Self {
            servers: header.contract.ends_with_its_server.then(|| Servers::of(&header.contract, surroundings)),
            hearsay: header.contract.second_hand.map(|contract| Hearsay::of(contract, surroundings)),
            rate_error_ppm: header.clock_rate_error_ppm,
            slack: Duration::from_millis(header.contract.early_slack_ms),
            counts_from_request: header.contract.counts_from_request,
        }
    }

    fn grant(&self, op: &Op, ops: &Ops, by_owner: &HashMap<(&str, &str), Owned>) -> Option<Grant> {
        let Action::Acquire { owner, granted: Some(Granted { ttl_ms, token }), .. } = &op.action else { return None };
        let ended = op.ended?;
        let nothing = Owned::default();
        let owned = by_owner.get(&(op.key.as_str(), owner.as_str())).unwrap_or(&nothing);
        let renewals: Vec<&Op> = owned.renewals.iter().map(|renewal| &ops[*renewal]).collect();

        let longest_ttl_ms = renewals.iter().filter_map(|renewal| longest_ttl_ms(renewal)).fold(*ttl_ms, u64::max);
        Some(Grant {
            key: op.key.clone(),
            owner: owner.clone(),
            process: op.process,
            acquire: op.index,
            invoked: op.invoked,
            ended,
            token: *token,
            renewals: owned.renewals.clone(),
            releases: owned.releases.clone(),
            prolonged_by: self.prolonged_by(owned),
            longest_ttl: Duration::from_millis(longest_ttl_ms),
            earliest_expiry: self.earliest_expiry(op, &renewals).min(self.server_may_go(op)),
            release_invoked: owned.releases.first().map(|release| ops[*release].invoked),
            asked_again: None,
            hold: Hold::Nowhere,
            losses: Vec::new(),
            beliefs: Vec::new(),
        })
    }

    fn prolonged_by(&self, owned: &Owned) -> Vec<usize> {
        let mut ops = owned.renewals.clone();
        if self.hearsay.is_some() {
            ops.extend(&owned.releases);
            ops.sort_unstable();
        }
        ops
    }

    fn server_may_go(&self, acquisition: &Op) -> RunTime {
        let node = acquisition.node.as_deref();
        self.servers.as_ref().map_or(RunTime(u64::MAX), |servers| servers.may_go_from(node, acquisition.invoked))
    }

    /// The earliest instant at which a correct service may end the lease of an acquisition with these renewals.
    fn earliest_expiry(&self, acquisition: &Op, renewals: &[&Op]) -> RunTime {
        let confirmed = || std::iter::once(&acquisition).chain(renewals).filter_map(|op| Confirmed::of(op));
        let shortest_ttl_ms = confirmed().map(|op| op.ttl_ms).min().unwrap_or_default();
        let latest = match &self.hearsay {
            None => confirmed().map(|op| op.invoked).max().unwrap_or_default(),
            Some(hearsay) => {
                let confirmed: Vec<&Op> =
                    renewals.iter().copied().filter(|renewal| Confirmed::of(renewal).is_some()).collect();
                let stands_until = |known| self.outlives(known, shortest_ttl_ms);
                hearsay.last_known(acquisition.invoked, &confirmed, stands_until)
            }
        };
        let may_be_last = confirmed().filter(|op| op.ended >= latest).map(|op| (op.invoked, op.ttl_ms));
        let unanswered = renewals.iter().filter(|renewal| renewal.is_unanswered());
        let may_yet_be_last =
            unanswered.map(|renewal| (renewal.invoked, asked_ttl_ms(renewal).unwrap_or(shortest_ttl_ms)));
        may_be_last
            .chain(may_yet_be_last)
            .map(|(invoked, ttl_ms)| self.outlives(self.counted_from(invoked, latest), ttl_ms))
            .min()
            .unwrap_or_default()
    }

    /// From when a service at the earliest counts the TTL of an op that it carries out last, with `latest` the last of the
    /// confirmed invocations that count.
    fn counted_from(&self, invoked: RunTime, latest: RunTime) -> RunTime {
        if self.counts_from_request { invoked } else { invoked.max(latest) }
    }

    /// `from + T/(1+rho) - slack`, rounded down.
    fn outlives(&self, from: RunTime, ttl_ms: u64) -> RunTime {
        const MILLION: u128 = 1_000_000;
        let ttl = Duration::from_millis(ttl_ms).as_nanos();
        let at_least = ttl * MILLION / (MILLION + u128::from(self.rate_error_ppm));
        let expiry = (u128::from(from.as_nanos()) + at_least).saturating_sub(self.slack.as_nanos());
        RunTime(u64::try_from(expiry).unwrap_or(u64::MAX))
    }
}

/// An acquisition or renewal that the service confirmed.
struct Confirmed {
    invoked: RunTime,
    ended: RunTime,
    ttl_ms: u64,
}

impl Confirmed {
    fn of(op: &Op) -> Option<Self> {
        let ttl_ms = match op.action {
            Action::Acquire { granted: Some(granted), .. } => granted.ttl_ms,
            Action::Renew { granted_ttl_ms: Some(granted), .. } => granted,
            _ => return None,
        };
        Some(Self { invoked: op.invoked, ended: op.ended?, ttl_ms })
    }
}

fn asked_ttl_ms(renewal: &Op) -> Option<u64> {
    match renewal.action {
        Action::Renew { asked_ttl_ms, .. } => asked_ttl_ms,
        _ => None,
    }
}

/// The greatest TTL that a renewal speaks of.
fn longest_ttl_ms(renewal: &Op) -> Option<u64> {
    match renewal.action {
        Action::Renew { asked_ttl_ms, granted_ttl_ms, .. } => asked_ttl_ms.max(granted_ttl_ms),
        _ => None,
    }
}

/// The core or the window of a grant: see the definitions above.
fn hold(grant: &Grant) -> Hold {
    let cut = grant.release_invoked.map_or(grant.earliest_expiry, |release| release.min(grant.earliest_expiry));
    if grant.ended < cut {
        return Hold::Core(Span { from: grant.ended, until: cut });
    }
    let from = grant.invoked.max(cut);
    let gone_by = grant.losses.first().map_or(grant.ended, |loss| loss.at.min(grant.ended));
    if from <= gone_by { Hold::Floater { from, to: gone_by } } else { Hold::Nowhere }
}
