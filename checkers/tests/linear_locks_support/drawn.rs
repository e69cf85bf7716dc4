//! Tiny histories, drawn at random.

use leasehold_checkers::history::RunTime;
use leasehold_checkers::linear::locks::{Deed, LockAction, LockCall, LockHistory, Owner};
use proptest::prelude::*;

pub const OWNERS: u32 = 3;

/// One request as it is drawn; a history is made of several.
#[derive(Clone, Debug)]
pub struct Drawn {
    owner: u32,
    gap: u64,
    lasts: u64,
    kind: u32,
    ttl: u64,
    unanswered: bool,
    token: u64,
    expected: bool,
}

prop_compose! {
    pub fn drawn()(
        owner in 0..OWNERS,
        gap in 0..4_u64,
        lasts in 0..6_u64,
        kind in 0..12_u32,
        ttl in 0..7_u64,
        unanswered in prop::bool::weighted(0.15),
        token in 0..4_u64,
        expected in prop::bool::weighted(0.8),
    ) -> Drawn {
        Drawn { owner, gap, lasts, kind, ttl, unanswered, token, expected }
    }
}

/// A history in which most owners act one after another, or all at random.
pub fn history(drawn: &[Drawn], in_turn: bool, looks: bool) -> LockHistory {
    let mut free_from = [0; OWNERS as usize];
    let mut holds = [false; OWNERS as usize];
    let mut calls: Vec<LockCall> = Vec::new();
    for (place, request) in (0..).zip(drawn) {
        let owner = request.owner as usize;
        let called = if in_turn { free_from[owner] + request.gap } else { 2 * request.gap };
        let returned = called + request.lasts;
        free_from[owner] = returned + 1;
        let expires = RunTime(called + request.ttl);
        let deed = match request.kind {
            0 if looks => {
                Deed::Seen { holder: (request.token > 0).then(|| Owner(u32::try_from(request.token).unwrap_or(0) - 1)) }
            }
            1 if looks => Deed::Refused { holder: Some(Owner(u32::try_from(request.token % 3).unwrap_or(0))) },
            2 | 3 => Deed::Refused { holder: None },
            4 => Deed::NotHeld,
            5 => Deed::Renewed { expires },
            _ if holds[owner] == request.expected => Deed::Released,
            _ => Deed::Acquired { token: (request.token > 0).then_some(place + request.token), expires },
        };
        match deed {
            Deed::Acquired { .. } => holds[owner] = true,
            Deed::Released => holds[owner] = false,
            _ => {}
        }
        calls.push(LockCall {
            op: 0,
            process: u64::from(request.owner),
            called: RunTime(called),
            returned: (!request.unanswered).then_some(RunTime(returned)),
            action: LockAction { owner: Owner(request.owner), deed },
        });
    }
    calls.sort_by_key(|call| call.called);
    for (op, call) in calls.iter_mut().enumerate() {
        call.op = op;
    }
    LockHistory { key: String::new(), calls, owners: (0..OWNERS).map(|owner| format!("process {owner}")).collect() }
}
