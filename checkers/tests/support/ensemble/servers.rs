//! The servers: who follows whom, what each knows, and what faults make of that.

use std::collections::BTreeSet;

use leasehold_checkers::history::vocabulary::f;

use super::{BUSY_MS, Ensemble, Entry, Kind, Leader, OUT_OF_TOUCH_MS, Random, State, TICK_MS};

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) is_up: bool,
    pub(super) paused: bool,
    pub(super) cut: bool,
    /// The epoch in which it follows or leads; `None` while it looks for a leader.
    pub(super) epoch: Option<u64>,
    pub(super) last_epoch: u64,
    pub(super) state: State,
    /// Whom it heard from since it last told the leader.
    pub(super) touched: BTreeSet<usize>,
    /// When it was last in touch with the leader.
    in_touch: u64,
    /// How late it notices that it is not.
    notices_after: u64,
    joins_at: Option<u64>,
    /// Until when it keeps the lock closed, by its own memory.
    pub(super) closed_until: u64,
    started_at: u64,
    away_since: Option<u64>,
}

impl Server {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            is_up: true,
            paused: false,
            cut: false,
            epoch: None,
            last_epoch: 4,
            state: State::default(),
            touched: BTreeSet::new(),
            in_touch: 0,
            notices_after: OUT_OF_TOUCH_MS + random.of(0..BUSY_MS),
            joins_at: None,
            closed_until: 0,
            started_at: 0,
            away_since: None,
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.is_up && !self.paused
    }

    fn is_there(&self) -> bool {
        self.is_up && !self.paused && !self.cut
    }
}

impl Ensemble {
    /// Begins and ends what is planned.
    pub(super) fn disturb(&mut self) {
        let now = self.now;
        for node in 0..3 {
            let hit = |package| {
                self.faults.iter().any(|fault| {
                    fault.package == package && fault.node == node && (fault.from..fault.until).contains(&now)
                })
            };
            let (paused, cut, killed) = (hit("pause"), hit("partition"), hit("kill"));
            let server = &mut self.servers[node];
            (server.paused, server.cut) = (paused, cut);
            if killed && server.is_up {
                server.is_up = false;
                server.touched.clear();
                if let Some(epoch) = server.epoch.take()
                    && self.leaders.get(&epoch).is_some_and(|leader| leader.node == node)
                {
                    self.leaders.remove(&epoch);
                }
            } else if !killed && !server.is_up {
                (server.is_up, server.started_at, server.joins_at) = (true, now, None);
                // It carries its log out again, and with it the delay after the last loss.
                server.closed_until = server.closed_until.max(now + self.lock_delay);
            }
            let server = &mut self.servers[node];
            server.away_since = if server.is_there() { None } else { server.away_since.or(Some(now)) };
        }
    }

    /// Whether two servers can hear each other, and do.
    fn talk(&self, one: usize, other: usize) -> bool {
        one == other || self.servers[one].is_there() && self.servers[other].is_there()
    }

    /// The leader that a server is in touch with: itself, or the one it follows.
    pub(super) fn leader_of(&self, node: usize) -> Option<u64> {
        let epoch = self.servers[node].epoch?;
        let leader = self.leaders.get(&epoch)?.node;
        (self.servers[leader].epoch == Some(epoch) && self.talk(node, leader) && self.servers[leader].runs())
            .then_some(epoch)
    }

    /// Whether the leader of an epoch can have anything agreed upon.
    pub(super) fn can_commit(&self, epoch: u64) -> bool {
        let Some(leader) = self.leaders.get(&epoch) else { return false };
        self.servers[leader.node].runs()
            && self.servers[leader.node].epoch == Some(epoch)
            && (0..3).any(|other| {
                other != leader.node && self.servers[other].epoch == Some(epoch) && self.talk(leader.node, other)
            })
    }

    /// Followers carry out what was agreed upon, and tell the leader whom they heard from.
    pub(super) fn carry_on(&mut self) {
        let now = self.now;
        for node in 0..3 {
            let Some(epoch) = self.leader_of(node) else { continue };
            let leader = self.leaders[&epoch].node;
            if leader == node || self.can_commit(epoch) {
                let is_quick = leader == node || self.random.percent(60);
                if is_quick {
                    self.catch_up(node);
                }
            }
            if leader == node {
                if self.can_commit(epoch) {
                    self.leaders.get_mut(&epoch).expect("it is there").in_touch = now;
                }
                continue;
            }
            self.servers[node].in_touch = now;
            if now % (TICK_MS / 2) == node as u64 * 10 {
                let heard = std::mem::take(&mut self.servers[node].touched);
                heard.into_iter().for_each(|lease| self.prolong(epoch, lease));
            }
        }
    }

    pub(super) fn catch_up(&mut self, node: usize) {
        // A deposed leader has nothing new.
        if self.servers[node].epoch.is_some_and(|epoch| self.leaders.keys().next_back() != Some(&epoch)) {
            return;
        }
        let lost = self.servers[node].state.carry_out(&self.log);
        for (lease, wished) in lost {
            if !wished && self.lock_delay > 0 {
                self.servers[node].closed_until = self.now + self.lock_delay;
            }
            if node == self.watched {
                let (at, owner) = (self.soon(), self.leases[lease].owner.clone());
                self.tell(|script| script.watch(at, f::DELETED, &owner));
            }
        }
    }

    /// A lease that its leader still keeps has its full time again.
    pub(super) fn prolong(&mut self, epoch: u64, lease: usize) {
        let end = self.end_of(lease);
        if let Some(known) = self.leaders.get_mut(&epoch).and_then(|leader| leader.ends.get_mut(&lease)) {
            *known = end;
        }
    }

    pub(super) fn end_of(&self, lease: usize) -> u64 {
        let ttl = self.leases[lease].ttl;
        match self.kind {
            Kind::FollowersAnswer => ((self.now + ttl) / TICK_MS + 1) * TICK_MS,
            Kind::LeadersAnswer => self.now + 2 * ttl,
        }
    }

    pub(super) fn expire(&mut self) {
        for epoch in self.leaders.keys().copied().collect::<Vec<_>>() {
            if !self.can_commit(epoch) {
                continue;
            }
            let leader = self.leaders.get_mut(&epoch).expect("it is there");
            let due: Vec<usize> =
                leader.ends.iter().filter(|(_, end)| **end <= self.now).map(|(lease, _)| *lease).collect();
            leader.ends.retain(|lease, _| !due.contains(lease));
            self.log.extend(due.into_iter().map(|lease| Entry::Close(lease, false)));
        }
    }

    /// Whoever has heard nothing for too long gives up.
    pub(super) fn notice(&mut self) {
        let now = self.now;
        for node in 0..3 {
            let Some(epoch) = self.servers[node].epoch.filter(|_| self.servers[node].runs()) else { continue };
            let leads = self.leaders.get(&epoch).filter(|leader| leader.node == node);
            let in_touch = leads.map_or(self.servers[node].in_touch, |leader| leader.in_touch);
            let leads = leads.is_some();
            if now - in_touch > self.servers[node].notices_after {
                let server = &mut self.servers[node];
                (server.epoch, server.joins_at) = (None, None);
                server.touched.clear();
                if leads {
                    self.leaders.remove(&epoch);
                }
            }
        }
    }

    /// Those who look for a leader join the one that serves, or elect one.
    pub(super) fn elect(&mut self) {
        let now = self.now;
        let serving = self.leaders.keys().copied().next_back().filter(|epoch| {
            let leader = self.leaders[epoch].node;
            self.servers[leader].is_there() && self.servers[leader].epoch == Some(*epoch)
        });
        let looking: Vec<usize> =
            (0..3).filter(|node| self.servers[*node].epoch.is_none() && self.servers[*node].is_there()).collect();
        if let Some(epoch) = serving {
            self.elect_at = None;
            for node in looking {
                let late = self.random.of(20..200);
                let joins_at = *self.servers[node].joins_at.get_or_insert(now + late);
                if now >= joins_at {
                    self.join(node, epoch);
                }
            }
            return;
        }
        if looking.len() < 2 {
            self.elect_at = None;
            return;
        }
        let late = self.random.of(20..400);
        if now >= *self.elect_at.get_or_insert(now + late) {
            self.elect_at = None;
            self.lead(&looking);
        }
    }

    fn join(&mut self, node: usize, epoch: u64) {
        let server = &mut self.servers[node];
        (server.epoch, server.last_epoch, server.in_touch, server.joins_at) = (Some(epoch), epoch, self.now, None);
        server.touched.clear();
        self.catch_up(node);
    }

    /// A new leader gives every lease its full time again.
    fn lead(&mut self, group: &[usize]) {
        self.epoch += 1;
        // Whoever is elected knows all that was agreed upon before it serves.
        let node = group[self.random.of(0..group.len() as u64) as usize];
        let alive = self.agreed().alive;
        let ends = alive.into_iter().map(|lease| (lease, self.end_of(lease))).collect();
        self.leaders.insert(self.epoch, Leader { node, ends, in_touch: self.now });
        group.iter().for_each(|node| self.join(*node, self.epoch));
        for other in 0..3 {
            let unheard_of = self.servers[other].away_since.is_some_and(|since| since <= self.servers[node].started_at);
            if self.kind == Kind::LeadersAnswer && other != node && unheard_of {
                let at = self.now + self.random.of(0..3_000);
                self.forgotten.push((at, other));
            }
        }
    }

    /// Who is forgotten takes its leases with it.
    pub(super) fn forget(&mut self) {
        let Some(epoch) = self.leaders.keys().copied().next_back().filter(|epoch| self.can_commit(*epoch)) else {
            return;
        };
        let now = self.now;
        let due: Vec<usize> = self.forgotten.iter().filter(|(at, _)| *at <= now).map(|(_, node)| *node).collect();
        self.forgotten.retain(|(at, _)| *at > now);
        for lease in self.agreed().alive {
            if due.contains(&self.leases[lease].home) {
                self.leaders.get_mut(&epoch).expect("it is there").ends.remove(&lease);
                self.log.push(Entry::Close(lease, false));
            }
        }
    }
}
