//! The one question behind all definitions: could a service that keeps its word have given these answers?
//!
//! Tiny histories of one lock, with waiters, companions that renew, lost answers, tokens, lock-delays and watches that lag. Where
//! a search through all that such a service can do finds a way to give the answers, no checker may accuse it.

#[path = "oracles/mod.rs"]
mod oracles;

use std::cell::Cell;
use std::collections::BTreeMap;

use leasehold_checkers::history::History;
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade};
use oracles::random::Random;
use oracles::service::can_have_answered;
use oracles::story::{Ask, Owner, Story, Terms, Told};
use oracles::tell::{Plan, tell, views};
use oracles::{cases, for_all};

fn story(random: &mut Random, changes: u64) -> Story {
    let terms = terms(random);
    story_on(terms, random, changes)
}

fn terms(random: &mut Random) -> Terms {
    Terms {
        step_ms: 100,
        nodes: 1,
        rate_error_ppm: 0,
        slack: [0, 0, 0, 1][random.of(0..4) as usize],
        latest: random.percent(60).then(|| ([1, 1, 2][random.of(0..3) as usize], random.of(0..3), false)),
        counts_from_request: random.percent(30),
        ends_with_its_server: random.percent(20),
        second_hand: None,
        fencing_tokens: random.percent(60),
        lock_delay: random.percent(30).then(|| random.of(1..5)),
        patience: [1_000, 1_000, random.of(0..3), 0],
    }
}

fn story_on(terms: Terms, random: &mut Random, changes: u64) -> Story {
    let plan = Plan {
        requests: random.of(2..8),
        processes: random.of(1..4),
        keys: 1,
        pause: random.of(1..4),
        outages: 0,
        changes,
    };
    let mut story = tell(random, plan, terms);
    for request in &mut story.requests {
        if request.told == Told::Failed("mismatch") {
            request.told = Told::Failed("not-held");
        }
    }
    let times = story.requests.iter().map(|request| request.ended.unwrap_or(request.invoked));
    let end = times.max().unwrap_or(0) + 12;
    story.views = views(random, &story.terms, 2, end, true);
    story
}

/// A cluster that leaves requests without an answer gives no wrong one.
fn accused(story: &Story) -> Vec<Anomaly> {
    proven(&story.history())
}

fn proven(history: &History) -> Vec<Anomaly> {
    let judgement = leasehold_checkers::check(history);
    let about_answers = |anomaly: &Anomaly| anomaly.kind != AnomalyKind::Lockup || !anomaly.key.is_empty();
    let anomalies = judgement.anomalies.into_iter().filter(|anomaly| anomaly.grade == Grade::Proven);
    anomalies.filter(about_answers).collect()
}

#[test]
fn what_was_lived_can_have_been_answered() {
    for seed in 0..cases() {
        // Not shrunk: with a part left out it was not lived.
        let story = story(&mut Random(seed), 0);
        assert!(can_have_answered(&story), "seed {seed}: the search has no way for {story:#?}");
    }
}

#[test]
fn nobody_is_accused_who_can_have_answered_so() {
    let convicted = Cell::new(0_u64);
    let wrong = |story: &Story| {
        let accused = accused(story);
        convicted.set(convicted.get() + u64::from(!accused.is_empty()));
        // The search takes far longer than the checkers.
        (!accused.is_empty() && can_have_answered(story)).then(|| format!("{accused:#?}"))
    };
    for_all(2, cases() / 4, |random| story(random, 4), wrong);
    let convicted = convicted.get();
    eprintln!("of {} histories {convicted} are convicted, and each of these is impossible", cases() / 4);
    assert!(convicted * 80 > cases(), "only {convicted} are convicted");
}

/// A semaphore with two permits may do whatever two locks may do, and a read of it may tell of either.
#[test]
fn nobody_is_accused_of_a_semaphore_who_can_have_answered_as_two_locks() {
    let mut convicted: BTreeMap<AnomalyKind, u64> = BTreeMap::new();
    for seed in 0..cases() / 8 {
        let random = &mut Random(seed);
        // Tokens count what was done to a lock, and here there are two.
        let terms = Terms { fencing_tokens: false, ..terms(random) };
        let one = story_on(terms.clone(), random, 2);
        let other = story_on(terms, random, 2);
        let accused = proven(&as_one_semaphore(&one, &of_others(other.clone())));
        // The search takes far longer than the checkers.
        let lived = !accused.is_empty() && can_have_answered(&one) && can_have_answered(&other);
        assert!(!lived, "seed {seed}: {accused:#?}\n{one:#?}\n{other:#?}");
        accused.iter().for_each(|anomaly| *convicted.entry(anomaly.kind).or_default() += 1);
    }
    eprintln!("of {} histories are convicted, and each of these is impossible: {convicted:?}", cases() / 8);
    for kind in [AnomalyKind::OverdueExpiry, AnomalyKind::StaleRead] {
        assert!(convicted.get(&kind).is_some_and(|count| count * 5_000 > cases()), "{kind}: {convicted:?}");
    }
}

/// The same by others, with names of their own.
fn of_others(mut story: Story) -> Story {
    const APART: u8 = 100;
    let other = |owner: Owner| owner + APART;
    for request in &mut story.requests {
        request.process += u64::from(APART);
        match &mut request.ask {
            Ask::Acquire { owner, .. } | Ask::Renew { owner, .. } | Ask::Release { owner } => *owner = other(*owner),
            Ask::Read { .. } => {}
        }
        match &mut request.told {
            Told::Saw(owner) | Told::Held(owner) => *owner = owner.map(other),
            _ => {}
        }
    }
    story.watches.iter_mut().for_each(|watch| watch.owner = other(watch.owner));
    story
}

/// Both locks as the permits of one semaphore, with the probes of the first.
fn as_one_semaphore(one: &Story, other: &Story) -> History {
    let History { mut header, mut events, .. } = one.history();
    "lease-semaphore:2".clone_into(&mut header.model);
    events.extend(Story { views: Vec::new(), faults: Vec::new(), ..other.clone() }.history().events);
    for event in &mut events {
        event.key = event.key.as_ref().map(|_| "semaphore".into());
    }
    events.sort_by_key(|event| event.time);
    History::new(header, events)
}

/// Not all that is impossible is one of the anomalies: a lock may be refused, or in a stranger's hands, without a reason.
#[test]
fn many_who_cannot_have_answered_so_are_convicted() {
    let (mut impossible, mut convicted) = (0_u64, 0_u64);
    for seed in 0..cases() / 20 {
        let story = story(&mut Random(seed), 4);
        if !can_have_answered(&story) {
            impossible += 1;
            convicted += u64::from(!accused(&story).is_empty());
        }
    }
    eprintln!("of {} histories {impossible} are impossible, and {convicted} of these are convicted", cases() / 20);
    assert!(impossible * 5 > cases() / 20, "only {impossible} are impossible");
    assert!(convicted * 3 > impossible, "only {convicted} of {impossible} are convicted");
}
