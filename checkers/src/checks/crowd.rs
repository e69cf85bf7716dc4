//! A semaphore that was held, or believed to be held, by more than it has permits.
//!
//! # Why it is sound
//!
//! A service that keeps to n permits has at any instant at most n grants that stand. A core is a time throughout which a grant
//! certainly stood, so where n + 1 cores have an instant in common that lies inside all of them, it broke its word. A floater stood at
//! some instant of its window; where n cores reach from before its window until after it, there was no room for it at any. Cores that
//! only touch prove nothing: a hold of no length fits between them.
//!
//! It is not complete: a window that lies inside chains of cores, each of which takes over from another at the same instant
//! or later, is not found. Every instant would have to be looked at for that, and a floater is rare.
//!
//! A process that asks again does not act on its former hold any more, so its spans are cut there, as a mutex's are not counted
//! against each other.
//!
//! # What is told
//!
//! Each grant at most once, against the n that leave it the least room: those that reach furthest of all that began no later. The
//! margin is the time that all of them have in common, or how deep the window lies in the least of the cores.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Run};
use crate::explain::{human, lock, when};
use crate::history::RunTime;
use crate::holds::{Grant, Hold, Span};
use crate::verdict::{Anomaly, AnomalyKind, Grade};

/// A span of time in which a grant stands or is relied on.
#[derive(Clone, Copy)]
struct Stay<'a> {
    span: Span,
    grant: &'a Grant,
    /// Whether it stands at some instant of the span only; both ends belong to it then.
    floats: bool,
}

/// One too many, and those who leave no room for it.
struct Crowd<'a> {
    others: Vec<Stay<'a>>,
    last: Stay<'a>,
}

/// The holders of a semaphore that were too many.
pub(super) fn holders(run: &Run<'_>, grants: &[Grant], permits: usize) -> Vec<Anomaly> {
    let crowds = crowds(stays(grants), permits);
    crowds.iter().map(|crowd| crowd.anomaly(run, AnomalyKind::DoubleAcquisition, Grade::Proven)).collect()
}

/// Those who were entitled to believe that they held a semaphore, and were too many, although its holders were not.
pub(super) fn believers(run: &Run<'_>, grants: &[Grant], permits: usize) -> Vec<Anomaly> {
    let held: BTreeSet<Vec<usize>> = crowds(stays(grants), permits).iter().map(Crowd::acquisitions).collect();
    let beliefs = grants.iter().flat_map(|grant| grant.beliefs.iter().map(move |span| (*span, grant)));
    let beliefs = beliefs.map(|(span, grant)| Stay { span, grant, floats: false }).collect();
    let mut longest: BTreeMap<Vec<usize>, Crowd<'_>> = BTreeMap::new();
    for crowd in crowds(beliefs, permits) {
        let who = crowd.acquisitions();
        if !held.contains(&who) && longest.get(&who).is_none_or(|known| known.common() < crowd.common()) {
            longest.insert(who, crowd);
        }
    }
    let grade = if run.header.beliefs_must_exclude { Grade::Proven } else { Grade::Possible };
    longest.values().map(|crowd| crowd.anomaly(run, AnomalyKind::SplitBelief, grade)).collect()
}

/// When each grant stood.
fn stays(grants: &[Grant]) -> Vec<Stay<'_>> {
    let stay = |grant: &'_ Grant| match grant.hold {
        Hold::Core(span) => Some((span, false)),
        Hold::Floater { from, to } => Some((Span { from, until: to }, true)),
        Hold::Nowhere => None,
    };
    let stays = grants.iter().filter_map(|grant| Some((grant, stay(grant)?)));
    stays.map(|(grant, (span, floats))| Stay { span, grant, floats }).collect()
}

/// All that begin while so many others last.
fn crowds(mut stays: Vec<Stay<'_>>, permits: usize) -> Vec<Crowd<'_>> {
    for stay in &mut stays {
        stay.span.until = stay.span.until.min(stay.grant.asked_again.unwrap_or(RunTime(u64::MAX)));
    }
    stays.retain(|stay| stay.span.from < stay.span.until || stay.floats && stay.span.from == stay.span.until);
    // A core that begins with a window does not reach from before it.
    stays.sort_by_key(|stay| (stay.span.from, !stay.floats, stay.span.until, stay.grant.acquire));
    let mut lasting: BTreeSet<(RunTime, usize)> = BTreeSet::new();
    let mut crowds = Vec::new();
    for (place, last) in stays.iter().enumerate() {
        while lasting.first().is_some_and(|(until, _)| *until <= last.span.from) {
            lasting.pop_first();
        }
        let until = if last.floats { last.span.until } else { last.span.from };
        let reaching = lasting.iter().rev().take_while(|(other, _)| *other > until).map(|(_, place)| stays[*place]);
        let others: Vec<Stay<'_>> =
            reaching.filter(|other| other.grant.process != last.grant.process).take(permits).collect();
        if others.len() == permits {
            crowds.push(Crowd { others, last: *last });
        }
        if !last.floats {
            lasting.insert((last.span.until, place));
        }
    }
    crowds
}

impl Crowd<'_> {
    fn acquisitions(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.all().map(|stay| stay.grant.acquire).collect();
        all.sort_unstable();
        all
    }

    fn all(&self) -> impl Iterator<Item = &Stay<'_>> {
        self.others.iter().chain([&self.last])
    }

    /// The time that cores have in common; how deep a window lies in those around it.
    fn common(&self) -> std::time::Duration {
        let Span { from, until } = self.last.span;
        if self.last.floats {
            let depth = |core: Span| from.since(core.from).min(core.until.since(until));
            return self.others.iter().map(|other| depth(other.span)).min().unwrap_or_default();
        }
        self.all().map(|stay| stay.span.until).min().unwrap_or(from).since(from)
    }

    fn anomaly(&self, run: &Run<'_>, kind: AnomalyKind, grade: Grade) -> Anomaly {
        let Stay { span, grant, floats } = self.last;
        let mut others: Vec<u64> = self.others.iter().map(|stay| stay.grant.process).collect();
        others.sort_unstable();
        let (others, name, permits) = (listed(&others), lock(&grant.key), self.others.len());
        // A window is told of at its end, as it is where one holds at a time.
        let at = if floats { span.until } else { span.from };
        let when = when(&run.context, at);
        let explanation = if kind == AnomalyKind::SplitBelief {
            format!(
                "processes {others} and process {} were each entitled to believe for {} that they held one of the {permits} permits of \
                 {name}, {when}; the service kept its word",
                grant.process,
                human(self.common()),
            )
        } else if floats {
            format!(
                "process {} was told that it had been given one of the {permits} permits of {name}, {when}: it can only have been given \
                 it while processes {others} held all of them",
                grant.process,
            )
        } else {
            format!(
                "processes {others} still held the {permits} permits of {name} for another {} when process {} was given one, {when}",
                human(self.common()),
                grant.process,
            )
        };
        run.anomaly(Finding {
            kind,
            grade,
            key: &grant.key,
            ops: self.acquisitions(),
            at,
            margin_ns: u64::try_from(self.common().as_nanos()).unwrap_or(u64::MAX),
            explanation,
        })
    }
}

/// `1, 4 and 7`.
fn listed(processes: &[u64]) -> String {
    let words: Vec<String> = processes.iter().map(u64::to_string).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::{Script, script};
    use crate::verdict::{Judgement, Verdict};

    fn semaphore(permits: usize) -> Script {
        script().header(|header| header.model = format!("lease-semaphore:{permits}"))
    }

    /// Three processes hold, until 3 s, 3.2 s and 3.4 s.
    fn three(permits: usize) -> Script {
        let first = semaphore(permits).acquire(1, "a", 0..100, 3_000);
        first.acquire(2, "b", 200..300, 3_000).acquire(3, "c", 400..500, 3_000)
    }

    fn judged(script: Script) -> Judgement {
        let judgement = crate::check(&script.history());
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
        judgement
    }

    #[track_caller]
    fn finds(script: Script, kind: AnomalyKind, expected: &[(&[usize], u64)]) {
        let judgement = judged(script);
        let found = judgement.anomalies.iter().filter(|anomaly| anomaly.kind == kind);
        let found: Vec<(&[usize], u64)> = found.map(|anomaly| (&*anomaly.ops, anomaly.margin_ns / 1_000_000)).collect();
        assert_eq!(found, expected, "{judgement:?}");
    }

    #[test]
    fn as_many_as_there_are_permits_may_hold() {
        assert_eq!(judged(three(3)).verdict, Verdict::Valid);
        assert_eq!(judged(three(3)).anomalies, []);
        finds(three(2), AnomalyKind::DoubleAcquisition, &[(&[0, 1, 2], 2_500)]);
        finds(three(3).acquire(4, "d", 600..700, 3_000), AnomalyKind::DoubleAcquisition, &[(&[0, 1, 2, 3], 2_300)]);
        finds(three(3).acquire(4, "d", 600..3_000, 9_000), AnomalyKind::DoubleAcquisition, &[]);
        finds(three(3).acquire(4, "d", 600..2_999, 9_000), AnomalyKind::DoubleAcquisition, &[(&[0, 1, 2, 3], 1)]);
    }

    #[test]
    fn a_permit_that_was_given_back_is_free() {
        finds(three(3).release(2, "b", 550..560).acquire(4, "d", 540..700, 3_000), AnomalyKind::DoubleAcquisition, &[]);
    }

    #[test]
    fn what_another_has_is_no_sign_that_one_lost_its_own() {
        let judgement = judged(three(3).read(9, 600..610, Some("c")).read(9, 620..630, None));
        assert_eq!((judgement.verdict, judgement.anomalies.len()), (Verdict::Valid, 0), "{judgement:?}");
    }

    #[test]
    fn a_permit_that_ends_early_is_a_premature_expiry() {
        finds(three(3).renew_fails(2, "b", 700..750, "expired"), AnomalyKind::PrematureExpiry, &[(&[1, 3], 2_450)]);
        finds(three(3).watch(700, "deleted", "c"), AnomalyKind::PrematureExpiry, &[(&[2], 2_700)]);
    }

    #[test]
    fn one_that_asks_again_does_not_act_on_its_former_permit() {
        finds(three(3).acquire(1, "d", 600..700, 3_000), AnomalyKind::DoubleAcquisition, &[]);
        finds(
            three(3).acquire(1, "d", 600..700, 3_000).acquire(4, "e", 800..900, 1_000),
            AnomalyKind::DoubleAcquisition,
            &[(&[1, 2, 3, 4], 900)],
        );
    }

    #[test]
    fn a_slow_answer_for_which_there_was_no_room() {
        finds(three(3).acquire(4, "d", 1_000..2_500, 100), AnomalyKind::DoubleAcquisition, &[(&[0, 1, 2, 3], 500)]);
        finds(three(3).acquire(4, "d", 1_000..3_000, 100), AnomalyKind::DoubleAcquisition, &[]);
        finds(three(3).acquire(4, "d", 350..2_500, 100), AnomalyKind::DoubleAcquisition, &[]);
    }

    #[test]
    fn more_believe_than_may_hold() {
        let early = |script: Script| script.contract(|contract| contract.early_slack_ms = 1_000);
        let four = early(three(3)).acquire(4, "d", 2_200..2_300, 3_000);
        finds(four.clone(), AnomalyKind::DoubleAcquisition, &[]);
        finds(four.clone(), AnomalyKind::SplitBelief, &[(&[0, 1, 2, 3], 700)]);
        assert_eq!(judged(four.clone()).verdict, Verdict::Valid);
        let strict = four.header(|header| header.beliefs_must_exclude = true);
        assert_eq!(judged(strict).verdict, Verdict::Invalid);
        finds(three(2), AnomalyKind::SplitBelief, &[]);
    }

    #[test]
    fn how_many_permits_is_said_in_the_model() {
        let verdict = |model: &str| {
            let script = script().header(|header| header.model = model.to_owned()).acquire(1, "a", 0..100, 3_000);
            crate::check(&script.history()).checkers["well-formed"].verdict
        };
        assert_eq!(verdict("lease-semaphore:64"), Verdict::Valid);
        for odd in ["lease-semaphore", "lease-semaphore:", "lease-semaphore:0", "lease-semaphore:65", "semaphore:3"] {
            assert_eq!(verdict(odd), Verdict::Unknown, "{odd}");
        }
    }

    #[test]
    fn the_sentence() {
        let judgement = judged(three(2));
        assert_eq!(
            judgement.anomalies[0].explanation,
            "processes 1 and 2 still held the 2 permits of `jobs/7` for another 2.5 s when process 3 was given one, 500 ms into the run"
        );
    }

    /// Whether a service that keeps to its permits can have given these answers: every hold in its place, and each window with an
    /// instant at which there is room for it. Instants lie between the ticks, where holds may touch, as well as inside them.
    fn is_possible(cores: &[(u64, u64)], windows: &[(u64, u64)], permits: usize) -> bool {
        // Twice the tick is the tick itself, at which a hold of no length fits between two that touch.
        let inside = |at: u64, (from, until): (u64, u64)| 2 * from < at && at < 2 * until;
        let holding = |at: u64| cores.iter().filter(|core| inside(at, **core)).count();
        let fits = (0..80).all(|at| holding(at) <= permits);
        fits && windows.iter().all(|(from, to)| (2 * from..=2 * to).any(|at| holding(at) < permits))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        /// Nobody is accused who can have been right, and of cores everybody is who cannot.
        #[test]
        fn agrees_with_all_instants(
            cores in prop::collection::vec((0_u64..20, 1_u64..15), 0..9),
            window in (0_u64..25, 0_u64..10),
            permits in 2_usize..4,
        ) {
            let cores: Vec<(u64, u64)> = cores.into_iter().map(|(from, length)| (from, from + length)).collect();
            let grant = |number: usize, hold| Grant { acquire: number, process: number as u64, hold, ..nothing() };
            let at = |tick: u64| RunTime(tick * 1_000_000);
            let core = |(number, (from, until)): (usize, &(u64, u64))| {
                grant(number, Hold::Core(Span { from: at(*from), until: at(*until) }))
            };
            let mut grants: Vec<Grant> = cores.iter().enumerate().map(core).collect();
            prop_assert_eq!(crowds(stays(&grants), permits).is_empty(), is_possible(&cores, &[], permits));
            let window = (window.0, window.0 + window.1);
            grants.push(grant(99, Hold::Floater { from: at(window.0), to: at(window.1) }));
            if is_possible(&cores, &[window], permits) {
                prop_assert!(crowds(stays(&grants), permits).is_empty());
            }
        }
    }

    fn nothing() -> Grant {
        Grant {
            key: "s".into(),
            owner: String::new(),
            process: 0,
            acquire: 0,
            invoked: RunTime(0),
            ended: RunTime(0),
            token: None,
            renewals: Vec::new(),
            releases: Vec::new(),
            prolonged_by: Vec::new(),
            longest_ttl: std::time::Duration::ZERO,
            earliest_expiry: RunTime(0),
            release_invoked: None,
            asked_again: None,
            hold: Hold::Nowhere,
            losses: Vec::new(),
            beliefs: Vec::new(),
        }
    }
}
