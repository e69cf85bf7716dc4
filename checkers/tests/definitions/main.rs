//! Each interval checker against its definition in `docs/anomalies.md`, restated as a child would: for every thing that can
//! be accused, look at all ops, all pairs of ops and all instants. Slow, and hard to get wrong.

mod facts;
mod locks;
mod lockups;
#[path = "../oracles/mod.rs"]
mod oracles;
mod overdue;
mod premature;

use std::cell::Cell;

use facts::{Expected, Facts};
use leasehold_checkers::history::{Ops, Surroundings};
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Verdict};
use oracles::random::Random;
use oracles::story::{Ask, Story, Terms, Told};
use oracles::tell::{Plan, faults, runs, tell, views};
use oracles::{cases, for_all};

/// A definition, and of a thousand histories in how many it must be met at least, so that the comparison means something:
/// proven, and only possible.
struct Definition {
    kind: AnomalyKind,
    of: fn(&Facts<'_>) -> Vec<Expected>,
    proven_per_mille: u64,
    possible_per_mille: u64,
}

/// In how many histories an anomaly was proven, and in how many it was only possible.
type Met = Cell<(u64, u64)>;

/// What is wrong with what the checkers say, if anything is.
fn differs(story: &Story, definitions: &[(Definition, Met)]) -> Option<String> {
    let history = story.history();
    let judgement = leasehold_checkers::check(&history);
    assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "{judgement:?}");
    let ops = Ops::of(&history);
    let surroundings = Surroundings::of(&history);
    let facts = Facts::of(&history, &ops, &surroundings);
    definitions.iter().find_map(|(definition, met)| {
        let told: Vec<&Anomaly> =
            judgement.anomalies.iter().filter(|anomaly| anomaly.kind == definition.kind).collect();
        compare(&(definition.of)(&facts), &told, met)
    })
}

fn compare(expected: &[Expected], told: &[&Anomaly], met: &Met) -> Option<String> {
    let (proven, possible) = met.get();
    let is_proven = told.iter().any(|anomaly| anomaly.grade == Grade::Proven);
    met.set((proven + u64::from(is_proven), possible + u64::from(!told.is_empty() && !is_proven)));
    let mut left = expected.to_vec();
    for anomaly in told {
        let Some(place) = left.iter().position(|expected| expected.is(anomaly)) else {
            return Some(format!("told: {anomaly:#?}\nbut by definition: {expected:#?}"));
        };
        left.swap_remove(place);
    }
    (!left.is_empty()).then(|| format!("not told: {left:#?}\nbut only: {told:#?}"))
}

#[track_caller]
fn agree<const N: usize>(definitions: [Definition; N], tells: impl Fn(&mut Random) -> Story) {
    let definitions = definitions.map(|definition| (definition, Cell::new((0, 0))));
    for_all(N as u64, cases(), tells, |story| differs(story, &definitions));
    for (Definition { kind, proven_per_mille, possible_per_mille, .. }, met) in definitions {
        let (proven, possible) = met.get();
        eprintln!("{kind}: proven in {proven} and possible in {possible} of {} histories", cases());
        let often = proven >= cases() * proven_per_mille / 1_000 && possible >= cases() * possible_per_mille / 1_000;
        assert!(often, "{kind}: {proven} and {possible}");
    }
}

/// Clocks that may run wrong, terms of all kinds.
fn terms(random: &mut Random, step_ms: u64) -> Terms {
    Terms {
        step_ms,
        nodes: [1, 3, 3, 3][random.of(0..4) as usize],
        rate_error_ppm: [0, 0, 0, 100_000, 400_000][random.of(0..5) as usize],
        slack: [0, 0, 0, 1][random.of(0..4) as usize],
        latest: random.percent(85).then(|| ([1, 1, 2][random.of(0..3) as usize], random.of(0..4), random.percent(70))),
        counts_from_request: random.percent(30),
        ends_with_its_server: random.percent(20),
        second_hand: random.percent(15).then(|| (random.of(0..4), random.of(0..6))),
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
        let every = [2, 250 / step_ms][usize::from(step_ms < 100)].min(until / 2 + 1);
        story.views = views(random, &story.terms, every, until, calm);
    }
    if random.percent(40) {
        story.faults = faults(random, until);
    }
    story
}

#[test]
fn of_one_lock() {
    let definition = |kind, of, proven_per_mille| Definition { kind, of, proven_per_mille, possible_per_mille: 0 };
    let lost = definition(AnomalyKind::LostGrant, locks::lost_grants as fn(&Facts<'_>) -> _, 20);
    let definitions = [
        Definition { possible_per_mille: 1, ..lost },
        definition(AnomalyKind::PhantomGrant, locks::phantom_grants, 3),
        definition(AnomalyKind::Fencing, locks::fencing, 20),
        definition(AnomalyKind::StaleRead, locks::stale_reads, 10),
    ];
    agree(definitions, of_locks);
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
    let (kind, of) = (AnomalyKind::LockDelayBroken, locks::lock_delays);
    agree([Definition { kind, of, proven_per_mille: 1, possible_per_mille: 1 }], tells);
}

#[test]
fn overdue_expiries() {
    let tells = |random: &mut Random| {
        let mut story = among_faults(random, 100, 12, 0, 1);
        leave_leases_on(random, &mut story);
        story
    };
    let (kind, of) = (AnomalyKind::OverdueExpiry, overdue::overdue_expiries);
    agree([Definition { kind, of, proven_per_mille: 4, possible_per_mille: 10 }], tells);
}

#[test]
fn premature_expiries() {
    let tells = |random: &mut Random| {
        let mut story = among_faults(random, 100, 12, 0, 1);
        story.terms.second_hand = random.percent(70).then(|| (random.of(0..4), random.of(0..6)));
        story
    };
    let (kind, of) = (AnomalyKind::PrematureExpiry, premature::premature_expiries);
    agree([Definition { kind, of, proven_per_mille: 10, possible_per_mille: 0 }], tells);
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
    let (kind, of) = (AnomalyKind::Lockup, lockups::lockups);
    let tells = |random: &mut Random| {
        let mut story = among_faults(random, 250, 14, 40, 1);
        if random.percent(50) {
            let until =
                story.requests.iter().map(|request| request.ended.unwrap_or(request.invoked)).max().unwrap_or(0);
            story.runs = runs(random, &story.terms, 8, until + 12);
        }
        story
    };
    agree([Definition { kind, of, proven_per_mille: 5, possible_per_mille: 1 }], tells);
}
