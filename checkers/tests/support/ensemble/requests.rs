//! What servers do with requests.

use leasehold_checkers::history::vocabulary::code;

use super::clients::{Ask, Request, Told};
use super::{Ensemble, Entry, Kind};

impl Ensemble {
    pub(super) fn serve(&mut self) {
        let mut left = Vec::new();
        for mut request in std::mem::take(&mut self.pending) {
            if !request.given_up && self.now >= request.gives_up {
                request.given_up = true;
                self.deliver(&request, &Told::Nothing);
            }
            // What was sent is there to be carried out, whether its client still waits or not.
            let runs = self.servers[request.node].runs();
            if request.answer.is_none() && runs && self.now >= request.arrives {
                request.answer = self.answer(&request).map(|(told, known)| (told, known, None));
            }
            if let Some((told, known, at)) = request.answer {
                let is_known = runs && self.servers[request.node].state.applied >= known;
                let at = at.or_else(|| is_known.then(|| self.soon()));
                request.answer = Some((told, known, at));
                if at.is_some_and(|at| self.now >= at) {
                    if !request.given_up {
                        self.deliver(&request, &told);
                    }
                    continue;
                }
                if let (Ask::Read, Some(at), Told::Saw(_)) = (request.ask, at, told)
                    && is_known
                    && self.kind == Kind::FollowersAnswer
                {
                    // It shows what the server at hand knows by then.
                    let seen = self.servers[request.node].state.holder;
                    request.answer = Some((Told::Saw(seen), 0, Some(at)));
                }
            }
            let is_lost = request.given_up && (request.answer.is_some() || self.now > request.gives_up + 6_000);
            if !is_lost {
                left.push(request);
            }
        }
        self.pending.extend(left);
    }

    /// What is said, and up to where the log must be carried out first; `None` while nothing can be said.
    fn answer(&mut self, request: &Request) -> Option<(Told, usize)> {
        let node = request.node;
        if self.servers[node].epoch.is_none() {
            // Whoever looks for a leader hangs up on its clients.
            return (self.kind == Kind::FollowersAnswer).then_some((Told::Nothing, 0));
        }
        if let Ask::Renew(lease) = request.ask {
            return self.renew(node, lease);
        }
        let epoch = self.leader_of(node).filter(|epoch| self.can_commit(*epoch))?;
        let agreed = self.agreed();
        let known = |ensemble: &Self| if ensemble.kind == Kind::FollowersAnswer { ensemble.log.len() } else { 0 };
        match request.ask {
            Ask::Acquire(lease) => {
                let leader = self.leaders[&epoch].node;
                if agreed.holder.is_some() || self.servers[leader].closed_until > self.now {
                    return Some((Told::Held(agreed.holder), known(self)));
                }
                self.log.extend([Entry::Open(lease), Entry::Grant(lease)]);
                let end = self.end_of(lease);
                self.leaders.get_mut(&epoch).expect("it is there").ends.insert(lease, end);
                self.catch_up(leader);
                Some((Told::Granted(self.log.len() as u64), known(self)))
            }
            Ask::Release(lease) => {
                if agreed.holder != Some(lease) {
                    return Some((Told::Failed(code::NOT_HELD), 0));
                }
                self.log.push(Entry::Close(lease, true));
                self.leaders.get_mut(&epoch).expect("it is there").ends.remove(&lease);
                self.catch_up(self.leaders[&epoch].node);
                Some((Told::Released, known(self)))
            }
            // A write and then a look, or a question to the leader.
            Ask::Read => Some((Told::Saw(agreed.holder), known(self))),
            Ask::Renew(_) => unreachable!("it is answered above"),
        }
    }

    fn renew(&mut self, node: usize, lease: usize) -> Option<(Told, usize)> {
        match self.kind {
            Kind::FollowersAnswer => {
                if self.servers[node].state.holder != Some(lease) {
                    return Some((Told::Failed(code::NOT_HELD), 0));
                }
                let epoch = self.servers[node].epoch?;
                if self.leaders.get(&epoch).is_some_and(|leader| leader.node == node) {
                    self.prolong(epoch, lease);
                } else {
                    self.servers[node].touched.insert(lease);
                }
                Some((Told::Renewed, 0))
            }
            Kind::LeadersAnswer => {
                // Its own word, whoever else leads by now.
                let epoch = self.leader_of(node)?;
                let leader = self.leaders[&epoch].node;
                if !self.servers[leader].state.alive.contains(&lease) {
                    return Some((Told::Failed(code::EXPIRED), 0));
                }
                self.prolong(epoch, lease);
                Some((Told::Renewed, 0))
            }
        }
    }
}
