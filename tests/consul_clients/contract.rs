//! The contract, without a fault.

use std::time::{Duration, Instant};

use leasehold::clients::consul::{Behavior, Settings};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Renewal, Wait};
use leasehold_workloads::service::ChangeKind;
use leasehold_workloads::service::Connect;

use super::cluster::{Cluster, NOISE, SECOND};
use super::operations::{acquire, acquire_key, assert_certain, holder, owner, renew, told_of, while_watched};

#[tokio::test]
async fn sessions_end_between_their_ttl_and_the_contracts_latest_expiry() {
    let cluster = Cluster::start(3).await;
    let consul = cluster.with_lock_delay(Duration::ZERO);
    let latest = consul.contract().latest_expiry.expect("a bound").after_ttl(SECOND);
    let keys: Vec<String> = (0..20).map(|n| format!("leases/{n}")).collect();
    let lives = while_watched(&consul, &keys, async |changes| {
        let mut asked = Vec::new();
        for (key, process) in keys.iter().zip(0..) {
            let mut service = consul.connect(0, process as usize % 3);
            let hold = acquire_key(&mut *service, key, owner(process), SECOND, Wait::Never).await.expect("a free lock");
            let before = Instant::now();
            renew(&mut *service, &hold, Renewal::KeepAlive).await.expect("it is held");
            asked.push((owner(process).to_string(), before, Instant::now()));
        }
        let mut lives = Vec::new();
        while lives.len() < keys.len() {
            let (at, change) = changes.recv().await.expect("the watch goes on");
            assert_eq!(change.kind, ChangeKind::Deleted);
            let (_, before, after) = asked.iter().find(|(owner, ..)| *owner == change.owner).expect("an owner");
            lives.push((at - *before, at.saturating_duration_since(*after)));
        }
        lives
    })
    .await;
    for (longest, shortest) in lives {
        assert!(longest >= SECOND, "it ended {longest:?} after its renewal was asked for");
        assert!(shortest <= SECOND + latest, "it ended {shortest:?} after its renewal was answered");
    }
    let mut service = consul.connect(0, 0);
    let again = acquire_key(&mut *service, &keys[0], owner(50), SECOND, Wait::Never).await;
    again.expect("there is no lock-delay");
}

/// After a hold that ran out the lock stays closed for its lock-delay and no longer. The delay is kept by behaviour `delete` too.
#[tokio::test]
async fn a_lock_delay_is_kept_and_a_restored_snapshot_forgets_it() {
    let cluster = Cluster::start(1).await;
    let (cluster, none, three) = (&cluster, Duration::ZERO, 3 * SECOND);
    let cases = [(none, Behavior::Release), (three, Behavior::Release), (three, Behavior::Delete)];
    let delays = cases.into_iter().zip(1..).map(|((delay, behavior), n)| async move {
        let settings = Settings { behavior, lock_delay: delay, ..Settings::default() };
        let consul = cluster.consul().with_settings(settings);
        let key = format!("delayed/{n}");
        while_watched(&consul, std::slice::from_ref(&key), async |changes| {
            let [mut a, mut b] = [0, 0].map(|node| consul.connect(0, node));
            let first = acquire_key(&mut *a, &key, owner(10 * n), SECOND, Wait::Never).await.expect("a free lock");
            let successor = async {
                let second = acquire_key(&mut *b, &key, owner(10 * n + 1), 9 * SECOND, Wait::InQueue).await;
                (second.expect("the lock"), Instant::now())
            };
            let ((second, got), (lost, _)) = tokio::join!(successor, told_of(changes, first.owner));
            assert!(second.grant.token > first.grant.token);
            got.saturating_duration_since(lost)
        })
        .await
    });
    let waited = futures_util::future::join_all(delays).await;
    // The watch may hear of the loss late, but not by much.
    assert!(waited[0] < NOISE, "{waited:?}");
    for waited in &waited[1..] {
        assert!(*waited > three - SECOND / 4 && *waited < three + NOISE, "{waited:?}");
    }

    let consul = cluster.consul();
    let mut service = consul.connect(0, 0);
    acquire(&mut *service, 1, 10 * SECOND, Wait::Never).await.expect("a free lock");
    cluster.destroy_session_of(owner(1)).await;
    assert_certain(acquire(&mut *service, 2, 10 * SECOND, Wait::Never).await, code::HELD);
    assert_eq!(holder(&mut *service, true).await, None, "closed, and yet nobody's");
    let snapshot = reqwest::get(cluster.url("snapshot")).await.expect("an answer").bytes().await.expect("a snapshot");
    let restored = reqwest::Client::new().put(cluster.url("snapshot")).body(snapshot).send().await.expect("an answer");
    assert!(restored.status().is_success(), "{restored:?}");
    let asked = Instant::now();
    acquire(&mut *service, 3, 10 * SECOND, Wait::Never).await.expect("the delay of 15 s is forgotten");
    assert!(asked.elapsed() < 5 * SECOND);
}
