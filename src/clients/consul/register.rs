//! Registers: plain keys, which no session holds.

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, RegisterOp};
use leasehold_workloads::service::OpError;

use super::failure::before_the_op;
use super::kv::{self, Entry, Mode};
use super::wire::Wire;
use crate::clients::MALFORMED;

/// Carries out one operation on a register. `current` is the mode of a read whose answer must be current.
pub(super) async fn perform(wire: &Wire, key: &str, op: RegisterOp, current: Mode) -> Result<Answer, OpError> {
    match op {
        RegisterOp::Read { linearizable } => {
            let mode = if linearizable { current } else { Mode::Stale };
            let read = kv::read(wire, key, mode).await?;
            value_of(read.as_ref()).map(Answer::Value)
        }
        RegisterOp::Write { value } => match kv::write(wire, key, &value.to_string(), None).await? {
            true => Ok(Answer::Written),
            false => Err(OpError::unknown(MALFORMED, "the server refused a write without a condition")),
        },
        RegisterOp::Cas { old, new } => swap(wire, key, old, new).await,
    }
}

/// Consul compares the index of the last write, not the value. So the value is read first, and the swap is on the condition that
/// nothing was written since. Values are unique: a key with another index has another value.
async fn swap(wire: &Wire, key: &str, old: Option<u64>, new: u64) -> Result<Answer, OpError> {
    let read = kv::read(wire, key, Mode::Consistent).await.map_err(before_the_op)?;
    let found = value_of(read.as_ref()).map_err(before_the_op)?;
    if found != old {
        return Err(OpError::failed(code::MISMATCH, format!("found {found:?}")));
    }
    let index = read.map_or(0, |entry| entry.modify_index);
    match kv::write(wire, key, &new.to_string(), Some(index)).await? {
        true => Ok(Answer::Written),
        false => Err(OpError::failed(code::MISMATCH, format!("it was written after index {index}"))),
    }
}

fn value_of(entry: Option<&Entry>) -> Result<Option<u64>, OpError> {
    let Some(entry) = entry else { return Ok(None) };
    let odd = |_| OpError::unknown(MALFORMED, format!("a register has the value {:?}", entry.value));
    entry.value.parse().map(Some).map_err(odd)
}
