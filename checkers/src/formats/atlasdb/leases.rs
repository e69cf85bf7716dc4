//! AtlasDB's tokens as the owners of leases, so that the model `lease-lock` can judge them.
//!
//! A token stands for one grant, as an owner does in our own words: it is refreshed and given back by name. What is
//! answered proves that it was held while it was refreshed, or given back; when it runs out by itself nobody is told,
//! so without such an answer it may be over at once. The other answers are left out where they prove nothing:
//!
//! * A lock that was not granted has no token for an answer, whether it was taken or the service would not wait.
//! * A client that has no token refreshes and gives back nothing, and is told so.
//! * Locks are *reentrant*: a client that holds one is given it again, with a token of its own. The model has no such
//!   grants, so a token that was given to a client while an earlier one of its own may have stood is left out, with all
//!   that was done with it. To leave out a grant takes away what it contradicts, and adds nothing.
//!
//! Operations keep their numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::history::vocabulary::{code, f};
use crate::history::{ErrorInfo, Event, EventType, Process, RunTime};

/// The code of what says nothing.
const NOTHING_SAID: &str = "no-token";

/// Rewrites the events of AtlasDB's lock test as those of leases.
pub(in crate::formats) fn rewrite(events: &mut [Event]) {
    let steps = steps(events);
    let left_out = reentrant(events, &steps);
    for step in &steps {
        let is_left_out = step.token.as_ref().is_none_or(|token| left_out.contains(token));
        let owner = step.token.clone().filter(|_| !is_left_out);
        let asked = &mut events[step.asked];
        word(asked);
        asked.value = json!({ "owner": owner }).into();
        let Some(answered) = step.answered else { continue };
        let answered = &mut events[answered];
        word(answered);
        if answered.kind == EventType::Ok {
            answered.value = json!({ "owner": owner }).into();
            if owner.is_none() {
                refuse(answered, NOTHING_SAID);
            } else if !step.is_granted {
                refuse(answered, code::NOT_HELD);
            }
        }
    }
}

fn word(event: &mut Event) {
    event.f = match event.f.as_str() {
        "lock" => f::ACQUIRE.into(),
        "refresh" => f::RENEW.into(),
        "unlock" => f::RELEASE.into(),
        _ => return,
    };
}

fn refuse(event: &mut Event, code: &str) {
    event.kind = EventType::Fail;
    event.error = Some(ErrorInfo { code: code.into(), text: String::new().into() });
}

/// What a client asked, and what it was told.
struct Step {
    asked: usize,
    answered: Option<usize>,
    /// The token that was given, or asked with.
    token: Option<String>,
    /// Whether the answer proves that the token was held.
    is_granted: bool,
}

fn steps(events: &[Event]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut under_way: BTreeMap<u64, usize> = BTreeMap::new();
    for (place, event) in events.iter().enumerate() {
        let Process::Client(client) = event.process else { continue };
        if event.kind == EventType::Invoke {
            under_way.insert(client, steps.len());
            steps.push(Step { asked: place, answered: None, token: None, is_granted: false });
        } else if let Some(step) = under_way.remove(&client) {
            let step = &mut steps[step];
            step.answered = Some(place);
            step.token = text(&event.value, "token");
            step.is_granted = event.kind == EventType::Ok
                && match event.f.as_str() {
                    "refresh" => text(&event.value, "refreshed").is_some(),
                    "unlock" => event.value.get("unlocked") == Some(&Value::Bool(true)),
                    _ => true,
                };
        }
    }
    steps
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

/// Tokens that a client was given while it may still have held an earlier one of the same lock.
fn reentrant(events: &[Event], steps: &[Step]) -> BTreeSet<String> {
    let mut proven_until: BTreeMap<&str, RunTime> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.is_granted) {
        if let (Some(token), Some(answered)) = (&step.token, step.answered) {
            let until = proven_until.entry(token).or_default();
            *until = events[answered].time.max(*until);
        }
    }
    let mut kept_until: BTreeMap<(Option<&str>, String), RunTime> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for step in steps {
        let (Some(token), Some(answered)) = (&step.token, step.answered) else { continue };
        let Some(client) = text(&events[answered].value, "client") else { continue };
        let asked = &events[step.asked];
        let kept = kept_until.entry((asked.key.as_deref(), client)).or_default();
        let until = proven_until.get(token.as_str()).copied().unwrap_or_default();
        if asked.time <= *kept {
            left_out.insert(token.clone());
        } else {
            *kept = until;
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Format, Options, Record};
    use crate::linear::locks::{LeaseTerms, LockModel};
    use crate::linear::{Budget, Model, Reading, judge};
    use crate::verdict::Verdict;

    /// A client, what it asks and with which token, what it is told, and when.
    type Op<'a> = (u64, &'a str, &'a str, &'a str, u64, u64);

    fn events(ops: &[Op<'_>]) -> Vec<Event> {
        let mut lines = Vec::new();
        for &(process, f, asked, told, called, returned) in ops {
            let token = |id: &str| match id {
                "" | "true" | "false" => id.to_owned(),
                id => format!("LockRefreshToken [tokenId={id}]"),
            };
            let asked = if f == "lock" { asked.to_owned() } else { token(asked) };
            lines.push((
                called,
                json!({ "f": f, "process": process, "time": called, "type": "invoke", "value": "bob" }),
            ));
            lines.push((
                returned,
                json!({ "f": f, "process": process, "time": returned, "type": "ok", "value": token(told), "query-params": asked }),
            ));
        }
        lines.sort_by_key(|&(time, _)| time);
        let text = Value::Array(lines.into_iter().map(|(_, line)| line).collect()).to_string();
        let options = Options { format: Some(Format::AtlasDb), ..Options::default() };
        let mut record = Record::from_reader(text.as_bytes(), &options).expect("it is a history");
        record.tokens_as_owners();
        record.events
    }

    fn verdict(ops: &[Op<'_>]) -> Verdict {
        let terms = LeaseTerms { release_certifies: true, ..LeaseTerms::default() };
        let model = Model::Lock(LockModel::Lease(terms));
        let budget = Budget { out_of_time: &|| false, memory_bytes: 1 << 20 };
        judge(&events(ops), &model, &Reading::default(), &budget).expect("they are requests").verdict
    }

    #[test]
    fn tokens_become_owners() {
        let events = events(&[
            (0, "lock", "n1,bob", "a1", 1, 2),
            (0, "refresh", "a1", "", 3, 4),
            (1, "lock", "n2,bob", "", 5, 6),
        ]);
        let told: Vec<_> =
            events.iter().map(|event| (event.f.as_str(), event.kind, event.value["owner"].as_str())).collect();
        assert_eq!(
            told,
            [
                ("acquire", EventType::Invoke, Some("a1")),
                ("acquire", EventType::Ok, Some("a1")),
                ("renew", EventType::Invoke, Some("a1")),
                ("renew", EventType::Fail, Some("a1")),
                ("acquire", EventType::Invoke, None),
                ("acquire", EventType::Fail, None),
            ]
        );
    }

    #[test]
    fn two_clients_that_held_at_once() {
        let first = [(0, "lock", "n1,bob", "a1", 1, 2), (0, "refresh", "a1", "a1", 10, 11)];
        let beside = |other: Op<'static>| verdict(&[first[0], first[1], other]);
        assert_eq!(beside((1, "lock", "n2,bob", "b1", 4, 6)), Verdict::Invalid);
        assert_eq!(beside((1, "lock", "n2,bob", "b1", 12, 13)), Verdict::Valid, "a lease may run out");
        assert_eq!(beside((1, "lock", "n2,bob", "", 4, 6)), Verdict::Valid);
        assert_eq!(beside((1, "lock", "n1,bob", "b1", 4, 6)), Verdict::Valid, "locks are reentrant");
    }

    #[test]
    fn a_token_that_comes_back() {
        let lost = [(0, "lock", "n1,bob", "a1", 1, 2), (0, "refresh", "a1", "", 3, 4)];
        assert_eq!(verdict(&lost), Verdict::Valid);
        assert_eq!(verdict(&[lost[0], lost[1], (0, "refresh", "a1", "a1", 5, 6)]), Verdict::Invalid);
        assert_eq!(verdict(&[lost[0], lost[1], (0, "unlock", "a1", "true", 5, 6)]), Verdict::Invalid);
        assert_eq!(verdict(&[lost[0], lost[1], (0, "unlock", "a1", "false", 5, 6)]), Verdict::Valid);
    }
}
