//! The adapter for ZooKeeper against real servers, on loopback addresses of their own, and against servers that are none.
//!
//! They need the servers and a Java runtime: a machine that cannot get them cannot pass.

#[path = "../common/recipes.rs"]
mod recipes;
#[path = "../common/servers.rs"]
mod servers;

mod ensemble;
mod hostile;
mod wire;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ensemble::{Ensemble, eventually, run};
use leasehold::NodeId;
use leasehold::clients::ZooKeeper;
use leasehold::clients::zookeeper::Recipe;
use leasehold::packets::send;
use leasehold::packets::zookeeper::{Request, handshake, in_words};
use leasehold::servers::zookeeper::ZooKeeperOptions;
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Hold, Op, Owner, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::{Certainty, Change, ChangeKind, Connect, LockService, OpError};
use wire::Wire;
use zookeeper_client::Client;

const TTL: Duration = Duration::from_secs(2);

// ---------------------------------------------------------------------------------------------------------------------
// Asking
// ---------------------------------------------------------------------------------------------------------------------

type Service = Box<dyn LockService>;

async fn acquire(service: &mut Service, key: &str, process: u64, ttl: Duration, wait: Wait) -> Result<Hold, OpError> {
    let owner = Owner { process, attempt: 1 };
    let op = Op::Acquire { key: key.to_owned(), owner, ttl, wait };
    match service.perform(&op).await? {
        Answer::Acquired(grant) => Ok(Hold { key: key.to_owned(), owner, ttl, grant }),
        other => panic!("{other:?}"),
    }
}

async fn renew(service: &mut Service, hold: &Hold, how: Renewal) -> Result<Answer, OpError> {
    service.perform(&Op::Renew { hold: hold.clone(), how }).await
}

async fn release(service: &mut Service, hold: &Hold) -> Result<Answer, OpError> {
    service.perform(&Op::Release { hold: hold.clone() }).await
}

async fn holder(service: &mut Service, key: &str) -> Option<String> {
    match service.perform(&Op::Read { key: key.to_owned(), linearizable: true }).await {
        Ok(Answer::Holder(holder)) => holder,
        other => panic!("{other:?}"),
    }
}

async fn register(service: &mut Service, key: &str, op: RegisterOp) -> Result<Answer, OpError> {
    service.perform(&Op::Register { key: key.to_owned(), op }).await
}

#[track_caller]
fn fails(outcome: &Result<impl std::fmt::Debug, OpError>, expected: &str) {
    let error = outcome.as_ref().expect_err("a failure");
    assert_eq!((error.certainty, error.code), (Certainty::DidNotHappen, expected), "{error}");
}

/// What a watch saw, and when.
type Seen = Arc<Mutex<Vec<(Change, Instant)>>>;

/// Watches these locks through this node while the future that it is raced with runs.
async fn watching<T>(
    zookeeper: &ZooKeeper,
    node: usize,
    keys: &[String],
    during: impl Future<Output = T>,
) -> (T, Seen) {
    let seen = Seen::default();
    let record = Arc::clone(&seen);
    let on_change = Box::new(move |change: Change| {
        record.lock().expect("a list").push((change, Instant::now()));
        true
    });
    tokio::select! {
        broken = zookeeper.watch(node, keys, on_change) => panic!("the watch broke: {broken:?}"),
        done = during => (done, seen),
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Real servers
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn on_3_4_6() {
    run(on_version("3.4.6"));
}

#[test]
fn on_3_8_0() {
    run(on_version("3.8.0"));
}

#[test]
fn on_3_9_6() {
    run(on_version("3.9.6"));
}

/// All at once, each with locks of its own: most of the time they wait.
async fn on_version(version: &str) {
    let ensemble = Ensemble::start(version).await;
    let (semaphore, queue) = (ensemble.zookeeper(Recipe::Semaphore { permits: 2 }), ensemble.zookeeper(Recipe::Queue));
    tokio::join!(
        a_lock_goes_from_hand_to_hand(&ensemble),
        what_the_server_says_is_understood(&ensemble),
        waiters_have_their_turn(&ensemble, Recipe::Queue, "queue"),
        waiters_have_their_turn(&ensemble, Recipe::Library, "library"),
        registers_keep_their_values(&ensemble),
        a_crashed_holder_loses_its_lock_when_its_time_is_over(&ensemble),
        only_what_was_asked_for_reaches_the_server(&ensemble),
        a_retired_process_sends_nothing(&ensemble),
        a_holder_comes_back_to_its_session(&ensemble),
        messages_of_the_grammar_are_answered(&ensemble),
        recipes::two_permits(&semaphore, "permits/1", TTL),
        recipes::guarded_writes(&queue, "guarded/1", TTL, Wait::InQueue),
    );
    // By itself, for times are measured.
    sessions_end_in_their_buckets(&ensemble, version).await;
}

async fn a_lock_goes_from_hand_to_hand(ensemble: &Ensemble) {
    let key = "hands/1";
    let zookeeper = ensemble.prepared(Recipe::Create, &[key]).await;
    let (mut a, mut b) = (zookeeper.connect(0, 0), zookeeper.connect(1, 1));
    let first = acquire(&mut a, key, 1, TTL, Wait::Never).await.expect("a free lock");
    assert!(first.grant.ttl == TTL && first.grant.token.is_some() && first.grant.lease.is_some(), "{first:?}");

    let refused = acquire(&mut b, key, 2, TTL, Wait::Never).await;
    fails(&refused, code::HELD);
    assert_eq!(refused.expect_err("held").holder.as_deref(), Some("p1.1"));
    assert_eq!(holder(&mut b, key).await.as_deref(), Some("p1.1"));
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate, Renewal::StatusUpdate, Renewal::KeepAlive] {
        assert_eq!(renew(&mut a, &first, how).await, Ok(Answer::Renewed { ttl: TTL }));
    }
    fails(&renew(&mut b, &first, Renewal::KeepAlive).await, "session");
    assert_eq!(holder(&mut b, key).await.as_deref(), Some("p1.1"));

    assert_eq!(release(&mut a, &first).await, Ok(Answer::Released));
    assert_eq!(holder(&mut b, key).await, None);
    fails(&release(&mut a, &first).await, "session");
    let second = acquire(&mut b, key, 2, TTL, Wait::Never).await.expect("it was given back");
    assert!(second.grant.token > first.grant.token && second.grant.lease != first.grant.lease);
    fails(&acquire(&mut a, key, 3, TTL, Wait::InQueue).await, "unsupported");

    // Servers keep sessions for 2 to 20 ticks.
    for (asked, granted) in [(100_u64, 400_u64), (3_600_000, 4_000)] {
        let key = format!("hands/{asked}");
        let hold = acquire(&mut a, &key, 4, Duration::from_millis(asked), Wait::Never).await.expect("a free lock");
        assert_eq!(hold.grant.ttl, Duration::from_millis(granted));
    }
}

/// What malformed messages are made of is well-formed: servers read it, whatever they think of it.
async fn messages_of_the_grammar_are_answered(ensemble: &Ensemble) {
    // By themselves these are no requests of clients, and there is a server that does not survive one of them.
    let among_servers = [Request::Check, Request::CreateSession];
    let (_, server) = ensemble.clients()[0];
    for request in Request::ALL.into_iter().filter(|request| !among_servers.contains(request)) {
        let reply = send(server, Some(&handshake(4_000)), &request.packet()).await.expect("it listens");
        let said = in_words(&reply);
        let known = ["done", "error -101: no such node", "error -110: the node exists"];
        assert!(known.contains(&said.as_str()), "{}: {said}", request.name());
    }
}

async fn what_the_server_says_is_understood(ensemble: &Ensemble) {
    let keys = ["said/1", "said/2"];
    let zookeeper = ensemble.prepared(Recipe::Create, &keys).await;
    let intruder = Client::connect(&ensemble.clients()[0].1.to_string()).await.expect("a session");
    let mut service = zookeeper.connect(0, 0);

    let hold = acquire(&mut service, keys[0], 1, TTL, Wait::Never).await.expect("a free lock");
    intruder.set_data("/leasehold/locks/said%2F1", b"mine", None).await.expect("anybody may");
    fails(&renew(&mut service, &hold, Renewal::StatusUpdate).await, code::MISMATCH);
    intruder.delete("/leasehold/locks/said%2F1", None).await.expect("anybody may");
    fails(&renew(&mut service, &hold, Renewal::KeepAlive).await, code::NOT_HELD);
    fails(&release(&mut service, &hold).await, code::NOT_HELD);

    // One that has run out: the server has hung up, and says so when we come back.
    let hold = acquire(&mut service, keys[1], 2, Duration::from_millis(400), Wait::Never).await.expect("a free lock");
    eventually("it has run out", async || {
        intruder.check_stat("/leasehold/locks/said%2F2").await.expect("an answer").is_none().then_some(())
    })
    .await;
    eventually("its holder is told", async || {
        let told = renew(&mut service, &hold, Renewal::KeepAlive).await;
        told.is_err_and(|error| error.code == code::EXPIRED && error.certainty == Certainty::DidNotHappen).then_some(())
    })
    .await;
}

async fn waiters_have_their_turn(ensemble: &Ensemble, recipe: Recipe, key: &str) {
    let zookeeper = &ensemble.prepared(recipe, &[key]).await;
    let keys = [key.to_owned()];
    let waits = async |process: u64| {
        let mut service = zookeeper.connect(process, process as usize % 3);
        let hold = acquire(&mut service, key, process, TTL, Wait::InQueue).await.expect("its turn");
        (service, hold)
    };
    let turns = async {
        let (mut a, first) = waits(0).await;
        assert_eq!(holder(&mut a, key).await.as_deref(), Some("p0.1"));
        // The one behind waits for longer than its session lasts: pings keep that alive.
        let second = async {
            let (mut b, second) = waits(1).await;
            assert!(second.grant.token > first.grant.token);
            assert_eq!(renew(&mut b, &second, Renewal::StatusUpdate).await, Ok(Answer::Renewed { ttl: TTL }));
            assert_eq!(holder(&mut b, key).await.as_deref(), Some("p1.1"));
            (b, second)
        };
        let until = Instant::now() + TTL + TTL / 4;
        let first_holds = async {
            while Instant::now() < until {
                assert_eq!(renew(&mut a, &first, Renewal::KeepAlive).await, Ok(Answer::Renewed { ttl: TTL }));
                tokio::time::sleep(TTL / 5).await;
            }
            assert_eq!(release(&mut a, &first).await, Ok(Answer::Released));
        };
        let ((), (b, second)) = tokio::join!(first_holds, second);
        // It dies, and the next has its turn when its session has ended.
        drop(b);
        let (_, third) = waits(2).await;
        assert!(third.grant.token > second.grant.token);
    };
    let ((), seen) = watching(zookeeper, 0, &keys, turns).await;
    let seen = seen.lock().expect("a list");
    let owners: Vec<&str> = seen.iter().map(|(change, _)| change.owner.as_str()).collect();
    assert!(
        owners.starts_with(&["p0.1"]) && seen.iter().all(|(change, _)| change.kind == ChangeKind::Deleted),
        "{owners:?}"
    );
}

async fn registers_keep_their_values(ensemble: &Ensemble) {
    let key = "register/1";
    let zookeeper = ensemble.prepared(Recipe::Create, &[key]).await;
    let (mut a, mut b) = (zookeeper.connect(0, 0), zookeeper.connect(1, 1));
    let current = RegisterOp::Read { linearizable: true };
    assert_eq!(register(&mut a, key, current).await, Ok(Answer::Value(None)));
    fails(&register(&mut a, key, RegisterOp::Cas { old: Some(1), new: 2 }).await, code::MISMATCH);
    assert_eq!(register(&mut a, key, RegisterOp::Cas { old: None, new: 1 }).await, Ok(Answer::Written));
    fails(&register(&mut b, key, RegisterOp::Cas { old: None, new: 3 }).await, code::MISMATCH);
    for value in 4..14 {
        assert_eq!(register(&mut a, key, RegisterOp::Write { value }).await, Ok(Answer::Written));
        assert_eq!(register(&mut b, key, current).await, Ok(Answer::Value(Some(value))));
    }
    assert_eq!(register(&mut b, key, RegisterOp::Cas { old: Some(13), new: 14 }).await, Ok(Answer::Written));
    fails(&register(&mut a, key, RegisterOp::Cas { old: Some(13), new: 15 }).await, code::MISMATCH);
    let at_hand = register(&mut b, key, RegisterOp::Read { linearizable: false }).await;
    assert_eq!(at_hand, Ok(Answer::Value(Some(14))), "what it has written itself a client sees");
    ensemble.prepared(Recipe::Create, &[key]).await;
    assert_eq!(register(&mut a, key, current).await, Ok(Answer::Value(None)));
}

async fn a_crashed_holder_loses_its_lock_when_its_time_is_over(ensemble: &Ensemble) {
    let key = "crash/1".to_owned();
    let zookeeper = ensemble.prepared(Recipe::Create, &[&key]).await;
    let crash = async {
        let mut service = zookeeper.connect(0, 1);
        let asked = Instant::now();
        acquire(&mut service, &key, 7, TTL, Wait::Never).await.expect("a free lock");
        drop(service);
        let mut other = zookeeper.connect(1, 2);
        eventually("it is gone", async || holder(&mut other, &key).await.is_none().then_some(())).await;
        assert!(asked.elapsed() >= TTL, "{:?}", asked.elapsed());
        // The watch has its word from another server.
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let ((), seen) = watching(&zookeeper, 0, std::slice::from_ref(&key), crash).await;
    let seen: Vec<Change> = seen.lock().expect("a list").iter().map(|(change, _)| change.clone()).collect();
    assert_eq!(seen, [Change { key: key.clone(), owner: "p7.1".to_owned(), kind: ChangeKind::Deleted }]);
}

// ---------------------------------------------------------------------------------------------------------------------
// What goes over the wire
// ---------------------------------------------------------------------------------------------------------------------

/// The library pings after a silence of less than a second.
async fn only_what_was_asked_for_reaches_the_server(ensemble: &Ensemble) {
    let key = "wire/1";
    ensemble.prepared(Recipe::Create, &[key]).await;
    let wire = Wire::to(ensemble.clients()[1].1).await;
    let zookeeper = ensemble.through(&wire, Recipe::Create);
    let mut service = zookeeper.connect(0, 0);
    let ttl = 2 * TTL;
    let hold = acquire(&mut service, key, 1, ttl, Wait::Never).await.expect("a free lock");
    let acquiring = wire.asked();
    for _ in 0..3 {
        tokio::time::sleep(ttl / 2).await;
        assert_eq!(renew(&mut service, &hold, Renewal::KeepAlive).await, Ok(Answer::Renewed { ttl }));
    }
    let exists = 3;
    assert_eq!(wire.asked()[acquiring.len()..], [exists; 3], "nothing but renewals");
    assert_eq!(wire.connections(), 1);
}

/// Neither what was under way nor anything else, for as long as its session lasts, and no new connection.
async fn a_retired_process_sends_nothing(ensemble: &Ensemble) {
    for recipe in [Recipe::Create, Recipe::Queue, Recipe::Library] {
        let key = format!("retired/{recipe:?}");
        ensemble.prepared(recipe, &[&key]).await;
        let wire = Wire::to(ensemble.clients()[2].1).await;
        let zookeeper = ensemble.through(&wire, recipe);
        let wait = if recipe == Recipe::Create { Wait::Never } else { Wait::InQueue };
        let ttl = Duration::from_millis(1_000);
        let mut service = zookeeper.connect(0, 0);
        let hold = acquire(&mut service, &key, 1, ttl, wait).await.expect("a free lock");
        wire.hold(true);
        let limit = Duration::from_millis(100);
        let given_up = tokio::time::timeout(limit, renew(&mut service, &hold, Renewal::StatusUpdate)).await;
        assert!(given_up.is_err(), "{given_up:?}");
        drop(service);
        let (asked, connections) = (wire.asked(), wire.connections());
        wire.hold(false);
        let mut other = ensemble.zookeeper(recipe).connect(1, 0);
        eventually("its session has ended", async || holder(&mut other, &key).await.is_none().then_some(())).await;
        // The library tries for another half of the time-out to come back.
        tokio::time::sleep(ttl / 2).await;
        assert_eq!((wire.asked(), wire.connections()), (asked, connections), "{recipe:?}");
    }
}

async fn a_holder_comes_back_to_its_session(ensemble: &Ensemble) {
    let key = "back/1";
    ensemble.prepared(Recipe::Create, &[key]).await;
    let wire = Wire::to(ensemble.clients()[0].1).await;
    let zookeeper = ensemble.through(&wire, Recipe::Create);
    let mut service = zookeeper.connect(0, 0);
    let hold = acquire(&mut service, key, 1, TTL, Wait::Never).await.expect("a free lock");
    // The connection ends between two requests: nobody else comes back than the holder, when it next asks for something.
    wire.cut();
    tokio::time::sleep(TTL / 4).await;
    assert_eq!(wire.connections(), 1);
    assert_eq!(renew(&mut service, &hold, Renewal::StatusUpdate).await, Ok(Answer::Renewed { ttl: TTL }));
    assert_eq!(wire.connections(), 2);
    wire.cut();
    tokio::time::sleep(TTL / 10).await;
    assert_eq!(release(&mut service, &hold).await, Ok(Answer::Released));

    // It ends with a request under way.
    let hold = acquire(&mut service, key, 2, TTL, Wait::Never).await.expect("a free lock");
    wire.hold(true);
    let (lost, ()) = tokio::join!(renew(&mut service, &hold, Renewal::KeepAlive), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        wire.cut();
    });
    let error = lost.expect_err("no answer");
    assert_eq!((error.certainty, error.code), (Certainty::Unknown, "broken"), "{error}");

    // Nobody listens any more: that was certainly not sent.
    wire.shut().await;
    fails(&renew(&mut service, &hold, Renewal::KeepAlive).await, "refused");
    fails(&acquire(&mut service, key, 3, TTL, Wait::Never).await, "refused");
}

// ---------------------------------------------------------------------------------------------------------------------
// The contract, without faults
// ---------------------------------------------------------------------------------------------------------------------

/// Of clients of the leader and of its followers, never early, and late by less than the contract allows.
async fn sessions_end_in_their_buckets(ensemble: &Ensemble, version: &str) {
    const SESSIONS: u64 = 24;
    let leader = ensemble.leader().await;
    let keys: Vec<String> = (0..SESSIONS).map(|session| format!("bucket/{session}")).collect();
    let key_names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let zookeeper = ensemble.prepared(Recipe::Create, &key_names).await;
    let due: Mutex<Vec<(String, bool, Instant)>> = Mutex::default();
    let silent_after_one_renewal = async |process: u64| {
        let node = process as usize % 3;
        let ttl = Duration::from_millis(1_000 + 130 * (process % 8));
        tokio::time::sleep(Duration::from_millis(37 * process)).await;
        let mut service = zookeeper.connect(process, node);
        let key = &keys[process as usize];
        let hold = acquire(&mut service, key, process, ttl, Wait::Never).await.expect("a free lock");
        let asked = Instant::now();
        renew(&mut service, &hold, Renewal::KeepAlive).await.expect("it stands");
        due.lock().expect("a list").push((hold.owner.to_string(), node == leader.index(), asked + hold.grant.ttl));
        // It stays connected.
        service
    };
    let all = async {
        let clients = futures_util::future::join_all((0..SESSIONS).map(silent_after_one_renewal)).await;
        let mut reader = zookeeper.connect(SESSIONS, leader.index());
        for key in &keys {
            eventually("it is gone", async || holder(&mut reader, key).await.is_none().then_some(())).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(clients);
    };
    let ((), seen) = watching(&zookeeper, leader.index(), &keys, all).await;
    let seen = seen.lock().expect("a list");
    let grace = zookeeper.contract().latest_expiry.expect("a bound").grace_ms as f64;
    let mut late = [Vec::new(), Vec::new()];
    for (owner, of_leader, due) in due.lock().expect("a list").iter() {
        let (_, at) = seen.iter().find(|(change, _)| change.owner == *owner).expect("the watch saw it end");
        let late_ms = at.saturating_duration_since(*due).as_secs_f64() * 1e3
            - due.saturating_duration_since(*at).as_secs_f64() * 1e3;
        assert!(late_ms >= 0.0 && late_ms <= grace, "{version}: {owner} ended {late_ms} ms after it was due");
        late[usize::from(*of_leader)].push(late_ms.round());
    }
    for (whose, mut late) in ["followers", "leader"].into_iter().zip(late) {
        late.sort_by(f64::total_cmp);
        assert!(!late.is_empty());
        eprintln!("{version}: sessions of the {whose} ended so many ms after they were due: {late:?}");
    }
}

#[test]
fn the_contract_follows_from_the_options() {
    let endpoints = vec![(NodeId::new(1), ([127, 0, 0, 1], 1).into())];
    let options = ZooKeeperOptions { tick_ms: 2_000, sync_limit_ticks: 5, ..ZooKeeperOptions::default() };
    let contract = ZooKeeper::new(endpoints, Recipe::Create, &options).contract();
    let second_hand = contract.second_hand.expect("followers pass renewals on");
    assert_eq!((second_hand.known_within_ms, second_hand.out_of_touch_for_ms), (2_500, 14_500));
    assert_eq!((contract.early_slack_ms, contract.latest_expiry.expect("a bound").grace_ms), (0, 6_000));
}
