//! One client's connection to one server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Hold, Op, Owner, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::{LockService, OpError};
use reqwest::{Client, RequestBuilder, Url};

use super::reply::{self, COMPARE_FAILED, Failure, KEY_EXISTS, KEY_NOT_FOUND, Refusal, Reply};
use super::{AT_REST, HELD_BY, holder};
use crate::causes;
use crate::clients::{
    CONNECT, Credentials, MALFORMED, PREFIX, REFUSED, UNSUPPORTED, http, register_value, whole_seconds,
};

/// Far more than the answer about one lock takes.
pub(super) const ANSWER_BYTES: usize = 256 * 1024;

/// One client's connection to one server.
///
/// The HTTP client has at most one request under way. A future that is dropped while it waits for a connection takes the request
/// with it; one that is dropped while it waits for the answer closes the connection.
pub(super) struct Connection {
    http: Client,
    address: SocketAddr,
}

type Field<'a> = (&'a str, &'a str);

#[async_trait]
impl LockService for Connection {
    async fn perform(&mut self, op: &Op) -> Result<Answer, OpError> {
        match op {
            Op::Acquire { key, owner, ttl, wait: Wait::Never } => self.acquire(key, *owner, *ttl).await,
            Op::Acquire { wait: Wait::InQueue, .. } => {
                Err(OpError::failed(UNSUPPORTED, "the v2 API has no queue of waiters"))
            }
            Op::Renew { hold, how } => self.renew(hold, *how).await,
            Op::Release { hold } => self.release(hold).await,
            Op::Read { key, linearizable } => self.read(key, *linearizable).await,
            Op::Register { key, op } => self.register(key, *op).await,
            Op::Work { .. } => Err(OpError::failed(UNSUPPORTED, "the v2 API has no transactions")),
        }
    }
}

impl Connection {
    /// A connection to this address, from `source` where that is told.
    pub(super) fn new(address: SocketAddr, source: Option<IpAddr>, credentials: &Credentials) -> Self {
        Self { http: http::client(CONNECT, source, credentials), address }
    }

    async fn acquire(&self, key: &str, owner: Owner, ttl: Duration) -> Result<Answer, OpError> {
        let started = held_by(owner);
        let seconds = whole_seconds(ttl);
        let ttl = seconds.to_string();
        let fields = [("value", started.as_str()), ("ttl", ttl.as_str())];

        let mut taken = self.put(key, &[fields[0], fields[1], ("prevValue", AT_REST)]).await;
        if matches!(&taken, Err(Failure::Refused(refusal)) if refusal.code == KEY_NOT_FOUND) {
            // The last holder's key expired and took the state of rest with it.
            taken = self.put(key, &[fields[0], fields[1], ("prevExist", "false")]).await;
        }
        match taken {
            Ok(reply) => {
                // The index of this write, not of the key's creation: a swap keeps the latter.
                let token = Some(reply.node.modified_index);
                Ok(Answer::Acquired(Grant { ttl: granted(&reply, seconds)?, token, lease: None }))
            }
            Err(Failure::Refused(refusal)) if matches!(refusal.code, COMPARE_FAILED | KEY_EXISTS) => {
                let holder = refusal.found().and_then(holder);
                Err(OpError { holder, ..refusal.observed(code::HELD) })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn renew(&self, hold: &Hold, how: Renewal) -> Result<Answer, OpError> {
        let started = held_by(hold.owner);
        let seconds = whole_seconds(hold.ttl);
        let ttl = seconds.to_string();
        let renewed = match how {
            Renewal::StatusUpdate => {
                self.put(&hold.key, &[("value", &started), ("ttl", &ttl), ("prevValue", &started)]).await
            }
            // A refresh wakes no watcher and must not carry a value.
            Renewal::KeepAlive => {
                let fields = [("refresh", "true"), ("ttl", &*ttl), ("prevExist", "true"), ("prevValue", &*started)];
                self.put(&hold.key, &fields).await
            }
        };
        let reply = renewed.map_err(no_longer_held)?;
        Ok(Answer::Renewed { ttl: granted(&reply, seconds)? })
    }

    async fn release(&self, hold: &Hold) -> Result<Answer, OpError> {
        let started = held_by(hold.owner);
        self.put(&hold.key, &[("value", AT_REST), ("prevValue", &started)]).await.map_err(no_longer_held)?;
        Ok(Answer::Released)
    }

    async fn read(&self, key: &str, linearizable: bool) -> Result<Answer, OpError> {
        Ok(Answer::Holder(self.value(key, linearizable).await?.as_deref().and_then(holder)))
    }

    /// What a key has; `None` where there is no key.
    async fn value(&self, key: &str, linearizable: bool) -> Result<Option<String>, OpError> {
        let request = self.http.get(self.url(key));
        let request = if linearizable { request.query(&[("quorum", "true")]) } else { request };
        match self.ask(request).await {
            Ok(reply) => Ok(reply.node.value),
            Err(Failure::Refused(refusal)) if refusal.code == KEY_NOT_FOUND => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn register(&self, key: &str, op: RegisterOp) -> Result<Answer, OpError> {
        let (new, condition) = match op {
            RegisterOp::Read { linearizable } => {
                let text = self.value(key, linearizable).await?;
                return text.map_or(Ok(None), |text| register_value(&text)).map(Answer::Value);
            }
            RegisterOp::Write { value } => (value, None),
            RegisterOp::Cas { old: Some(old), new } => (new, Some(("prevValue", old.to_string()))),
            RegisterOp::Cas { old: None, new } => (new, Some(("prevExist", "false".to_owned()))),
        };
        let new = new.to_string();
        let form = std::iter::once(("value", new.as_str()));
        let form: Vec<Field<'_>> = form.chain(condition.iter().map(|(name, value)| (*name, value.as_str()))).collect();
        match self.put(key, &form).await {
            Ok(_) => Ok(Answer::Written),
            Err(Failure::Refused(refusal))
                if matches!(refusal.code, KEY_NOT_FOUND | COMPARE_FAILED | KEY_EXISTS) && condition.is_some() =>
            {
                Err(refusal.observed(code::MISMATCH))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Writes the state of rest in the place of what is there. A write that is carried out late, when the run has begun,
    /// finds something else and leaves it.
    pub(super) async fn put_to_rest(&self, key: &str) -> Result<(), OpError> {
        let index;
        let condition = match self.ask(self.http.get(self.url(key)).query(&[("quorum", "true")])).await {
            Ok(Reply { node, .. }) if node.value.as_deref() == Some(AT_REST) && node.ttl.is_none() => return Ok(()),
            Ok(reply) => {
                index = reply.node.modified_index.to_string();
                ("prevIndex", index.as_str())
            }
            Err(Failure::Refused(refusal)) if refusal.code == KEY_NOT_FOUND => ("prevExist", "false"),
            Err(failure) => return Err(failure.into()),
        };
        self.put(key, &[("value", AT_REST), condition]).await.map(drop).map_err(OpError::from)
    }

    /// Removes a key, and the folders in which it stands as far as they are empty then.
    pub(super) async fn remove(&self, key: &str) -> Result<(), OpError> {
        match self.ask(self.http.delete(self.url(key))).await {
            Ok(_) => {}
            Err(Failure::Refused(refusal)) if refusal.code == KEY_NOT_FOUND => {}
            Err(failure) => return Err(failure.into()),
        }
        let mut folder = key;
        while !folder.is_empty() {
            folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
            // One that is not empty is still in use, by this run or another.
            match self.ask(self.http.delete(self.url(folder)).query(&[("dir", "true")])).await {
                Ok(_) | Err(Failure::Refused(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(())
    }

    async fn put(&self, key: &str, form: &[Field<'_>]) -> Result<Reply, Failure> {
        self.ask(self.http.put(self.url(key)).form(form)).await
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let response = request.send().await.map_err(|error| Failure::Other(transport(&error)))?;
        let status = response.status();
        let body = http::body(response, ANSWER_BYTES).await;
        let body = body.map_err(|error| Failure::Other(OpError::unknown(MALFORMED, causes::in_one_line(&error))))?;
        reply::parse(status, &body)
    }

    /// A request for the watch, which has its own way with answers.
    pub(super) fn get(&self, key: &str) -> RequestBuilder {
        self.http.get(self.url(key))
    }

    fn url(&self, key: &str) -> Url {
        let mut url = Url::parse(&format!("http://{}/v2/keys", self.address)).expect("an address makes a URL");
        let path = format!("{}{key}", PREFIX.trim_start_matches('/'));
        url.path_segments_mut()
            .expect("a URL of HTTP has a path")
            .extend(path.split('/').filter(|part| !part.is_empty()));
        url
    }
}

/// What a failure to get an answer says about the request.
pub(super) fn transport(error: &reqwest::Error) -> OpError {
    let text = causes::in_one_line(error);
    if error.is_connect() {
        return OpError::failed(REFUSED, text);
    }
    OpError::unknown("broken", text)
}

/// What a refused renewal or release found: no key, or another value in it.
fn no_longer_held(failure: Failure) -> OpError {
    match failure {
        Failure::Refused(refusal) => found_instead(&refusal),
        Failure::Other(error) => error,
    }
}

fn found_instead(refusal: &Refusal) -> OpError {
    match refusal.code {
        KEY_NOT_FOUND => refusal.observed(code::EXPIRED),
        COMPARE_FAILED => refusal.observed(code::NOT_HELD),
        _ => refusal.judged(),
    }
}

fn held_by(owner: Owner) -> String {
    format!("{HELD_BY}{owner}")
}

/// The TTL that the server set. A write that asked for one and got none was carried out, but not as asked.
///
/// It is what is left by the server's clock when it answers. Where that clock was set back since the server read the request, it is
/// more than was asked for, and no more than that is promised.
fn granted(reply: &Reply, asked: u64) -> Result<Duration, OpError> {
    let ttl = reply.node.ttl.ok_or_else(|| OpError::unknown(MALFORMED, "the server set no TTL"))?;
    // The answer of a server that was held up after the write may come when nothing is left.
    Ok(Duration::from_secs(u64::try_from(ttl).unwrap_or(0).min(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    #[test]
    fn no_more_is_granted_than_was_asked_for() {
        let granted_of_3 = |left: i64| {
            let answer =
                format!(r#"{{"action":"create","node":{{"value":"started p1.2","ttl":{left},"modifiedIndex":9}}}}"#);
            granted(&reply::parse(StatusCode::CREATED, answer.as_bytes()).expect("it was carried out"), 3)
        };
        assert_eq!(granted_of_3(2), Ok(Duration::from_secs(2)));
        assert_eq!(granted_of_3(12), Ok(Duration::from_secs(3)));
        assert_eq!(granted_of_3(-1), Ok(Duration::ZERO));
    }
}
