//! Waits until a condition comes true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::script::Dice;
use tokio::sync::watch;

use super::condition::{Foreseen, Happened, Place};
use super::{Condition, Field};
use crate::run::{Belief, RunClock};

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

/// What conditions are about.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub field: Field,
    pub healed: Healed,
    pub clock: RunClock,
}

impl Scene {
    /// Waits until the condition comes true from now on; `key` is the lock that it is about, if it is about one.
    pub(super) async fn occasion(&self, condition: Condition, key: Option<&str>, dice: &mut Dice) -> Occasion {
        let from = self.clock.now();
        let leadership = &self.field.leadership;
        match condition {
            Condition::Held(place) => self.held(place, key, dice).await,
            Condition::Before(..) | Condition::After(Happened::Grant, _) => self.foreseen(condition, key, from).await,
            Condition::Leads(node) => {
                while leadership.leader().is_none_or(|leader| leader.node != node) {
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
        let mut changes = self.field.holders.changes();
        loop {
            let now = self.clock.now();
            let mut beliefs = self.field.holders.at(now, key);
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
        let leader = || self.field.leadership.leader().map(|leader| leader.node);
        match place {
            Place::Anywhere => true,
            Place::Node(node) => belief.node == node,
            Place::Leader => leader() == Some(belief.node),
            Place::Follower => leader().is_some_and(|leader| leader != belief.node),
        }
    }

    /// Waits for the first instant from `from` on that some holder's own clock tells beforehand. A renewal moves it.
    async fn foreseen(&self, condition: Condition, key: Option<&str>, from: RunTime) -> Occasion {
        let mut changes = self.field.holders.changes();
        loop {
            let beliefs = self.field.holders.at(self.clock.now(), key).into_iter();
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
