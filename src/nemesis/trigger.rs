//! Waits until a condition comes true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::script::Dice;
use tokio::sync::watch;

use super::Condition;
use super::condition::{Foreseen, Happened, Place};
use crate::run::{Answers, Belief, Holders, Leadership, RunClock};

/// How often it is looked whether a condition holds of which no change tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// That a condition has come true.
#[derive(Clone, Debug)]
pub(super) struct Occasion {
    /// When the fault is to begin by it.
    pub due: RunTime,
    /// For whose sake.
    pub holder: Option<Belief>,
}

/// When the last fault of each table was healed. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Healed(Arc<watch::Sender<BTreeMap<u32, RunTime>>>);

impl Default for Healed {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Healed {
    /// A fault of this table has just been healed.
    pub(super) fn tell(&self, table: u32, now: RunTime) {
        self.0.send_modify(|healed| {
            healed.insert(table, now);
        });
    }

    async fn since(&self, table: u32, from: RunTime) -> RunTime {
        let mut receiver = self.0.subscribe();
        let is_new = |healed: &BTreeMap<u32, RunTime>| healed.get(&table).is_some_and(|&at| at >= from);
        // It lives as long as this value does.
        receiver.wait_for(is_new).await.ok().and_then(|healed| healed.get(&table).copied()).unwrap_or(from)
    }
}

/// What conditions are about. Clones are the same scene.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub holders: Holders,
    pub leadership: Leadership,
    pub answers: Answers,
    pub healed: Healed,
    pub clock: RunClock,
}

impl Scene {
    /// Waits until the condition comes true from now on; `key` is the lock that it is about, if it is about one.
    pub(super) async fn occasion(&self, condition: Condition, key: Option<&str>, dice: &mut Dice) -> Occasion {
        let from = self.clock.now();
        let leadership = &self.leadership;
        match condition {
            Condition::Held(place) => self.held(place, key, dice).await,
            Condition::Before(..) | Condition::After(Happened::Grant, _) => self.foreseen(condition, key, from).await,
            Condition::Leads(node) => {
                while leadership.leader().is_none_or(|leader| leader.node != node) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                self.just_now()
            }
            Condition::Silence(length) => {
                while self.answers.silence(self.clock.now()) < length {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                self.just_now()
            }
            Condition::After(Happened::LeaderChange, by) => {
                let old = match leadership.leader() {
                    None => leadership.other_than(None).await,
                    Some(leader) => leader,
                };
                leadership.other_than(Some(old)).await;
                self.after(self.clock.now(), by).await
            }
            Condition::After(Happened::Fault(table), by) => {
                let healed = self.healed.since(table, from).await;
                self.after(healed, by).await
            }
        }
    }

    fn just_now(&self) -> Occasion {
        Occasion { due: self.clock.now(), holder: None }
    }

    async fn after(&self, happened: RunTime, by: Duration) -> Occasion {
        let due = happened.after(by);
        tokio::time::sleep_until(self.clock.at(due)).await;
        Occasion { due, holder: None }
    }

    async fn held(&self, place: Place, key: Option<&str>, dice: &mut Dice) -> Occasion {
        let mut changes = self.holders.changes();
        loop {
            let now = self.clock.now();
            let mut beliefs = self.holders.at(now, key);
            beliefs.retain(|belief| self.is_at(belief, place));
            if !beliefs.is_empty() {
                let holder = beliefs.swap_remove(dice.index(beliefs.len()));
                return Occasion { due: now, holder: Some(holder) };
            }
            tokio::select! {
                () = changes.next() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn is_at(&self, belief: &Belief, place: Place) -> bool {
        let leader = || self.leadership.leader().map(|leader| leader.node);
        match place {
            Place::Anywhere => true,
            Place::Node(node) => belief.node == node,
            Place::Leader => leader() == Some(belief.node),
            Place::Follower => leader().is_some_and(|leader| leader != belief.node),
        }
    }

    /// Waits for the first instant from `from` on that some holder's own clock tells beforehand. A renewal moves it.
    async fn foreseen(&self, condition: Condition, key: Option<&str>, from: RunTime) -> Occasion {
        let mut changes = self.holders.changes();
        loop {
            let beliefs = self.holders.at(self.clock.now(), key).into_iter();
            let dues = beliefs.filter_map(|belief| Some((due(condition, &belief)?, belief)));
            let Some((due, holder)) = dues.filter(|(due, _)| *due >= from).min_by_key(|(due, _)| *due) else {
                changes.next().await;
                continue;
            };
            tokio::select! {
                biased;
                () = changes.next() => {}
                () = tokio::time::sleep_until(self.clock.at(due)) => return Occasion { due, holder: Some(holder) },
            }
        }
    }
}

/// When a fault is to begin for the sake of this holder.
fn due(condition: Condition, belief: &Belief) -> Option<RunTime> {
    match condition {
        Condition::Before(Foreseen::Expiry, by) => Some(before(belief.expires, by)),
        Condition::Before(Foreseen::Renewal, by) => belief.renews.map(|renews| before(renews, by)),
        Condition::After(Happened::Grant, by) => Some(belief.since.after(by)),
        _ => None,
    }
}

fn before(at: RunTime, by: Duration) -> RunTime {
    RunTime::default().after(at.since(RunTime::default()).saturating_sub(by))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::NodeId;
    use crate::run::WorkerId;
    use crate::servers::LeaderView;

    const MS: Duration = Duration::from_millis(1);
    /// Long enough for a busy machine; the tests wait for it only if they fail.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn scene() -> Scene {
        Scene {
            holders: Holders::default(),
            leadership: Leadership::default(),
            answers: Answers::default(),
            healed: Healed::default(),
            clock: RunClock::start(),
        }
    }

    fn belief(scene: &Scene, worker: u64, node: u8, expires_in: Duration) -> Belief {
        let now = scene.clock.now();
        Belief {
            worker: WorkerId(worker),
            process: worker,
            node: NodeId::new(node),
            key: format!("jobs/{worker}"),
            owner: format!("p{worker}.1"),
            since: now,
            expires: now.after(expires_in),
            renews: None,
        }
    }

    /// Waits for the condition, which must come true.
    async fn comes(scene: &Scene, condition: &str, key: Option<&str>) -> Occasion {
        let condition = condition.parse().expect("a condition");
        let mut dice = Dice::new(1, 1);
        timeout(PATIENCE, scene.occasion(condition, key, &mut dice)).await.expect("it comes true")
    }

    /// Waits for the condition, which must not come true for some time.
    async fn stays_out(scene: &Scene, condition: &str, key: Option<&str>) {
        let condition = condition.parse().expect("a condition");
        let mut dice = Dice::new(1, 1);
        let came = timeout(100 * MS, scene.occasion(condition, key, &mut dice)).await;
        assert!(came.is_err(), "{came:?}");
    }

    fn worker(occasion: &Occasion) -> Option<u64> {
        occasion.holder.as_ref().map(|belief| belief.worker.0)
    }

    #[tokio::test]
    async fn a_fault_comes_before_the_first_expiry_and_not_for_one_that_was_put_off() {
        let scene = scene();
        let (renewed, first) = (belief(&scene, 1, 1, 200 * MS), belief(&scene, 2, 1, 400 * MS));
        scene.holders.believes(renewed.clone());
        scene.holders.believes(first.clone());
        let renewing = async {
            tokio::time::sleep(50 * MS).await;
            scene.holders.believes(Belief { expires: renewed.expires.after(PATIENCE), ..renewed.clone() });
        };
        let (occasion, ()) = tokio::join!(comes(&scene, "before expiry by 100 ms", None), renewing);
        assert_eq!((worker(&occasion), occasion.due), (Some(2), before(first.expires, 100 * MS)));
        assert!(scene.clock.now() >= occasion.due);
    }

    #[tokio::test]
    async fn what_was_due_before_it_was_looked_for_is_over() {
        let scene = scene();
        scene.holders.believes(belief(&scene, 1, 1, 500 * MS));
        stays_out(&scene, "before expiry by 600 ms", None).await;
        stays_out(&scene, "before renewal", None).await;
        stays_out(&scene, "after grant", None).await;
    }

    #[tokio::test]
    async fn a_grant_is_waited_for_and_only_of_the_lock_that_is_meant() {
        let scene = scene();
        let granting = async {
            for worker in [1, 2] {
                tokio::time::sleep(20 * MS).await;
                scene.holders.believes(belief(&scene, worker, 1, PATIENCE));
            }
        };
        let (occasion, ()) = tokio::join!(comes(&scene, "after grant by 30 ms", Some("jobs/2")), granting);
        assert_eq!(worker(&occasion), Some(2));
        let since = scene.holders.of(WorkerId(2)).expect("it holds").since;
        assert_eq!(occasion.due, since.after(30 * MS));
    }

    #[tokio::test]
    async fn a_holder_is_told_by_the_node_that_it_talks_to() {
        let scene = scene();
        scene.holders.believes(belief(&scene, 1, 1, PATIENCE));
        scene.holders.believes(belief(&scene, 2, 2, PATIENCE));
        stays_out(&scene, "holder on leader", None).await;
        for (node, term) in [(1, 2), (2, 2)] {
            scene.leadership.said(NodeId::new(node), LeaderView { leader: Some(NodeId::new(2)), term });
        }
        assert_eq!(worker(&comes(&scene, "holder on leader", None).await), Some(2));
        assert_eq!(worker(&comes(&scene, "holder on follower", None).await), Some(1));
        assert_eq!(worker(&comes(&scene, "holder on n2", None).await), Some(2));
        stays_out(&scene, "holder on n3", None).await;
        stays_out(&scene, "leader is n1", None).await;
        assert_eq!(worker(&comes(&scene, "leader is n2", None).await), None);
    }

    #[tokio::test]
    async fn the_first_leader_is_no_change_and_the_next_one_is() {
        let scene = scene();
        let said = |node: u8, term| {
            scene.leadership.said(NodeId::new(node), LeaderView { leader: Some(NodeId::new(node)), term });
        };
        let leading = async {
            said(1, 2);
            tokio::time::sleep(50 * MS).await;
            said(1, 2);
            tokio::time::sleep(50 * MS).await;
            said(3, 3);
            scene.clock.now()
        };
        let (occasion, changed) = tokio::join!(comes(&scene, "after leader change by 40 ms", None), leading);
        assert!(occasion.due.after(PATIENCE).since(changed) >= PATIENCE + 39 * MS, "{occasion:?} {changed}");
    }

    #[tokio::test]
    async fn a_fault_waits_for_the_end_of_another_and_not_for_an_earlier_one() {
        let scene = scene();
        scene.healed.tell(2, scene.clock.now());
        tokio::time::sleep(2 * MS).await;
        stays_out(&scene, "after fault 2", None).await;
        let healing = async {
            tokio::time::sleep(20 * MS).await;
            scene.healed.tell(1, scene.clock.now());
            let now = scene.clock.now();
            scene.healed.tell(2, now);
            now
        };
        let (occasion, healed) = tokio::join!(comes(&scene, "after fault 2 by 10 ms", None), healing);
        assert_eq!(occasion.due, healed.after(10 * MS));
    }
}
