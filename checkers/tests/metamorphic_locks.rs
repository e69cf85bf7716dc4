//! Changes to tiny histories of locks that must not change what the interval checkers say of them, or not for the worse: on
//! stories with waiters, companions, faults, elections and probes.

#[path = "oracles/mod.rs"]
mod oracles;

use std::collections::BTreeMap;

use leasehold_checkers::history::History;
use leasehold_checkers::verdict::{Anomaly, Grade};
use oracles::random::Random;
use oracles::story::{Ask, Request, Story, Terms, Told};
use oracles::tell::{Plan, faults, tell, views};
use oracles::{cases, for_all};

fn story(random: &mut Random) -> Story {
    let terms = Terms {
        step_ms: 100,
        nodes: 3,
        rate_error_ppm: [0, 0, 100_000][random.of(0..3) as usize],
        slack: [0, 0, 1][random.of(0..3) as usize],
        latest: random.percent(85).then(|| ([1, 1, 2][random.of(0..3) as usize], random.of(0..4), random.percent(70))),
        counts_from_request: random.percent(30),
        ends_with_its_server: random.percent(20),
        second_hand: None,
        fencing_tokens: random.percent(70),
        lock_delay: random.percent(30).then(|| random.of(1..6)),
        patience: [random.of(5..12), random.of(5..12), random.of(1..4), random.of(0..4)],
    };
    let plan = Plan {
        requests: random.of(2..12),
        processes: random.of(1..5),
        keys: random.of(1..3),
        pause: random.of(1..4),
        outages: 20,
        changes: 4,
    };
    let mut story = tell(random, plan, terms);
    let times = story.requests.iter().map(|request| request.ended.unwrap_or(request.invoked));
    let until = times.max().unwrap_or(0) + 10;
    let calm = random.percent(60);
    story.views = views(random, &story.terms, 2, until, calm);
    if random.percent(30) {
        story.faults = faults(random, until);
    }
    story
}

fn proven(history: &History) -> Vec<Anomaly> {
    let anomalies = leasehold_checkers::check(history).anomalies;
    anomalies.into_iter().filter(|anomaly| anomaly.grade == Grade::Proven).collect()
}

/// What is said of a history, without names and words.
fn essence(history: &History) -> Vec<String> {
    let mut essence: Vec<String> = leasehold_checkers::check(history)
        .anomalies
        .iter()
        .map(|a| format!("{} {:?} {:?} {} {}", a.kind, a.grade, a.ops, a.at_ns, a.margin_ns))
        .collect();
    essence.sort();
    essence
}

#[test]
fn other_names_of_processes_nodes_and_keys() {
    let other_names = |story: &Story| {
        let mut other = story.clone();
        for request in &mut other.requests {
            request.process = 1_000 - request.process;
            request.node = 4 - request.node;
            request.key = 9 - request.key;
        }
        other.watches.iter_mut().for_each(|watch| watch.key = 9 - watch.key);
        for view in &mut other.views {
            view.node = 4 - view.node;
            view.leader = view.leader.map(|leader| 4 - leader);
        }
        other.faults.iter_mut().for_each(|fault| fault.node = fault.node.map(|node| 4 - node));
        other
    };
    for_all(31, cases() / 5, story, |story| {
        let (before, after) = (essence(&story.history()), essence(&other_names(story).history()));
        (before != after).then(|| format!("{before:#?}\n{after:#?}"))
    });
}

/// What happened before the run began is nothing: a fault less, and more time to wait in, accuse nobody else.
#[test]
fn a_later_start_moves_what_is_said_of_locks() {
    let later = |story: &Story| {
        let mut later = story.clone();
        for request in &mut later.requests {
            request.invoked += 40;
            request.ended = request.ended.map(|ended| ended + 40);
        }
        later.watches.iter_mut().for_each(|watch| watch.at += 40);
        later.views.clear();
        later.faults.clear();
        later
    };
    for_all(32, cases() / 5, story, |story| {
        let without = Story { views: Vec::new(), faults: Vec::new(), ..story.clone() };
        let shifted =
            |anomaly: &Anomaly, by: u64| (anomaly.kind, anomaly.ops.clone(), anomaly.at_ns + by, anomaly.margin_ns);
        let by = 40 * story.terms.step_ms * 1_000_000;
        let before: Vec<_> = proven(&without.history()).iter().map(|anomaly| shifted(anomaly, by)).collect();
        let after: Vec<_> = proven(&later(story).history()).iter().map(|anomaly| shifted(anomaly, 0)).collect();
        (before != after).then(|| format!("{before:#?}\n{after:#?}"))
    });
}

/// One more read that is answered as it must be, long after all is over, and one more acquisition of a lock that nobody used.
#[test]
fn a_consistent_op_more_accuses_nobody() {
    let with_more = |story: &Story| {
        let mut more = story.clone();
        let end = story.history().events.last().map_or(0, |event| event.time.0 / 1_000_000 / story.terms.step_ms);
        let request = |process, key, at, ask, told| Request {
            process,
            node: 1,
            key,
            invoked: at,
            ended: Some(at + 1),
            ask,
            told,
        };
        let ask = Ask::Acquire { owner: 100, ttl: 9, blocking: false };
        let token = story.terms.fencing_tokens.then_some(1);
        more.requests.push(request(901, 7, end + 1, ask, Told::Acquired { ttl: 9, token }));
        let read = Ask::Read { linearizable: true };
        more.requests.push(request(902, 7, end + 3, read, Told::Saw(Some(100))));
        more
    };
    for_all(33, cases() / 5, story, |story| {
        let kinds = |anomalies: &[Anomaly]| {
            let of_locks = anomalies.iter().filter(|anomaly| !anomaly.key.is_empty());
            of_locks.map(|anomaly| (anomaly.kind, anomaly.ops.clone())).collect::<Vec<_>>()
        };
        // A longer record may show that what lasted to its end was no election, so that more can be proven of it.
        let calm = Story { views: Vec::new(), faults: Vec::new(), ..story.clone() };
        let (before, after) = (kinds(&proven(&calm.history())), kinds(&proven(&with_more(&calm).history())));
        (before != after).then(|| format!("{before:#?}\n{after:#?}"))
    });
}

/// A read that nobody answered, and one that promises nothing, tell nothing.
#[test]
fn reads_that_tell_nothing_may_be_left_out() {
    let tells_nothing = |request: &Request| match (request.ask, request.told) {
        (Ask::Read { linearizable: false }, _) | (Ask::Read { .. }, Told::Nothing) => true,
        (Ask::Read { .. }, _) => request.ended.is_none(),
        _ => false,
    };
    for_all(34, cases() / 5, story, |story| {
        let mut without = story.clone();
        without.requests.retain(|request| !tells_nothing(request));
        let count = |story: &Story| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for anomaly in proven(&story.history()).iter().filter(|anomaly| anomaly.kind.to_string() != "lockup") {
                *counts.entry(format!("{} {}", anomaly.kind, anomaly.key)).or_default() += 1;
            }
            counts
        };
        // A request that hangs is an excuse for a lease that ends late, so without it more may be proven of those.
        let calm = Story { views: Vec::new(), ..story.clone() };
        let calm_without = Story { views: Vec::new(), ..without };
        let (before, after) = (count(&calm), count(&calm_without));
        (before != after).then(|| format!("{before:#?}\n{after:#?}"))
    });
}
