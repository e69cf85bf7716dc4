//! Which workers get no answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::Answer;
use leasehold_workloads::service::{Certainty, OpError};
use tokio::sync::watch;

use super::WorkerId;

/// Since when each worker has asked in vain. Clones are the same.
#[derive(Clone, Debug)]
pub struct Answers(Arc<watch::Sender<BTreeMap<WorkerId, RunTime>>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Answers {
    /// A worker asks.
    pub fn asked(&self, worker: WorkerId, now: RunTime) {
        self.0.send_if_modified(|waiting| {
            let before = waiting.len();
            waiting.entry(worker).or_insert(now);
            waiting.len() > before
        });
    }

    /// It learnt this.
    pub fn learnt(&self, worker: WorkerId, result: &Result<Answer, OpError>) {
        let answered = match result {
            Ok(_) => true,
            Err(error) => error.certainty == Certainty::DidNotHappen && !code::is_silence(error.code),
        };
        if answered {
            self.0.send_if_modified(|waiting| waiting.remove(&worker).is_some());
        }
    }

    /// Since when the one has waited that has waited the longest.
    #[must_use]
    pub fn waiting_since(&self) -> Option<RunTime> {
        self.0.borrow().values().min().copied()
    }

    /// For how long, at this time.
    #[must_use]
    pub fn silence(&self, now: RunTime) -> Duration {
        self.waiting_since().map_or(Duration::ZERO, |since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_lasts_from_the_first_question_until_an_answer() {
        let answers = Answers::default();
        let (worker, other) = (WorkerId(1), WorkerId(2));
        assert_eq!(answers.silence(RunTime(50)), Duration::ZERO);
        answers.asked(worker, RunTime(10));
        answers.asked(other, RunTime(30));
        for nothing in
            [OpError::timeout(Duration::ZERO), OpError::failed("refused", ""), OpError::failed("no-session", "")]
        {
            answers.learnt(worker, &Err(nothing));
            answers.asked(worker, RunTime(40));
        }
        assert_eq!(answers.silence(RunTime(50)), Duration::from_nanos(40));
        answers.learnt(worker, &Err(OpError::failed("held", "")));
        assert_eq!(answers.waiting_since(), Some(RunTime(30)));
        answers.learnt(other, &Ok(Answer::Written));
        assert_eq!(answers.waiting_since(), None);
    }
}
