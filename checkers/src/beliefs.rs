//! When a client was entitled to believe that it holds a lock.
//!
//! A careful client counts the TTL from the moment at which it *asked*, on its own clock, which is the harness's. So
//! each `ok` acquisition or renewal `r` entitles it from `end(r)`, when it learns of it, until `inv(r) + T`. The belief
//! ends for good with its own release, with its asking for the lock again, and with any later answer to a renewal or
//! release that told it otherwise. Between one such span and the next, while a renewal is late, it must not act.

use std::time::Duration;

use crate::history::vocabulary::code;
use crate::history::{Action, Op, Ops, RunTime};
use crate::holds::{Grant, Span};

/// The spans of belief of a grant, in order and disjoint.
pub(crate) fn beliefs(grant: &Grant, ops: &Ops) -> Vec<Span> {
    let end = end_of_belief(grant, ops);
    let mut spans: Vec<Span> = std::iter::once(grant.acquire)
        .chain(grant.renewals.iter().copied())
        .filter_map(|op| entitlement(&ops[op]))
        .map(|span| Span { from: span.from.max(grant.ended), until: end.map_or(span.until, |end| end.min(span.until)) })
        .filter(|span| span.from < span.until)
        .collect();
    spans.sort();
    merged(&spans)
}

/// From when until when an `ok` op alone lets its client believe.
fn entitlement(op: &Op) -> Option<Span> {
    let ttl_ms = match op.action {
        Action::Acquire { granted: Some(granted), .. } => granted.ttl_ms,
        Action::Renew { granted_ttl_ms: Some(granted), .. } => granted,
        _ => return None,
    };
    Some(Span { from: op.ended?, until: op.invoked.after(Duration::from_millis(ttl_ms)) })
}

/// When the client let go, or was told that it holds the lock no more.
fn end_of_belief(grant: &Grant, ops: &Ops) -> Option<RunTime> {
    let told_otherwise = grant
        .renewals
        .iter()
        .chain(&grant.releases)
        .map(|op| &ops[*op])
        .filter(|op| [code::NOT_HELD, code::EXPIRED, code::MISMATCH].iter().any(|code| op.failed_with(code)))
        .filter_map(|op| op.ended)
        .filter(|told| *told > grant.ended);
    told_otherwise.chain(grant.release_invoked).chain(grant.asked_again).min()
}

fn merged(sorted: &[Span]) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::new();
    for span in sorted {
        match merged.last_mut() {
            Some(last) if span.from <= last.until => last.until = last.until.max(span.until),
            _ => merged.push(*span),
        }
    }
    merged
}
