//! Registers: nodes that belong to no session, with a number in them.

use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, RegisterOp};
use leasehold_workloads::service::OpError;
use zookeeper_client::{CreateMode, Error};

use super::failure::Failure;
use super::session::Session;
use super::{nodes, paths};
use crate::clients::MALFORMED;

pub(super) async fn perform(session: &Session, key: &str, op: RegisterOp) -> Result<Answer, OpError> {
    let path = paths::register(key);
    match op {
        RegisterOp::Read { linearizable } => {
            if linearizable {
                nodes::catch_up(session).await.map_err(Failure::judged)?;
            }
            value(session, &path).await.map(|found| Answer::Value(found.map(|(value, _)| value)))
        }
        RegisterOp::Write { value } => write(session, &path, value).await,
        RegisterOp::Cas { old: None, new } => create(session, &path, new).await,
        RegisterOp::Cas { old: Some(old), new } => swap(session, &path, old, new).await,
    }
}

/// The number in a register, and how often it was written.
async fn value(session: &Session, path: &str) -> Result<Option<(u64, i32)>, OpError> {
    let Some((bytes, stat)) = nodes::read(session, path).await.map_err(Failure::judged)? else { return Ok(None) };
    let text = nodes::in_words(&bytes);
    let number = text.parse().map_err(|_| OpError::failed(MALFORMED, format!("the register has {text:?}")))?;
    Ok(Some((number, stat.version)))
}

async fn write(session: &Session, path: &str, value: u64) -> Result<Answer, OpError> {
    let text = value.to_string();
    loop {
        match session.ask(|client| client.set_data(path, text.as_bytes(), None)).await {
            Ok(_) => return Ok(Answer::Written),
            Err(Failure::Answered(Error::NoNode)) => {}
            Err(failure) => return Err(failure.judged()),
        }
        // It was certainly not written, and somebody may be the first to write it before we are.
        match create(session, path, value).await {
            Err(error) if error.code == code::MISMATCH => {}
            outcome => return outcome,
        }
    }
}

async fn create(session: &Session, path: &str, value: u64) -> Result<Answer, OpError> {
    let (text, node) = (value.to_string(), session.nodes(CreateMode::Persistent));
    match session.ask(|client| client.create(path, text.as_bytes(), &node)).await {
        Ok(_) => Ok(Answer::Written),
        Err(Failure::Answered(Error::NodeExists)) => Err(mismatch("it was written before")),
        Err(failure) => Err(failure.judged()),
    }
}

/// Values are written once, so a register that was written since it had the old value does not have it any more.
async fn swap(session: &Session, path: &str, old: u64, new: u64) -> Result<Answer, OpError> {
    nodes::catch_up(session).await.map_err(Failure::of_a_preliminary)?;
    let version = match value(session, path).await {
        Ok(Some((found, version))) if found == old => version,
        Ok(Some((found, _))) => return Err(mismatch(&format!("it has {found}"))),
        Ok(None) => return Err(mismatch("it was never written")),
        Err(error) => return Err(OpError::failed(error.code, error.text)),
    };
    let text = new.to_string();
    match session.ask(|client| client.set_data(path, text.as_bytes(), Some(version))).await {
        Ok(_) => Ok(Answer::Written),
        Err(Failure::Answered(Error::BadVersion | Error::NoNode)) => Err(mismatch("it was written meanwhile")),
        Err(failure) => Err(failure.judged()),
    }
}

fn mismatch(text: &str) -> OpError {
    OpError::failed(code::MISMATCH, text)
}
