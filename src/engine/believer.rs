//! Tells what a worker believes to hold, as a client does that counts its TTL from when it asked; and whether it is answered.

use leasehold_checkers::history::RunTime;
use leasehold_workloads::op::{Answer, Op, Wait};
use leasehold_workloads::service::{Certainty, OpError};

use crate::NodeId;
use crate::run::{Answers, Belief, Holders, WorkerId};

/// Tells what one worker believes.
pub(super) struct Believer {
    holders: Holders,
    answers: Answers,
    worker: WorkerId,
    node: NodeId,
}

impl Believer {
    pub(super) fn new(holders: Holders, answers: Answers, worker: WorkerId, node: NodeId) -> Self {
        Self { holders, answers, worker, node }
    }

    /// Whoever asks for another lock or gives one back no longer acts as the holder of it.
    pub(super) fn asks(&self, op: &Op, now: RunTime) {
        // Who stands in a queue is rightly not answered.
        if !matches!(op, Op::Acquire { wait: Wait::InQueue, .. }) {
            self.answers.asked(self.worker, now);
        }
        if matches!(op, Op::Acquire { .. } | Op::Release { .. }) {
            self.holders.ends(self.worker);
        }
    }

    /// An operation was asked for and ended at these times.
    pub(super) fn learns(
        &self,
        process: u64,
        op: &Op,
        (asked, ended): (RunTime, RunTime),
        result: &Result<Answer, OpError>,
        renews: Option<RunTime>,
    ) {
        self.answers.learnt(self.worker, result);
        match (op, result) {
            (Op::Acquire { key, owner, .. }, Ok(Answer::Acquired(grant))) => self.holders.believes(Belief {
                worker: self.worker,
                process,
                node: self.node,
                key: key.clone(),
                owner: owner.to_string(),
                since: ended,
                expires: asked.after(grant.ttl),
                renews,
            }),
            (Op::Renew { .. }, Ok(Answer::Renewed { ttl })) => {
                if let Some(belief) = self.holders.of(self.worker) {
                    self.holders.believes(Belief { expires: asked.after(*ttl), renews, ..belief });
                }
            }
            // A read tells a worker that watches its lease end nothing about itself, and a register is no lock.
            (
                Op::Read { .. } | Op::Register { .. },
                Ok(_) | Err(OpError { certainty: Certainty::DidNotHappen, .. }),
            )
            | (Op::Work { .. }, Ok(_)) => {}
            // It was refused, or it is another process from now on.
            _ => self.holders.ends(self.worker),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leasehold_workloads::op::{Grant, Hold, Owner, Renewal};

    use super::*;

    const TTL: Duration = Duration::from_secs(3);

    fn hold() -> Hold {
        let grant = Grant { ttl: TTL, token: None, lease: None };
        Hold { key: "a".to_owned(), owner: Owner { process: 4, attempt: 1 }, ttl: TTL, grant }
    }

    fn ms(ms: u64) -> RunTime {
        RunTime(ms * 1_000_000)
    }

    fn holding() -> (Holders, Believer) {
        let holders = Holders::default();
        let believer = Believer::new(holders.clone(), Answers::default(), WorkerId(4), NodeId::new(2));
        let Hold { key, owner, ttl, grant } = hold();
        let acquire = Op::Acquire { key, owner, ttl, wait: Wait::Never };
        believer.asks(&acquire, ms(100));
        believer.learns(4, &acquire, (ms(100), ms(150)), &Ok(Answer::Acquired(grant)), Some(ms(1_000)));
        (holders, believer)
    }

    #[test]
    fn a_renewal_pushes_the_end_of_the_belief() {
        let (holders, believer) = holding();
        let belief = holders.of(WorkerId(4)).expect("it holds");
        assert_eq!((belief.since, belief.expires, belief.renews), (ms(150), ms(3_100), Some(ms(1_000))));
        let renew = Op::Renew { hold: hold(), how: Renewal::KeepAlive };
        believer.asks(&renew, ms(1_000));
        believer.learns(4, &renew, (ms(1_000), ms(1_010)), &Ok(Answer::Renewed { ttl: TTL }), None);
        let belief = holders.of(WorkerId(4)).expect("it still holds");
        assert_eq!((belief.since, belief.expires, belief.renews), (ms(150), ms(4_000), None));
    }

    #[test]
    fn a_failed_renewal_an_unanswered_one_and_a_release_end_it() {
        let renew = || Op::Renew { hold: hold(), how: Renewal::KeepAlive };
        for error in [OpError::failed("expired", "gone"), OpError::timeout(TTL)] {
            let (holders, believer) = holding();
            believer.learns(4, &renew(), (ms(1_000), ms(1_010)), &Err(error), None);
            assert_eq!(holders.of(WorkerId(4)), None);
        }
        let (holders, believer) = holding();
        believer.asks(&Op::Release { hold: hold() }, ms(1_000));
        assert_eq!(holders.of(WorkerId(4)), None);
    }
}
