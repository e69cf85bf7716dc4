//! Registers whose answers no order of the operations explains.
//!
//! The registers of a run begin without a value, `null`, for the cluster is its own. Reads that need not be current
//! (`local-read`) are left out. A swap that found another value says nothing, for the answer does not tell which it found. The
//! search is that of [`crate::linear::live`], with what a run may take of memory: where that does not suffice the verdict is
//! `unknown`.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::{Finding, Run};
use crate::explain::{Count, lock};
use crate::history::{Event, EventType, Process, RunTime};
use crate::linear::live::{Live, Objects, SoFar};
use crate::linear::register::NullReads;
use crate::linear::{Budget, CallsError, Fails, Reading, Witness};
use crate::part::Part;
use crate::verdict::{Anomaly, AnomalyKind, CheckerResult, Grade, Verdict};

/// The name of this checker.
pub const NAME: &str = "nonlinearizable";

/// What the search may take of memory, for all registers.
const MEMORY_BYTES: usize = 512 << 20;
/// How far back it is known when an op ended.
const ENDS: usize = 1 << 16;

/// Tells which registers' answers cannot be ordered.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let Some(registers) = run.registers else {
        let reason = "there are no registers".to_owned();
        return (CheckerResult { verdict: Verdict::Unknown, reason }, Vec::new());
    };
    let anomalies: Vec<Anomaly> = registers.broken.iter().map(|(key, found)| found.anomaly(run, key)).collect();
    let keys = Count(registers.live.keys(), "register");
    let (verdict, reason) = match (anomalies.len(), &registers.error, &registers.undecided) {
        (0, Some(error), _) => (Verdict::Unknown, error.to_string()),
        (0, None, Some((key, reason))) => (Verdict::Unknown, format!("{reason}, of {}", lock(key))),
        (0, None, None) => (Verdict::Valid, format!("the ops on {keys} can be ordered")),
        (broken, ..) => (Verdict::Invalid, format!("{broken} of {keys} cannot be ordered")),
    };
    (CheckerResult { verdict, reason }, anomalies)
}

/// The registers of a run, searched while it happens.
#[derive(Debug)]
pub struct Registers {
    live: Live<'static>,
    /// When ops ended, the last ones.
    ends: VecDeque<(usize, RunTime)>,
    under_way: BTreeMap<u64, usize>,
    ops: usize,
    broken: BTreeMap<String, Found>,
    /// A register that the search could not decide, and why.
    undecided: Option<(String, String)>,
    error: Option<CallsError>,
}

#[derive(Debug)]
struct Found {
    witness: Witness,
    /// When the answer was given that cannot be explained.
    at: RunTime,
}

impl Default for Registers {
    fn default() -> Self {
        let reading = Reading { fails: Fails::Ignore, initial: Some(Value::Null), nulls: NullReads::Observe };
        // The same history gives the same verdict, so no clock ends the search.
        let budget = Budget { out_of_time: &|| false, memory_bytes: MEMORY_BYTES };
        Self {
            live: Live::new(Objects::Registers(reading), budget),
            ends: VecDeque::new(),
            under_way: BTreeMap::new(),
            ops: 0,
            broken: BTreeMap::new(),
            undecided: None,
            error: None,
        }
    }
}

impl Registers {
    /// Those of a part alone.
    pub(crate) fn of_part(self, part: Part) -> Self {
        Self { live: self.live.of_part(part), ..self }
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self, event: &Event) {
        if self.error.is_some() {
            return;
        }
        self.note_end(event);
        match self.live.feed(event) {
            Ok(()) => self.note_broken(event.time),
            Err(error) => self.error = Some(error),
        }
    }

    /// Searches what still waits for an answer. Nothing comes any more.
    pub(crate) fn conclude(&mut self, end: RunTime) {
        if let SoFar::Undecided { key, reason } = self.live.now() {
            self.undecided = Some((key, reason));
        }
        self.note_broken(end);
    }

    fn note_end(&mut self, event: &Event) {
        let Process::Client(process) = event.process else { return };
        if event.kind == EventType::Invoke {
            self.under_way.insert(process, self.ops);
            self.ops += 1;
        } else if let Some(op) = self.under_way.remove(&process) {
            self.ends.push_back((op, event.time));
            if self.ends.len() > ENDS {
                self.ends.pop_front();
            }
        }
    }

    fn note_broken(&mut self, now: RunTime) {
        if self.broken.len() == self.live.broken().len() {
            return;
        }
        for (key, witness) in self.live.broken() {
            let ended = self.ends.iter().find(|(op, _)| *op == witness.stuck_at).map(|(_, ended)| *ended);
            let found = || Found { witness: witness.clone(), at: ended.unwrap_or(now) };
            self.broken.entry(key.clone()).or_insert_with(found);
        }
    }
}

impl Found {
    fn anomaly(&self, run: &Run<'_>, key: &str) -> Anomaly {
        let anomaly = run.anomaly(Finding {
            kind: AnomalyKind::Nonlinearizable,
            grade: Grade::Proven,
            key,
            ops: self.witness.ops.clone(),
            at: self.at,
            margin_ns: 0,
            explanation: self.witness.explanation.clone(),
        });
        Anomaly { stuck: Some(self.witness.stuck()), ..anomaly }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use serde_json::{Value, json};

    use crate::history::{CAS_REGISTER, EventType};
    use crate::live::{Judge, Settling};
    use crate::script::{Script, script};
    use crate::verdict::{AnomalyKind, Judgement, Verdict};

    fn registers() -> Script {
        let registers = script().header(|header| {
            header.model = CAS_REGISTER.to_owned();
            header.workload = "register".to_owned();
        });
        registers.on("registers/1")
    }

    trait Register {
        fn op(self, process: u64, f: &str, at: Range<u64>, asked: Value, told: Value) -> Self;
    }

    impl Register for Script {
        fn op(self, process: u64, f: &str, at: Range<u64>, asked: Value, told: Value) -> Self {
            self.client(at.start, process, EventType::Invoke, f, asked, None).client(
                at.end,
                process,
                EventType::Ok,
                f,
                told,
                None,
            )
        }
    }

    fn written() -> Script {
        registers().op(1, "read", 0..10, json!(null), json!(null)).op(1, "write", 20..30, json!(7), json!(7)).op(
            2,
            "cas",
            40..50,
            json!([7, 1_000]),
            json!([7, 1_000]),
        )
    }

    #[track_caller]
    fn judged(script: Script) -> Judgement {
        let history = script.history();
        let whole = crate::check(&history);
        let settling = Settling { linger: std::time::Duration::ZERO, every: 1 };
        let mut live = Judge::that_settles(history.header.clone(), settling);
        history.events.iter().for_each(|event| live.observe(event));
        let live = live.finish(false).expect("registers have no past that could be named");
        assert_eq!(live.to_json(), whole.to_json());
        whole
    }

    #[test]
    fn a_stale_read_is_found_with_its_ops_and_its_time() {
        let stale = judged(written().op(3, "read", 60..70, json!(null), json!(7)));
        assert_eq!(stale.verdict, Verdict::Invalid);
        let [found] = &stale.anomalies[..] else { panic!("{stale:?}") };
        assert_eq!(
            (found.kind, found.ops.clone(), found.at_ns),
            (AnomalyKind::Nonlinearizable, vec![1, 2, 3], 70_000_000)
        );
    }

    #[test]
    fn a_lost_write_a_lost_swap_and_a_value_from_nowhere() {
        for seen in [json!(null), json!(7), json!(99)] {
            assert_eq!(judged(written().op(3, "read", 60..70, json!(null), seen)).verdict, Verdict::Invalid);
        }
        assert_eq!(
            judged(written().op(3, "cas", 60..70, json!([7, 2_000]), json!([7, 2_000]))).verdict,
            Verdict::Invalid
        );
    }

    #[test]
    fn what_is_current_is_valid_and_so_is_an_old_answer_to_a_local_read() {
        let current = written().op(3, "read", 60..70, json!(null), json!(1_000));
        assert_eq!(judged(current.clone()).verdict, Verdict::Valid);
        let judgement = judged(current.op(3, "local-read", 80..90, json!(null), json!(7)));
        assert_eq!(judgement.verdict, Verdict::Valid);
        assert_eq!(judgement.checkers["nonlinearizable"].reason, "the ops on 1 register can be ordered");
        assert!(!judgement.checkers.contains_key("double-acquisition"));
    }

    #[test]
    fn each_broken_register_is_told() {
        let two = written()
            .op(3, "read", 60..70, json!(null), json!(7))
            .on("registers/2")
            .op(1, "write", 80..90, json!(8), json!(8))
            .op(1, "read", 100..110, json!(null), json!(null));
        let keys: Vec<_> = judged(two).anomalies.into_iter().map(|anomaly| anomaly.key).collect();
        assert_eq!(keys, ["registers/1", "registers/2"]);
    }

    #[test]
    fn registers_that_nobody_wrote_were_not_tested() {
        let idle = judged(registers().op(1, "read", 0..10, json!(null), json!(null)));
        assert_eq!(idle.verdict, Verdict::Unknown);
        assert!(idle.checkers["activity"].reason.starts_with("no write succeeded"), "{idle:?}");
    }
}
