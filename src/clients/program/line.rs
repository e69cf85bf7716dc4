//! The lines that are exchanged with a client program: one JSON object each, as `docs/own-client.md` has them.

use std::time::Duration;

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Hold, Op, Renewal, Wait};
use leasehold_workloads::service::OpError;
use serde::{Deserialize, Deserializer, Serialize};

use crate::clients::{MALFORMED, REFUSED, REJECTED, UNSUPPORTED};

/// What a program says first, once it can be asked.
pub(super) const READY: &str = r#"{"type":"ready"}"#;

/// Whether this line is [`READY`], however it is written.
pub(super) fn says_ready(line: &[u8]) -> bool {
    let said = serde_json::from_slice::<serde_json::Value>(line);
    said.is_ok_and(|said| said == serde_json::json!({ "type": "ready" }))
}

/// What is asked of the program.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    id: u64,
    #[serde(flatten)]
    asked: Asked<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Asked<'a> {
    Acquire { key: &'a str, owner: String, ttl_ms: u64, wait: bool },
    Renew { key: &'a str, owner: String, ttl_ms: u64, how: &'static str },
    Release { key: &'a str, owner: String },
    Read { key: &'a str, linearizable: bool },
}

impl<'a> Request<'a> {
    /// The line for this operation, which the program must answer under this number.
    ///
    /// # Errors
    /// If a client program cannot be asked for it: then nothing happened.
    pub(super) fn of(id: u64, op: &'a Op) -> Result<Self, OpError> {
        let asked = match op {
            Op::Acquire { key, owner, ttl, wait } => {
                let wait = *wait == Wait::InQueue;
                Asked::Acquire { key, owner: owner.to_string(), ttl_ms: in_ms(*ttl), wait }
            }
            Op::Renew { hold: Hold { key, owner, ttl, .. }, how } => {
                Asked::Renew { key, owner: owner.to_string(), ttl_ms: in_ms(*ttl), how: word(*how) }
            }
            Op::Release { hold: Hold { key, owner, .. } } => Asked::Release { key, owner: owner.to_string() },
            Op::Read { key, linearizable } => Asked::Read { key, linearizable: *linearizable },
            Op::Register { .. } | Op::Work { .. } => {
                return Err(OpError::failed(UNSUPPORTED, "a client program is asked about locks only"));
            }
        };
        Ok(Self { id, asked })
    }

    pub(super) fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("texts and numbers become JSON");
        line.push('\n');
        line
    }
}

fn in_ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

fn word(how: Renewal) -> &'static str {
    match how {
        Renewal::KeepAlive => "keep-alive",
        Renewal::StatusUpdate => "status-update",
    }
}

/// What the program answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    id: u64,
    #[serde(rename = "type")]
    outcome: Outcome,
    #[serde(default)]
    ttl_ms: Option<u64>,
    #[serde(default)]
    token: Option<u64>,
    /// Outside: whether it is said at all. Inside: `null` is nobody.
    #[serde(default, deserialize_with = "said")]
    holder: Option<Option<String>>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Ok,
    Fail,
    Info,
}

/// A field that is there, whatever it has.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Response {
    /// The answer to the request of this number.
    ///
    /// # Errors
    /// What it makes of a line that is none.
    pub(super) fn read(line: &[u8], id: u64) -> Result<Self, OpError> {
        let said = || String::from_utf8_lossy(&line[..line.len().min(200)]).trim().to_owned();
        let response: Self =
            serde_json::from_slice(line).map_err(|error| malformed(format!("it answers {:?}: {error}", said())))?;
        if response.id != id {
            return Err(malformed(format!("it answers request {} where {id} was asked", response.id)));
        }
        Ok(response)
    }

    /// What it says of the operation that was asked for.
    ///
    /// # Errors
    /// If the operation did not succeed, or the answer does not fit it.
    pub(super) fn answer(self, op: &Op) -> Result<Answer, OpError> {
        match self.outcome {
            Outcome::Ok => self.success(op),
            Outcome::Fail => Err(self.failure()),
            Outcome::Info => Err(OpError::unknown("client", self.text)),
        }
    }

    fn success(self, op: &Op) -> Result<Answer, OpError> {
        let promised = |asked: Duration| self.ttl_ms.map_or(asked, Duration::from_millis);
        Ok(match op {
            Op::Acquire { ttl, .. } => Answer::Acquired(Grant { ttl: promised(*ttl), token: self.token, lease: None }),
            Op::Renew { hold, .. } => Answer::Renewed { ttl: promised(hold.ttl) },
            Op::Release { .. } => Answer::Released,
            Op::Read { .. } => {
                let holder = self.holder.ok_or_else(|| malformed("it answers a read without `holder`".to_owned()))?;
                Answer::Holder(holder)
            }
            Op::Register { .. } | Op::Work { .. } => unreachable!("no client program is asked for these"),
        })
    }

    fn failure(self) -> OpError {
        let known = [code::HELD, code::NOT_HELD, code::EXPIRED, REFUSED, REJECTED];
        let Some(said) = self.code else {
            return malformed("it answers `fail` without a `code`".to_owned());
        };
        match known.into_iter().find(|known| *known == said) {
            Some(code) => OpError { holder: self.holder.flatten(), ..OpError::failed(code, self.text) },
            None => malformed(format!("it answers `fail` with the code {said:?}; there are {}", known.join(", "))),
        }
    }
}

fn malformed(text: String) -> OpError {
    OpError::unknown(MALFORMED, text)
}

#[cfg(test)]
mod tests {
    use leasehold_workloads::op::Owner;
    use leasehold_workloads::service::Certainty;

    use super::*;

    const TTL: Duration = Duration::from_secs(5);

    fn acquire() -> Op {
        Op::Acquire { key: "k0".to_owned(), owner: Owner { process: 3, attempt: 1 }, ttl: TTL, wait: Wait::Never }
    }

    fn answered(line: &str, op: &Op) -> Result<Answer, OpError> {
        Response::read(line.as_bytes(), 7)?.answer(op)
    }

    #[test]
    fn requests_are_written_as_the_guide_has_them() {
        let hold = Hold {
            key: "k0".to_owned(),
            owner: Owner { process: 3, attempt: 1 },
            ttl: TTL,
            grant: Grant { ttl: TTL, token: None, lease: None },
        };
        let line = |op: &Op| Request::of(7, op).expect("a request").to_line();
        assert_eq!(
            line(&acquire()),
            "{\"id\":7,\"op\":\"acquire\",\"key\":\"k0\",\"owner\":\"p3.1\",\"ttl_ms\":5000,\"wait\":false}\n"
        );
        let renew = Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive };
        assert_eq!(
            line(&renew),
            "{\"id\":7,\"op\":\"renew\",\"key\":\"k0\",\"owner\":\"p3.1\",\"ttl_ms\":5000,\"how\":\"keep-alive\"}\n"
        );
        assert_eq!(line(&Op::Release { hold }), "{\"id\":7,\"op\":\"release\",\"key\":\"k0\",\"owner\":\"p3.1\"}\n");
        let read = Op::Read { key: "k0".to_owned(), linearizable: true };
        assert_eq!(line(&read), "{\"id\":7,\"op\":\"read\",\"key\":\"k0\",\"linearizable\":true}\n");
    }

    #[test]
    fn a_grant_has_the_token_and_the_ttl_that_the_program_tells_else_the_one_that_was_asked_for() {
        let granted = |line| match answered(line, &acquire()) {
            Ok(Answer::Acquired(grant)) => (grant.ttl.as_millis(), grant.token),
            other => panic!("{other:?}"),
        };
        assert_eq!(granted(r#"{"id":7,"type":"ok"}"#), (5_000, None));
        assert_eq!(granted(r#"{"id":7,"type":"ok","token":12,"ttl_ms":4000}"#), (4_000, Some(12)));
    }

    #[test]
    fn a_refusal_is_certain_and_tells_of_the_holder() {
        let error = answered(r#"{"id":7,"type":"fail","code":"held","holder":"p1.0","text":"taken"}"#, &acquire());
        let error = error.expect_err("a refusal");
        assert_eq!(
            (error.certainty, error.code, error.holder.as_deref()),
            (Certainty::DidNotHappen, "held", Some("p1.0"))
        );
    }

    #[test]
    fn a_read_must_say_who_holds_even_if_nobody_does() {
        let read = Op::Read { key: "k0".to_owned(), linearizable: true };
        assert_eq!(answered(r#"{"id":7,"type":"ok","holder":null}"#, &read), Ok(Answer::Holder(None)));
        assert!(answered(r#"{"id":7,"type":"ok"}"#, &read).is_err());
    }

    #[test]
    fn what_is_no_answer_leaves_the_outcome_unknown() {
        let lines = [
            "",
            "yes",
            "[]",
            r#"{"id":7}"#,
            r#"{"id":8,"type":"ok"}"#,
            r#"{"id":7,"type":"ok","tokn":12}"#,
            r#"{"id":7,"type":"ok","token":-1}"#,
            r#"{"id":7,"type":"fail"}"#,
            r#"{"id":7,"type":"fail","code":"mismatched"}"#,
            r#"{"id":7,"type":"info","text":"lost"}"#,
        ];
        for line in lines {
            assert_eq!(answered(line, &acquire()).expect_err(line).certainty, Certainty::Unknown, "{line}");
        }
    }
}
