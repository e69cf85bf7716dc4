//! Operations as history events.

use leasehold_checkers::history::vocabulary::{AcquireValue, HeldValue, OwnerValue, ReadValue, WorkValue, code, f};
use leasehold_checkers::history::{ErrorInfo, EventType, Process};
use leasehold_workloads::op::{Answer, Guard, Op, RegisterOp, Wait};
use leasehold_workloads::service::{Certainty, OpError};
use serde_json::Value;

use crate::NodeId;
use crate::run::{Entry, value_of};

/// The event of an invocation.
pub(super) fn invocation(process: u64, node: NodeId, op: &Op) -> Entry {
    Entry {
        process: Process::Client(process),
        kind: EventType::Invoke,
        f: name(op).to_owned(),
        key: Some(op.key().clone()),
        value: asked(op),
        node: asks_the_service(op).then(|| node.to_string()),
        error: None,
    }
}

/// The event of its completion.
pub(super) fn completion(process: u64, node: NodeId, op: &Op, result: &Result<Answer, OpError>) -> Entry {
    let (kind, value, error) = match result {
        Ok(answer) => (EventType::Ok, answered(op, answer), None),
        Err(error) => {
            let kind = match error.certainty {
                Certainty::DidNotHappen => EventType::Fail,
                Certainty::Unknown => EventType::Info,
            };
            let info = ErrorInfo { code: error.code.into(), text: error.text.as_str().into() };
            (kind, refused(op, error), Some(info))
        }
    };
    Entry { kind, value, error, ..invocation(process, node, op) }
}

/// Whether a server is asked. The ledger of [`Guard::None`] and [`Guard::Token`] is ours.
pub(super) fn asks_the_service(op: &Op) -> bool {
    !matches!(op, Op::Work { guard: Guard::None | Guard::Token, .. })
}

fn name(op: &Op) -> &'static str {
    match op {
        Op::Acquire { .. } => f::ACQUIRE,
        Op::Renew { .. } => f::RENEW,
        Op::Release { .. } => f::RELEASE,
        Op::Read { .. } | Op::Register { op: RegisterOp::Read { linearizable: true }, .. } => f::READ,
        Op::Register { op: RegisterOp::Read { linearizable: false }, .. } => f::LOCAL_READ,
        Op::Register { op: RegisterOp::Write { .. }, .. } => f::WRITE,
        Op::Register { op: RegisterOp::Cas { .. }, .. } => f::CAS,
        Op::Work { .. } => f::WORK,
    }
}

fn asked(op: &Op) -> Value {
    match op {
        Op::Acquire { owner, ttl, wait, .. } => value_of(&AcquireValue {
            owner: owner.to_string(),
            ttl_ms: millis(*ttl),
            token: None,
            lease: None,
            blocking: *wait == Wait::InQueue,
        }),
        Op::Renew { hold, .. } | Op::Release { hold } => {
            value_of(&OwnerValue { owner: hold.owner.to_string(), ttl_ms: None })
        }
        Op::Read { linearizable, .. } => value_of(&ReadValue { linearizable: *linearizable, owner: None }),
        Op::Register { op: RegisterOp::Read { .. }, .. } => Value::Null,
        Op::Register { op: RegisterOp::Write { value }, .. } => value_of(value),
        Op::Register { op: RegisterOp::Cas { old, new }, .. } => value_of(&(old, new)),
        Op::Work { .. } => value_of(&worked(op, None)),
    }
}

fn answered(op: &Op, answer: &Answer) -> Value {
    match (op, answer) {
        (Op::Acquire { owner, wait, .. }, Answer::Acquired(grant)) => value_of(&AcquireValue {
            owner: owner.to_string(),
            ttl_ms: millis(grant.ttl),
            token: grant.token,
            lease: grant.lease,
            blocking: *wait == Wait::InQueue,
        }),
        (Op::Renew { hold, .. }, Answer::Renewed { ttl }) => {
            value_of(&OwnerValue { owner: hold.owner.to_string(), ttl_ms: Some(millis(*ttl)) })
        }
        (Op::Read { linearizable, .. }, Answer::Holder(owner)) => {
            value_of(&ReadValue { linearizable: *linearizable, owner: owner.clone() })
        }
        (Op::Register { .. }, Answer::Value(value)) => value_of(value),
        (Op::Work { .. }, Answer::Worked { version }) => value_of(&worked(op, *version)),
        _ => asked(op),
    }
}

fn worked(op: &Op, version: Option<u64>) -> Option<WorkValue> {
    let Op::Work { hold, piece, base, guard } = op else { return None };
    let (owner, token) = (hold.owner.to_string(), hold.grant.token);
    Some(WorkValue { owner, piece: *piece, guard: *guard, token, base: *base, version })
}

fn refused(op: &Op, error: &OpError) -> Value {
    match op {
        Op::Acquire { owner, .. } if error.code == code::HELD => {
            value_of(&HeldValue { owner: owner.to_string(), holder: error.holder.clone() })
        }
        _ => asked(op),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
