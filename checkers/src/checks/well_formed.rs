//! Whether the record keeps to the assumptions on which all other checkers rest: see [`Flaw`].

use crate::explain::Count;
use crate::history::{CAS_REGISTER, Event, Flaw, FlawKind, Header, RunTime};
use crate::verdict::{CheckerResult, Verdict};

/// The name of this checker.
pub const NAME: &str = "well-formed";

/// What is said of a record that was cut, after what was judged of the rest.
pub const CUT: &str = "; the file ends in the middle of a line, which is left out";

/// What is known of the form of a record, as its lines come.
#[derive(Debug)]
pub(crate) struct Form {
    events: usize,
    now: RunTime,
    /// The first flaw, in words.
    first: Option<String>,
    /// How many lines have a flaw, and the last of them.
    flawed_lines: usize,
    last_flawed: usize,
}

impl Form {
    pub(crate) fn of(header: &Header) -> Self {
        let mut form = Self { events: 0, now: RunTime::default(), first: None, flawed_lines: 0, last_flawed: 0 };
        if header.permits().is_none() && header.model != CAS_REGISTER {
            form.note(&Flaw { line: 1, kind: FlawKind::UnknownModel { model: header.model.clone() } });
        }
        form
    }

    /// Takes the time of the event in the next line.
    pub(crate) fn take(&mut self, line: usize, event: &Event) {
        self.events += 1;
        if event.time < self.now {
            self.note(&Flaw { line, kind: FlawKind::TimeGoesBack { from: self.now, to: event.time } });
        }
        self.now = self.now.max(event.time);
    }

    /// Takes a flaw of the line that was taken last. Of those of one line the first is told.
    pub(crate) fn note(&mut self, flaw: &Flaw) {
        self.first.get_or_insert_with(|| flaw.to_string());
        self.flawed_lines += usize::from(flaw.line != self.last_flawed);
        self.last_flawed = flaw.line;
    }

    pub(crate) fn is_flawed(&self) -> bool {
        self.first.is_some()
    }

    /// Says `unknown` where the record breaks an assumption, and which one, and where.
    pub(crate) fn result(&self, truncated: bool) -> CheckerResult {
        let Some(first) = &self.first else {
            let events = Count(self.events, "event");
            let cut = if truncated { CUT } else { "" };
            return CheckerResult { verdict: Verdict::Valid, reason: format!("{events}{cut}") };
        };
        let others = match self.flawed_lines - 1 {
            0 => String::new(),
            more => format!(", and {} more with a flaw", Count(more, "line")),
        };
        CheckerResult { verdict: Verdict::Unknown, reason: format!("{first}{others}") }
    }
}

#[cfg(test)]
mod tests {
    use crate::history::History;
    use crate::script::{ms, script};
    use crate::verdict::{Judgement, Verdict};

    fn reason(judgement: &Judgement) -> &str {
        &judgement.checkers["well-formed"].reason
    }

    /// Two holders at once, so that there is something to keep silent about.
    fn guilty() -> History {
        script().acquire(1, "a", 0..100, 3_000).acquire(2, "b", 200..300, 3_000).history()
    }

    #[test]
    fn nothing_is_judged_where_the_record_is_flawed() {
        let mut history = guilty();
        assert_eq!(crate::check(&history).verdict, Verdict::Invalid);
        history.events[2].time = ms(50);
        let judgement = crate::check(&history);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert_eq!(judgement.anomalies, []);
        assert_eq!(reason(&judgement), "line 4: time goes back from 0.100 s to 0.050 s");
        assert!(judgement.checkers["double-acquisition"].reason.starts_with("not judged: line 4: time goes back"));
    }

    #[test]
    fn the_first_flaw_is_named_and_the_others_are_counted() {
        let mut history = guilty();
        history.events.extend(guilty().events);
        let judgement = crate::check(&history);
        assert_eq!(reason(&judgement), "line 6: time goes back from 0.300 s to 0.000 s, and 3 lines more with a flaw");
    }

    #[test]
    fn a_model_that_is_not_known_is_not_judged() {
        let mut history = guilty();
        history.header.model = "semaphore:2".to_owned();
        let judgement = crate::check(&history);
        assert_eq!((judgement.verdict, judgement.anomalies.len()), (Verdict::Unknown, 0));
        assert_eq!(
            reason(&judgement),
            "line 1: the model `semaphore:2` is not known: `lease-lock`, `lease-semaphore:N` of at most 64 permits, and `cas-register` are"
        );
    }

    #[test]
    fn a_cut_history_says_so() {
        let history = History { truncated: true, ..guilty() };
        assert_eq!(
            reason(&crate::check(&history)),
            "4 events; the file ends in the middle of a line, which is left out"
        );
    }
}
