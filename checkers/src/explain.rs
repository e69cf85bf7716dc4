//! Words for people: what a tired engineer needs to know, in one plain sentence.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use crate::context::{Context, Fault, JUST_ENDED};
use crate::history::RunTime;

/// How many faults a sentence names.
const CAUSES_MAX: usize = 3;

/// A length of time in three digits: `120 ms`, `8.83 s`, `61.5 s`.
#[must_use]
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (amount, unit) = if seconds < 0.999_5 { (seconds * 1e3, "ms") } else { (seconds, "s") };
    let digits = match amount {
        amount if amount < 9.995 => 2,
        amount if amount < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{amount:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "0" { "less than 0.01 ms".to_owned() } else { format!("{text} {unit}") }
}

/// An instant, told from what may explain it, the likeliest first: the faults that are at work, then those that have just
/// ended, each the latest first; then the leader, if it was seen to change after all that. Where there is nothing of the
/// kind, it is told from the start of the run.
///
/// `120 ms into clock +9 s on n3, 30 ms after pause on n1 ended`
#[must_use]
pub fn when(context: &Context, at: RunTime) -> String {
    let mut causes: Vec<Cause> = context.faults.iter().filter_map(|fault| Cause::of(fault, at)).collect();
    causes.sort_by_key(|cause| (!cause.bit, !cause.is_active, Reverse(cause.since)));
    let newest = causes.iter().map(|cause| cause.since).max();
    let mut parts: Vec<String> = causes.iter().take(CAUSES_MAX).map(|cause| cause.words.clone()).collect();
    match causes.len().saturating_sub(CAUSES_MAX) {
        0 => {}
        1 => parts.push("and near one more fault".to_owned()),
        more => parts.push(format!("and near {more} more faults")),
    }
    let change = context.leader_changes.iter().rev().find(|change| change.seen <= at);
    let is_news = |seen: &RunTime| at.since(*seen) <= JUST_ENDED && newest.is_none_or(|newest| newest < *seen);
    if let Some(change) = change.filter(|change| is_news(&change.seen)) {
        let ago = human(at.since(change.seen));
        parts.push(format!("{ago} after {} was seen to lead in term {}", change.leader, change.term));
    }
    if parts.is_empty() { format!("{} into the run", human(at.since(RunTime::default()))) } else { parts.join(", ") }
}

/// A fault that may explain what was seen at an instant.
struct Cause {
    bit: bool,
    is_active: bool,
    /// When it last changed: began, was in place, began to be healed, or ended.
    since: RunTime,
    words: String,
}

impl Cause {
    /// Nothing that happened later is looked at, but whether the fault took effect.
    fn of(fault: &Fault, at: RunTime) -> Option<Self> {
        let past = |time: Option<RunTime>| time.filter(|time| *time <= at);
        let what = fault.in_words();
        let (is_active, since, words) = if fault.begun > at {
            return None;
        } else if let Some(ended) = fault.ended.filter(|ended| *ended < at) {
            if at.since(ended) > JUST_ENDED {
                return None;
            }
            (false, ended, format!("{} after {what} ended", human(at.since(ended))))
        } else if let Some(healing) = past(fault.healing) {
            (true, healing, format!("{} into the healing of {what}", human(at.since(healing))))
        } else if let Some(in_place) = past(fault.in_place) {
            (true, in_place, format!("{} into {what}", human(at.since(in_place))))
        } else {
            (true, fault.begun, format!("{} into the injection of {what}", human(at.since(fault.begun))))
        };
        Some(Self { bit: fault.bit, is_active, since, words })
    }
}

/// A lock by name, or `the lock` where it has none.
#[must_use]
pub fn lock(key: &str) -> String {
    if key.is_empty() { "the lock".to_owned() } else { format!("`{key}`") }
}

/// A number of things: `1 grant`, `3 grants`.
#[derive(Clone, Copy)]
pub(crate) struct Count(pub(crate) usize, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, thing) = self;
        write!(f, "{number} {thing}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::vocabulary::FaultPhase;
    use crate::history::{EventType, Surroundings};
    use crate::script::{Fault, Script, ms, script};

    #[test]
    fn lengths_of_time_have_three_digits() {
        let words = |nanos| human(Duration::from_nanos(nanos));
        assert_eq!(words(120_000_000), "120 ms");
        assert_eq!(words(8_830_000_000), "8.83 s");
        assert_eq!(words(61_500_000_000), "61.5 s");
        assert_eq!(words(3_600_000_000_000), "3600 s");
        assert_eq!(words(9_000_000_000), "9 s");
        assert_eq!(words(1_500_000), "1.5 ms");
        assert_eq!(words(999_400_000), "999 ms");
        assert_eq!(words(999_600_000), "1 s");
        assert_eq!(words(9_996_000_000), "10 s");
        assert_eq!(words(400), "less than 0.01 ms");
        assert_eq!(words(0), "less than 0.01 ms");
    }

    fn told(script: Script, at: u64) -> String {
        when(&Context::of(&Surroundings::of(&script.history())), ms(at))
    }

    #[test]
    fn a_fault_is_named_from_its_injection_until_it_is_long_over() {
        let clock = Fault(1, "clock", "clock +9 s", "n3");
        let run = || script().fault(clock, 1_000..1_100, Some(4_000..4_100)).leader(0, "n1", Some("n1"), 4);
        assert_eq!(told(run(), 900), "900 ms into the run");
        assert_eq!(told(run(), 1_050), "50 ms into the injection of clock +9 s on n3");
        assert_eq!(told(run(), 1_220), "120 ms into clock +9 s on n3");
        assert_eq!(told(run(), 4_020), "20 ms into the healing of clock +9 s on n3");
        assert_eq!(told(run(), 4_130), "30 ms after clock +9 s on n3 ended");
        assert_eq!(told(run(), 14_101), "14.1 s into the run");
    }

    #[test]
    fn faults_at_work_come_before_those_that_ended_and_the_latest_first() {
        let frozen = Fault(1, "disk", "disk (frozen)", "n1");
        let cut = Fault(2, "partition", "isolate", "n2");
        let killed = Fault(3, "kill", "kill", "n3");
        let run = || {
            let ended = script().fault(frozen, 1_000..1_100, Some(4_000..4_100));
            ended.fault(cut, 2_000..2_100, None).fault(killed, 3_000..3_100, Some(4_200..4_300))
        };
        let faults = "2.4 s into isolate on n2, 200 ms after kill on n3 ended, 400 ms after disk (frozen) on n1 ended";
        assert_eq!(told(run(), 4_500), faults);
        // A fault of which no effect was seen comes last, and says so.
        let missed = |event, at| (at, event, FaultPhase::Inject, Fault(4, "pause", "pause", "n2"));
        let (begun, known) = (missed(EventType::Invoke, 3_500), missed(EventType::Info, 3_600));
        let run = || run().nemesis(begun.0, begun.1, begun.2, begun.3).nemesis(known.0, known.1, known.2, known.3);
        assert_eq!(told(run(), 4_500), format!("{faults}, and near one more fault"));
        assert_eq!(
            told(run(), 14_300),
            "12.2 s into isolate on n2, 10 s after kill on n3 ended, 10.7 s into pause on n2 (which took no effect that was \
             seen)"
        );
    }

    #[test]
    fn a_change_of_the_leader_is_news_until_a_fault_comes_or_goes() {
        let clock = Fault(1, "clock", "clock +9 s", "n3");
        let calm = || script().leader(0, "n1", Some("n1"), 4).leader(1_200, "n2", Some("n2"), 5);
        let elected = "20 ms after n2 was seen to lead in term 5";
        assert_eq!(told(calm(), 1_220), elected);
        assert_eq!(told(calm(), 11_201), "11.2 s into the run");
        let run = |begun: u64| told(calm().fault(clock, begun..begun + 10, None), 1_220);
        assert_eq!(run(1_000), format!("210 ms into clock +9 s on n3, {elected}"));
        assert_eq!(run(1_205), "5 ms into clock +9 s on n3");
    }
}
