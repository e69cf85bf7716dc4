//! A judge that forgets what is settled says what one says that forgets nothing, and never too much before the end.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_checkers::history::{History, Ops, Surroundings};
use leasehold_checkers::holds::grants;
use leasehold_checkers::live::{Judge, Settling};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Judgement, Verdict};
use support::long_run::LongRun;
use support::script::{header, script};
use support::simulated::{Bug, simulate};

const SEEDS: u64 = 600;

/// Settles as soon and as often as can be, so that short histories are enough.
const AT_ONCE: Settling = Settling { linger: Duration::ZERO, every: 1 };

const BUGS: [Bug; 13] = [
    Bug::ExpireEarly,
    Bug::GrantTwice,
    Bug::LockOnDeadLease,
    Bug::ConfirmDeadRenewal,
    Bug::NeverExpire,
    Bug::PhantomGrant,
    Bug::LostGrant,
    Bug::ForgetGrant,
    Bug::StaleRead,
    Bug::TokensFall,
    Bug::ForgetLockDelay,
    Bug::StopServing,
    Bug::NeverFree,
];

fn whole(history: &History) -> Judgement {
    let mut judge = Judge::that_forgets_nothing(history.header.clone());
    history.events.iter().for_each(|event| judge.observe(event));
    judge.finish(history.truncated).expect("it forgets nothing")
}

/// How many anomalies of a kind are proven on each lock.
fn proven(anomalies: &[Anomaly]) -> BTreeMap<(AnomalyKind, &str), usize> {
    let mut counted = BTreeMap::new();
    for anomaly in anomalies.iter().filter(|anomaly| anomaly.grade == Grade::Proven) {
        *counted.entry((anomaly.kind, anomaly.key.as_str())).or_default() += 1;
    }
    counted
}

/// What became of some histories.
#[derive(Debug, Default)]
struct Seen {
    settled: usize,
    reopened: usize,
    told_before_the_end: usize,
}

impl Seen {
    #[track_caller]
    fn take(&mut self, history: &History, what: &str) {
        let expected = whole(history);
        let mut judge = Judge::that_settles(history.header.clone(), AT_ONCE);
        let mut told = Vec::new();
        for event in &history.events {
            judge.observe(event);
            if judge.so_far() != told {
                told = judge.so_far().to_vec();
                let final_ones = proven(&expected.anomalies);
                for ((kind, key), count) in proven(&told) {
                    let known = final_ones.get(&(kind, key)).copied().unwrap_or_default();
                    assert!(count <= known, "{what}: told {count} of {kind} on {key}, there are {known}: {told:#?}");
                }
            }
        }
        self.told_before_the_end += usize::from(!told.is_empty());
        self.settled += usize::from(judge.kept() < expected.ops / 2);
        match judge.finish(history.truncated) {
            Ok(judgement) => {
                assert_eq!(judgement.anomalies, expected.anomalies, "{what}");
                assert_eq!(judgement.to_json(), expected.to_json(), "{what}");
            }
            Err(_) => self.reopened += 1,
        }
    }
}

#[test]
fn of_a_service_that_keeps_its_word() {
    let mut seen = Seen::default();
    for seed in 0..4 * SEEDS {
        seen.take(&simulate(seed, None).history, &format!("seed {seed}"));
    }
    assert_eq!(seen.told_before_the_end, 0);
    // Most runs are too short and too tangled for much of them to be past.
    assert!(seen.settled >= 50 && seen.reopened <= 50, "{seen:?}");
}

#[test]
fn of_services_with_bugs() {
    let mut all = Seen::default();
    for bug in BUGS {
        let mut seen = Seen::default();
        for seed in 0..SEEDS / 3 {
            seen.take(&simulate(seed, Some(bug)).history, &format!("{bug:?}, seed {seed}"));
        }
        all.settled += seen.settled;
        all.told_before_the_end += seen.told_before_the_end;
    }
    assert!(all.settled > 0 && all.told_before_the_end > 100, "{all:?}");
}

#[test]
fn what_is_kept_of_a_long_calm_run_does_not_grow() {
    let most_kept = |ops: usize| {
        let mut judge = Judge::that_settles(header(), Settling { every: 1_000, ..Settling::default() });
        let mut most = 0;
        for event in LongRun::of(ops, 7, 0) {
            judge.observe(&event);
            most = most.max(judge.kept());
        }
        let judgement = judge.finish(false).expect("nothing speaks of the past");
        assert_eq!((judgement.verdict, judgement.ops), (Verdict::Valid, ops));
        most
    };
    let (short, long) = (most_kept(60_000), most_kept(240_000));
    assert!(long < short + short / 10 && long < 30_000, "{short} and {long}");
}

/// So many that all cores take part.
#[test]
fn of_each_of_many_grants_it_is_found_out_who_believed_in_it() {
    let history = History::new(header(), LongRun::of(200_000, 3, 0).collect());
    let (ops, surroundings) = (Ops::of(&history), Surroundings::of(&history));
    let by_lock = grants(&history.header, &ops, &surroundings);
    let all: Vec<_> = by_lock.values().flatten().collect();
    assert!(all.len() > 25_000, "{}", all.len());
    assert!(all.iter().all(|grant| !grant.beliefs.is_empty()));
}

#[test]
fn a_long_run_is_judged_as_one_is_that_is_kept_whole() {
    for unanswered in [0, 5] {
        let history = History::new(header(), LongRun::of(30_000, 3, unanswered).collect());
        let mut judge = Judge::that_settles(header(), Settling { every: 500, ..AT_ONCE });
        history.events.iter().for_each(|event| judge.observe(event));
        assert!(judge.kept() < 5_000, "{}", judge.kept());
        assert_eq!(judge.finish(false).expect("nothing speaks of the past").to_json(), whole(&history).to_json());
    }
}

#[test]
fn a_proven_anomaly_is_told_before_the_end() {
    let double = script().acquire(1, "a", 0..100, 3_000).acquire(2, "b", 200..300, 3_000).read(3, 9_000..9_100, None);
    let mut judge = Judge::that_settles(header(), AT_ONCE);
    let mut told_at = None;
    for event in &double.read(3, 12_000..12_100, None).history().events {
        judge.observe(event);
        told_at = told_at.or((!judge.so_far().is_empty()).then_some(event.time));
    }
    assert!(told_at.is_some_and(|told| told.as_secs_f64() < 12.05), "{told_at:?}");
}

#[test]
fn whoever_speaks_of_the_past_reopens_it() {
    let settled = script()
        .acquire(1, "a", 0..100, 1_000)
        .release(1, "a", 200..300)
        .acquire(2, "b", 400..500, 1_000)
        .release(2, "b", 600..700)
        .acquire(3, "c", 9_000..9_100, 1_000)
        .read(4, 9_200..9_300, Some("c"));
    let judged = |history: History| {
        let mut judge = Judge::that_settles(header(), AT_ONCE);
        history.events.iter().for_each(|event| judge.observe(event));
        judge.finish(false)
    };
    assert!(judged(settled.clone().history()).is_ok());
    let stale = settled.read(4, 9_400..9_500, Some("a")).history();
    assert!(judged(stale.clone()).is_err());
    assert_eq!(leasehold_checkers::check(&stale).verdict, Verdict::Invalid);
}

/// The two locks of a history as the permits of one semaphore.
fn as_one_semaphore(mut history: History) -> History {
    history.header.model = "lease-semaphore:2".to_owned();
    for event in &mut history.events {
        event.key = event.key.as_ref().map(|_| "semaphore".into());
    }
    history
}

#[test]
fn two_locks_that_keep_their_word_are_a_semaphore_with_two_permits() {
    let mut seen = Seen::default();
    let mut held = 0;
    for seed in 0..2 * SEEDS {
        let history = as_one_semaphore(simulate(seed, None).history);
        let judgement = whole(&history);
        assert_ne!(judgement.verdict, Verdict::Invalid, "seed {seed}: {judgement:#?}");
        held += usize::from(judgement.verdict == Verdict::Valid);
        seen.take(&history, &format!("seed {seed}"));
    }
    assert!(held > 100 && seen.settled >= 10 && seen.told_before_the_end == 0, "{held} {seen:?}");
}

#[test]
fn a_semaphore_of_two_locks_with_bugs() {
    let mut found = BTreeMap::new();
    for bug in
        [Bug::ExpireEarly, Bug::GrantTwice, Bug::ForgetGrant, Bug::LockOnDeadLease, Bug::NeverExpire, Bug::StaleRead]
    {
        let mut seen = Seen::default();
        for seed in 0..SEEDS / 3 {
            let history = as_one_semaphore(simulate(seed, Some(bug)).history);
            seen.take(&history, &format!("{bug:?}, seed {seed}"));
            for (kind, _) in proven(&whole(&history).anomalies).into_keys() {
                *found.entry(kind).or_insert(0) += 1;
            }
        }
    }
    let of = |kind| found.get(&kind).copied().unwrap_or(0);
    assert!(of(AnomalyKind::DoubleAcquisition) > 3 && of(AnomalyKind::PrematureExpiry) > 20, "{found:?}");
    assert!(of(AnomalyKind::OverdueExpiry) > 3 && of(AnomalyKind::StaleRead) > 3, "{found:?}");
}
