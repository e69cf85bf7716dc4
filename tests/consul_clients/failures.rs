//! Failures, and what they say.

use std::time::Duration;

use leasehold::NodeId;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Op, Owner, Renewal, Wait};
use leasehold_workloads::service::Change;
use leasehold_workloads::service::Connect;

use super::cluster::{Cluster, PATIENCE, SECOND, eventually};
use super::operations::{LOCK, acquire, acquire_key, assert_certain, assert_unknown, holder, owner, release, renew};

#[tokio::test]
async fn a_session_that_is_gone_is_an_observation() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.with_lock_delay(Duration::ZERO);
    let mut service = consul.connect(0, 0);
    let hold = acquire(&mut *service, 1, 10 * SECOND, Wait::Never).await.expect("a free lock");
    cluster.destroy_session_of(owner(1)).await;
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_certain(renew(&mut *service, &hold, how).await, code::EXPIRED);
    }
    assert_certain(release(&mut *service, &hold).await, code::NOT_HELD);
}

#[tokio::test]
async fn a_server_that_dies_with_a_request_leaves_it_unknown() {
    let mut cluster = Cluster::start(1).await;
    let n1 = NodeId::new(1);
    let consul = cluster.consul();
    let mut service = consul.connect(0, 0);
    let hold = acquire(&mut *service, 1, 60 * SECOND, Wait::Never).await.expect("a free lock");

    cluster.member(NodeId::new(1)).stop();
    let mut renewal = Box::pin(renew(&mut *service, &hold, Renewal::KeepAlive));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut renewal).await;
    assert!(early.is_err(), "a stopped server cannot have answered {early:?}");
    cluster.kill(n1);
    assert_unknown(renewal.await);

    // On a new connection nothing is sent at all.
    let mut fresh = consul.connect(0, 0);
    assert_certain(acquire(&mut *fresh, 2, SECOND, Wait::Never).await, "refused");
    assert_certain(acquire(&mut *fresh, 3, SECOND, Wait::InQueue).await, "refused");
    for linearizable in [true, false] {
        assert_certain(fresh.perform(&Op::Read { key: LOCK.to_owned(), linearizable }).await, "refused");
    }
    cluster.start_member(n1);
    cluster.wait_ready().await;
    let renewed = renew(&mut *service, &hold, Renewal::KeepAlive).await;
    renewed.expect("the same connection finds the server again, and the session");
}

#[tokio::test]
async fn without_a_leader_nothing_is_certain_but_that_nothing_was_begun() {
    let mut cluster = Cluster::start(3).await;
    let consul = cluster.consul();
    let mut services = [0, 0, 0, 0].map(|node| consul.connect(0, node));
    let hold = acquire(&mut *services[0], 1, 60 * SECOND, Wait::Never).await.expect("a free lock");
    // The server that is asked has to know of the lock before the others are gone.
    eventually("it knows", || {
        let mut service = consul.connect(0, 0);
        async move { holder(&mut *service, false).await }
    })
    .await;
    let quiet = |change: Change| panic!("nobody did anything, and yet {change:?}");
    let keys = [LOCK.to_owned()];
    let watch = consul.watch(0, &keys, Box::new(quiet));
    for node in [2, 3] {
        cluster.kill(NodeId::new(node));
    }
    let [a, b, c, d] = &mut services;
    let read = Op::Read { key: LOCK.to_owned(), linearizable: true };
    let outcomes = async {
        tokio::join!(
            renew(&mut **a, &hold, Renewal::StatusUpdate),
            acquire(&mut **b, 2, 10 * SECOND, Wait::Never),
            c.perform(&read),
            watch,
            async { holder(&mut **d, false).await },
        )
    };
    let (renewed, acquired, read, watched, stale) = tokio::time::timeout(PATIENCE, outcomes).await.expect("all end");
    assert_unknown(renewed);
    assert_certain(acquired, code::NO_SESSION);
    assert_unknown(read);
    watched.expect_err("the watch can tell nothing any more");
    assert_eq!(stale.as_deref(), Some("p1.1"), "a stale read needs no leader");
}

#[tokio::test]
async fn a_watch_of_a_server_that_fell_silent_ends() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.consul();
    let keys = [LOCK.to_owned()];
    let watch = consul.watch(0, &keys, Box::new(|change| panic!("nobody did anything, and yet {change:?}")));
    cluster.member(NodeId::new(1)).stop();
    let ended = tokio::time::timeout(PATIENCE, watch).await.expect("it ends");
    ended.expect_err("a silent server");
}

#[tokio::test]
async fn a_watch_ends_when_nobody_listens() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.consul();
    let keys = [LOCK.to_owned()];
    let watch = consul.watch(0, &keys, Box::new(|_| false));
    let holds = async {
        let mut service = consul.connect(0, 0);
        for attempt in 1.. {
            let owner = Owner { process: 1, attempt };
            let hold = acquire_key(&mut *service, LOCK, owner, 10 * SECOND, Wait::Never).await.expect("a free lock");
            tokio::time::sleep(Duration::from_millis(20)).await;
            release(&mut *service, &hold).await.expect("a release");
        }
    };
    let both = async {
        tokio::select! {
            ended = watch => assert_eq!(ended, Ok(())),
            () = holds => unreachable!("there is always another attempt"),
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("it ends");
}
