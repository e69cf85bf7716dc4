//! What a history tells, in the terms of a report: operations, holds, faults, leaders, clocks.
//!
//! Everything here is read off the recorded events. Nothing is judged: the verdict and the anomalies come from the
//! checkers, and the story only shows them in their surroundings.

mod clocks;
mod exchange;
mod faults;
mod gathering;
mod holds;
mod impact;
mod leaders;
mod network;
mod poison;
mod vicinity;
mod witness;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::path::Path;

use leasehold_checkers::formats::Error;
use leasehold_checkers::history::{CAS_REGISTER, History, Op, Outcome, RunTime};
use leasehold_checkers::holds::grants;
use leasehold_checkers::verdict::{Anomaly, AnomalyKind, Grade, Judgement, Signature};

use crate::results::RunFile;
use exchange::Exchanges;
use gathering::{Gathered, Gathering};

pub(super) use clocks::ClockReading;
pub(super) use exchange::Exchange;
pub(super) use faults::{Effect, Fault};
pub(super) use holds::{End, Hold, SeenBy};
pub(super) use impact::{Impact, KindCount};
pub(super) use leaders::Reign;
pub(super) use network::{Fate, Link};
pub(super) use poison::{Poison, Served};
pub(super) use vicinity::{holds_near, window_around};
pub(super) use witness::{States, witness_of};

/// A history and its judgement, made ready to be told and drawn.
#[derive(Debug)]
pub(super) struct Story<'a> {
    /// The header, and the events that are no client's: what was measured, and what the nemesis and the watches told.
    pub history: History,
    /// What the checkers say of it.
    pub judgement: &'a Judgement,
    /// All client operations, in the order of their invocations, as anomalies count them.
    pub ops: Vec<Op>,
    /// All holds, in the order in which they were granted.
    pub holds: Vec<Hold>,
    /// All faults, in the order in which they began.
    pub faults: Vec<Fault>,
    /// Who led, from when on.
    pub reigns: Vec<Reign>,
    /// What the probes measured of the servers' clocks.
    pub clocks: Vec<ClockReading>,
    /// The network, as far as it was counted.
    pub links: Vec<Link>,
    exchanges: Exchanges,
    /// How the run came about and to its end, where the history is that of one.
    pub run: Option<RunFile>,
    /// When the last event happened.
    pub end: RunTime,
}

impl<'a> Story<'a> {
    /// Of a history that is there as a whole.
    pub(super) fn of(history: &History, judgement: &'a Judgement) -> Self {
        let mut gathering = Gathering::of(history.header.clone());
        history.events.iter().for_each(|event| gathering.take(event));
        Self::told(gathering.finish(history.truncated), judgement)
    }

    /// Of a history on the disk, of which no more is held than is told.
    pub(super) fn read(path: &Path, judgement: &'a Judgement) -> Result<Self, Error> {
        let (header, mut events) = History::open(path)?;
        let gathering =
            gathering::in_step(Gathering::of(header), events.by_ref()).map_err(|error| error.in_file(path))?;
        Ok(Self::told(gathering.finish(events.truncated()), judgement))
    }

    fn told(gathered: Gathered, judgement: &'a Judgement) -> Self {
        let Gathered { ops, exchanges, others, surroundings, end } = gathered;
        let holds = holds::of(&grants(&others.header, &ops, &surroundings), &ops.all);
        Self {
            exchanges,
            run: None,
            judgement,
            holds,
            ops: ops.all,
            faults: faults::of(&surroundings.faults, end),
            reigns: leaders::of(&surroundings.leaders),
            clocks: clocks::of(&others.events),
            links: network::of(&others.events),
            history: others,
            end,
        }
    }

    /// The malformed packet that was sent, if one was, and what stopped after it.
    pub(super) fn poison(&self) -> Option<Poison> {
        poison::of(self)
    }

    /// The servers whose processes ended of it.
    pub(super) fn ended_of_a_packet(&self) -> Vec<String> {
        poison::ended(self)
    }

    /// What was broken, and how badly.
    pub(super) fn impact(&self) -> Impact<'a> {
        Impact::of(&self.judgement.anomalies, self.end)
    }

    /// The proven anomaly that began first.
    pub(super) fn first_anomaly(&self) -> Option<&'a Anomaly> {
        self.proven().min_by_key(|anomaly| (anomaly.at_ns, anomaly.kind))
    }

    /// The proven anomaly with the greatest margin among those of the most serious kind.
    pub(super) fn worst_anomaly(&self) -> Option<&'a Anomaly> {
        self.proven().min_by_key(|anomaly| (anomaly.kind, Reverse(anomaly.margin_ns), anomaly.at_ns))
    }

    /// The proven anomaly to look at closely: the first one that is not much less grave than the worst. What caused it
    /// is still near then, and little else has gone wrong yet.
    pub(super) fn telling_anomaly(&self) -> Option<&'a Anomaly> {
        let worst = self.worst_anomaly()?;
        let as_grave = |anomaly: &&Anomaly| anomaly.kind == worst.kind && anomaly.margin_ns >= worst.margin_ns / 2;
        self.proven().filter(as_grave).min_by_key(|anomaly| anomaly.at_ns)
    }

    /// The faults that were injected: one that waited for something in vain is in the list of them, and in no picture.
    pub(super) fn injected(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| !matches!(fault.effect, Effect::NotCalledFor(_)))
    }

    /// The faults that tell the most: those around the first and the worst anomaly, then the earliest. In the order of
    /// their beginnings.
    pub(super) fn faults_to_tell(&self, at_most: usize) -> Vec<&Fault> {
        let moments: Vec<RunTime> =
            [self.first_anomaly(), self.worst_anomaly()].into_iter().flatten().map(|a| RunTime(a.at_ns)).collect();
        let mut faults: Vec<&Fault> = self.faults.iter().collect();
        faults.sort_by_key(|fault| !moments.iter().any(|at| fault.touches(*at)));
        faults.truncate(at_most);
        faults.sort_by_key(|fault| (fault.from, fault.number));
        faults
    }

    /// The anomalies that no correct service could have shown.
    pub(super) fn proven(&self) -> impl Iterator<Item = &'a Anomaly> + use<'a> {
        self.judgement.anomalies.iter().filter(|anomaly| anomaly.grade == Grade::Proven)
    }

    /// Whether the record is another tool's, of whose servers and promises nothing is known.
    pub(super) fn is_foreign(&self) -> bool {
        self.history.header.service.is_empty()
    }

    /// Whether the run was about registers, which nobody holds.
    pub(super) fn is_about_registers(&self) -> bool {
        self.history.header.model == CAS_REGISTER
    }

    /// Whether an anomaly is one of operations that no order explains.
    pub(super) fn cannot_be_ordered(&self, anomaly: &Anomaly) -> bool {
        anomaly.kind == AnomalyKind::Nonlinearizable
    }

    /// What a proven anomaly of this run is called, in two words.
    pub(super) fn offence(&self) -> &'static str {
        let mut kinds = self.proven().map(|anomaly| anomaly.kind);
        match kinds.next() {
            Some(first) if kinds.all(|kind| kind == first) => offence(first),
            _ => "broken promise",
        }
    }

    /// What was asked by an op and answered, beyond what every op has.
    pub(super) fn exchange(&self, op: &Op) -> Exchange {
        self.exchanges.of(op)
    }

    /// The same, in a few words.
    pub(super) fn deed(&self, op: &Op) -> String {
        self.exchange(op).deed(op)
    }

    /// How many operations of this name ended so.
    pub(super) fn count(&self, f: &str, outcome: Outcome) -> usize {
        self.ops.iter().filter(|op| op.f == f && op.outcome == outcome).count()
    }
}

/// What a proven anomaly of this kind is called, in two words. A job that ran twice, and two who believed, are nobody's promise.
pub(super) fn offence(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::DoubleRun => "double run",
        AnomalyKind::SplitBelief => "split belief",
        _ => "broken promise",
    }
}

/// From when until when the promise stood broken, in ns.
pub(super) fn broken_span(anomaly: &Anomaly) -> (u64, u64) {
    let Anomaly { at_ns, margin_ns, lease_gone_for_ns, .. } = *anomaly;
    if let Some(gone_for_ns) = lease_gone_for_ns {
        return (at_ns, at_ns.saturating_add(gone_for_ns));
    }
    match anomaly.kind {
        AnomalyKind::OverdueExpiry => (at_ns.saturating_sub(margin_ns), at_ns),
        AnomalyKind::DoubleAcquisition
        | AnomalyKind::DoubleRun
        | AnomalyKind::PrematureExpiry
        | AnomalyKind::Nonlinearizable
        | AnomalyKind::PhantomGrant
        | AnomalyKind::LostGrant
        | AnomalyKind::Fencing
        | AnomalyKind::LockDelayBroken
        | AnomalyKind::StaleRead
        | AnomalyKind::Divergence
        | AnomalyKind::Lockup
        | AnomalyKind::SplitBelief => (at_ns, at_ns.saturating_add(margin_ns)),
    }
}

/// What locked up, as the checker's own explanation says at its beginning: all, one server, or one request.
pub(super) fn who_locked_up(explanation: &str) -> Cow<'static, str> {
    const NAME_MAX: usize = 12;
    match explanation.split_once(" locked up") {
        Some(("the whole cluster", _)) | None => Cow::Borrowed("the cluster"),
        Some(("a request", _)) => Cow::Borrowed("a request"),
        Some((node, _)) if node.len() <= NAME_MAX && node.chars().all(char::is_alphanumeric) => {
            Cow::Owned(format!("server {node}"))
        }
        Some(_) => Cow::Borrowed("a server"),
    }
}

/// What an anomaly means, about one lock, in the fewest words.
pub(super) fn in_words(anomaly: &Anomaly) -> Cow<'static, str> {
    Cow::Borrowed(match anomaly.kind {
        AnomalyKind::DoubleAcquisition if anomaly.lease_gone_for_ns.is_some() => {
            "a client was told that it held a lock that was another's"
        }
        AnomalyKind::DoubleAcquisition => "one lock was promised to two clients at once",
        AnomalyKind::DoubleRun => "a job ran twice at once",
        AnomalyKind::PrematureExpiry => "a lease ended before its time",
        AnomalyKind::Nonlinearizable => "no order of the operations explains all answers",
        AnomalyKind::PhantomGrant => "a client was told that it had been given a lock and never was",
        AnomalyKind::LostGrant => "a client was told one thing of a grant, and the service knew another",
        AnomalyKind::Fencing => "a fencing token did not grow",
        AnomalyKind::LockDelayBroken => "a lock was given away before its delay had passed",
        AnomalyKind::StaleRead => "a read that was promised to be current was not",
        AnomalyKind::Divergence => "servers went on to show different values of one thing",
        AnomalyKind::Lockup => {
            let who = who_locked_up(&anomaly.explanation);
            return Cow::Owned(match anomaly.signature {
                _ if who == "a request" => "a request was left without an answer although nothing was wrong".to_owned(),
                Some(Signature::Deaf) => format!("{who} answered nobody although its process ran"),
                _ => format!("{who} stopped serving although nothing was wrong with it"),
            });
        }
        AnomalyKind::SplitBelief => "two clients each had reason to believe that they held one lock",
        AnomalyKind::OverdueExpiry => "a lease outlived the time by which it had to end",
    })
}

#[cfg(test)]
mod tests {
    use super::who_locked_up;

    #[test]
    fn a_lockup_is_of_all_of_one_server_or_of_one_request() {
        let told = [
            ("the whole cluster locked up: no write on any node was served", "the cluster"),
            ("n2 locked up: none of 48 requests to it was served", "server n2"),
            ("n3 locked up for reads: none of 9 was served", "server n3"),
            ("a request locked up: process 3's read of `x` through n1 got no answer", "a request"),
            ("<b>n1</b> locked up", "a server"),
            ("something else", "the cluster"),
        ];
        for (explanation, who) in told {
            assert_eq!(who_locked_up(explanation), who);
        }
    }
}
