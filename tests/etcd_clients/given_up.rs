//! Nothing is sent on behalf of who has given up, and a watch that can tell nothing ends.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::{EtcdV2, EtcdV3, Recipe};
use leasehold::servers::Probes;
use leasehold_workloads::op::Op;
use leasehold_workloads::service::{Change, Connect, OpError};

use super::cluster::{Cluster, PATIENCE, eventually, own_addresses, run};
use super::operations::LOCK;

/// An operation that is given up while its connection is still being made must not reach the server later, when the
/// connection has come about.
#[test]
fn what_was_given_up_before_it_was_sent_is_never_sent() {
    run(async {
        let (_, address) = own_addresses(1)[0];
        let (listener, fillers) = full_listener(address);
        let endpoints = vec![(NodeId::new(1), listener.local_addr().expect("an address"))];
        let services: [Box<dyn Connect>; 2] =
            [Box::new(EtcdV2::new(endpoints.clone())), Box::new(EtcdV3::new(endpoints, Recipe::Txn))];
        let mut connections = services.map(|etcd| etcd.connect(0, 0));
        let read = |key: String| Op::Read { key, linearizable: true };
        for (n, service) in connections.iter_mut().enumerate() {
            let op = read(format!("given-up-{n}"));
            let given_up = tokio::time::timeout(Duration::from_millis(200), service.perform(&op)).await;
            assert!(given_up.is_err(), "nobody can have answered {given_up:?}");
        }

        drop(fillers);
        let received = receive_everything(listener);
        for (n, service) in connections.iter_mut().enumerate() {
            let deadline = Instant::now() + PATIENCE;
            let later = format!("sent-later-{n}");
            let op = read(later.clone());
            while !contains(&received.lock().expect("whole"), &later) {
                assert!(Instant::now() < deadline, "nothing arrives");
                let _ = tokio::time::timeout(Duration::from_millis(300), service.perform(&op)).await;
            }
        }
        assert!(!contains(&received.lock().expect("whole"), "given-up"));
    });
}

/// A server that hangs while the locks are prepared may carry out what it was asked once the run has begun, and must find
/// nothing to do then that takes a lock from its holder.
#[test]
fn nothing_is_written_unseen_when_locks_are_prepared() {
    run(async {
        let (_, address) = own_addresses(1)[0];
        let listener = TcpListener::bind((address, 0)).expect("an address of our own");
        let endpoints = vec![(NodeId::new(1), listener.local_addr().expect("an address"))];
        let received = receive_everything(listener);
        let prepared = EtcdV2::new(endpoints).prepare(&[LOCK.to_owned()]).await;
        assert_eq!(prepared.expect_err("nobody answers").code, "timeout");
        let received = received.lock().expect("whole");
        assert!(contains(&received, "GET /v2/keys/leasehold/") && !contains(&received, "PUT "));
    });
}

/// A listener that has as many connections waiting as it takes, so that the next one is not made until it accepts.
fn full_listener(address: Ipv4Addr) -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((address, 0)).expect("an address of our own");
    // SAFETY: the descriptor is the listener's own and open. Listening again only changes how many may wait.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let target = listener.local_addr().expect("an address");
    let connect = || TcpStream::connect_timeout(&target, Duration::from_millis(200)).ok();
    (listener, std::iter::from_fn(connect).take(100).collect())
}

/// Accepts whoever comes and collects what they send, without ever answering.
fn receive_everything(listener: TcpListener) -> Arc<Mutex<Vec<u8>>> {
    let received = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), all) = (stream, Arc::clone(&all)) else { return };
            std::thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut block) {
                    all.lock().expect("whole").extend_from_slice(&block[..n]);
                }
            });
        }
    });
    received
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn watch_quietly(etcd: &dyn Connect, node: usize) -> Result<(), OpError> {
    let quiet = |change: Change| panic!("nobody did anything, and yet {change:?}");
    etcd.watch(node, &[LOCK.to_owned()], Box::new(quiet)).await
}

/// A watch over which nothing can come any more ends, instead of looking quiet for ever.
#[test]
fn a_watch_that_can_tell_nothing_any_more_ends() {
    run(async {
        let mut cluster = Cluster::start("3.5.30", 3).await;
        let [n1, n2, n3] = [1, 2, 3].map(NodeId::new);
        let (v2, v3) = (cluster.v2(), cluster.v3(Recipe::Txn));
        let of_a_stopped_server = async { tokio::join!(watch_quietly(&v2, 0), watch_quietly(&v3, 0)) };
        let of_a_killed_server = async { tokio::join!(watch_quietly(&v2, 1), watch_quietly(&v3, 1)) };
        let without_a_leader = watch_quietly(&v3, 2);
        let faults = async {
            // The watches are open once the cluster has answered after them.
            cluster.wait_ready().await;
            cluster.member(n1).stop();
            cluster.kill(n2);
        };
        let outcomes = async { tokio::join!(of_a_stopped_server, of_a_killed_server, without_a_leader, faults) };
        let (stopped, killed, leaderless, ()) = tokio::time::timeout(PATIENCE, outcomes).await.expect("all end");
        for outcome in [stopped.0, stopped.1, killed.0, killed.1, leaderless] {
            assert!(outcome.is_err());
        }
        eventually("the last member knows no leader", || async {
            let view = cluster.probes.leader(n3).await.ok()?;
            view.leader.is_none().then_some(())
        })
        .await;
    });
}
