//! Watching the locks: a query that waits for a newer state of all of them, and a look at what has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_workloads::op::Key;
use leasehold_workloads::service::{Change, ChangeKind, OnChange, OpError};

use super::kv::{self, Entry, Found, Mode, NewerThan};
use super::wire::Wire;
use crate::clients::MALFORMED;

/// A query is given up and asked anew after this long, so that a server that has died silently is found out.
const POLL: Duration = Duration::from_secs(5);
/// Consul stretches the time by up to a sixteenth; an answer takes its time on top.
const ANSWER: Duration = Duration::from_secs(8);
/// Between two queries of which the second told nothing new.
const PAUSE: Duration = Duration::from_millis(20);

/// Tells of each change until nobody listens or the watch breaks.
///
/// What is told is certain: a session that held a lock holds it no more. Of two changes between two looks only the sum is
/// seen, and why a session lost its lock the service does not tell.
pub(super) async fn watch(wire: &Wire, keys: &[Key], mut on_change: OnChange) -> Result<(), OpError> {
    let mut newer = None;
    let mut holds = BTreeMap::new();
    loop {
        let look = kv::read_all(wire, Mode::Consistent, newer);
        let Found { found, index } =
            tokio::time::timeout(ANSWER, look).await.unwrap_or_else(|_| Err(OpError::timeout(ANSWER)))?;
        let index = index.ok_or_else(|| OpError::unknown(MALFORMED, "the server names no index to go on from"))?;
        // An index of 0 would not wait.
        let (before, index) = (newer.map(|newer: NewerThan| newer.index), index.max(1));
        if before.is_some_and(|before| index < before) {
            // The data was restored, or old deletions were forgotten. What we knew may be of another past.
            return Err(OpError::failed("restored", format!("the index went back to {index}")));
        }
        if before == Some(index) {
            // Nothing new. A server that does not wait as it should is not asked without end.
            tokio::time::sleep(PAUSE).await;
        }
        newer = Some(NewerThan { index, wait: POLL });
        let now = holds_of(found, keys);
        for change in changes(&holds, &now) {
            if !on_change(change) {
                return Ok(());
            }
        }
        holds = now;
    }
}

/// Who holds what lies under each path: which lock it belongs to, the session and its owner.
type Holds = BTreeMap<String, Held>;

#[derive(Debug, PartialEq, Eq)]
struct Held {
    key: Key,
    session: String,
    owner: String,
}

fn holds_of(entries: Vec<Entry>, keys: &[Key]) -> Holds {
    let held = entries.into_iter().filter_map(|entry| {
        let path = entry.key.strip_prefix(kv::folder())?.to_owned();
        // A lock is one entry; a semaphore has one for each session below it.
        let key = [Some(&*path), path.rsplit_once('/').map(|(semaphore, _)| semaphore)].into_iter().flatten();
        let key = key.map(str::to_owned).find(|key| keys.contains(key))?;
        Some((path, Held { key, session: entry.session?, owner: entry.value }))
    });
    held.collect()
}

fn changes(before: &Holds, now: &Holds) -> Vec<Change> {
    let lost = before.iter().filter(|(path, held)| now.get(*path).is_none_or(|other| other.session != held.session));
    let change = |held: &Held| Change { key: held.key.clone(), owner: held.owner.clone(), kind: ChangeKind::Deleted };
    lost.map(|(_, held)| change(held)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, session: &str, value: &str) -> Entry {
        let session = Some(session.to_owned()).filter(|session| !session.is_empty());
        Entry { key: key.to_owned(), value: value.to_owned(), session, modify_index: 9 }
    }

    fn seen(before: Vec<Entry>, now: Vec<Entry>) -> Vec<(String, String)> {
        let keys = ["jobs/7".to_owned()];
        let changes = changes(&holds_of(before, &keys), &holds_of(now, &keys));
        changes.into_iter().map(|change| (change.key, change.owner)).collect()
    }

    #[test]
    fn the_end_of_a_hold_is_told_with_its_owner() {
        let held = || vec![entry("leasehold/jobs/7", "8d1a", "p1.1")];
        let lost = [("jobs/7".to_owned(), "p1.1".to_owned())];
        assert_eq!(seen(held(), vec![entry("leasehold/jobs/7", "", "p1.1")]), lost);
        assert_eq!(seen(held(), vec![entry("leasehold/jobs/7", "77fe", "p2.1")]), lost);
        assert_eq!(seen(held(), Vec::new()), lost);
    }

    #[test]
    fn each_holder_of_a_semaphore_has_an_entry_below_it() {
        let two =
            || vec![entry("leasehold/jobs/7/8d1a", "8d1a", "p1.1"), entry("leasehold/jobs/7/77fe", "77fe", "p2.1")];
        let one = || two().into_iter().take(1).chain([entry("leasehold/jobs/7/.lock", "", "{}")]).collect();
        assert_eq!(seen(two(), one()), [("jobs/7".to_owned(), "p2.1".to_owned())]);
        assert_eq!(seen(one(), two()), []);
    }

    #[test]
    fn acquisitions_status_updates_and_foreign_keys_end_nothing() {
        let held = || vec![entry("leasehold/jobs/7", "8d1a", "p1.1")];
        assert_eq!(seen(Vec::new(), held()), []);
        assert_eq!(seen(held(), held()), []);
        assert_eq!(seen(vec![entry("leasehold/jobs/8", "8d1a", "p1.1")], Vec::new()), []);
        assert_eq!(seen(vec![entry("other/jobs/7", "8d1a", "p1.1")], Vec::new()), []);
        assert_eq!(seen(vec![entry("leasehold/jobs/7", "", "p1.1")], Vec::new()), []);
    }
}
