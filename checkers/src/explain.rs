//! Words for people: what a tired engineer needs to know, in one plain sentence.

use std::fmt;
use std::time::Duration;

use crate::context::{Context, JUST_ENDED};
use crate::history::RunTime;

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

/// An instant, told from the nearest thing that explains it: `120 ms after clock +9 s on n3`; or else by the fault that
/// lasts all the while; or else from the start of the run.
#[must_use]
pub fn when(context: &Context, at: RunTime) -> String {
    let faults = context.faults.iter().flat_map(|fault| {
        let begun = fault.in_place.filter(|in_place| *in_place <= at).unwrap_or(fault.begun);
        let ended = fault.ended.map(|ended| (ended, format!("the end of {}", fault.what)));
        [Some((begun, fault.what.clone())), ended]
    });
    let changes = context
        .leader_changes
        .iter()
        .map(|change| Some((change.seen, format!("{} was seen to lead in term {}", change.leader, change.term))));
    faults
        .chain(changes)
        .flatten()
        .filter(|(time, _)| *time <= at && at.since(*time) <= JUST_ENDED)
        .max_by_key(|(time, _)| *time)
        .map_or_else(|| since_start(context, at), |(time, what)| format!("{} after {what}", human(at.since(time))))
}

fn since_start(context: &Context, at: RunTime) -> String {
    let since_start = format!("{} into the run", human(at.since(RunTime::default())));
    let lasting: Vec<&str> =
        context.faults.iter().filter(|fault| fault.is_active(at)).map(|fault| fault.what.as_str()).collect();
    if lasting.is_empty() { since_start } else { format!("{since_start}, during {}", lasting.join(" and ")) }
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
    use crate::history::Surroundings;
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
    fn the_nearest_cause_is_named() {
        let clock = Fault(1, "clock", "clock +9 s", "n3");
        let script = || script().fault(clock, 1_000..1_100, Some(4_000..4_100)).leader(0, "n1", Some("n1"), 4);
        assert_eq!(told(script(), 900), "900 ms into the run");
        assert_eq!(told(script(), 1_050), "50 ms after clock +9 s on n3");
        assert_eq!(told(script(), 1_220), "120 ms after clock +9 s on n3");
        assert_eq!(told(script(), 4_130), "30 ms after the end of clock +9 s on n3");
        assert_eq!(told(script(), 14_101), "14.1 s into the run");
        let lasting = script().fault(Fault(2, "pause", "pause", "n1"), 5_000..5_010, None);
        assert_eq!(told(lasting, 16_000), "16 s into the run, during pause on n1");
        let elected = script().leader(1_200, "n2", Some("n2"), 5);
        assert_eq!(told(elected, 1_220), "20 ms after n2 was seen to lead in term 5");
    }
}
