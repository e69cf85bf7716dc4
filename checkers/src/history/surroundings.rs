//! What happened around the clients' operations: faults, who led the cluster, and what the watches saw.

use super::ops::{malformed, value_of};
use super::vocabulary::{ClockValue, FaultValue, LeaderValue, OwnerValue, f};
use super::{Event, EventType, Flaw, FlawKind, History, Process, RunTime, Word};

/// The events of the nemesis, the probes and the watches, each kind in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// When the record begins, which is with its first event, whoever made it. What was before it nobody knows.
    pub begin: Option<RunTime>,
    /// What the nemesis did.
    pub faults: Vec<FaultEvent>,
    /// Who led, each time that a node answered.
    pub leaders: Vec<LeaderView>,
    /// The holds that watches saw end.
    pub losses: Vec<WatchedLoss>,
    /// Where the record of them breaks an assumption.
    pub flaws: Vec<Flaw>,
}

/// One event of the nemesis.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultEvent {
    /// When.
    pub time: RunTime,
    /// Whether it was begun or done, and if it was done, whether it bit.
    pub kind: EventType,
    /// The package: `clock`, `pause`, …
    pub package: Word,
    /// The fault.
    pub value: FaultValue,
}

/// Who leads, as one node said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// When the answer came.
    pub time: RunTime,
    /// Who said so.
    pub node: Word,
    /// The leader, where the node knew one.
    pub leader: Option<String>,
    /// The term or epoch.
    pub term: u64,
}

/// The end of a hold, as a watch saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedLoss {
    /// When word of it came; the hold ended then or earlier.
    pub time: RunTime,
    /// The lock.
    pub key: Word,
    /// The owner that holds it no more.
    pub owner: String,
    /// How it ended.
    pub loss: Loss,
}

/// How a hold ended, as far as the service tells its watchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// Its lease ran out.
    Expired,
    /// Its holder let go, or a write replaced it.
    Released,
    /// The key vanished; the service does not tell why.
    Deleted,
}

impl Surroundings {
    /// Picks the events out of a history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let begin = history.events.first().map(|event| event.time);
        let mut all = Self { begin, ..Self::default() };
        for (line, event) in history.lines() {
            if let Err(kind) = all.take(event) {
                all.flaws.push(Flaw { line, kind });
            }
        }
        all
    }

    /// Takes an event, if it is one of these.
    pub(crate) fn take(&mut self, event: &Event) -> Result<(), FlawKind> {
        match (event.process, event.kind) {
            (Process::Nemesis, _) => self.take_fault(event),
            (Process::Probe, EventType::Ok) if event.f == f::LEADER => self.take_leader(event),
            (Process::Probe, EventType::Ok) if event.f == f::HOST_CLOCK => see_host_clock(event),
            (Process::Watch, EventType::Ok) => self.take_loss(event),
            _ => Ok(()),
        }
    }

    fn take_fault(&mut self, event: &Event) -> Result<(), FlawKind> {
        let value: FaultValue = value_of(event)?;
        self.faults.push(FaultEvent { time: event.time, kind: event.kind, package: event.f.clone(), value });
        Ok(())
    }

    fn take_leader(&mut self, event: &Event) -> Result<(), FlawKind> {
        let LeaderValue { leader, term } = value_of(event)?;
        let node = event.node.clone().ok_or_else(|| malformed(event, "a probe must name the node that it asked"))?;
        self.leaders.push(LeaderView { time: event.time, node, leader, term });
        Ok(())
    }

    fn take_loss(&mut self, event: &Event) -> Result<(), FlawKind> {
        let loss = match event.f.as_str() {
            f::EXPIRED => Loss::Expired,
            f::RELEASED => Loss::Released,
            f::DELETED => Loss::Deleted,
            _ => return Ok(()),
        };
        let OwnerValue { owner, .. } = value_of(event)?;
        let key = event.key.clone().unwrap_or_default();
        self.losses.push(WatchedLoss { time: event.time, key, owner, loss });
        Ok(())
    }
}

/// The machine's wall clock may be slewed a little, but not set while servers count TTLs by it: a service that trusts it would
/// be blamed for what the machine did.
fn see_host_clock(event: &Event) -> Result<(), FlawKind> {
    const TOLERATED_NS: u64 = 100_000_000;
    let ClockValue { offset_ns, uncertainty_ns } = value_of(event)?;
    let certainly_moved_ns = offset_ns.unsigned_abs().saturating_sub(uncertainty_ns);
    if certainly_moved_ns > TOLERATED_NS {
        Err(FlawKind::HostClockMoved { by_ms: offset_ns / 1_000_000 })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Event, EventType, Process};
    use crate::script::{ms, script};
    use crate::verdict::Verdict;

    #[test]
    fn nothing_is_judged_where_the_machines_own_clock_was_set() {
        let judged = |offset_ms: i64, uncertainty_ms: u64| {
            let mut history = script().acquire(1, "a", 0..100, 3_000).history();
            let value = serde_json::json!({
                "offset_ns": offset_ms * 1_000_000,
                "uncertainty_ns": uncertainty_ms * 1_000_000,
            });
            let (process, kind, f) = (Process::Probe, EventType::Ok, "host-clock".into());
            let value = value.into();
            history.events.push(Event { time: ms(200), process, kind, f, key: None, value, node: None, error: None });
            crate::check(&history)
        };
        assert_eq!(judged(90, 0).verdict, Verdict::Valid);
        assert_eq!(judged(-400, 350).verdict, Verdict::Valid);
        let moved = judged(-2_000, 1);
        assert_eq!(moved.verdict, Verdict::Unknown);
        assert!(moved.checkers["well-formed"].reason.contains("the machine's own wall clock was moved by -2000 ms"));
    }
}
