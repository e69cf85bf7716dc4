//! All that a service which keeps its word can do, tried one after the other: can it have given these answers?
//!
//! Time goes in half steps, so that something fits between any two instants on record. At each of them any number of things may
//! happen: a request takes effect, a lease ends. What the contract leaves open is tried both ways.

use std::collections::HashSet;

use super::story::{Ask, Owner, Request, Story, Told};

const MOST_OWNERS: usize = 8;
const NEVER: u16 = u16::MAX;

/// A half step, small enough to remember many states.
fn instant(half_steps: u64) -> u16 {
    u16::try_from(half_steps).expect("stories are short")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
enum Lease {
    #[default]
    NotYet,
    /// It may end from the first instant on, and must have ended by the second.
    Alive(u16, u16),
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Service {
    holder: Option<Owner>,
    leases: [Lease; MOST_OWNERS],
    /// Which owners have held the lock, as bits.
    held: u8,
    closed_until: u16,
    token: u8,
}

impl Service {
    fn lease(&mut self, owner: Owner) -> &mut Lease {
        &mut self.leases[usize::from(owner)]
    }

    fn has_held(&self, owner: Owner) -> bool {
        self.held >> owner & 1 == 1
    }
}

struct Walk<'a> {
    story: &'a Story,
    end: u64,
    been: HashSet<(u16, u16, Service)>,
}

/// Whether some behaviour that the contract allows gives these answers. The stories are of one lock, its clocks are right.
pub fn can_have_answered(story: &Story) -> bool {
    let times = story.requests.iter().flat_map(|request| [Some(request.invoked), request.ended]).flatten();
    let end = 2 * times.chain(story.watches.iter().map(|watch| watch.at)).max().unwrap_or(0);
    let mut walk = Walk { story, end, been: HashSet::new() };
    let left = (1_u16 << story.requests.len()) - 1;
    walk.from(0, left, Service::default())
}

impl Walk<'_> {
    /// Whether the answers to the requests of `left` can be given from now on.
    fn from(&mut self, now: u64, left: u16, service: Service) -> bool {
        if now > self.end {
            return true;
        }
        if !self.been.insert((instant(now), left, service)) {
            return false;
        }
        for (place, request) in self.story.requests.iter().enumerate() {
            let unanswered = request.told == Told::Nothing || request.ended.is_none();
            let over = !unanswered && request.ended.is_some_and(|ended| now > 2 * ended);
            if left >> place & 1 == 0 || now < 2 * request.invoked || over {
                continue;
            }
            if let Some(after) = self.effect(request, now, service)
                && self.from(now, left & !(1 << place), after)
            {
                return true;
            }
        }
        for owner in 0..MOST_OWNERS as Owner {
            if self.turns(owner, now, service).into_iter().flatten().any(|after| self.from(now, left, after)) {
                return true;
            }
        }
        self.may_pass(now, left, &service) && self.from(now + 1, left, service)
    }

    /// Whether nothing that had to happen by now is left undone.
    fn may_pass(&self, now: u64, left: u16, service: &Service) -> bool {
        let due = |at: u64| 2 * at == now;
        let unanswered = self.story.requests.iter().enumerate().any(|(place, request)| {
            let answered = request.told != Told::Nothing && request.ended.is_some_and(due);
            answered
                && match (request.ask, request.told) {
                    // A service may try the lock and think better of it, as long as it says no after that.
                    (Ask::Acquire { owner, .. }, Told::Failed(_)) => service.holder == Some(owner),
                    _ => left >> place & 1 == 1,
                }
        });
        let not_gone = self.story.watches.iter().any(|watch| {
            let lease = service.leases[usize::from(watch.owner)];
            due(watch.at)
                && lease != Lease::Gone
                && (!service.has_held(watch.owner) || service.holder == Some(watch.owner))
        });
        let overdue =
            service.leases.iter().any(|lease| matches!(lease, Lease::Alive(_, latest) if *latest <= instant(now)));
        !unanswered && !not_gone && !overdue
    }

    fn lives(&self, asked_at: u64, now: u64, ttl: u64) -> Lease {
        let terms = &self.story.terms;
        let from = if terms.counts_from_request { asked_at } else { now };
        let earliest = (from + 2 * ttl).saturating_sub(2 * terms.slack);
        let latest =
            terms.latest.map_or(NEVER, |(ttls, grace, _)| instant(now + 2 * u64::from(ttls) * ttl + 2 * grace));
        Lease::Alive(instant(earliest), latest)
    }

    fn acquisition(&self, owner: Owner) -> Option<(&Request, u64)> {
        self.story.requests.iter().find_map(|request| match (request.ask, request.told) {
            (Ask::Acquire { owner: other, .. }, Told::Acquired { ttl, .. }) if other == owner => Some((request, ttl)),
            (Ask::Acquire { owner: other, ttl, .. }, _) if other == owner => Some((request, ttl)),
            _ => None,
        })
    }

    /// A lease as it is when it was granted, at any instant since the acquisition was asked for.
    fn granted(&self, owner: Owner, now: u64) -> Option<Lease> {
        let (request, ttl) = self.acquisition(owner)?;
        let Lease::Alive(_, latest) = self.lives(0, now, ttl) else { return None };
        let earliest = (2 * request.invoked + 2 * ttl).saturating_sub(2 * self.story.terms.slack);
        (now >= 2 * request.invoked).then_some(Lease::Alive(instant(earliest), latest))
    }

    /// What may happen to an owner's lease by itself.
    fn turns(&self, owner: Owner, now: u64, service: Service) -> [Option<Service>; 2] {
        let mut after = service;
        match service.leases[usize::from(owner)] {
            Lease::Alive(earliest, _) if instant(now) >= earliest => {
                *after.lease(owner) = Lease::Gone;
                if service.holder == Some(owner) {
                    after.holder = None;
                    after.closed_until = self.story.terms.lock_delay.map_or(0, |delay| instant(now + 2 * delay));
                }
                [Some(after), None]
            }
            // Whoever waits has a lease before it has the lock.
            Lease::NotYet => {
                let Some((request, _)) = self.acquisition(owner) else { return [None, None] };
                let is_over = request.ended.is_some_and(|ended| now > 2 * ended) && request.told != Told::Nothing;
                let Some(lease) = self.granted(owner, now).filter(|_| !is_over) else { return [None, None] };
                *after.lease(owner) = lease;
                [Some(after), None]
            }
            // Thinks better of it.
            _ if service.holder == Some(owner) => {
                let failed = |(request, _): (&Request, u64)| matches!(request.told, Told::Failed(_));
                after.holder = None;
                *after.lease(owner) = Lease::Gone;
                [self.acquisition(owner).is_some_and(failed).then_some(after), None]
            }
            _ => [None, None],
        }
    }

    fn effect(&self, request: &Request, now: u64, service: Service) -> Option<Service> {
        let mut after = service;
        let possible = match (request.ask, request.told) {
            (Ask::Acquire { owner, .. }, Told::Acquired { .. } | Told::Nothing | Told::Failed(_)) => {
                let lease = match service.leases[usize::from(owner)] {
                    Lease::NotYet => self.granted(owner, now)?,
                    lease => lease,
                };
                *after.lease(owner) = lease;
                after.holder = Some(owner);
                after.held |= 1 << owner;
                after.closed_until = 0;
                let token = match request.told {
                    Told::Acquired { token, .. } => {
                        token.filter(|_| self.story.terms.fencing_tokens).map(|token| token as u8)
                    }
                    _ => None,
                };
                after.token = token.unwrap_or(service.token);
                let grows = token.is_none_or(|token| token > service.token);
                service.holder.is_none() && instant(now) >= service.closed_until && lease != Lease::Gone && grows
            }
            (Ask::Acquire { .. }, Told::Held(None)) => service.holder.is_some() || instant(now) < service.closed_until,
            (Ask::Acquire { .. }, Told::Held(holder)) => service.holder == holder,
            (Ask::Renew { owner, ttl }, Told::Renewed { .. } | Told::Nothing) => {
                let (_, granted) = self.acquisition(owner)?;
                let lives = match request.told {
                    Told::Renewed { ttl } => ttl,
                    _ => ttl.unwrap_or(granted),
                };
                *after.lease(owner) = self.lives(2 * request.invoked, now, lives);
                matches!(service.leases[usize::from(owner)], Lease::Alive(..))
            }
            (Ask::Renew { owner, .. } | Ask::Release { owner }, Told::Failed("expired")) => {
                !matches!(service.leases[usize::from(owner)], Lease::Alive(..))
            }
            (Ask::Renew { owner, .. } | Ask::Release { owner }, Told::Failed("not-held" | "mismatch")) => {
                service.holder != Some(owner)
            }
            (Ask::Release { owner }, Told::Released | Told::Nothing) => {
                if service.holder == Some(owner) {
                    after.holder = None;
                }
                if service.leases[usize::from(owner)] != Lease::NotYet {
                    *after.lease(owner) = Lease::Gone;
                }
                true
            }
            (Ask::Read { linearizable: true }, Told::Saw(seen)) => service.holder == seen,
            _ => true,
        };
        possible.then_some(after)
    }
}
