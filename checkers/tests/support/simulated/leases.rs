//! How long leases live, and what their ends bring about.

use leasehold_checkers::history::vocabulary::f;

use super::{Bug, CLUSTER, LATEST_MS, Service, Step};

impl Service {
    /// How long a TTL lasts: the service's clock runs at its own rate, and it may end a lease early by its slack.
    pub(super) fn life(&mut self, ttl: u64) -> u64 {
        let life = self.by_its_clock(ttl * u64::from(self.ttls));
        life.saturating_sub(if self.slack > 0 { self.random.of(0..self.slack + 1) } else { 0 })
    }

    /// How long something lasts that is so long by the service's clock.
    fn by_its_clock(&self, long: u64) -> u64 {
        let by_its_clock = i128::from(long) * 1_000_000;
        if self.rate_ppm >= 0 {
            div_up(by_its_clock, 1_000_000 + self.rate_ppm)
        } else {
            u64::try_from(by_its_clock / i128::from(1_000_000 + self.rate_ppm)).unwrap_or(u64::MAX)
        }
    }

    /// Lets a lease live on from now, or from an instant after it was asked for, and ends it when its time has come, or
    /// somewhat later.
    pub(super) fn prolong(&mut self, owner: &str, asked_at: u64) {
        let now = self.now;
        let from = if self.counts_from_request { self.random.of(asked_at..now + 1) } else { now };
        let Some(lease) = self.leases.get_mut(owner) else { return };
        lease.generation += 1;
        let (generation, mut due) = (lease.generation, (from + lease.life).max(now));
        let late = self.random.of(0..LATEST_MS);
        if self.bug == Some(Bug::ExpireEarly) && self.random.percent(30) {
            due = now + self.random.of(0..due - now + 1) / 2;
            self.wronged.insert(owner.to_owned());
            self.at(due, Step::Expire { owner: owner.to_owned(), generation });
        } else if self.bug == Some(Bug::NeverExpire) && self.random.percent(50) {
            self.wronged.insert(owner.to_owned());
        } else {
            // What falls due while everything stands still is ended within its time afterwards.
            let standing =
                self.stalls.iter().chain(&self.pauses).filter(|(from, until)| (*from..*until).contains(&due));
            let awake = standing.map(|(_, until)| *until).max().unwrap_or(due);
            self.at(awake + late, Step::Expire { owner: owner.to_owned(), generation });
        }
    }

    pub(super) fn expire(&mut self, owner: &str, generation: u64) {
        if self.leases.get(owner).is_some_and(|lease| lease.alive && lease.generation == generation) {
            let word = if self.random.percent(50) { f::EXPIRED } else { f::DELETED };
            self.end(owner, word, false);
        }
    }

    /// Ends a lease and frees its lock.
    pub(super) fn end(&mut self, owner: &str, word: &str, released: bool) {
        let Some(lease) = self.leases.get_mut(owner) else { return };
        lease.alive = false;
        let key = lease.key;
        if !self.random.percent(20) {
            let late = self.random.of(0..self.delay);
            let at = self.now + late;
            self.tell(|script| script.on(&format!("lock/{key}")).watch(at, word, owner));
        }
        if self.locks[key].holder.as_deref() == Some(owner) {
            self.set_holder(key, None);
            self.close(key, owner, released);
        }
        self.next_in_queue(key);
    }

    /// A lock that was lost without a release stays closed for the lock-delay.
    fn close(&mut self, key: usize, owner: &str, released: bool) {
        if self.bug == Some(Bug::NeverFree) && self.random.percent(50) {
            self.locks[key].stuck = true;
            self.wronged.insert(CLUSTER.to_owned());
        }
        if self.lock_delay > 0 && !released {
            if self.bug == Some(Bug::ForgetLockDelay) && self.random.percent(50) {
                self.wronged.insert(owner.to_owned());
                return;
            }
            let closed_until = self.now + self.by_its_clock(self.lock_delay);
            self.locks[key].closed_until = closed_until;
            self.at(closed_until, Step::Open(key));
        }
    }

    pub(super) fn elect(&mut self) {
        self.term += 1;
        self.leader = self.random.of(0..3) as usize;
        if !self.restarts {
            return;
        }
        let alive: Vec<String> =
            self.leases.iter().filter(|(_, lease)| lease.alive).map(|(owner, _)| owner.clone()).collect();
        for owner in alive {
            self.prolong(&owner, self.now);
        }
    }
}

fn div_up(number: i128, by: i64) -> u64 {
    let by = i128::from(by);
    u64::try_from((number + by - 1) / by).unwrap_or(u64::MAX)
}
