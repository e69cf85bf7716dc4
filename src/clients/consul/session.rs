//! Sessions: what Consul has in the place of leases. One for each acquisition, so that its name leads back to its owner.

use std::time::Duration;

use consulrs::api::session::requests::{
    CreateSessionRequest, DeleteSessionRequest, ListSessionsRequest, RenewSessionRequest,
};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Key, Owner};
use leasehold_workloads::service::OpError;

use super::failure::{Failure, before_the_op};
use super::wire::Wire;
use super::{Behavior, Checks, SessionNode, Settings, catalog};
use crate::clients::{MALFORMED, REFUSED};

/// For how long an operation whose outcome is known already goes on to clear up after itself.
const CLEARING_UP: Duration = Duration::from_millis(500);

/// The name that the server gave a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionId(String);

impl SessionId {
    /// It becomes part of the address of requests, so it must be what Consul's are: hexadecimal digits and dashes.
    pub(super) fn new(id: &str) -> Option<Self> {
        let is_plain = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        (is_plain && (1..=64).contains(&id.len())).then(|| Self(id.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Asks for a session of this acquisition.
///
/// Without a session nothing was acquired, so a failure here is a certain one of the acquisition, even where nobody knows whether
/// the session was made: if so, it holds nothing and runs out by itself.
pub(super) async fn create(
    wire: &Wire,
    settings: &Settings,
    key: &str,
    owner: Owner,
    ttl: Duration,
) -> Result<SessionId, OpError> {
    let mut request = CreateSessionRequest::builder();
    request
        .name(format!("{}{owner}", name_for(key)))
        .ttl(milliseconds(ttl))
        .lock_delay(milliseconds(settings.lock_delay))
        .behavior(match settings.behavior {
            Behavior::Release => "release",
            Behavior::Delete => "delete",
        })
        .node_checks(match settings.checks {
            Checks::None => Vec::new(),
            Checks::SerfHealth => vec!["serfHealth".to_owned()],
        });
    if settings.session_node == SessionNode::Client {
        request.node(catalog::node_of(key));
    }
    let made = wire.ask(request.build().expect("every field has a default")).await.map_err(OpError::from);
    let made = made.and_then(|made| {
        let odd = || OpError::unknown(MALFORMED, "the server names a session in a way that Consul does not");
        SessionId::new(&made.answer.id).ok_or_else(odd)
    });
    made.map_err(without_a_session)
}

/// How a server words it that it could not ask whoever leads, or had no answer. Of another 500 it may have looked at the request and not
/// liked it.
const NOBODY_LEADS: [&str; 9] = [
    "No cluster leader",
    "leadership lost",
    "node is not the leader",
    "raft is already shutdown",
    "timed out enqueuing",
    "rpc error getting client",
    "rpc error making call: EOF",
    "session shutdown",
    "stream closed",
];

/// What it is called that there was no session: that a server would not make it is an answer; that it could not ask the leader is none.
fn without_a_session(error: OpError) -> OpError {
    let is_apart = NOBODY_LEADS.iter().any(|words| error.text.contains(words));
    let code = match error.code {
        REFUSED => REFUSED,
        other if code::is_silence(other) || is_apart => code::NO_SESSION,
        _ => "session-create",
    };
    OpError { code, ..before_the_op(error) }
}

/// Has the session live on for its TTL.
pub(super) async fn renew(wire: &Wire, session: &SessionId) -> Result<(), OpError> {
    let request = RenewSessionRequest::builder().uuid(session.as_str()).build().expect("every field has a default");
    match wire.ask(request).await {
        Ok(renewed) if renewed.answer.iter().any(|entry| entry.id.as_deref() == Some(session.as_str())) => Ok(()),
        Ok(_) => Err(OpError::unknown(MALFORMED, "the server renewed another session")),
        Err(Failure::Refused(refusal)) if refusal.is_absence() => Err(refusal.observed(code::EXPIRED)),
        Err(failure) => Err(failure.into()),
    }
}

/// Ends a session that holds nothing any more, or that nobody wants. Whether that works changes nothing: else it runs out.
pub(super) async fn destroy_if_possible(wire: &Wire, session: &SessionId) {
    let request = DeleteSessionRequest::builder().uuid(session.as_str()).build().expect("every field has a default");
    let _ = tokio::time::timeout(CLEARING_UP, wire.ask(request)).await;
}

/// How the names of the sessions begin that are made to acquire this lock.
fn name_for(key: &str) -> String {
    format!("leasehold {key} ")
}

/// Ends all sessions that were made to acquire these locks.
pub(super) async fn destroy_all_for(wire: &Wire, keys: &[Key]) -> Result<(), OpError> {
    let request = ListSessionsRequest::builder().build().expect("every field has a default");
    let listed = wire.ask(request).await.map_err(OpError::from)?.answer;
    let names: Vec<String> = keys.iter().map(|key| name_for(key)).collect();
    for session in listed {
        let is_ours = session.name.is_some_and(|name| names.iter().any(|ours| name.starts_with(ours)));
        if let Some(session) = session.id.as_deref().and_then(SessionId::new).filter(|_| is_ours) {
            destroy_if_possible(wire, &session).await;
        }
    }
    Ok(())
}

/// A time as Consul reads it, never shorter than it is.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_nanos().div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use leasehold_workloads::service::Certainty;

    use super::*;

    #[test]
    fn a_session_of_which_nothing_was_heard_is_no_answer() {
        let told = |error: OpError| {
            let told = without_a_session(error);
            assert_eq!(told.certainty, Certainty::DidNotHappen);
            (told.code, code::is_silence(told.code))
        };
        assert_eq!(told(OpError::unknown("server", "500: Invalid Session TTL '0.5s'")), ("session-create", false));
        assert_eq!(told(OpError::unknown("server", "500: rpc error making call: EOF")), (code::NO_SESSION, true));
        assert_eq!(told(OpError::unknown("broken", "connection reset")), (code::NO_SESSION, true));
        assert_eq!(told(OpError::failed(REFUSED, "no connection")), (REFUSED, true));
        assert_eq!(told(OpError::unknown("server", "500: No cluster leader")), (code::NO_SESSION, true));
    }

    #[test]
    fn a_session_is_named_as_consul_names_them() {
        let id = "8d1a4c0f-5b1e-0b2e-6a5c-0f0a3b3c1d2e";
        assert_eq!(SessionId::new(id).as_ref().map(SessionId::as_str), Some(id));
        for hostile in ["", "../../kv/x", "a?dc=x", "8d1a 4c0f", "\u{661}", &"a".repeat(65)] {
            assert_eq!(SessionId::new(hostile), None, "{hostile}");
        }
    }

    #[test]
    fn a_time_is_never_cut_short() {
        let told = |nanos| milliseconds(Duration::from_nanos(nanos));
        assert_eq!([told(0), told(1), told(1_000_000), told(2_500_000_001)], ["0ms", "1ms", "1ms", "2501ms"]);
    }
}
