//! Whether what is assumed about clocks holds.
//!
//! All definitions rest on the harness's clock, and on `rho`: no server's clock runs faster or slower than that by a greater
//! share than the run declares. (An *offset* breaks no assumption: to keep its word in spite of one is the service's business.)
//! That the harness's own times do not go back is a matter of [`super::well_formed`].
//!
//! Between two measurements of a node's wall clock its rate was certainly wrong by at least
//! `(|difference of the offsets| - both uncertainties) / time between them`. Where that exceeds the declared error by more than
//! [`TOLERATED_PPM`], the assumption fails and the verdict is `unknown`. Measurements that a fault of clocks was active at or between are not
//! compared, for such a fault sets clocks; nor are those closer together than [`APART`]. A fault that has clocks *drift* sets them only
//! when it is taken back. Until then they are compared, and so what the run declares is held against what was measured.
//!
//! A fault of clocks that shows no effect and was never measured while it lasted is named: nobody knows whether it bit.

use std::time::Duration;

use super::Run;
use crate::context::Fault;
use crate::explain::{Count, human};
use crate::history::RunTime;
use crate::history::vocabulary::ClockValue;
use crate::verdict::{Anomaly, CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "clock";

/// Wall clocks are steered by so much without anybody's fault: the kernel slews at 500 ppm, and each of two clocks may be.
pub const TOLERATED_PPM: u64 = 1_000;

/// Measurements closer together say more about steps than about rates.
pub const APART: Duration = Duration::from_secs(5);

/// Compares what was measured of the clocks with what the run declares.
#[must_use]
pub fn check(run: &Run<'_>) -> (CheckerResult, Vec<Anomaly>) {
    let declared = run.header.clock_rate_error_ppm;
    let worst =
        run.probes.clocks.iter().filter_map(|(node, readings)| Some((certain_drift_ppm(run, readings)?, node))).max();
    let result = match worst {
        Some((drift, node)) if drift > declared.saturating_add(TOLERATED_PPM) => CheckerResult {
            verdict: Verdict::Unknown,
            reason: format!(
                "the clock of {node} ran wrong by {drift} ppm at least, and the run declares {declared} ppm"
            ),
        },
        _ => CheckerResult { verdict: Verdict::Valid, reason: what_was_measured(run) },
    };
    (result, Vec::new())
}

/// By how much the rate of a node's clock was wrong at least, while no clock was being moved.
///
/// In each stretch the first reading is compared with each that is far enough from it: a clock that drifts evenly is
/// furthest off at the end.
fn certain_drift_ppm(run: &Run<'_>, readings: &[(RunTime, ClockValue)]) -> Option<u64> {
    let may_be_set = |from, until| run.context.faults.iter().any(|fault| fault.may_set_clocks(from, until));
    let mut first: Option<&(RunTime, ClockValue)> = None;
    let mut worst = None;
    for reading in readings {
        match first {
            _ if may_be_set(reading.0, reading.0) => first = None,
            Some(before) if !may_be_set(before.0, reading.0) => worst = worst.max(drift_ppm(before, reading)),
            _ => first = Some(reading),
        }
    }
    worst
}

fn drift_ppm((at, before): &(RunTime, ClockValue), (later, after): &(RunTime, ClockValue)) -> Option<u64> {
    let apart = later.since(*at);
    if apart < APART {
        return None;
    }
    let moved = u128::from(before.offset_ns.abs_diff(after.offset_ns));
    let unsure = u128::from(before.uncertainty_ns) + u128::from(after.uncertainty_ns);
    u64::try_from(moved.saturating_sub(unsure) * 1_000_000 / apart.as_nanos()).ok()
}

fn what_was_measured(run: &Run<'_>) -> String {
    let measured: usize = run.probes.clocks.values().map(Vec::len).sum();
    let readings = run.probes.clocks.iter().flat_map(|(node, readings)| readings.iter().map(move |(_, c)| (c, node)));
    let furthest = readings.max_by_key(|(clock, _)| clock.offset_ns.unsigned_abs());
    let known = match furthest {
        None => "no clock of a node was measured".to_owned(),
        Some((clock, node)) => {
            let offset = human(Duration::from_nanos(clock.offset_ns.unsigned_abs()));
            let which = if clock.offset_ns < 0 { "behind" } else { "ahead" };
            format!("{}, at most {offset} {which}, on {node}", Count(measured, "measurement"))
        }
    };
    let unknown: Vec<&str> =
        run.context.faults.iter().filter(|fault| !is_measured(run, fault)).map(|fault| fault.what.as_str()).collect();
    if unknown.is_empty() { known } else { format!("{known}; never measured: {}", unknown.join(", ")) }
}

/// Whether a fault of clocks shows its effect, by itself or in a measurement made while it lasted.
fn is_measured(run: &Run<'_>, fault: &Fault) -> bool {
    let during =
        |(at, _): &(RunTime, ClockValue)| fault.in_place.is_some_and(|from| from < *at) && fault.is_active(*at);
    !fault.is_of_clocks() || fault.in_place.is_some() && fault.bit || run.probes.clocks.values().flatten().any(during)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Fault, Script, script};

    fn word_on(script: Script) -> (Verdict, String) {
        let judgement = crate::check(&script.acquire(1, "a", 20_000..20_010, 3_000).history());
        let word = &judgement.checkers[NAME];
        (word.verdict, word.reason.clone())
    }

    const AHEAD: Fault<'_> = Fault(1, "clock", "clock +9 s", "n3");

    #[test]
    fn clocks_that_keep_time() {
        let steady = script().clock(0, "n1", 0, 1).clock(6_000, "n1", 1, 1).clock(6_000, "n2", -40, 1);
        assert_eq!(word_on(steady), (Verdict::Valid, "3 measurements, at most 40 ms behind, on n2".to_owned()));
        assert_eq!(word_on(script()), (Verdict::Valid, "no clock of a node was measured".to_owned()));
    }

    #[test]
    fn a_clock_that_runs_faster_than_the_run_declares() {
        let fast = || script().clock(0, "n1", 0, 1).clock(10_000, "n1", 102, 1);
        let reason = "the clock of n1 ran wrong by 10000 ppm at least, and the run declares 0 ppm";
        assert_eq!(word_on(fast()), (Verdict::Unknown, reason.to_owned()));
        assert_eq!(word_on(fast().header(|header| header.clock_rate_error_ppm = 9_000)).0, Verdict::Valid);
        assert_eq!(word_on(fast().header(|header| header.clock_rate_error_ppm = 8_999)).0, Verdict::Unknown);
    }

    #[test]
    fn a_measurement_that_is_not_sure_proves_nothing() {
        assert_eq!(word_on(script().clock(0, "n1", 0, 60).clock(10_000, "n1", 102, 60)).0, Verdict::Valid);
        assert_eq!(word_on(script().clock(0, "n1", 0, 1).clock(4_999, "n1", 900, 1)).0, Verdict::Valid);
    }

    #[test]
    fn a_clock_that_is_moved_does_not_run_wrong() {
        let moved = || script().clock(0, "n3", 0, 1).fault(AHEAD, 5_000..5_010, Some(15_000..15_100));
        assert_eq!(word_on(moved().clock(6_000, "n3", 9_000, 1).clock(15_050, "n3", 0, 1)).0, Verdict::Valid);
        assert_eq!(word_on(moved().clock(16_000, "n3", 30, 1)).0, Verdict::Valid);
        assert_eq!(word_on(moved().clock(15_200, "n3", 0, 1).clock(20_400, "n3", 900, 1)).0, Verdict::Unknown);
    }

    const FAST: Fault<'_> = Fault(1, "clock-drift", "clock +10000 ppm", "n3");

    #[test]
    fn a_drift_must_be_declared() {
        let fast = || script().fault(FAST, 1_000..1_100, Some(15_000..15_300)).clock(2_000, "n3", 10, 1);
        let of = |declared, script: Script| word_on(script.header(|header| header.clock_rate_error_ppm = declared)).0;
        assert_eq!(of(10_000, fast().clock(14_000, "n3", 130, 1)), Verdict::Valid);
        assert_eq!(of(0, fast().clock(14_000, "n3", 130, 1)), Verdict::Unknown);
        assert_eq!(
            of(0, script().clock(900, "n3", 0, 1).fault(FAST, 1_000..1_100, None).clock(14_000, "n3", 130, 1)),
            Verdict::Unknown
        );
    }

    #[test]
    fn a_drift_that_is_taken_back_sets_the_clock() {
        let healed = || script().fault(FAST, 1_000..1_100, Some(15_000..15_300)).clock(2_000, "n3", 10, 1);
        assert_eq!(word_on(healed().clock(15_100, "n3", 140, 1)).0, Verdict::Valid);
        assert_eq!(word_on(healed().clock(20_000, "n3", 140, 1)).0, Verdict::Valid);
        assert_eq!(word_on(healed().clock(15_400, "n3", 0, 1).clock(25_000, "n3", 140, 1)).0, Verdict::Unknown);
    }

    #[test]
    fn a_move_that_nobody_measured_is_named() {
        use crate::history::EventType;
        use crate::history::vocabulary::FaultPhase;
        let begun = |kind| {
            let invoked = script().nemesis(1_000, EventType::Invoke, FaultPhase::Inject, AHEAD);
            invoked.nemesis(1_010, kind, FaultPhase::Inject, AHEAD)
        };
        let unmeasured = "no clock of a node was measured; never measured: clock +9 s on n3".to_owned();
        assert_eq!(word_on(begun(EventType::Info)), (Verdict::Valid, unmeasured));
        assert_eq!(word_on(begun(EventType::Ok)).1, "no clock of a node was measured");
        let measured = begun(EventType::Info).clock(2_000, "n3", 9_000, 1);
        assert_eq!(word_on(measured).1, "1 measurement, at most 9 s ahead, on n3");
    }
}
