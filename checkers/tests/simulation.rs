//! Histories of a simulated service: one that keeps its word is never accused, and one with a bug is found out, and of
//! nothing but what it did.

mod support;

use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Verdict};
use support::simulated::{Bug, CLUSTER, Simulated, simulate};

const CORRECT_HISTORIES: u64 = 20_000;
const HISTORIES_OF_EACH_BUG: u64 = 1_500;

fn proven(anomalies: &[Anomaly]) -> impl Iterator<Item = &Anomaly> {
    anomalies.iter().filter(|anomaly| anomaly.grade == Grade::Proven)
}

fn print(simulated: &Simulated) {
    for event in &simulated.history.events {
        eprintln!("{}", leasehold_checkers::history::to_line(event));
    }
}

/// Whether the bug touched anybody who asked for this lock.
fn wronged_on(simulated: &Simulated, key: &str) -> bool {
    let of_lock = simulated.history.events.iter().filter(|event| event.key.as_deref() == Some(key));
    of_lock.filter_map(|event| event.value["owner"].as_str()).any(|owner| simulated.wronged.contains(owner))
}

#[test]
fn a_service_that_keeps_its_word_is_never_accused() {
    let mut judged = 0;
    for seed in 0..CORRECT_HISTORIES {
        let simulated = simulate(seed, None);
        let judgement = leasehold_checkers::check(&simulated.history);
        if proven(&judgement.anomalies).next().is_some() {
            print(&simulated);
        }
        assert_eq!(proven(&judgement.anomalies).next(), None, "seed {seed}");
        assert_ne!(judgement.verdict, Verdict::Invalid, "seed {seed}");
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "seed {seed}: {judgement:?}");
        judged += u64::from(judgement.checkers["activity"].verdict == Verdict::Valid);
    }
    assert!(judged > CORRECT_HISTORIES * 9 / 10, "only {judged} histories had a grant");
}

/// The service that passes renewals on does end leases that its clients take for renewed.
#[test]
fn a_service_that_passes_renewals_on_would_be_accused_by_the_terms_of_others() {
    let (mut passing_on, mut accused) = (0, 0);
    for seed in 0..CORRECT_HISTORIES / 10 {
        let mut simulated = simulate(seed, None);
        if simulated.history.header.contract.second_hand.take().is_some() {
            passing_on += 1;
            let judgement = leasehold_checkers::check(&simulated.history);
            let early = proven(&judgement.anomalies).any(|anomaly| anomaly.kind == AnomalyKind::PrematureExpiry);
            accused += u64::from(early);
        }
    }
    eprintln!("{accused} of {passing_on} histories");
    assert!(passing_on > CORRECT_HISTORIES / 50 && accused > passing_on / 50, "{accused} of {passing_on} histories");
}

/// How many of the histories that a bug touched are found out.
fn found_out(bug: Bug, by: Option<AnomalyKind>) -> (u64, u64) {
    let (mut touched, mut found) = (0, 0);
    for seed in 0..HISTORIES_OF_EACH_BUG {
        let simulated = simulate(seed, Some(bug));
        let judgement = leasehold_checkers::check(&simulated.history);
        for anomaly in proven(&judgement.anomalies) {
            let involved = anomaly.ops.iter().filter_map(|op| simulated.owners[*op].as_ref());
            let is_true = match anomaly.kind {
                // A lock whose lease never ends, whose holder was never told, or which a read showed to be free, is stuck as
                // truly as one of a cluster that stopped, as far as its answers go: if it is that very lock.
                AnomalyKind::Lockup => match bug {
                    Bug::NeverExpire | Bug::LostGrant | Bug::StaleRead => wronged_on(&simulated, &anomaly.key),
                    _ => simulated.wronged.contains(CLUSTER),
                },
                _ => involved.clone().any(|owner| simulated.wronged.contains(owner)),
            };
            if !is_true {
                print(&simulated);
            }
            assert!(is_true, "seed {seed}, {bug:?}: {anomaly:?}, wronged {:?}", simulated.wronged);
        }
        touched += u64::from(!simulated.wronged.is_empty());
        let convicts = |anomaly: &Anomaly| by.is_none_or(|kind| anomaly.kind == kind);
        found += u64::from(proven(&judgement.anomalies).any(convicts));
    }
    (touched, found)
}

#[track_caller]
fn is_found_out(bug: Bug, at_least_percent: u64) {
    is_found_out_by(None, bug, at_least_percent);
}

/// Found out by the checker that looks for just that.
#[track_caller]
fn is_found_out_as(kind: AnomalyKind, bug: Bug, at_least_percent: u64) {
    is_found_out_by(Some(kind), bug, at_least_percent);
}

#[track_caller]
fn is_found_out_by(kind: Option<AnomalyKind>, bug: Bug, at_least_percent: u64) {
    let (touched, found) = found_out(bug, kind);
    eprintln!("{bug:?}: found in {found} of {touched} histories");
    assert!(touched > 100, "{bug:?} touched only {touched} histories");
    assert!(found * 100 >= touched * at_least_percent, "{bug:?}: found in {found} of {touched} histories");
}

#[test]
fn leases_that_end_early_are_found() {
    is_found_out(Bug::ExpireEarly, 30);
}

#[test]
fn locks_given_twice_are_found() {
    is_found_out(Bug::GrantTwice, 30);
}

#[test]
fn locks_given_on_dead_leases_are_found() {
    is_found_out(Bug::LockOnDeadLease, 5);
}

#[test]
fn renewals_of_dead_leases_are_found() {
    is_found_out(Bug::ConfirmDeadRenewal, 10);
}

#[test]
fn leases_that_never_end_are_found() {
    is_found_out(Bug::NeverExpire, 4);
}

#[test]
fn grants_that_never_were_are_found() {
    is_found_out_as(AnomalyKind::PhantomGrant, Bug::PhantomGrant, 10);
}

#[test]
fn grants_that_nobody_was_told_of_are_found() {
    is_found_out_as(AnomalyKind::LostGrant, Bug::LostGrant, 10);
}

#[test]
fn grants_that_are_forgotten_are_found() {
    is_found_out_as(AnomalyKind::LostGrant, Bug::ForgetGrant, 10);
}

#[test]
fn stale_reads_are_found() {
    is_found_out_as(AnomalyKind::StaleRead, Bug::StaleRead, 10);
}

#[test]
fn tokens_that_do_not_grow_are_found() {
    is_found_out_as(AnomalyKind::Fencing, Bug::TokensFall, 10);
}

#[test]
fn lock_delays_that_are_not_kept_are_found() {
    is_found_out_as(AnomalyKind::LockDelayBroken, Bug::ForgetLockDelay, 3);
}

#[test]
fn clusters_that_stop_to_serve_are_found() {
    is_found_out_as(AnomalyKind::Lockup, Bug::StopServing, 5);
}

#[test]
fn locks_that_are_never_free_are_found() {
    is_found_out_as(AnomalyKind::Lockup, Bug::NeverFree, 5);
}
