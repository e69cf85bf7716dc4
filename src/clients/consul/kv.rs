//! Keys, their values, and the sessions that hold them.

use std::time::Duration;

use consulrs::api::features::{Blocking, ConsistencyMode, Features};
use consulrs::api::kv::common::KVPair;
use consulrs::api::kv::requests::{DeleteKeyRequest, ReadKeyRequest, SetKeyRequest, SetKeyRequestBuilder};
use leasehold_workloads::service::OpError;

use super::failure::Failure;
use super::session::{SessionId, milliseconds};
use super::wire::Wire;
use crate::clients::{MALFORMED, PREFIX};

/// How current a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The leader asks a majority first whether it still leads.
    Consistent,
    /// The leader answers by itself, as long as it believes that it leads.
    Default,
    /// The server that is asked answers by itself.
    Stale,
}

/// Waits for something newer than an index, for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewerThan {
    pub(super) index: u64,
    pub(super) wait: Duration,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    /// Who holds it as a lock.
    pub(super) session: Option<String>,
    /// The index of the last write to it.
    pub(super) modify_index: u64,
}

impl Entry {
    /// The owner that the lock names, where it is held.
    pub(super) fn holder(&self) -> Option<&str> {
        self.session.as_ref().map(|_| self.value.as_str())
    }
}

/// What a read found, and how far the server's data had come.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) found: T,
    pub(super) index: Option<u64>,
}

/// Where a lock or register lies. Consul's keys begin without a slash.
pub(super) fn path(key: &str) -> String {
    format!("{}{key}", folder())
}

/// Where all of them lie.
pub(super) fn folder() -> &'static str {
    PREFIX.trim_start_matches('/')
}

pub(super) async fn read(wire: &Wire, key: &str, mode: Mode) -> Result<Option<Entry>, OpError> {
    Ok(read_newer(wire, key, mode, None).await?.found)
}

/// Reads a key, at once or when there may be something newer.
pub(super) async fn read_newer(
    wire: &Wire,
    key: &str,
    mode: Mode,
    newer: Option<NewerThan>,
) -> Result<Found<Option<Entry>>, OpError> {
    let path = path(key);
    let Found { found, index } = ask(wire, &path, false, mode, newer).await?;
    match found.into_iter().next() {
        None => Ok(Found { found: None, index }),
        Some(entry) if entry.key == path => Ok(Found { found: Some(entry), index }),
        Some(other) => Err(OpError::unknown(MALFORMED, format!("asked for {path}, the server tells of {}", other.key))),
    }
}

/// Reads all that lies below a key, as it was at one instant.
pub(super) async fn read_below(
    wire: &Wire,
    key: &str,
    mode: Mode,
    newer: Option<NewerThan>,
) -> Result<Found<Vec<Entry>>, OpError> {
    ask(wire, &format!("{}/", path(key)), true, mode, newer).await
}

/// Reads all keys that are ours.
pub(super) async fn read_all(wire: &Wire, mode: Mode, newer: Option<NewerThan>) -> Result<Found<Vec<Entry>>, OpError> {
    ask(wire, folder(), true, mode, newer).await
}

async fn ask(
    wire: &Wire,
    path: &str,
    recurse: bool,
    mode: Mode,
    newer: Option<NewerThan>,
) -> Result<Found<Vec<Entry>>, OpError> {
    let mut request = ReadKeyRequest::builder();
    request.key(path).features(features(mode, newer));
    if recurse {
        request.recurse(true);
    }
    match wire.ask(request.build().expect("every field has a default")).await {
        Ok(reply) => {
            Ok(Found { found: reply.answer.into_iter().map(entry).collect::<Result<_, _>>()?, index: reply.index })
        }
        Err(Failure::Refused(refusal)) if refusal.is_absence() => Ok(Found { found: Vec::new(), index: refusal.index }),
        Err(failure) => Err(failure.into()),
    }
}

fn features(mode: Mode, newer: Option<NewerThan>) -> Features {
    Features {
        mode: match mode {
            Mode::Consistent => Some(ConsistencyMode::CONSISTENT),
            Mode::Default => None,
            Mode::Stale => Some(ConsistencyMode::STALE),
        },
        blocking: newer.map(|newer| Blocking { index: newer.index, wait: Some(milliseconds(newer.wait)) }),
        ..Features::default()
    }
}

fn entry(pair: KVPair) -> Result<Entry, OpError> {
    let value: Vec<u8> = match pair.value {
        Some(value) => value.try_into().map_err(|error| OpError::unknown(MALFORMED, format!("{error}")))?,
        None => Vec::new(),
    };
    Ok(Entry {
        key: pair.key,
        // A value that is no text is not ours: somebody else writes to these keys, and the history ought to show it.
        value: String::from_utf8_lossy(&value).into_owned(),
        session: pair.session.filter(|session| !session.is_empty()),
        modify_index: pair.modify_index,
    })
}

/// Takes a lock for a session, or writes into one that it holds already; `false` where another holds it or its lock-delay lasts.
pub(super) async fn acquire(
    wire: &Wire,
    key: &str,
    session: &SessionId,
    value: &str,
    flags: u64,
) -> Result<bool, OpError> {
    let mut request = SetKeyRequest::builder();
    request.value(value).flags(flags).acquire(session.as_str());
    set(wire, key, &mut request).await
}

/// Gives a lock back and empties it; `false` where the session does not hold it.
pub(super) async fn release(wire: &Wire, key: &str, session: &SessionId) -> Result<bool, OpError> {
    set(wire, key, SetKeyRequest::builder().release(session.as_str())).await
}

/// Writes a value, if the key's last write is the one with this index; 0 stands for a key that does not exist.
pub(super) async fn write(wire: &Wire, key: &str, value: &str, if_at: Option<u64>) -> Result<bool, OpError> {
    let mut request = SetKeyRequest::builder();
    request.value(value);
    if let Some(index) = if_at {
        request.cas(index);
    }
    set(wire, key, &mut request).await
}

async fn set(wire: &Wire, key: &str, request: &mut SetKeyRequestBuilder) -> Result<bool, OpError> {
    let request = request.key(path(key)).build().expect("every field has a default");
    Ok(wire.ask(request).await?.answer)
}

/// Removes a key, if it is as it was when it was read.
pub(super) async fn remove(wire: &Wire, entry: &Entry) -> Result<bool, OpError> {
    let mut request = DeleteKeyRequest::builder();
    let request = request.key(entry.key.as_str()).cas(entry.modify_index).build().expect("every field has a default");
    Ok(wire.ask(request).await?.answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Entry, OpError> {
        entry(serde_json::from_str(text).expect("a pair"))
    }

    #[test]
    fn a_lock_names_its_owner_only_while_a_session_holds_it() {
        // Recorded from Consul 1.8.7.
        let held = r#"{"LockIndex":1,"Key":"leasehold/jobs/7","Flags":0,"Value":"cDEuMQ==","Session":"8d1a4c0f-5b1e-0b2e-6a5c-0f0a3b3c1d2e","CreateIndex":19,"ModifyIndex":19}"#;
        let held = read(held).expect("an entry");
        assert_eq!((held.holder(), held.modify_index), (Some("p1.1"), 19));
        // Its session ran out: the value stays.
        let free = r#"{"LockIndex":1,"Key":"leasehold/jobs/7","Flags":0,"Value":"cDEuMQ==","CreateIndex":19,"ModifyIndex":27}"#;
        assert_eq!(read(free).expect("an entry").holder(), None);
        // It was given back.
        let empty =
            r#"{"LockIndex":1,"Key":"k","Flags":0,"Value":null,"Session":"","CreateIndex":19,"ModifyIndex":31}"#;
        let empty = read(empty).expect("an entry");
        assert_eq!((empty.holder(), empty.value.as_str()), (None, ""));
    }

    #[test]
    fn a_value_that_cannot_be_read_is_no_answer_of_consul() {
        let odd = r#"{"LockIndex":1,"Key":"k","Flags":0,"Value":"!","CreateIndex":1,"ModifyIndex":1}"#;
        assert_eq!(read(odd).expect_err("nonsense").code, MALFORMED);
    }
}
