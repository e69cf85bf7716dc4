//! Renewals that one server answers and another keeps.

use super::{Lease, PASSED_ON, Service, Step};

impl Service {
    /// Whether a server that does not keep the leases says yes to a keep-alive: of those that stand, and for a while also of others if it
    /// was cut off.
    pub(super) fn answers_from_memory(&mut self, lease: &Lease, update: bool) -> bool {
        let out_of_touch = self.is_disturbed(self.now.saturating_sub(PASSED_ON.out_of_touch_for_ms), self.now);
        let Some(rumours) = &mut self.rumours else { return false };
        !update && (lease.alive || out_of_touch && rumours.percent(50))
    }

    /// Sends word of a renewal to whoever keeps the leases. A pause may swallow it.
    pub(super) fn pass_on(&mut self, owner: &str) {
        let Some(rumours) = &mut self.rumours else { return };
        let arrives = self.now + rumours.of(0..PASSED_ON.known_within_ms);
        let is_lost = rumours.percent(70);
        if !(is_lost && self.is_disturbed(self.now, arrives)) {
            self.at(arrives, Step::Word { owner: owner.to_owned(), term: self.term });
        }
    }

    /// A leader that came into office since has given the lease its full time already.
    pub(super) fn hear(&mut self, owner: &str, term: u64) {
        let is_alive = self.leases.get(owner).is_some_and(|lease| lease.alive);
        if is_alive && !(self.restarts && term != self.term) {
            self.prolong(owner, self.now);
        }
    }

    pub(super) fn is_disturbed(&self, from: u64, until: u64) -> bool {
        self.pauses.iter().any(|(begin, end)| *begin <= until && from <= *end)
    }
}
