//! Whether anything happened that could be judged: a lock that nobody got was never tested, nor was a
//! register that nobody wrote.

use super::Run;
use crate::explain::Count;
use crate::history::vocabulary::f;
use crate::verdict::{Anomaly, CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "activity";

/// Says `unknown` where no acquisition succeeded, or where faults were injected and not one is seen to have taken effect.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let (granted, what) = match run.registers {
        None => (run.totals.grants, "acquisition"),
        Some(_) => {
            let written = [f::WRITE, f::CAS].into_iter().filter_map(|kind| run.totals.by_kind.get(kind));
            (written.map(|tried| tried.ok).sum(), "write")
        }
    };
    let ops = Count(run.totals.ops, "op");
    let faults = run.context.faults.len();
    let missed = run.context.faults.iter().filter(|fault| !fault.bit).count();
    let (verdict, reason) = if granted == 0 {
        (Verdict::Unknown, format!("no {what} succeeded in {ops}"))
    } else if faults > 0 && missed == faults {
        (Verdict::Unknown, format!("none of the faults took effect, as far as is known, of {}", Count(faults, "fault")))
    } else {
        let granted = Count(granted, what);
        let without_effect = match missed {
            0 => String::new(),
            missed => format!("; {missed} of {} had no effect that is known", Count(faults, "fault")),
        };
        (Verdict::Valid, format!("{granted} succeeded in {ops}{without_effect}"))
    };
    (CheckerResult { verdict, reason }, Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::history::EventType;
    use crate::script::{Fault, script};
    use crate::verdict::Verdict;

    #[test]
    fn a_run_whose_faults_all_missed_is_no_pass() {
        let pause = |number| Fault(number, "pause", "pause", "n1");
        let one = script().acquire(1, "a", 0..100, 3_000).fault(pause(1), 200..210, Some(300..310)).history();
        assert_eq!(crate::check(&one).verdict, Verdict::Valid);
        let mut missed = one.clone();
        for event in &mut missed.events {
            if event.f == "pause" && event.kind == EventType::Ok {
                event.kind = EventType::Info;
            }
        }
        let judgement = crate::check(&missed);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(judgement.checkers["activity"].reason.contains("1 fault"), "{judgement:?}");
    }
}
