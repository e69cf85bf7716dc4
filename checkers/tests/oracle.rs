//! The criterion for double acquisitions against a search through all schedules.
//!
//! Small instances of one lock: each grant has an acquisition, a TTL, perhaps a release, and perhaps a watch that saw
//! its key vanish. The search tries every begin of every hold, on half steps so that a hold fits between any two
//! instants on record. A hold is best as short as it may be, so its end need not be searched.

mod support;

use leasehold_checkers::history::History;
use leasehold_checkers::verdict::{AnomalyKind, Verdict};
use proptest::prelude::*;
use support::script::script;

/// A grant on a grid of whole steps.
#[derive(Clone, Debug)]
struct Instance {
    invoked: u64,
    ended: u64,
    ttl: u64,
    released: Option<u64>,
    gone_by: Option<u64>,
}

impl Instance {
    fn cut(&self) -> u64 {
        let expiry = self.invoked + self.ttl;
        self.released.map_or(expiry, |released| released.min(expiry))
    }
}

/// A hold in half steps, without its end.
#[derive(Clone, Copy, Debug)]
struct Hold {
    begin: u64,
    end: u64,
}

impl Hold {
    /// A hold without length is but an instant: it collides only with a hold that is under way before and after it.
    fn collides(self, other: Self) -> bool {
        let inside = |instant: u64, hold: Self| hold.begin < instant && instant < hold.end;
        match (self.begin == self.end, other.begin == other.end) {
            (true, true) => false,
            (true, false) => inside(self.begin, other),
            (false, true) => inside(other.begin, self),
            (false, false) => self.begin.max(other.begin) < self.end.min(other.end),
        }
    }
}

/// All the ways in which a correct service could have made a grant.
fn holds(grant: &Instance) -> impl Iterator<Item = Hold> {
    let gone_by = grant.gone_by.map_or(u64::MAX, |gone_by| 2 * gone_by);
    let cut = 2 * grant.cut();
    (2 * grant.invoked..=2 * grant.ended)
        .map(move |begin| Hold { begin, end: begin.max(cut) })
        .filter(move |hold| hold.end <= gone_by)
}

fn can_be_scheduled(grants: &[Instance], placed: &mut Vec<Hold>) -> bool {
    let Some((first, rest)) = grants.split_first() else { return true };
    holds(first).any(|hold| {
        if placed.iter().any(|other| other.collides(hold)) {
            return false;
        }
        placed.push(hold);
        let scheduled = can_be_scheduled(rest, placed);
        placed.pop();
        scheduled
    })
}

/// The history in which the grants were recorded. Each client's release comes from a process of its own, so that it may
/// be invoked before the acquisition is answered.
fn recorded(grants: &[Instance]) -> History {
    const STEP_MS: u64 = 1_000;
    (0..)
        .zip(grants)
        .fold(script(), |script, (number, grant)| {
            let owner = format!("p{number}");
            let script =
                script.acquire(number, &owner, grant.invoked * STEP_MS..grant.ended * STEP_MS, grant.ttl * STEP_MS);
            let script = match grant.released {
                Some(at) => script.release_info(100 + number, &owner, at * STEP_MS..50 * STEP_MS),
                None => script,
            };
            match grant.gone_by {
                Some(at) => script.watch(at * STEP_MS, "deleted", &owner),
                None => script,
            }
        })
        .history()
}

prop_compose! {
    fn instance()(
        invoked in 0..8_u64,
        lasted in 1..6_u64,
        ttl in 1..8_u64,
        released in proptest::option::weighted(0.3, 1..8_u64),
        gone in proptest::option::weighted(0.4, 1..9_u64),
    ) -> Instance {
        Instance {
            invoked,
            ended: invoked + lasted,
            ttl,
            released: released.map(|after| invoked + after),
            gone_by: gone.map(|after| invoked + after),
        }
    }
}

fn cases() -> u32 {
    std::env::var("LEASEHOLD_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Accused exactly where no schedule exists: by a double acquisition or, where a lease is seen to be gone before
    /// its time, by a premature expiry.
    #[test]
    fn accused_if_and_only_if_there_is_no_schedule(grants in proptest::collection::vec(instance(), 1..=4)) {
        let judgement = leasehold_checkers::check(&recorded(&grants));
        let innocent = can_be_scheduled(&grants, &mut Vec::new());
        prop_assert_eq!(judgement.verdict != Verdict::Invalid, innocent, "{:#?}", judgement);
    }

    /// The theorem itself: where no lease is gone before its time, a double acquisition is found exactly where no
    /// schedule exists.
    #[test]
    fn without_premature_expiries_the_criterion_is_exact(grants in proptest::collection::vec(instance(), 2..=4)) {
        let grants: Vec<Instance> = grants
            .into_iter()
            .map(|grant| Instance { gone_by: grant.gone_by.map(|gone_by| gone_by.max(grant.cut())), ..grant })
            .collect();
        let judgement = leasehold_checkers::check(&recorded(&grants));
        let doubles = judgement.anomalies.iter().filter(|anomaly| anomaly.kind == AnomalyKind::DoubleAcquisition).count();
        prop_assert_eq!(doubles == 0, can_be_scheduled(&grants, &mut Vec::new()), "{:#?}", judgement);
    }
}
