//! The API of today.

use std::time::{Duration, Instant};

use leasehold::clients::Recipe;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Guard, Hold, Op, Owner, Piece, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::{ChangeKind, Connect};

use super::both::{changes_of_two_holds, ends_when_nobody_listens, expires, goes_from_hand_to_hand};
use super::cluster::{Cluster, ELECTION, LOCK_SERVICE, eventually};
use super::operations::{
    LOCK, acquire, acquire_as, acquisition, assert_certain, holder, release, renew, try_acquire, until_free,
};

pub(super) async fn a_v3_lock_goes_from_hand_to_hand(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(Recipe::Txn);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    goes_from_hand_to_hand(&etcd).await;

    let mut service = etcd.connect(0, 0);
    assert_certain(service.perform(&acquisition(9, 5_000, Wait::InQueue)).await, "unsupported");
    let hold = try_acquire(&mut *service, 9, 5_000).await.expect("a free lock");
    assert_eq!(hold.grant.lease, Some(hold.owner.lease_id()));
    // A lease id is used once, or nothing was acquired.
    assert_certain(try_acquire(&mut *service, 9, 5_000).await, "lease-grant");
    // Preparing again frees the lock whoever has it. The lease lives on, so only the key tells.
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    assert!(renew(&mut *service, &hold, Renewal::KeepAlive).await.is_ok());
    assert_certain(renew(&mut *service, &hold, Renewal::StatusUpdate).await, code::NOT_HELD);
    assert_certain(release(&mut *service, &hold).await, code::NOT_HELD);
}

pub(super) async fn a_v3_lock_expires(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(Recipe::Txn);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    expires(&etcd).await;
}

pub(super) async fn a_v3_watch_tells_that_a_hold_ended(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let deleted = [("p1.1".to_owned(), ChangeKind::Deleted), ("p2.1".to_owned(), ChangeKind::Deleted)];
    for (recipe, wait) in [(Recipe::Txn, Wait::Never), (LOCK_SERVICE, Wait::InQueue)] {
        let etcd = cluster.v3(recipe);
        etcd.prepare(&[LOCK, "beacon"].map(str::to_owned)).await.expect("prepared");
        assert_eq!(changes_of_two_holds(&etcd, wait).await, deleted);
    }
    for (recipe, process, wait) in [(Recipe::Txn, 5, Wait::Never), (LOCK_SERVICE, 6, Wait::InQueue)] {
        ends_when_nobody_listens(&cluster.v3(recipe), process, wait).await;
    }
}

pub(super) async fn a_semaphore_has_as_many_holders_as_permits(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    crate::recipes::two_permits(&cluster.v3(Recipe::Semaphore { permits: 2 }), "permits/1", Duration::from_secs(2))
        .await;
}

pub(super) async fn waiters_of_the_lock_service_queue_up(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(LOCK_SERVICE);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    assert_certain(try_acquire(&mut *a, 9, 5_000).await, "unsupported");
    assert_eq!(holder(&mut *a, true).await, None);

    let first = acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("a free lock");
    assert_eq!((first.grant.ttl, first.grant.lease), (Duration::from_secs(60), Some(first.owner.lease_id())));
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p1.1"));
    assert_eq!(holder(&mut *a, false).await.as_deref(), Some("p1.1"));
    assert!(renew(&mut *a, &first, Renewal::KeepAlive).await.is_ok());
    assert!(renew(&mut *a, &first, Renewal::StatusUpdate).await.is_ok());

    let (second, ()) = tokio::join!(acquire(&mut *b, 2, 60_000, Wait::InQueue), async {
        until_queue_is(&cluster, 2).await;
        assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p1.1"));
        assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    });
    let second = second.expect("the lock in its turn");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p2.1"));
    assert_certain(renew(&mut *a, &first, Renewal::KeepAlive).await, code::EXPIRED);
    // Unlocking what one has no longer is no failure for the lock service, and harms nobody.
    assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p2.1"));
}

/// etcd before 3.5 grants a lock to a waiter whose key is gone.
pub(super) async fn a_waiter_whose_lease_ran_out(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(LOCK_SERVICE);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    let first = acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("a free lock");
    let (second, ()) = tokio::join!(acquire(&mut *b, 2, 1_000, Wait::InQueue), async {
        until_queue_is(&cluster, 2).await;
        until_queue_is(&cluster, 1).await;
        release(&mut *a, &first).await.expect("a release");
    });
    if version.starts_with("3.4") {
        assert_eq!(second.expect("a grant on a dead lease").grant.token, None);
    } else {
        assert_certain(second, code::EXPIRED);
    }
}

pub(super) async fn a_waiter_that_gives_up_leaves_the_queue(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(LOCK_SERVICE);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("a free lock");
    tokio::select! {
        granted = acquire(&mut *b, 2, 60_000, Wait::InQueue) => panic!("{granted:?} while another holds it"),
        () = until_queue_is(&cluster, 2) => {}
    }
    // Far sooner than its lease would have run out.
    until_queue_is(&cluster, 1).await;
}

/// A waiter that keeps its lease alive outlasts its TTL in the line.
pub(super) async fn candidates_of_the_election_queue_up(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(ELECTION);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    assert_certain(try_acquire(&mut *a, 9, 5_000).await, "unsupported");
    assert_eq!(holder(&mut *a, true).await, None);
    let first = acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("nobody else stands");
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p1.1"));
    assert_eq!(holder(&mut *a, false).await.as_deref(), Some("p1.1"));
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert!(renew(&mut *a, &first, how).await.is_ok());
    }
    let ttl = Duration::from_secs(1);
    let (second, ()) = tokio::join!(acquire(&mut *b, 2, 1_000, Wait::InQueue), async {
        until_queue_is(&cluster, 2).await;
        // The time is what this is about: three TTLs, with which etcd ends a lease by a second and a half.
        let until = Instant::now() + 3 * ttl;
        eventually("three TTLs", || async { (Instant::now() > until).then_some(()) }).await;
        until_queue_is(&cluster, 2).await;
        assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    });
    let second = second.expect("its turn");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_eq!(second.grant.ttl, ttl);
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p2.1"));
    assert_certain(renew(&mut *a, &first, Renewal::KeepAlive).await, code::EXPIRED);
    // Now nobody keeps its lease alive.
    until_free(&mut *a).await;
}

pub(super) async fn registers_are_read_written_and_swapped(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let services: [Box<dyn Connect>; 2] = [Box::new(cluster.v2()), Box::new(cluster.v3(Recipe::Txn))];
    for etcd in services {
        let mut service = etcd.connect(0, 0);
        let mut ask = async |op| service.perform(&Op::Register { key: "registers/1".to_owned(), op }).await;
        let read = |linearizable| RegisterOp::Read { linearizable };
        let cas = |old, new| RegisterOp::Cas { old, new };
        assert_eq!(ask(read(true)).await, Ok(Answer::Value(None)));
        assert_certain(ask(cas(Some(1), 2)).await, code::MISMATCH);
        assert_eq!(ask(cas(None, 3)).await, Ok(Answer::Written));
        assert_certain(ask(cas(None, 4)).await, code::MISMATCH);
        assert_certain(ask(cas(Some(2), 5)).await, code::MISMATCH);
        assert_eq!(ask(read(true)).await, Ok(Answer::Value(Some(3))));
        assert_eq!(ask(cas(Some(3), 6)).await, Ok(Answer::Written));
        assert_eq!(ask(read(false)).await, Ok(Answer::Value(Some(6))));
        assert_eq!(ask(RegisterOp::Write { value: u64::MAX }).await, Ok(Answer::Written));
        assert_eq!(ask(read(true)).await, Ok(Answer::Value(Some(u64::MAX))));
    }
}

pub(super) async fn a_guarded_write_is_refused_to_whoever_lost_the_lock(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    for (recipe, wait) in [(Recipe::Txn, Wait::Never), (LOCK_SERVICE, Wait::InQueue), (ELECTION, Wait::InQueue)] {
        let etcd = cluster.v3(recipe);
        etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
        let mut service = etcd.connect(0, 0);
        let write = |hold: &Hold, guard| Op::Work { hold: hold.clone(), piece: Piece::Write, base: None, guard };
        let (one, other) = (Owner { process: 1, attempt: 1 }, Owner { process: 2, attempt: 1 });
        let first = acquire_as(&mut *service, LOCK, one, 60_000, wait).await.expect("a free lock");
        let written = service.perform(&write(&first, Guard::Service)).await;
        assert_eq!(written, Ok(Answer::Worked { version: None }));
        assert_certain(service.perform(&write(&first, Guard::Token)).await, "unsupported");
        release(&mut *service, &first).await.expect("a release");
        let second = acquire_as(&mut *service, LOCK, other, 60_000, wait).await.expect("a free lock");
        assert_certain(service.perform(&write(&first, Guard::Service)).await, code::NOT_HELD);
        assert!(service.perform(&write(&second, Guard::Service)).await.is_ok());
        release(&mut *service, &second).await.expect("a release");
        assert_certain(service.perform(&write(&second, Guard::Service)).await, code::NOT_HELD);
    }
    let client = etcd_client::Client::connect([cluster.clients()[0].1.to_string()], None).await.expect("a client");
    let store = client.kv_client().get(format!("/leasehold/{LOCK}.guarded"), None).await.expect("a read");
    assert_eq!(store.kvs()[0].value(), b"p2.1");
}

async fn until_queue_is(cluster: &Cluster, length: usize) {
    let endpoint = cluster.clients()[0].1.to_string();
    let client = etcd_client::Client::connect([endpoint], None).await.expect("a client");
    eventually("the queue has this length", || async {
        let options = etcd_client::GetOptions::new().with_prefix();
        let waiting = client.kv_client().get(format!("/leasehold/{LOCK}/"), Some(options)).await.expect("a read");
        (waiting.kvs().len() == length).then_some(())
    })
    .await;
}
