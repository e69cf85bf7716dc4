//! The old API.

use std::time::Duration;

use leasehold::NodeId;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::Wait;
use leasehold_workloads::service::Connect;
use leasehold_workloads::service::{Change, ChangeKind};

use super::both::{changes_of_two_holds, ends_when_nobody_listens, expires, goes_from_hand_to_hand};
use super::cluster::{Cluster, PATIENCE};
use super::operations::{LOCK, acquisition, assert_certain, holder, release, try_acquire};

pub(super) async fn a_v2_lock_goes_from_hand_to_hand(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    goes_from_hand_to_hand(&etcd).await;

    let mut service = etcd.connect(0, 0);
    assert_certain(service.perform(&acquisition(9, 5_000, Wait::InQueue)).await, "unsupported");
    // The service counts in whole seconds and says so.
    let hold = try_acquire(&mut *service, 9, 1_500).await.expect("a free lock");
    assert_eq!(hold.grant.ttl, Duration::from_secs(2));
    // Preparing again frees the lock whoever has it.
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    assert_certain(release(&mut *service, &hold).await, code::NOT_HELD);
}

pub(super) async fn a_v2_lock_expires(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    expires(&etcd).await;
}

pub(super) async fn a_v2_watch_tells_how_a_hold_ended(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK, "beacon"].map(str::to_owned)).await.expect("prepared");
    let changes = changes_of_two_holds(&etcd, Wait::Never).await;
    assert_eq!(changes, [("p1.1".to_owned(), ChangeKind::Released), ("p2.1".to_owned(), ChangeKind::Expired)]);
    ends_when_nobody_listens(&etcd, 5, Wait::Never).await;
}

/// A server that was held up shows keys that outlived their TTL, and by how much.
pub(super) async fn a_v2_key_that_expires_late_is_understood(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let keys = [LOCK.to_owned()];
    let watch = etcd.watch(0, &keys, Box::new(move |change: Change| told.send(change).is_ok()));
    let late_expiry = async {
        let mut service = etcd.connect(0, 0);
        // The end of one hold shows that the watch is open.
        for process in 10.. {
            let hold = try_acquire(&mut *service, process, 60_000).await.expect("a free lock");
            release(&mut *service, &hold).await.expect("a release");
            if tokio::time::timeout(Duration::from_millis(50), changes.recv()).await.is_ok() {
                break;
            }
        }
        try_acquire(&mut *service, 1, 1_000).await.expect("a free lock");
        let member = cluster.member(NodeId::new(1));
        member.stop();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        member.resume();
        // Whether it is still there or not: the question is understood.
        holder(&mut *service, false).await;
        loop {
            let change = changes.recv().await.expect("the watch goes on");
            if change.owner == "p1.1" {
                return change.kind;
            }
        }
    };
    let both = async {
        tokio::select! {
            ended = watch => panic!("the watch ended: {ended:?}"),
            kind = late_expiry => kind,
        }
    };
    let kind = tokio::time::timeout(PATIENCE, both).await.expect("the expiry is told");
    assert_eq!(kind, ChangeKind::Expired);
}
