//! Each interval checker against its definition in `docs/anomalies.md`, restated as a child would: for every thing that can
//! be accused, look at all ops, all pairs of ops and all instants. Slow, and hard to get wrong.

mod facts;
mod locks;
mod lockups;
#[path = "../oracles/mod.rs"]
mod oracles;
mod overdue;

use std::cell::Cell;

use facts::{Expected, Facts};
use leasehold_checkers::history::{Ops, Surroundings};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Verdict};
use oracles::random::Random;
use oracles::story::{Ask, Story, Terms, Told};
use oracles::tell::{Plan, faults, tell, views};
use oracles::{cases, for_all};

type Definition = fn(&Facts<'_>) -> Vec<Expected>;

/// What is wrong with what the checker says, if anything is.
fn differs(story: &Story, kind: AnomalyKind, definition: Definition, found: &Cell<[u64; 2]>) -> Option<String> {
    let history = story.history();
    let judgement = leasehold_checkers::check(&history);
    assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
    let ops = Ops::of(&history);
    let surroundings = Surroundings::of(&history);
    let expected = definition(&Facts::of(&history, &ops, &surroundings));
    let told: Vec<&Anomaly> = judgement.anomalies.iter().filter(|anomaly| anomaly.kind == kind).collect();
    let [proven, possible] = found.get();
    let is_proven = told.iter().any(|anomaly| anomaly.grade == Grade::Proven);
    found.set([proven + u64::from(is_proven), possible + u64::from(!told.is_empty() && !is_proven)]);
    let mut left = expected.clone();
    for anomaly in &told {
        let Some(place) = left.iter().position(|expected| expected.is(anomaly)) else {
            return Some(format!("told: {anomaly:#?}\nbut by definition: {expected:#?}"));
        };
        left.swap_remove(place);
    }
    (!left.is_empty()).then(|| format!("not told: {left:#?}\nbut only: {told:#?}"))
}

/// Compares on so many stories, and sees to it that the anomaly is met often enough to mean something.
#[track_caller]
fn agrees(kind: AnomalyKind, definition: Definition, tells: impl Fn(&mut Random) -> Story, at_least: [u64; 2]) {
    let found = Cell::new([0, 0]);
    for_all(kind as u64, tells, |story| differs(story, kind, definition, &found));
    let [proven, possible] = found.get();
    eprintln!("{kind}: proven in {proven} and possible in {possible} of {} histories", cases());
    let [least_proven, least_possible] = at_least.map(|per_mille| cases() * per_mille / 1_000);
    assert!(proven >= least_proven && possible >= least_possible, "{kind}: {proven} and {possible}");
}

/// Clocks that may run wrong, terms of all kinds.
fn terms(random: &mut Random, step_ms: u64) -> Terms {
    Terms {
        step_ms,
        nodes: [1, 3, 3, 3][random.of(0..4) as usize],
        rate_error_ppm: [0, 0, 0, 100_000, 400_000][random.of(0..5) as usize],
        slack: [0, 0, 0, 1][random.of(0..4) as usize],
        latest: random.percent(85).then(|| (random.of(0..4), random.percent(70))),
        counts_from_request: random.percent(30),
        fencing_tokens: random.percent(70),
        lock_delay: random.percent(40).then(|| random.of(1..6)),
        patience: [random.of(3..8), random.of(3..8), random.of(1..4), random.of(0..4)],
    }
}

/// A few ops on a lock or two.
fn of_locks(random: &mut Random) -> Story {
    let terms = terms(random, 1);
    let plan = Plan {
        requests: random.of(1..14),
        processes: random.of(1..5),
        keys: [1, 1, 2][random.of(0..3) as usize],
        pause: random.of(1..4),
        outages: 10,
        changes: 5,
    };
    tell(random, plan, terms)
}

/// The same among faults and elections.
fn among_faults(random: &mut Random, step_ms: u64, requests: u64, outages: u64, keys: u64) -> Story {
    let terms = terms(random, step_ms);
    let plan = Plan {
        requests: random.of(1..requests),
        processes: random.of(1..5),
        keys,
        pause: random.of(1..4),
        outages,
        changes: 4,
    };
    let mut story = tell(random, plan, terms);
    let requests = story.requests.iter().map(|request| request.ended.unwrap_or(request.invoked));
    let until = requests.max().unwrap_or(0) + random.of(1..12);
    if random.percent(90) {
        let calm = random.percent(60);
        story.views = views(random, &story.terms, (200 / step_ms).max(1), until, calm);
    }
    if random.percent(40) {
        story.faults = faults(random, until);
    }
    story
}

#[test]
fn lost_grants() {
    agrees(AnomalyKind::LostGrant, locks::lost_grants, of_locks, [3, 0]);
}

#[test]
fn phantom_grants() {
    agrees(AnomalyKind::PhantomGrant, locks::phantom_grants, of_locks, [3, 0]);
}

#[test]
fn fencing() {
    agrees(AnomalyKind::Fencing, locks::fencing, of_locks, [20, 0]);
}

#[test]
fn lock_delays() {
    let tells = |random: &mut Random| {
        let mut story = among_faults(random, 1, 10, 5, 1);
        story.terms.lock_delay = story.terms.lock_delay.or(Some(5));
        if random.percent(50) {
            // A service that forgets it.
            for request in &mut story.requests {
                request.ended = request.ended.map(|ended| ended.saturating_sub(1).max(request.invoked));
            }
        }
        story
    };
    agrees(AnomalyKind::LockDelayBroken, locks::lock_delays, tells, [1, 1]);
}

#[test]
fn stale_reads() {
    agrees(AnomalyKind::StaleRead, locks::stale_reads, of_locks, [10, 0]);
}

#[test]
fn overdue_expiries() {
    let tells = |random: &mut Random| {
        let mut story = among_faults(random, 100, 12, 0, 1);
        leave_leases_on(random, &mut story);
        story
    };
    agrees(AnomalyKind::OverdueExpiry, overdue::overdue_expiries, tells, [5, 10]);
}

/// Where reads showed nobody, some show the last one who was given the lock.
fn leave_leases_on(random: &mut Random, story: &mut Story) {
    let mut last = None;
    for request in &mut story.requests {
        match (request.ask, request.told) {
            (Ask::Acquire { owner, .. }, Told::Acquired { .. }) => last = Some(owner),
            (Ask::Read { .. }, Told::Saw(None)) if random.percent(40) => request.told = Told::Saw(last),
            _ => {}
        }
    }
}

#[test]
fn lockups() {
    agrees(AnomalyKind::Lockup, lockups::lockups, |random| among_faults(random, 200, 16, 40, 1), [5, 1]);
}
