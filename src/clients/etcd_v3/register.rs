//! Registers: keys without a lease.

use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn, TxnOp};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, RegisterOp};
use leasehold_workloads::service::OpError;

use super::failure::judge;
use super::path;
use crate::clients::{MALFORMED, register_value};

pub(super) async fn perform(client: &Client, key: &str, op: RegisterOp) -> Result<Answer, OpError> {
    let key = path(key);
    let mut kv = client.kv_client();
    match op {
        RegisterOp::Read { linearizable } => {
            let options = if linearizable { GetOptions::new() } else { GetOptions::new().with_serializable() };
            let read = kv.get(key, Some(options)).await.map_err(|error| judge(&error))?;
            let Some(entry) = read.kvs().first() else { return Ok(Answer::Value(None)) };
            let text = entry.value_str().map_err(|error| OpError::unknown(MALFORMED, error.to_string()))?;
            register_value(text).map(Answer::Value)
        }
        RegisterOp::Write { value } => {
            kv.put(key, value.to_string(), None).await.map_err(|error| judge(&error))?;
            Ok(Answer::Written)
        }
        RegisterOp::Cas { old, new } => {
            let has_old = match old {
                Some(old) => Compare::value(key.clone(), CompareOp::Equal, old.to_string()),
                None => Compare::create_revision(key.clone(), CompareOp::Equal, 0),
            };
            let swap = Txn::new().when([has_old]).and_then([TxnOp::put(key, new.to_string(), None)]);
            let answer = kv.txn(swap).await.map_err(|error| judge(&error))?;
            if answer.succeeded() {
                Ok(Answer::Written)
            } else {
                Err(OpError::failed(code::MISMATCH, "it has another value"))
            }
        }
    }
}
