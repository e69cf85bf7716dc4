//! What the tests ask of a service.

use std::time::{Duration, Instant};

use leasehold::clients::Consul;
use leasehold_workloads::op::{Answer, Hold, Op, Owner, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::Connect;
use leasehold_workloads::service::{Certainty, Change, LockService, OpError};

use super::cluster::{PATIENCE, SECOND};

pub(super) const LOCK: &str = "jobs/7";

pub(super) fn owner(process: u64) -> Owner {
    Owner { process, attempt: 1 }
}

pub(super) async fn acquire(
    service: &mut dyn LockService,
    process: u64,
    ttl: Duration,
    wait: Wait,
) -> Result<Hold, OpError> {
    acquire_key(service, LOCK, owner(process), ttl, wait).await
}

pub(super) async fn acquire_key(
    service: &mut dyn LockService,
    key: &str,
    owner: Owner,
    ttl: Duration,
    wait: Wait,
) -> Result<Hold, OpError> {
    let op = Op::Acquire { key: key.to_owned(), owner, ttl, wait };
    let Answer::Acquired(grant) = service.perform(&op).await? else { panic!("an acquisition acquires") };
    Ok(Hold { key: key.to_owned(), owner, ttl, grant })
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

pub(super) async fn register(service: &mut dyn LockService, op: RegisterOp) -> Result<Answer, OpError> {
    service.perform(&Op::Register { key: "register".to_owned(), op }).await
}

#[track_caller]
pub(super) fn assert_certain<T: std::fmt::Debug>(outcome: Result<T, OpError>, code: &str) {
    let error = outcome.expect_err(code);
    assert_eq!((error.certainty, error.code), (Certainty::DidNotHappen, code), "{error}");
}

#[track_caller]
pub(super) fn assert_unknown<T: std::fmt::Debug>(outcome: Result<T, OpError>) {
    let error = outcome.expect_err("a failure");
    assert_eq!(error.certainty, Certainty::Unknown, "{error}");
}

/// Runs this while the locks are watched. The watch is open when it begins; every change comes with the time at which it was
/// told.
pub(super) async fn while_watched<T>(
    consul: &Consul,
    keys: &[String],
    doing: impl AsyncFnOnce(&mut tokio::sync::mpsc::UnboundedReceiver<(Instant, Change)>) -> T,
) -> T {
    let beacon = format!("beacons/{}", keys[0]);
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watched: Vec<String> = keys.iter().cloned().chain([beacon.clone()]).collect();
    let watch = consul.watch(0, &watched, Box::new(move |change: Change| told.send((Instant::now(), change)).is_ok()));
    let both = async {
        let doing = async {
            let mut service = consul.connect(0, 0);
            // Only what happens after the watch is open is told, so something happens until it is.
            for attempt in 1.. {
                let owner = Owner { process: 99, attempt };
                let lit = acquire_key(&mut *service, &beacon, owner, 10 * SECOND, Wait::Never).await.expect("a lock");
                let told = tokio::time::timeout(Duration::from_millis(100), changes.recv());
                release(&mut *service, &lit).await.expect("a release");
                if told.await.is_ok() {
                    break;
                }
            }
            while changes.try_recv().is_ok() {}
            doing(&mut changes).await
        };
        tokio::select! {
            ended = watch => panic!("the watch ended: {ended:?}"),
            done = doing => done,
        }
    };
    tokio::time::timeout(2 * PATIENCE, both).await.expect("in time")
}

pub(super) async fn told_of(
    changes: &mut tokio::sync::mpsc::UnboundedReceiver<(Instant, Change)>,
    owner: Owner,
) -> (Instant, Change) {
    loop {
        let (at, change) = changes.recv().await.expect("the watch goes on");
        if change.owner == owner.to_string() {
            return (at, change);
        }
    }
}
