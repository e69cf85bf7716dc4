//! What the tests ask of a service.

use std::time::{Duration, Instant};

use leasehold_workloads::op::{Answer, Hold, Op, Owner, Renewal, Wait};
use leasehold_workloads::service::{Certainty, LockService, OpError};

use super::cluster::PATIENCE;

pub(super) const LOCK: &str = "jobs/7";

pub(super) fn owner(process: u64) -> Owner {
    Owner { process, attempt: 1 }
}

pub(super) fn acquisition(process: u64, ttl_ms: u64, wait: Wait) -> Op {
    acquisition_of(LOCK, owner(process), ttl_ms, wait)
}

pub(super) fn acquisition_of(key: &str, owner: Owner, ttl_ms: u64, wait: Wait) -> Op {
    Op::Acquire { key: key.to_owned(), owner, ttl: Duration::from_millis(ttl_ms), wait }
}

pub(super) async fn try_acquire(service: &mut dyn LockService, process: u64, ttl_ms: u64) -> Result<Hold, OpError> {
    acquire(service, process, ttl_ms, Wait::Never).await
}

pub(super) async fn acquire(
    service: &mut dyn LockService,
    process: u64,
    ttl_ms: u64,
    wait: Wait,
) -> Result<Hold, OpError> {
    acquire_as(service, LOCK, owner(process), ttl_ms, wait).await
}

pub(super) async fn acquire_as(
    service: &mut dyn LockService,
    key: &str,
    owner: Owner,
    ttl_ms: u64,
    wait: Wait,
) -> Result<Hold, OpError> {
    let Answer::Acquired(grant) = service.perform(&acquisition_of(key, owner, ttl_ms, wait)).await? else {
        panic!("an acquisition acquires")
    };
    Ok(Hold { key: key.to_owned(), owner, ttl: Duration::from_millis(ttl_ms), grant })
}

pub(super) async fn renew(service: &mut dyn LockService, hold: &Hold, how: Renewal) -> Result<Answer, OpError> {
    service.perform(&Op::Renew { hold: hold.clone(), how }).await
}

pub(super) async fn release(service: &mut dyn LockService, hold: &Hold) -> Result<Answer, OpError> {
    service.perform(&Op::Release { hold: hold.clone() }).await
}

pub(super) async fn holder(service: &mut dyn LockService, linearizable: bool) -> Option<String> {
    match service.perform(&Op::Read { key: LOCK.to_owned(), linearizable }).await.expect("a read") {
        Answer::Holder(holder) => holder,
        other => panic!("a read reads, and not {other:?}"),
    }
}

pub(super) async fn until_free(service: &mut dyn LockService) {
    let deadline = Instant::now() + PATIENCE;
    while holder(service, true).await.is_some() {
        assert!(Instant::now() < deadline, "never free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[track_caller]
pub(super) fn assert_certain<T: std::fmt::Debug>(outcome: Result<T, OpError>, code: &str) {
    let error = outcome.expect_err(code);
    assert_eq!((error.certainty, error.code), (Certainty::DidNotHappen, code), "{error}");
}

pub(super) const SECONDS_5: Duration = Duration::from_secs(5);
