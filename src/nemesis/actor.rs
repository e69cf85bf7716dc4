//! One planned fault: waits for its time or its condition, as often as it is to come, and has it run its course.

use std::sync::Arc;

use leasehold_checkers::history::RunTime;
use leasehold_workloads::script::Dice;

use super::course::{self, Log, Occurrence};
use super::trigger::{Occasion, Scene};
use super::{Aim, Condition, FaultError, Field, PlannedFault, Start};
use crate::run::{Recorder, Stop};

/// The dice by which targets are picked: numbers that neither a worker nor the schedule has, one for each fault, so that
/// what one fault meets does not change where another one goes.
const AIM: u64 = u64::MAX - 1;

/// Carries out what is planned for one fault.
pub(super) struct Actor {
    pub field: Field,
    pub scene: Scene,
    pub recorder: Recorder,
    pub seed: u64,
    /// When the schedule began.
    pub start: RunTime,
    pub until: RunTime,
    pub stop: Stop,
}

impl Actor {
    /// Its times count from `began`.
    pub(super) async fn carry_out(mut self, planned: PlannedFault, began: RunTime) {
        match planned.start {
            Start::At(after) => self.at(&planned, began.after(after), None).await,
            Start::Again(after, condition) => self.at(&planned, self.start.after(after), Some(condition)).await,
            Start::When { condition, from, times, cooldown } => {
                let (mut looks_from, mut dice) = (began.after(from), self.dice(planned.number));
                for round in 0..times {
                    let Some(occasion) = self.next_occasion(&planned, condition, looks_from, &mut dice).await else {
                        if round == 0 && !self.stop.is_requested() {
                            self.never_came(&planned, condition);
                        }
                        return;
                    };
                    self.once(&planned, round, Some(condition), occasion).await;
                    looks_from = self.scene.clock.now().after(cooldown);
                }
            }
        }
    }

    async fn at(&mut self, planned: &PlannedFault, due: RunTime, when: Option<Condition>) {
        if self.is_time(due).await {
            self.once(planned, 0, when, Occasion { due, holder: None }).await;
        }
    }

    /// Waits for this instant; `false` if the run is over by then.
    async fn is_time(&mut self, at: RunTime) -> bool {
        let comes = at < self.until;
        let wake = self.scene.clock.at(at.min(self.until));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => comes,
            () = self.stop.requested() => false,
        }
    }

    async fn next_occasion(
        &mut self,
        planned: &PlannedFault,
        condition: Condition,
        looks_from: RunTime,
        dice: &mut Dice,
    ) -> Option<Occasion> {
        if !self.is_time(looks_from).await {
            return None;
        }
        tokio::select! {
            occasion = self.scene.occasion(condition, planned.target.key(), dice) => Some(occasion),
            () = tokio::time::sleep_until(self.scene.clock.at(self.until)) => None,
            () = self.stop.requested() => None,
        }
    }

    async fn once(&mut self, planned: &PlannedFault, round: u32, when: Option<Condition>, occasion: Occasion) {
        let occurrence = Occurrence {
            number: planned.number + u64::from(round),
            fault: Arc::clone(&planned.fault),
            target: planned.target.clone(),
            when,
            holder: occasion.holder,
            due: Some((occasion.due, occasion.due.since(self.start))),
            ends: occasion.due.after(planned.lasts),
        };
        let mut dice = self.dice(occurrence.number);
        course::run(occurrence, &self.field, &self.recorder, &mut dice, self.until, &mut self.stop).await;
        self.scene.healed.tell(planned.table, self.scene.clock.now());
    }

    fn dice(&self, number: u64) -> Dice {
        Dice::new(self.seed, AIM - number)
    }

    /// A fault that waited in vain is told as one that did not bite: whoever reads the record must know.
    fn never_came(&self, planned: &PlannedFault, condition: Condition) {
        let occurrence = Occurrence {
            number: planned.number,
            fault: Arc::clone(&planned.fault),
            target: planned.target.clone(),
            when: Some(condition),
            holder: None,
            due: None,
            ends: self.until,
        };
        Log::new(&self.recorder, &occurrence, Aim::default()).write_in_vain(FaultError::NeverCame(condition));
    }
}
