//! A write on the condition that a session still holds the lock: a transaction, which consulrs does not word.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consulrs::api::Features;
use consulrs::api::features::FeaturedEndpoint;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Owner};
use leasehold_workloads::service::OpError;
use reqwest::StatusCode;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::Failure;
use super::kv;
use super::session::SessionId;
use super::wire::Wire;

/// The key of what a lock guards.
pub(super) fn beside(key: &str) -> String {
    format!("{key}.guarded")
}

/// Writes the owner's name beside the lock, if the session still holds that.
pub(super) async fn write(wire: &Wire, key: &str, session: &SessionId, owner: Owner) -> Result<Answer, OpError> {
    let transaction = Transaction(json!([
        { "KV": { "Verb": "check-session", "Key": kv::path(key), "Session": session.as_str() } },
        { "KV": { "Verb": "set", "Key": kv::path(&beside(key)), "Value": STANDARD.encode(owner.to_string()) } },
    ]));
    match wire.ask(transaction).await {
        Ok(_) => Ok(Answer::Worked { version: None }),
        // It was rolled back. There is no other condition than the one about the session.
        Err(Failure::Refused(refusal)) if refusal.status == StatusCode::CONFLICT => {
            Err(refusal.observed(code::NOT_HELD))
        }
        Err(failure) => Err(failure.into()),
    }
}

/// All of these, or none.
struct Transaction(Value);

/// What was done, which does not matter.
#[derive(Deserialize)]
struct Done {}

impl Endpoint for Transaction {
    type Response = Done;

    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        "txn".to_owned()
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::PUT
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(Some(self.0.to_string().into_bytes()))
    }
}

impl FeaturedEndpoint for Transaction {
    fn features(&self) -> Option<Features> {
        None
    }
}
