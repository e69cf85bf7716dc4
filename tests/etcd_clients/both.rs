//! What both APIs have in common.

use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::Recipe;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Op, Owner, Renewal, Wait};
use leasehold_workloads::service::{Certainty, Change, ChangeKind, Connect};

use super::cluster::{Cluster, LOCK_SERVICE, PATIENCE};
use super::operations::{
    LOCK, SECONDS_5, acquire, acquire_as, acquisition, assert_certain, holder, release, renew, try_acquire, until_free,
};

pub(super) async fn goes_from_hand_to_hand(etcd: &dyn Connect) {
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    assert_eq!(holder(&mut *a, true).await, None);
    assert_eq!(holder(&mut *a, false).await, None);

    let first = try_acquire(&mut *a, 1, 5_000).await.expect("a free lock");
    assert_eq!(first.grant.ttl, SECONDS_5);
    for linearizable in [true, false] {
        assert_eq!(holder(&mut *b, linearizable).await.as_deref(), Some("p1.1"));
    }
    let refused = try_acquire(&mut *b, 2, 5_000).await.expect_err("a held lock");
    assert_eq!((refused.certainty, refused.code), (Certainty::DidNotHappen, code::HELD), "{refused}");
    assert_eq!(refused.holder.as_deref(), Some("p1.1"));
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_eq!(renew(&mut *a, &first, how).await, Ok(Answer::Renewed { ttl: SECONDS_5 }));
    }
    assert_eq!(holder(&mut *b, true).await.as_deref(), Some("p1.1"));
    assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    assert_eq!(holder(&mut *b, true).await, None);

    let second = try_acquire(&mut *b, 3, 5_000).await.expect("a free lock");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_certain(release(&mut *a, &first).await, code::NOT_HELD);
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p3.1"));
    assert_eq!(release(&mut *b, &second).await, Ok(Answer::Released));
}

pub(super) async fn expires(etcd: &dyn Connect) {
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    let asked = Instant::now();
    let first = try_acquire(&mut *a, 1, 1_000).await.expect("a free lock");
    assert_eq!(first.grant.ttl, Duration::from_secs(1));
    until_free(&mut *b).await;
    assert!(asked.elapsed() >= first.grant.ttl, "it expired after {:?}", asked.elapsed());
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_certain(renew(&mut *a, &first, how).await, code::EXPIRED);
    }
    let gone = release(&mut *a, &first).await.expect_err("nothing to release");
    assert_eq!(gone.certainty, Certainty::DidNotHappen);
    assert!(matches!(gone.code, code::EXPIRED | code::NOT_HELD), "{gone}");

    let second = try_acquire(&mut *b, 2, 5_000).await.expect("a free lock");
    assert!(second.grant.token > first.grant.token);
    assert_certain(release(&mut *a, &first).await, code::NOT_HELD);
    assert_eq!(release(&mut *b, &second).await, Ok(Answer::Released));
}

/// Watches while one hold ends by release and the next by expiry.
pub(super) async fn changes_of_two_holds(etcd: &dyn Connect, wait: Wait) -> Vec<(String, ChangeKind)> {
    const BEACON: &str = "beacon";
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let keys = [LOCK, BEACON].map(str::to_owned);
    let watch = etcd.watch(0, &keys, Box::new(move |change: Change| told.send(change).is_ok()));
    let two_holds = async move {
        let mut service = etcd.connect(0, 0);
        // Only what happens after the watch is open is told, so something happens until it is.
        for attempt in 1.. {
            let owner = Owner { process: 8, attempt };
            let lit = acquire_as(&mut *service, BEACON, owner, 60_000, wait).await.expect("a free lock");
            release(&mut *service, &lit).await.expect("a release");
            if tokio::time::timeout(Duration::from_millis(50), changes.recv()).await.is_ok() {
                break;
            }
        }
        let first = acquire(&mut *service, 1, 60_000, wait).await.expect("a free lock");
        renew(&mut *service, &first, Renewal::StatusUpdate).await.expect("a renewal");
        release(&mut *service, &first).await.expect("a release");
        acquire(&mut *service, 2, 1_000, wait).await.expect("a free lock");
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let change = changes.recv().await.expect("the watch goes on");
            if change.key == LOCK {
                seen.push((change.owner, change.kind));
            }
        }
        seen
    };
    let both = async {
        tokio::select! {
            ended = watch => panic!("the watch ended: {ended:?}"),
            seen = two_holds => seen,
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("two changes")
}

/// A watch ends when nobody listens any more.
pub(super) async fn ends_when_nobody_listens(etcd: &dyn Connect, process: u64, wait: Wait) {
    let keys = [LOCK.to_owned()];
    let watch = etcd.watch(0, &keys, Box::new(|_| false));
    let holds = async {
        let mut service = etcd.connect(0, 0);
        for attempt in 1.. {
            let owner = Owner { process, attempt };
            let hold = acquire_as(&mut *service, LOCK, owner, 60_000, wait).await.expect("a free lock");
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

pub(super) async fn a_server_that_dies_with_a_request_leaves_it_unknown(version: &str) {
    let mut cluster = Cluster::start(version, 1).await;
    let n1 = NodeId::new(1);
    let services: [(Box<dyn Connect>, Wait); 3] = [
        (Box::new(cluster.v2()), Wait::Never),
        (Box::new(cluster.v3(Recipe::Txn)), Wait::Never),
        (Box::new(cluster.v3(LOCK_SERVICE)), Wait::InQueue),
    ];
    for ((etcd, wait), process) in services.into_iter().zip(1..) {
        etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
        let mut service = etcd.connect(0, 0);
        let hold = acquire(&mut *service, process, 60_000, wait).await.expect("a free lock");

        cluster.member(n1).stop();
        let mut renewal = Box::pin(renew(&mut *service, &hold, Renewal::KeepAlive));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut renewal).await;
        assert!(early.is_err(), "a stopped server cannot have answered {early:?}");
        cluster.kill(n1);
        let error = renewal.await.expect_err("the server is gone");
        assert_eq!(error.certainty, Certainty::Unknown, "{error}");

        // On a new connection nothing is sent at all.
        let mut service = etcd.connect(0, 0);
        for op in [Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive }, acquisition(9, 1_000, wait)] {
            assert_certain(service.perform(&op).await, "refused");
        }
        cluster.start_member(n1);
        cluster.wait_ready().await;
        let renewed = renew(&mut *service, &hold, Renewal::KeepAlive).await;
        renewed.expect("the same connection finds the server again");
    }
}
