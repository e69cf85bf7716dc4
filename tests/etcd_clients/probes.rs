//! What servers tell of themselves.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use leasehold::NodeId;
use leasehold::clients::Recipe;
use leasehold::packets::etcd::{Request, form};
use leasehold::servers::Probes;
use leasehold::servers::etcd::EtcdProbes;
use leasehold::servers::{FetchOptions, known, wait_ready};
use leasehold_workloads::op::{Answer, Grant, Renewal, Wait};
use leasehold_workloads::service::Connect;

use super::cluster::{Cluster, LOCK_SERVICE, eventually, run};
use super::operations::{LOCK, SECONDS_5, acquire, holder, release, renew};

pub(super) async fn probes_follow_the_leader(version: &str) {
    let mut cluster = Cluster::start(version, 3).await;
    let before = cluster.probes.leader(NodeId::new(1)).await.expect("a view");
    let leader = before.leader.expect("a leader");
    for node in NodeId::first(3) {
        assert_eq!(cluster.probes.leader(node).await.expect("a view"), before);
        assert!(cluster.probes.health(node).await.expect("a claim"));
        assert_clock_is_right(&cluster.probes, node).await;
    }

    let heir = NodeId::first(3).find(|node| *node != leader).expect("another node");
    cluster.probes.move_leader(heir).await.expect("the leader hands over");
    for node in NodeId::first(3) {
        eventually("it follows the heir in a new term", || async {
            let view = cluster.probes.leader(node).await.expect("a view");
            (view.leader == Some(heir) && view.term > before.term).then_some(())
        })
        .await;
    }
    cluster.probes.move_leader(heir).await.expect("who leads already need not be moved");

    cluster.kill(heir);
    assert!(cluster.probes.leader(heir).await.is_err());
    assert!(cluster.probes.clock(heir).await.is_err());
    let other = NodeId::first(3).find(|node| *node != heir).expect("another node");
    eventually("another leads", || async {
        let view = cluster.probes.leader(other).await.expect("a view");
        view.leader.filter(|leader| *leader != heir)
    })
    .await;

    // One of three says itself that it cannot serve.
    let last = NodeId::first(3).find(|node| *node != heir && *node != other).expect("a third node");
    cluster.kill(last);
    eventually("it finds no consensus", || async {
        let claim = cluster.probes.health(other).await;
        (!claim.unwrap_or(false)).then_some(())
    })
    .await;
    let error = wait_ready(&cluster.probes, Duration::ZERO, |node| Some(cluster.log_of(node))).await;
    let error = error.expect_err("two of three are gone").to_string();
    assert!(error.contains("was not ready") && error.contains("ends:"), "{error}");

    // A member finds its way back with the same command line.
    for node in [heir, last] {
        cluster.start_member(node);
    }
    cluster.wait_ready().await;
    cluster.member(other).stop();
    assert!(cluster.probes.clock(other).await.is_err(), "a stopped server has no clock to show");
    cluster.member(other).resume();
    cluster.wait_ready().await;
}

async fn assert_clock_is_right(probes: &EtcdProbes, node: NodeId) {
    let value = probes.clock(node).await.expect("a clock");
    let tolerance = value.uncertainty_ns + 50_000_000;
    assert!(value.offset_ns.unsigned_abs() <= tolerance, "{value:?}");
}

#[test]
fn every_known_version_answers_every_question() {
    run(async {
        let known = known(&FetchOptions { cache: PathBuf::new(), packages: None });
        for server in known.into_iter().filter(|server| server.spec.service == "etcd") {
            let cluster = Cluster::start(&server.spec.version, 1).await;
            let n1 = NodeId::new(1);
            assert_clock_is_right(&cluster.probes, n1).await;
            assert_eq!(cluster.probes.leader(n1).await.expect("a view").leader, Some(n1), "{}", server.spec);
            let healthy = || async { cluster.probes.health(n1).await.ok()?.then_some(()) };
            eventually("it is healthy", healthy).await;
            let services: [(Box<dyn Connect>, Wait); 3] = [
                (Box::new(cluster.v2()), Wait::Never),
                (Box::new(cluster.v3(Recipe::Txn)), Wait::Never),
                (Box::new(cluster.v3(LOCK_SERVICE)), Wait::InQueue),
            ];
            for (etcd, wait) in services {
                etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
                let mut service = etcd.connect(0, 0);
                let hold = acquire(&mut *service, 1, 5_000, wait).await.expect("a free lock");
                let Grant { ttl, token, .. } = hold.grant;
                assert!(ttl == SECONDS_5 && token.is_some(), "{} {:?}", server.spec, hold.grant);
                for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
                    assert_eq!(renew(&mut *service, &hold, how).await, Ok(Answer::Renewed { ttl }), "{}", server.spec);
                }
                assert_eq!(holder(&mut *service, true).await.as_deref(), Some("p1.1"), "{}", server.spec);
                assert_eq!(release(&mut *service, &hold).await, Ok(Answer::Released), "{}", server.spec);
            }
            messages_of_the_grammar_are_answered(cluster.clients()[0].1, &server.spec.version);
        }
    });
}

/// What malformed messages are made of is well-formed: each is answered with a message, which an error is not.
fn messages_of_the_grammar_are_answered(server: SocketAddr, version: &str) {
    // A lease comes to its end after all that are about it.
    let (last, others): (Vec<_>, Vec<_>) =
        Request::ALL.into_iter().partition(|request| *request == Request::LeaseRevoke);
    for request in others.into_iter().chain(last) {
        let mut stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a limit");
        for packet in request.packets() {
            stream.write_all(packet.bytes()).expect("it listens");
        }
        assert!(is_answered(&mut stream), "{version} does not take {request:?}");
    }
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.write_all(form().bytes()).expect("it listens");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 20"), "{version}: {answer:?}");
}

/// Whether data come over a connection of HTTP/2.
fn is_answered(stream: &mut TcpStream) -> bool {
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if stream.read_exact(&mut vec![0; length]).is_err() {
            return false;
        }
        if head[3] == 0 && length > 0 {
            return true;
        }
    }
    false
}
