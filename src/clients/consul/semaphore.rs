//! Consul's recipe for a semaphore (its guide "Semaphore", and the `Semaphore` of its Go client, whose format is used): below the key
//! each session holds an entry of its own, and the entry `.lock` lists the sessions that have a permit. It is changed by
//! compare-and-swap, and whoever changes it strikes out those whose entry no session holds any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::Owner;
use leasehold_workloads::service::OpError;
use serde::{Deserialize, Serialize};

use super::failure::before_the_op;
use super::kv::{self, Entry, Found, Mode, NewerThan};
use super::queue::StayingAlive;
use super::session::SessionId;
use super::wire::Wire;
use crate::clients::MALFORMED;

/// The entry that says who has a permit.
const LOCK: &str = ".lock";
/// Between two looks of which the second told nothing new, so that a server that does not wait as it should is not asked without end.
const PAUSE: Duration = Duration::from_millis(100);

/// What stands in [`LOCK`].
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Permits {
    #[serde(rename = "Limit")]
    limit: usize,
    #[serde(rename = "Holders")]
    holders: BTreeMap<String, bool>,
}

/// The semaphore as it was at one instant.
#[derive(Debug)]
struct Seen {
    permits: Permits,
    /// The index of the last change of it; 0 where there was none.
    changed: u64,
    /// The sessions whose entries stand, with the index of the write that made each.
    alive: BTreeMap<String, u64>,
    /// How far the server's data had come.
    index: Option<u64>,
}

/// Returns once the session has a permit. The token is the index at which the session's entry was made, to which nobody else writes.
pub(super) async fn until_acquired(
    wire: &Wire,
    key: &str,
    owner: Owner,
    session: &SessionId,
    ttl: Duration,
    permits: usize,
) -> Result<u64, OpError> {
    let mut alive = StayingAlive::new(wire, session, ttl);
    // Who has an entry has no permit yet, so whatever goes wrong here, nothing was acquired.
    let entered =
        kv::acquire(wire, &entry(key, session), session, &owner.to_string(), 0).await.map_err(before_the_op)?;
    if !entered {
        return Err(OpError::failed("in-use", "another session holds the entry of this one"));
    }
    let mut waited_from: Option<u64> = None;
    loop {
        alive.renew_if_due().await.map_err(before_the_op)?;
        let newer = waited_from.map(|index| NewerThan { index, wait: alive.renew_every });
        let mut seen = look_at_all(wire, key, newer).await.map_err(before_the_op)?;
        let Some(token) = seen.alive.get(session.as_str()).copied() else {
            return Err(OpError::failed("session", "the session ended while it waited"));
        };
        seen.permits.strike_out_the_dead(&seen.alive);
        if seen.permits.holders.len() < permits {
            seen.permits.limit = permits;
            seen.permits.holders.insert(session.as_str().to_owned(), true);
            if change(wire, key, &seen).await? {
                return Ok(token);
            }
            // Another was quicker, and there is something new to be seen at once.
            waited_from = None;
            continue;
        }
        // An index of 0 would not wait.
        let index = Some(seen.index.unwrap_or(0).max(1));
        if index == waited_from {
            tokio::time::sleep(PAUSE).await;
        }
        waited_from = index;
    }
}

/// Fails if the session has no permit any more.
pub(super) async fn look(wire: &Wire, key: &str, session: &SessionId) -> Result<(), OpError> {
    let read = kv::read(wire, &lock(key), Mode::Consistent).await.map_err(before_the_op)?;
    let permits = read.as_ref().map(Permits::of).transpose().map_err(before_the_op)?.unwrap_or_default();
    match permits.holders.contains_key(session.as_str()) {
        true => Ok(()),
        false => Err(OpError::failed(code::NOT_HELD, "the session is not among those that have a permit")),
    }
}

/// Who has had a permit for the longest time, of those whose session lives.
pub(super) async fn a_holder(wire: &Wire, key: &str, mode: Mode) -> Result<Option<String>, OpError> {
    let entries = kv::read_below(wire, key, mode, None).await?.found;
    let Permits { holders, .. } = Seen::of(&entries, None)?.permits;
    let holds = |entry: &&Entry| own_session(entry).is_some_and(|session| holders.contains_key(session));
    Ok(entries.iter().filter(holds).min_by_key(|entry| entry.modify_index).map(|entry| entry.value.clone()))
}

/// Gives the permit back and removes the session's entry; `false` where it had none.
pub(super) async fn release(wire: &Wire, key: &str, session: &SessionId) -> Result<bool, OpError> {
    loop {
        let mut seen = look_at_all(wire, key, None).await.map_err(before_the_op)?;
        if seen.permits.holders.remove(session.as_str()).is_none() {
            return Ok(false);
        }
        seen.permits.strike_out_the_dead(&seen.alive);
        if change(wire, key, &seen).await? {
            // Without an entry nobody holds anything. If that fails, it goes with the session.
            let _ = remove_entry(wire, key, session).await;
            return Ok(true);
        }
    }
}

async fn remove_entry(wire: &Wire, key: &str, session: &SessionId) -> Result<(), OpError> {
    if let Some(entry) = kv::read(wire, &entry(key, session), Mode::Consistent).await? {
        kv::remove(wire, &entry).await?;
    }
    Ok(())
}

/// `false` where somebody else has changed it since it was seen.
async fn change(wire: &Wire, key: &str, seen: &Seen) -> Result<bool, OpError> {
    let text = serde_json::to_string(&seen.permits).expect("it is made of names and numbers");
    kv::write(wire, &lock(key), &text, Some(seen.changed)).await
}

async fn look_at_all(wire: &Wire, key: &str, newer: Option<NewerThan>) -> Result<Seen, OpError> {
    let Found { found, index } = kv::read_below(wire, key, Mode::Consistent, newer).await?;
    Seen::of(&found, index)
}

/// The last part of an entry's key.
fn name(entry: &Entry) -> &str {
    entry.key.rsplit_once('/').map_or("", |(_, name)| name)
}

/// The session that holds an entry, if the entry is its own.
fn own_session(entry: &Entry) -> Option<&str> {
    entry.session.as_deref().filter(|session| *session == name(entry))
}

impl Seen {
    fn of(entries: &[Entry], index: Option<u64>) -> Result<Self, OpError> {
        let mut seen = Self { permits: Permits::default(), changed: 0, alive: BTreeMap::new(), index };
        for entry in entries {
            if name(entry) == LOCK {
                seen.changed = entry.modify_index;
                seen.permits = Permits::of(entry)?;
            } else if let Some(session) = own_session(entry) {
                seen.alive.insert(session.to_owned(), entry.modify_index);
            }
        }
        Ok(seen)
    }
}

impl Permits {
    fn of(entry: &Entry) -> Result<Self, OpError> {
        serde_json::from_str(&entry.value)
            .map_err(|error| OpError::unknown(MALFORMED, format!("{} holds no list of holders: {error}", entry.key)))
    }

    fn strike_out_the_dead(&mut self, alive: &BTreeMap<String, u64>) {
        let alive: BTreeSet<&String> = alive.keys().collect();
        self.holders.retain(|session, _| alive.contains(session));
    }
}

fn entry(key: &str, session: &SessionId) -> String {
    format!("{key}/{}", session.as_str())
}

fn lock(key: &str) -> String {
    format!("{key}/{LOCK}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &str, session: Option<&str>) -> Entry {
        let key = format!("leasehold/semaphores/1/{name}");
        Entry { key, value: value.to_owned(), session: session.map(str::to_owned), modify_index: 7 }
    }

    #[test]
    fn those_without_an_entry_of_their_own_have_no_permit() {
        let list = r#"{"Limit":3,"Holders":{"8d1a":true,"77fe":true,"0a0a":true}}"#;
        let entries = vec![
            entry(LOCK, list, None),
            entry("8d1a", "p1.1", Some("8d1a")),
            // Its session ended.
            entry("77fe", "p2.1", None),
            // Somebody else's.
            entry("0a0a", "p3.1", Some("8d1a")),
        ];
        let mut seen = Seen::of(&entries, Some(9)).expect("it is well-formed");
        assert_eq!((seen.changed, seen.permits.holders.len()), (7, 3));
        seen.permits.strike_out_the_dead(&seen.alive);
        assert_eq!(seen.permits.holders.keys().collect::<Vec<_>>(), ["8d1a"]);
        assert_eq!(serde_json::to_string(&seen.permits).expect("JSON"), r#"{"Limit":3,"Holders":{"8d1a":true}}"#);
    }

    #[test]
    fn an_untouched_semaphore_is_made_and_a_foreign_one_is_refused() {
        let fresh = Seen::of(&[], None).expect("nothing is wrong");
        assert_eq!((fresh.changed, fresh.permits), (0, Permits::default()));
        for hostile in ["", "[]", "{\"Limit\":-1}", "\u{0}"] {
            assert_eq!(Seen::of(&[entry(LOCK, hostile, None)], None).expect_err(hostile).code, MALFORMED);
        }
    }
}
