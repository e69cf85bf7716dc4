//! What shows that a lease is gone.
//!
//! An observation is something the *service* said, never what a client computed for itself. Each kind is used only
//! where it certainly speaks of the time after the grant, for before the grant the lock was not its owner's either:
//!
//! * **Own answer.** A renewal or release of the same owner answered `not-held`, `expired` or `mismatch`, and invoked
//!   after the grant was answered. `expired` speaks of the lease rather than the lock, so it also counts where the
//!   grant was not yet answered, if the lease is known to have existed: another renewal had been answered `ok` before
//!   this one was invoked. (That is a waiter's lease that ran out in the queue.) `mismatch` only says that the value
//!   was not the one expected, so it counts only where no other renewal of that owner may have changed the value: all
//!   others were over, with an answer, before it was invoked.
//! * **Read.** A linearizable read invoked after the grant was answered that shows nobody or another owner. Not one that shows
//!   somebody whose own lock was over before it was invoked, as a release, that owner's own answers, or a watch tell: it shows
//!   the past, and is a stale read whatever became of this lease.
//! * **Another's grant.** An acquisition of another owner answered `ok` that certainly came later: it was invoked after
//!   the grant was answered; or, where the contract says that tokens grow, it carries a greater token. Where the tokens
//!   of a lock are seen to contradict the times of its grants, they tell nothing about their order and are not used.
//!   Of a semaphore neither reads nor others' grants show anything: there is room for several.
//! * **Watch.** An event that says that this owner's key is no more, and that arrived after the acquisition was
//!   invoked. It needs no answer to the acquisition: the key is created once, so it is gone for good.
//!
//! A service that wrongly *says* that a lease is gone breaks its promise as one that ends it: its client must let go.
//!
//! The service saw the loss at some instant before the observation's completion, so completions are what counts. Where
//! times are equal, the order is not known, and nothing is concluded.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::vocabulary::code;
use crate::history::{Action, Header, Loss, Op, Ops, Outcome, RunTime, Surroundings};
use crate::holds::{Grant, Grants};

/// One thing that shows that a lease is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When it was complete. The lease was gone by then.
    pub at: RunTime,
    /// What was seen.
    pub evidence: Evidence,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The owner's own renewal or release (an op by index) was told so.
    OwnAnswer(usize),
    /// A read (an op by index) showed nobody or another.
    Read(usize),
    /// Another owner's acquisition (an op by index) was granted.
    OthersGrant(usize),
    /// A watch was told.
    Watch(Loss),
}

impl Evidence {
    /// The op that it rests on.
    #[must_use]
    pub fn op(&self) -> Option<usize> {
        match self {
            Self::OwnAnswer(op) | Self::Read(op) | Self::OthersGrant(op) => Some(*op),
            Self::Watch(_) => None,
        }
    }
}

/// Everything in a history that can bear witness to the loss of a lease, indexed so that each grant finds its
/// earliest witnesses without looking at all of them.
pub(crate) struct Witnesses<'a> {
    by_key: BTreeMap<&'a str, KeyWitnesses<'a>>,
    watched: BTreeMap<(&'a str, &'a str), Vec<(RunTime, Loss)>>,
}

#[derive(Default)]
struct KeyWitnesses<'a> {
    reads: Reads<'a>,
    grants: Successors,
    /// Those whose owner was seen to hold the lock.
    seen_grants: Successors,
    tokens: Vec<Token>,
}

impl KeyWitnesses<'_> {
    fn index(&mut self) {
        self.reads.index();
        let tokens_tell = !contradict_time(&self.tokens);
        for grants in [&mut self.grants, &mut self.seen_grants] {
            grants.by_invocation.index();
            if !tokens_tell {
                grants.by_token.all.clear();
            }
            grants.by_token.index();
        }
    }
}

/// The grants of a lock, so that each finds the first that was complete of those that certainly came after it.
#[derive(Default)]
struct Successors {
    by_invocation: Earliest<RunTime>,
    by_token: Earliest<u64>,
}

impl Successors {
    fn take(&mut self, invoked: RunTime, token: Option<u64>, witness: Witness) {
        self.by_invocation.all.push((invoked, witness));
        self.by_token.all.extend(token.map(|token| (token, witness)));
    }

    fn asked_for_later(&self, grant: &Grant) -> Option<Witness> {
        self.by_invocation.earliest_above(&grant.ended)
    }

    fn with_greater_token(&self, grant: &Grant) -> Option<Witness> {
        grant.token.and_then(|token| self.by_token.earliest_above(&token))
    }
}

/// A fencing token, and when it was given.
struct Token {
    token: u64,
    invoked: RunTime,
    witness: Witness,
}

/// Whether, among tokens in the order of the invocations, some grant was over before another was asked for, and yet has
/// no smaller token.
fn contradict_time(tokens: &[Token]) -> bool {
    let mut by_end: Vec<&Token> = tokens.iter().collect();
    by_end.sort_by_key(|token| token.witness);
    let mut over = by_end.into_iter().peekable();
    let mut greatest_over = None;
    tokens.iter().any(|token| {
        while let Some(earlier) = over.next_if(|earlier| earlier.witness.ended < token.invoked) {
            greatest_over = greatest_over.max(Some(earlier.token));
        }
        greatest_over.is_some_and(|greatest| greatest >= token.token)
    })
}

impl<'a> Witnesses<'a> {
    pub(crate) fn of(header: &Header, ops: &'a Ops, surroundings: &'a Surroundings) -> Self {
        let mut by_key: BTreeMap<&str, KeyWitnesses<'_>> = BTreeMap::new();
        let seen = owners_seen(ops);
        let one_at_a_time = header.permits() == Some(1);
        for op in ops.iter().filter(|_| one_at_a_time) {
            let Some(ended) = op.ended else { continue };
            let witness = Witness { ended, op: op.index };
            match &op.action {
                Action::Read { linearizable: true, seen: Some(seen) } => {
                    let reads = &mut by_key.entry(&op.key).or_default().reads;
                    reads.all.push(Read { invoked: op.invoked, witness, seen: seen.as_deref() });
                }
                Action::Acquire { owner, granted: Some(granted), .. } => {
                    let witnesses = by_key.entry(&op.key).or_default();
                    let token = granted.token.filter(|_| header.contract.fencing_tokens);
                    witnesses.grants.take(op.invoked, token, witness);
                    if seen.contains(&(op.key.as_str(), owner.as_str())) {
                        witnesses.seen_grants.take(op.invoked, token, witness);
                    }
                    let token = token.map(|token| Token { token, invoked: op.invoked, witness });
                    witnesses.tokens.extend(token);
                }
                _ => {}
            }
        }
        by_key.values_mut().for_each(KeyWitnesses::index);
        let mut watched: BTreeMap<(&str, &str), Vec<(RunTime, Loss)>> = BTreeMap::new();
        for change in &surroundings.losses {
            watched.entry((&change.key, &change.owner)).or_default().push((change.time, change.loss));
        }
        Self { by_key, watched }
    }

    /// Lets these reads, by index, bear witness no more.
    pub(crate) fn forget(&mut self, reads: &HashSet<usize>) {
        for witnesses in self.by_key.values_mut() {
            witnesses.reads.all.retain(|read| !reads.contains(&read.witness.op));
            witnesses.reads.index();
        }
    }

    /// What shows that the grant's lease is gone, earliest first. Of reads, of others' grants, and of those whose owner was
    /// seen to hold the lock, only the earliest are listed, for the others say nothing more.
    pub(crate) fn losses(&self, grant: &Grant, ops: &Ops) -> Vec<Observation> {
        let mut losses: Vec<Observation> = own_answers(grant, ops).collect();
        if let Some(witnesses) = self.by_key.get(grant.key.as_str()) {
            let read = witnesses.reads.earliest_without(&grant.owner, grant.ended);
            losses.extend(read.map(|read| read.observation(Evidence::Read)));
            let all = [&witnesses.grants, &witnesses.seen_grants];
            let later = all.into_iter().filter_map(|grants| grants.asked_for_later(grant));
            // Where one was complete at the very instant of the request, tokens and times hardly agree.
            let first = witnesses.grants.with_greater_token(grant);
            let tokens_tell = first.is_some_and(|first| first.ended > grant.invoked);
            let by_token = all.into_iter().filter_map(|grants| grants.with_greater_token(grant));
            let others = later.chain(by_token.filter(|_| tokens_tell));
            losses.extend(others.map(|other| other.observation(Evidence::OthersGrant)));
        }
        let watched = self.watched.get(&(grant.key.as_str(), grant.owner.as_str())).into_iter().flatten();
        losses.extend(watched.map(|(at, loss)| Observation { at: *at, evidence: Evidence::Watch(*loss) }));
        losses.retain(|loss| loss.at > grant.invoked);
        losses.sort_by_key(|loss| loss.at);
        losses.dedup();
        losses
    }
}

/// The linearizable reads that show somebody whose lock was over before they were invoked, by what neither a read nor another's
/// grant tells.
pub(crate) fn reads_of_the_past(ops: &Ops, grants: &Grants) -> HashSet<usize> {
    let over: HashMap<(&str, &str), RunTime> = grants
        .values()
        .flatten()
        .filter_map(|grant| Some(((grant.key.as_str(), grant.owner.as_str()), over(grant, ops)?)))
        .collect();
    let is_of_the_past = |op: &&Op| match &op.action {
        Action::Read { linearizable: true, seen: Some(Some(owner)) } => {
            over.get(&(op.key.as_str(), owner.as_str())).is_some_and(|over| *over < op.invoked)
        }
        _ => false,
    };
    ops.iter().filter(is_of_the_past).map(|op| op.index).collect()
}

/// When a lock was over by its owner's own release, its answers, or a watch.
fn over(grant: &Grant, ops: &Ops) -> Option<RunTime> {
    let releases = grant.releases.iter().map(|release| &ops[*release]);
    let released = releases.filter(|release| release.outcome == Outcome::Ok && release.invoked > grant.ended);
    let told = grant.losses.iter().filter(|loss| matches!(loss.evidence, Evidence::OwnAnswer(_) | Evidence::Watch(_)));
    released.filter_map(|release| release.ended).chain(told.map(|loss| loss.at)).min()
}

/// Whom a linearizable read or a refused acquisition showed, with the lock.
fn owners_seen(ops: &Ops) -> HashSet<(&str, &str)> {
    fn holder(action: &Action) -> Option<&str> {
        match action {
            Action::Read { linearizable: true, seen: Some(seen) } => seen.as_deref(),
            Action::Acquire { holder, .. } => holder.as_deref(),
            _ => None,
        }
    }
    ops.iter().filter_map(|op| Some((op.key.as_str(), holder(&op.action)?))).collect()
}

/// The answers to the owner's renewals and releases that say that its lease or its lock is gone.
fn own_answers<'a>(grant: &'a Grant, ops: &'a Ops) -> impl Iterator<Item = Observation> + 'a {
    grant.renewals.iter().chain(&grant.releases).map(|op| &ops[*op]).filter_map(|op| {
        let concerns_grant = op.invoked > grant.ended;
        let shows_loss = op.failed_with(code::NOT_HELD) && concerns_grant
            || op.failed_with(code::EXPIRED) && (concerns_grant || lease_existed_before(op, grant, ops))
            || op.failed_with(code::MISMATCH) && concerns_grant && nothing_else_of_it_under_way(op, grant, ops);
        op.ended.filter(|_| shows_loss).map(|at| Observation { at, evidence: Evidence::OwnAnswer(op.index) })
    })
}

fn lease_existed_before(op: &Op, grant: &Grant, ops: &Ops) -> bool {
    grant
        .renewals
        .iter()
        .map(|renewal| &ops[*renewal])
        .any(|renewal| renewal.outcome == Outcome::Ok && renewal.ended.is_some_and(|ended| ended < op.invoked))
}

fn nothing_else_of_it_under_way(op: &Op, grant: &Grant, ops: &Ops) -> bool {
    let over_before = |other: &Op| !other.is_unanswered() && other.ended.is_some_and(|ended| ended < op.invoked);
    let begun_meanwhile = |other: &Op| op.ended.is_some_and(|ended| ended < other.invoked);
    grant
        .renewals
        .iter()
        .filter(|renewal| **renewal != op.index)
        .map(|renewal| &ops[*renewal])
        .all(|other| over_before(other) || begun_meanwhile(other))
}

/// An op that bears witness, and when it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Witness {
    ended: RunTime,
    op: usize,
}

impl Witness {
    fn observation(self, evidence: impl Fn(usize) -> Evidence) -> Observation {
        Observation { at: self.ended, evidence: evidence(self.op) }
    }
}

/// Finds, among the witnesses with a rank above a bound, the one that was complete first.
struct Earliest<Rank> {
    /// All witnesses; after [`Earliest::index`] by rank.
    all: Vec<(Rank, Witness)>,
    /// For each position, the earliest witness from there on.
    from: Vec<Witness>,
}

impl<Rank> Default for Earliest<Rank> {
    fn default() -> Self {
        Self { all: Vec::new(), from: Vec::new() }
    }
}

impl<Rank: Ord> Earliest<Rank> {
    fn index(&mut self) {
        self.all.sort();
        self.from = self
            .all
            .iter()
            .rev()
            .scan(None, |earliest: &mut Option<Witness>, (_, witness)| {
                *earliest = Some(earliest.map_or(*witness, |other| other.min(*witness)));
                *earliest
            })
            .collect();
        self.from.reverse();
    }

    fn earliest_above(&self, bound: &Rank) -> Option<Witness> {
        self.from.get(self.all.partition_point(|(rank, _)| rank <= bound)).copied()
    }
}

/// One linearizable read and whom it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Read<'a> {
    invoked: RunTime,
    witness: Witness,
    seen: Option<&'a str>,
}

/// Finds, among the reads invoked after an instant, the first complete one that does not show a certain owner.
#[derive(Default)]
struct Reads<'a> {
    /// All reads; after [`Reads::index`] by invocation.
    all: Vec<Read<'a>>,
    /// For each position, the earliest read from there on, and the earliest that shows somebody else than that one.
    from: Vec<(Read<'a>, Option<Read<'a>>)>,
}

impl<'a> Reads<'a> {
    fn index(&mut self) {
        self.all.sort();
        self.from.clear();
        let mut earliest: Option<(Read<'a>, Option<Read<'a>>)> = None;
        for read in self.all.iter().rev() {
            let updated = match earliest {
                None => (*read, None),
                Some((first, second)) if read.witness < first.witness => {
                    (*read, if read.seen == first.seen { second } else { Some(first) })
                }
                Some((first, second)) if read.seen != first.seen => {
                    (first, Some(second.filter(|second| second.witness < read.witness).unwrap_or(*read)))
                }
                Some(unchanged) => unchanged,
            };
            earliest = Some(updated);
            self.from.push(updated);
        }
        self.from.reverse();
    }

    fn earliest_without(&self, owner: &str, after: RunTime) -> Option<Witness> {
        let (first, second) = self.from.get(self.all.partition_point(|read| read.invoked <= after))?;
        let found = if first.seen == Some(owner) { second.as_ref() } else { Some(first) };
        found.map(|read| read.witness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_earliest_read_without_an_owner_is_found(
            reads in proptest::collection::vec((0..10_u64, 0..10_u64, 0..4_usize), 0..12),
            after in 0..10_u64,
            owner in 1..4_usize,
        ) {
            const OWNERS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];
            let read = |(op, (invoked, lasted, seen)): (usize, (u64, u64, usize))| Read {
                invoked: RunTime(invoked),
                witness: Witness { ended: RunTime(invoked + lasted), op },
                seen: OWNERS[seen],
            };
            let mut indexed = Reads { all: reads.into_iter().enumerate().map(read).collect(), from: Vec::new() };
            let bears_witness = |read: &&Read<'_>| read.invoked > RunTime(after) && read.seen != OWNERS[owner];
            let expected = indexed.all.iter().filter(bears_witness).map(|read| read.witness).min();
            indexed.index();
            prop_assert_eq!(indexed.earliest_without(OWNERS[owner].unwrap_or_default(), RunTime(after)), expected);
        }

        #[test]
        fn the_earliest_witness_above_a_bound_is_found(
            ranks in proptest::collection::vec((0..10_u64, 0..10_u64), 0..12),
            bound in 0..10_u64,
        ) {
            let witness = |(op, (rank, ended)): (usize, (u64, u64))| (rank, Witness { ended: RunTime(ended), op });
            let mut indexed = Earliest { all: ranks.into_iter().enumerate().map(witness).collect(), from: Vec::new() };
            let expected = indexed.all.iter().filter(|(rank, _)| *rank > bound).map(|(_, witness)| *witness).min();
            indexed.index();
            prop_assert_eq!(indexed.earliest_above(&bound), expected);
        }

        #[test]
        fn tokens_are_held_against_the_times_of_all_pairs(
            tokens in proptest::collection::vec((0..6_u64, 0..10_u64, 0..4_u64), 0..8),
        ) {
            let token = |(op, (token, invoked, lasted)): (usize, (u64, u64, u64))| Token {
                token,
                invoked: RunTime(invoked),
                witness: Witness { ended: RunTime(invoked + lasted), op },
            };
            let mut tokens: Vec<Token> = tokens.into_iter().enumerate().map(token).collect();
            tokens.sort_by_key(|token| token.invoked);
            let expected = tokens.iter().any(|earlier| {
                tokens.iter().any(|later| earlier.witness.ended < later.invoked && earlier.token >= later.token)
            });
            prop_assert_eq!(contradict_time(&tokens), expected);
        }
    }
}
