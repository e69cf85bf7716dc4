//! Ensembles as the real ones are built: a leader that keeps the leases, followers that answer for it, faults at single servers.
//!
//! The service of `simulation.rs` is one thing that keeps its word; this is three servers that together keep theirs, in the two ways
//! that are hardest to judge. Followers of the one kind (ZooKeeper's) answer renewals and tell the leader later, or never, if they are killed,
//! cut off or wait for one that is paused. Leaders of the other (Consul's) renew by their own word alone, even when they are deposed
//! and do not know, end leases at twice their TTL, keep locks closed for a while, and forget a server of which they never heard, with all leases that
//! were made over it. Nobody may be accused, whatever is done to them.

mod support;

use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Verdict};
use support::ensemble::{Kind, simulate};

const HISTORIES: u64 = 3_000;

fn proven(anomalies: Vec<Anomaly>) -> Option<Anomaly> {
    anomalies.into_iter().find(|anomaly| anomaly.grade == Grade::Proven)
}

#[track_caller]
fn nobody_is_accused(kind: Kind) {
    let (mut grants, mut split) = (0, 0);
    for seed in 0..HISTORIES {
        let history = simulate(kind, seed);
        let judgement = leasehold_checkers::check(&history);
        assert_eq!(judgement.checkers["well-formed"].verdict, Verdict::Valid, "seed {seed}: {judgement:?}");
        grants += u64::from(judgement.checkers["activity"].verdict == Verdict::Valid);
        split += u64::from(judgement.anomalies.iter().any(|anomaly| anomaly.kind == AnomalyKind::SplitBelief));
        if let Some(anomaly) = proven(judgement.anomalies) {
            for event in &history.events {
                eprintln!("{}", leasehold_checkers::history::to_line(event));
            }
            panic!("{kind:?}, seed {seed}: {anomaly:?}");
        }
    }
    eprintln!("{kind:?}: locks were given in {grants} of {HISTORIES} histories, and in {split} two believed at once");
    assert!(grants > HISTORIES * 9 / 10, "only {grants} histories had a grant");
}

/// How many would be accused by other terms than their own.
fn accused(kind: Kind, change: impl Fn(&mut leasehold_checkers::contract::Contract)) -> u64 {
    let accused = |seed: &u64| {
        let mut history = simulate(kind, *seed);
        change(&mut history.header.contract);
        proven(leasehold_checkers::check(&history).anomalies).is_some()
    };
    (0..HISTORIES / 5).filter(accused).count() as u64
}

#[test]
fn an_ensemble_whose_followers_answer_is_never_accused() {
    nobody_is_accused(Kind::FollowersAnswer);
}

#[test]
fn an_ensemble_whose_leaders_renew_by_their_own_word_is_never_accused() {
    nobody_is_accused(Kind::LeadersAnswer);
}

/// Else they would not be hard to judge.
#[test]
fn by_the_terms_of_others_both_would_be() {
    let followers = accused(Kind::FollowersAnswer, |contract| contract.second_hand = None);
    let forgotten = accused(Kind::LeadersAnswer, |contract| contract.ends_with_its_server = false);
    let leaders = accused(Kind::LeadersAnswer, |contract| contract.latest_expiry.as_mut().expect("a bound").ttls = 1);
    eprintln!("of {}: {followers}, {forgotten}, {leaders}", HISTORIES / 5);
    assert!(followers > 5 && forgotten > 0 && leaders > 5, "{followers}, {forgotten}, {leaders}");
}
