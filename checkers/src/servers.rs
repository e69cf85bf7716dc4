//! From when on a server may have lost its place in the cluster, and with it the leases that were made over it.
//!
//! In some services a lease belongs to the server over which it was made, and ends when that one leaves the cluster or is forgotten by
//! it, whatever the TTL (`ends_with_its_server` in the contract). That is lawful, so nothing is promised of a lease
//!
//! * from when a fault, but of clocks, **hits its server**, or at all where it was asked for before that fault had been over for [`AFTERMATH`]:
//!   a leader that was itself started anew may take so long to hear of a server, and forgets the one that it never heard of. (To put
//!   back a snapshot stops no server and has no aftermath.);
//! * where others may do to the cluster what the record does not tell, from [`AFTERMATH`] before the server **fell silent**, for it
//!   left as it was told to, and goes on answering while it does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::context::{Context, Fault, silences};
use crate::contract::Contract;
use crate::history::vocabulary::f;
use crate::history::{RunTime, Surroundings, Word};

/// How long a server may take to leave, or to be known to all again. Consul gives a server that leaves 5 s to drain.
pub(crate) const AFTERMATH: Duration = Duration::from_secs(10);

/// What may end leases with their servers.
pub(crate) struct Servers {
    faults: Vec<Fault>,
    /// When each server did not answer its probes, where that counts.
    silent: Option<BTreeMap<Word, Vec<(RunTime, RunTime)>>>,
}

impl Servers {
    pub(crate) fn of(contract: &Contract, surroundings: &Surroundings) -> Self {
        let mut faults = Context::of(surroundings).faults;
        faults.retain(|fault| !fault.is_of_clocks());
        let is_told_of_all = contract.patience.is_conclusive;
        Self { faults, silent: (!is_told_of_all).then(|| silences(surroundings, RunTime(u64::MAX))) }
    }

    /// From when on nothing is promised of a lease that was asked for at an instant, of a server or of nobody knows which.
    pub(crate) fn may_go_from(&self, server: Option<&str>, asked: RunTime) -> RunTime {
        let hits_it = |fault: &&Fault| server.is_none_or(|server| fault.nodes.iter().any(|hit| hit == server));
        let lasts = |fault: &&Fault| {
            let aftermath = if fault.package == f::SNAPSHOT { Duration::ZERO } else { AFTERMATH };
            fault.ended.is_none_or(|ended| ended.after(aftermath) >= asked)
        };
        let hit = self.faults.iter().filter(hits_it).filter(lasts).map(|fault| fault.begun);
        let left = self.silent.iter().filter_map(|silent| {
            let of_server = server.and_then(|server| silent.get(&Word::from(server)));
            let Some(spans) = of_server else { return Some(asked) };
            let next = spans.iter().find(|(_, until)| until.after(AFTERMATH) >= asked)?;
            Some(RunTime(next.0.as_nanos().saturating_sub(nanos(AFTERMATH))))
        });
        hit.chain(left).min().unwrap_or(RunTime(u64::MAX)).max(asked)
    }
}

fn nanos(long: Duration) -> u64 {
    u64::try_from(long.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::script::{Fault, Script, found_of_kind, script};
    use crate::verdict::AnomalyKind;

    fn belonging(script: Script) -> Script {
        script.contract(|contract| contract.ends_with_its_server = true)
    }

    /// By how much the lease ended too early that was asked for at 20 s and had 3 s; it is gone by 21 s.
    fn early(script: Script) -> Option<u64> {
        let lost = belonging(script).acquire(1, "a", 20_000..20_100, 3_000).watch(21_000, "deleted", "a");
        found_of_kind(lost, AnomalyKind::PrematureExpiry).first().map(|anomaly| anomaly.margin_ns / 1_000_000)
    }

    #[test]
    fn a_lease_is_promised_until_its_server_is_hit() {
        let kill = |node, begun: u64| script().fault(Fault(1, "kill", "kill", node), begun..begun + 5, None);
        assert_eq!(early(kill("n1", 20_500)), None);
        assert_eq!(early(kill("n1", 22_500)), Some(1_500));
        assert_eq!(early(kill("n2", 20_500)), Some(2_000));
        let other_service = kill("n1", 20_500).acquire(1, "a", 20_000..20_100, 3_000).watch(21_000, "deleted", "a");
        assert_eq!(found_of_kind(other_service, AnomalyKind::PrematureExpiry).len(), 1);
        let clock = script().fault(Fault(1, "clock", "clock +9 s", "n1"), 20_500..20_505, None);
        assert_eq!(early(clock), Some(2_000));
    }

    #[test]
    fn a_server_that_is_back_may_yet_be_forgotten_by_a_leader_that_has_not_heard_of_it() {
        let back = |package, at: u64| script().fault(Fault(1, package, "", "n1"), 1_000..1_005, Some(at - 5..at));
        assert_eq!(early(back("kill", 10_000)), None);
        assert_eq!(early(back("kill", 9_999)), Some(2_000));
        assert_eq!(early(back("snapshot", 19_999)), Some(2_000));
        assert_eq!(early(back("snapshot", 20_000)), None);
    }

    #[test]
    fn of_a_cluster_that_is_not_ours_a_server_that_falls_silent_may_have_left_before() {
        let not_ours = |script: Script| script.contract(|contract| contract.patience.is_conclusive = false);
        let steady = |until| script().steady(0..until, "n1", 5);
        assert_eq!(early(not_ours(steady(40_000))), Some(2_000));
        // It answers while it leaves.
        assert_eq!(early(not_ours(steady(30_000))), None);
        assert_eq!(early(steady(30_000)), Some(2_000));
        let back = |silent: u64| steady(silent).steady(silent + 900..40_000, "n1", 5);
        assert_eq!(early(not_ours(back(25_000))), None);
        assert_eq!(early(not_ours(back(9_200))), None);
        assert_eq!(early(not_ours(back(8_000))), Some(2_000));
        // Where nobody looks nothing is known of it.
        assert_eq!(early(not_ours(script())), None);
    }
}
