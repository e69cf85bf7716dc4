//! What each operation does.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use leasehold::clients::consul::{Behavior, Checks, Reads, SessionNode, Settings};
use leasehold::packets::{Packet, consul};
use leasehold::servers::consul::{CLIENT_PORT, GOSSIP_PORT, SERVER_PORT};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::Certainty;
use leasehold_workloads::service::Connect;
use serde_json::Value;

use super::cluster::{Cluster, SECOND, eventually};
use super::operations::{LOCK, acquire, acquire_key, assert_certain, holder, owner, register, release, renew};

#[tokio::test]
async fn a_lock_goes_from_hand_to_hand() {
    let cluster = Cluster::start(1).await;
    // With a lock-delay of 15 s, which a release does not cause.
    let consul = cluster.consul();
    consul.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| consul.connect(0, node));
    assert_eq!((holder(&mut *a, true).await, holder(&mut *a, false).await), (None, None));

    let first = acquire(&mut *a, 1, 10 * SECOND, Wait::Never).await.expect("a free lock");
    assert_eq!((first.grant.ttl, first.grant.lease), (10 * SECOND, None));
    for linearizable in [true, false] {
        assert_eq!(holder(&mut *b, linearizable).await.as_deref(), Some("p1.1"));
    }
    let refused = acquire(&mut *b, 2, 10 * SECOND, Wait::Never).await.expect_err("a held lock");
    assert_eq!((refused.certainty, refused.code), (Certainty::DidNotHappen, code::HELD), "{refused}");
    assert_eq!(refused.holder, None);
    assert_eq!(cluster.sessions().await.len(), 1, "a refused acquisition leaves no session");
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate, Renewal::StatusUpdate] {
        assert_eq!(renew(&mut *a, &first, how).await, Ok(Answer::Renewed { ttl: 10 * SECOND }));
    }
    let written = reqwest::get(cluster.url("kv/leasehold/jobs/7")).await.expect("an answer");
    let written: Value = written.json().await.expect("a key");
    assert!(written[0]["ModifyIndex"].as_u64() > first.grant.token, "a status is a write: {written}");
    assert_eq!(holder(&mut *b, true).await.as_deref(), Some("p1.1"));

    assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    assert_eq!(holder(&mut *b, true).await, None);
    let second = acquire(&mut *b, 3, 10 * SECOND, Wait::Never).await.expect("a free lock, at once");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_certain(release(&mut *a, &second).await, "unsupported");

    // Preparing again frees the lock whoever has it, without a lock-delay.
    consul.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    assert_eq!(cluster.sessions().await.len(), 0);
    let third = acquire(&mut *a, 4, 10 * SECOND, Wait::Never).await.expect("a free lock, at once");
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_certain(renew(&mut *b, &second, how).await, code::EXPIRED);
    }
    assert_certain(release(&mut *b, &second).await, code::NOT_HELD);
    assert_eq!(holder(&mut *b, true).await.as_deref(), Some("p4.1"));
    assert_eq!(release(&mut *a, &third).await, Ok(Answer::Released));
    // The server's own bound, in its own words.
    let error = acquire(&mut *a, 5, SECOND / 2, Wait::Never).await.expect_err("too short a TTL");
    assert_eq!((error.certainty, error.code), (Certainty::DidNotHappen, "session-create"));
    assert!(error.text.contains("Invalid Session TTL"), "{error}");
}

#[tokio::test]
async fn a_register_is_read_written_and_swapped() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.consul().with_settings(Settings { reads: Reads::Default, ..Settings::default() });
    let mut service = consul.connect(0, 0);
    let service = &mut *service;
    let read = |linearizable| RegisterOp::Read { linearizable };
    assert_eq!(register(service, read(true)).await, Ok(Answer::Value(None)));
    assert_certain(register(service, RegisterOp::Cas { old: Some(1), new: 2 }).await, code::MISMATCH);
    assert_eq!(register(service, RegisterOp::Cas { old: None, new: 3 }).await, Ok(Answer::Written));
    assert_certain(register(service, RegisterOp::Cas { old: None, new: 4 }).await, code::MISMATCH);
    assert_eq!(register(service, RegisterOp::Write { value: 5 }).await, Ok(Answer::Written));
    assert_certain(register(service, RegisterOp::Cas { old: Some(3), new: 6 }).await, code::MISMATCH);
    assert_eq!(register(service, RegisterOp::Cas { old: Some(5), new: 7 }).await, Ok(Answer::Written));
    for linearizable in [true, false] {
        assert_eq!(register(service, read(linearizable)).await, Ok(Answer::Value(Some(7))));
    }
    consul.prepare(&["register".to_owned()]).await.expect("prepared");
    assert_eq!(register(service, read(true)).await, Ok(Answer::Value(None)));
}

/// What malformed messages are made of is well-formed.
#[tokio::test]
async fn messages_of_the_grammar_are_answered() {
    let cluster = Cluster::start(1).await;
    let (_, address) = cluster.addresses[0];
    let said_in_bytes = |port: u16, packets: &[Packet]| {
        let mut stream = TcpStream::connect((address, port)).expect("it listens");
        stream.set_read_timeout(Some(SECOND)).expect("a limit");
        for packet in packets {
            stream.write_all(packet.bytes()).expect("it listens");
        }
        // It keeps the connection open, so all that comes within the limit is the answer.
        let (mut answer, mut block) = (Vec::new(), [0; 16 * 1024]);
        while let Ok(length @ 1..) = stream.read(&mut block) {
            answer.extend_from_slice(&block[..length]);
            if answer.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        answer
    };
    let said = |port, packets: &[Packet]| String::from_utf8_lossy(&said_in_bytes(port, packets)).into_owned();
    for (name, packet) in consul::requests() {
        let answer = said(CLIENT_PORT, &[packet]);
        let status = if name == "session renew" { "HTTP/1.1 404" } else { "HTTP/1.1 200" };
        // A key under a session that does not exist is refused in the words of an answer.
        let is_refused = name == "kv acquire" && answer.starts_with("HTTP/1.1 500");
        assert!(answer.starts_with(status) || is_refused, "{name}: {answer}");
    }
    let calls = consul::calls().into_iter().map(|(method, body)| (method, consul::rpc(method, body)));
    for (method, packets) in calls.chain([("Status.Leader", consul::multiplexed())]) {
        let answer = said_in_bytes(SERVER_PORT, &packets);
        let has = |bytes: &[u8]| answer.windows(bytes.len()).any(|part| part == bytes);
        // An error that is a text of no letters.
        assert!(has(method.as_bytes()) && has(b"Error\xa0"), "{method}: {}", String::from_utf8_lossy(&answer));
    }
    // It tells who is there, compressed: a message of kind 9, which has one of kind 6 in it.
    let known = said(GOSSIP_PORT, &[consul::push_pull()]);
    assert!(known.starts_with(['\u{6}', '\u{9}']) && known.len() > 40, "{known:?}");
}

#[tokio::test]
async fn a_session_is_what_was_asked_for() {
    let cluster = Cluster::start(1).await;
    let settings = [
        Settings::default(),
        Settings {
            behavior: Behavior::Delete,
            lock_delay: Duration::ZERO,
            checks: Checks::SerfHealth,
            ..Settings::default()
        },
        Settings { session_node: SessionNode::Client, ..Settings::default() },
    ];
    for (settings, process) in settings.into_iter().zip(1..) {
        let consul = cluster.consul().with_settings(settings);
        let key = format!("leases/{process}");
        consul.prepare(std::slice::from_ref(&key)).await.expect("prepared");
        let mut service = consul.connect(0, 0);
        let owner = owner(process);
        acquire_key(&mut *service, &key, owner, 7 * SECOND, Wait::Never).await.expect("a free lock");
    }
    let mut sessions = cluster.sessions().await;
    sessions.sort_by_key(|session| session["Name"].to_string());
    let told = |session: &Value| {
        let [name, behavior, ttl] = ["Name", "Behavior", "TTL"].map(|field| session[field].as_str().map(str::to_owned));
        let checks = session["NodeChecks"].as_array().map_or(0, Vec::len);
        let node = session["Node"].as_str().map(str::to_owned);
        (name, behavior, ttl, session["LockDelay"].as_u64(), checks, node)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        sessions.iter().map(told).collect::<Vec<_>>(),
        [
            (text("leasehold leases/1 p1.1"), text("release"), text("7000ms"), Some(15_000_000_000), 0, text("n1")),
            (text("leasehold leases/2 p2.1"), text("delete"), text("7000ms"), Some(0), 1, text("n1")),
            (
                text("leasehold leases/3 p3.1"),
                text("release"),
                text("7000ms"),
                Some(15_000_000_000),
                0,
                text("leasehold-leases-3")
            ),
        ]
    );
    // The node goes with the rest, and takes along what sessions it has.
    let of_client = cluster.consul().with_settings(settings[2]);
    of_client.leave(&["leases/3".to_owned()]).await.expect("it is left");
    let nodes: Value =
        reqwest::get(cluster.url("catalog/nodes")).await.expect("an answer").json().await.expect("a list");
    let names: Vec<_> = nodes.as_array().expect("a list").iter().filter_map(|node| node["Node"].as_str()).collect();
    assert_eq!((names, cluster.sessions().await.len()), (vec!["n1"], 2));
}

#[tokio::test]
async fn waiters_get_the_lock_when_it_is_free() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.with_lock_delay(Duration::ZERO);
    let [mut a, mut b, mut c] = [0, 0, 0].map(|node| consul.connect(0, node));
    let first = acquire(&mut *a, 1, SECOND, Wait::InQueue).await.expect("a free lock");
    let waited = Instant::now();
    let (second, ()) = tokio::join!(acquire(&mut *b, 2, SECOND, Wait::InQueue), async {
        // Longer than the waiter's session would live if it were not renewed.
        while waited.elapsed() < 3 * SECOND {
            tokio::time::sleep(SECOND / 4).await;
            renew(&mut *a, &first, Renewal::KeepAlive).await.expect("it is held");
        }
        release(&mut *a, &first).await.expect("a release");
    });
    let second = second.expect("the lock");
    assert!(waited.elapsed() >= 3 * SECOND && second.grant.token > first.grant.token);

    // A waiter that gives up never gets the lock.
    let given_up = tokio::time::timeout(SECOND / 2, acquire(&mut *c, 3, 10 * SECOND, Wait::InQueue)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    drop(c);
    release(&mut *b, &second).await.expect("a release");
    assert_eq!(holder(&mut *a, true).await, None);

    // A waiter whose session is ended acquires nothing.
    let third = acquire(&mut *a, 4, 10 * SECOND, Wait::InQueue).await.expect("a free lock");
    let mut d = consul.connect(0, 0);
    let (fourth, ()) = tokio::join!(acquire(&mut *d, 5, SECOND, Wait::InQueue), async {
        eventually("it waits", || async { (cluster.sessions().await.len() == 3).then_some(()) }).await;
        cluster.destroy_session_of(owner(5)).await;
    });
    assert_certain(fourth, code::EXPIRED);
    release(&mut *a, &third).await.expect("a release");
}

#[tokio::test]
async fn a_semaphore_has_as_many_holders_as_permits_and_guarded_writes_are_the_holders() {
    let cluster = Cluster::start(1).await;
    let (semaphore, lock) = (cluster.consul().with_permits(2), cluster.with_lock_delay(Duration::ZERO));
    tokio::join!(
        crate::recipes::two_permits(&semaphore, "permits/1", SECOND),
        crate::recipes::guarded_writes(&lock, "guarded/1", SECOND, Wait::Never),
    );
}
