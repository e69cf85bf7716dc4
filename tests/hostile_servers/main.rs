//! Servers that answer garbage, or never come to an end: every adapter and every probe tells of it in bounded time, panics at nothing,
//! and keeps no more of it than it has use for.

mod answers;
mod memory;
mod server;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use answers::{Answer as Hostile, consul, etcd_v2, etcd_v3, zookeeper};
use futures_util::future::join_all;
use leasehold::NodeId;
use leasehold::clients::zookeeper::Recipe as ByZooKeeper;
use leasehold::clients::{Consul, EtcdV2, EtcdV3, Recipe, ZooKeeper};
use leasehold::servers::consul::ConsulProbes;
use leasehold::servers::etcd::EtcdProbes;
use leasehold::servers::zookeeper::{ZooKeeperOptions, ZooKeeperProbes};
use leasehold::servers::{Probes, consul as consul_servers, etcd as etcd_servers, zookeeper as zookeeper_servers};
use leasehold_workloads::op::{Answer, Grant, Hold, Op, Owner, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::{Connect, OpError};
use server::Server;

/// What the engine's own limit for an operation is here. Only a server that goes on and on may make an adapter wait for it.
const LIMIT: Duration = Duration::from_millis(1_500);

/// The longest that a probe may take, and some more for a busy machine.
const PROBE_LIMIT: Duration = Duration::from_secs(8);

/// What all that goes on at once with one service may hold in memory. Whoever believes an announced length has much more.
const MEMORY_BYTES: usize = 96 << 20;

const KEY: &str = "jobs/7";
const TTL: Duration = Duration::from_secs(2);

#[global_allocator]
static MEMORY: memory::Counted = memory::Counted;

#[test]
fn every_adapter_says_that_it_was_told_nonsense() {
    let adapters: [(&str, Vec<Hostile>, Adapter); 12] = [
        ("etcd-v2", etcd_v2(), |at| Box::new(EtcdV2::new(at))),
        ("etcd-v3", etcd_v3(), |at| Box::new(EtcdV3::new(at, Recipe::Txn))),
        ("etcd-v3 in a queue", etcd_v3(), |at| Box::new(EtcdV3::new(at, Recipe::LockService { kept_alive: true }))),
        ("etcd-v3 in an election's queue", etcd_v3(), |at| {
            Box::new(EtcdV3::new(at, Recipe::Election { kept_alive: true }))
        }),
        ("etcd-v3 in a semaphore's queue", etcd_v3(), |at| Box::new(EtcdV3::new(at, Recipe::Semaphore { permits: 2 }))),
        ("consul", consul(), |at| Box::new(Consul::new(at))),
        ("consul in a queue", consul(), |at| Box::new(Consul::new(at))),
        ("consul in a semaphore's queue", consul(), |at| Box::new(Consul::new(at).with_permits(2))),
        ("zookeeper", zookeeper(), |at| zookeeper_by(at, ByZooKeeper::Create)),
        ("zookeeper in a queue", zookeeper(), |at| zookeeper_by(at, ByZooKeeper::Queue)),
        ("zookeeper in its library's queue", zookeeper(), |at| zookeeper_by(at, ByZooKeeper::Library)),
        ("zookeeper in a semaphore's queue", zookeeper(), |at| zookeeper_by(at, ByZooKeeper::Semaphore { permits: 2 })),
    ];
    without_panics(async move {
        for (name, answers, adapter) in adapters {
            let (began, before) = (Instant::now(), MEMORY.begin());
            join_all(answers.iter().map(|answer| asked(name, answer, adapter))).await;
            let peak = MEMORY.peak().saturating_sub(before);
            println!("{name}: {} servers, {:?}, {} KiB at most", answers.len(), began.elapsed(), peak >> 10);
            assert!(peak < MEMORY_BYTES, "{name} took {peak} bytes");
        }
    });
}

type Adapter = fn(Vec<(NodeId, SocketAddr)>) -> Box<dyn Connect>;

fn zookeeper_by(at: Vec<(NodeId, SocketAddr)>, recipe: ByZooKeeper) -> Box<dyn Connect> {
    Box::new(ZooKeeper::new(at, recipe, &ZooKeeperOptions::default()))
}

/// Asks such a server for everything.
async fn asked(name: &str, hostile: &Hostile, adapter: Adapter) {
    let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), hostile).await;
    let service = adapter(vec![(NodeId::new(1), server.address())]);
    let wait = if name.ends_with("queue") { Wait::InQueue } else { Wait::Never };
    let owner = Owner { process: 1, attempt: 1 };
    let grant = Grant { ttl: TTL, token: Some(7), lease: Some(7) };
    let hold = Hold { key: KEY.to_owned(), owner, ttl: TTL, grant };
    let key = || KEY.to_owned();
    let ops = [
        Op::Acquire { key: key(), owner, ttl: TTL, wait },
        Op::Renew { hold: hold.clone(), how: Renewal::StatusUpdate },
        Op::Release { hold },
        Op::Read { key: key(), linearizable: true },
        Op::Register { key: key(), op: RegisterOp::Write { value: 1 } },
        Op::Register { key: key(), op: RegisterOp::Cas { old: None, new: 2 } },
    ];
    let service = &service;
    join_all(ops.iter().map(async |op| {
        let mut connection = service.connect(0, 0);
        let outcome = tokio::time::timeout(LIMIT, connection.perform(op)).await;
        match outcome {
            // Nothing is held, whatever they say.
            Ok(Ok(Answer::Holder(None) | Answer::Written | Answer::Released)) if hostile.is_plausible => {}
            Ok(outcome) => is_clear(outcome, &format!("{name}, {op:?} of {}", hostile.name)),
            Err(_) => assert!(hostile.goes_on, "{name}: no word on {op:?} of {}", hostile.name),
        }
    }))
    .await;
    let prepared = tokio::time::timeout(LIMIT, service.prepare(&[key()])).await;
    match prepared {
        Ok(Ok(())) => assert!(hostile.is_plausible, "{name} prepared {}", hostile.name),
        Ok(Err(error)) => assert!(!error.text.is_empty()),
        // It has a limit of its own, which is longer.
        Err(_) => {}
    }
    let told = format!("{name}, {}", hostile.name);
    let keys = [key()];
    let watch = service.watch(0, &keys, Box::new(move |change| panic!("{told}: {change:?}")));
    let _ = tokio::time::timeout(LIMIT, watch).await;
}

/// Nothing can be had of such servers, and what is said of it fits into a line.
#[track_caller]
fn is_clear(outcome: Result<Answer, OpError>, what: &str) {
    let error = outcome.expect_err(what);
    assert!(!error.text.is_empty() && error.text.len() < 2_000, "{what}: {error}");
    assert!(!error.text.chars().any(char::is_control), "{what}: {error:?}");
}

/// Its name, what such servers answer, on which ports, and who asks them.
type Kind = (&'static str, Vec<Hostile>, Vec<u16>, Box<dyn Probes>);

#[test]
fn every_probe_says_that_it_was_told_nonsense() {
    without_panics(async {
        let nodes = [(NodeId::new(1), Ipv4Addr::new(127, 66, 0, 1))];
        let log = PathBuf::from("/nowhere");
        let kinds: [Kind; 3] = [
            (
                "etcd",
                etcd_v3().into_iter().chain(etcd_v2()).collect(),
                vec![etcd_servers::CLIENT_PORT, etcd_servers::PEER_PORT],
                Box::new(EtcdProbes::new(&nodes)),
            ),
            ("consul", consul(), vec![consul_servers::CLIENT_PORT], Box::new(ConsulProbes::new(&nodes))),
            (
                "zookeeper",
                zookeeper(),
                vec![zookeeper_servers::CLIENT_PORT],
                Box::new(ZooKeeperProbes::new(nodes.map(|(node, address)| (node, address, log.clone())))),
            ),
        ];
        let before = MEMORY.begin();
        join_all(kinds.into_iter().map(async |(name, answers, ports, probes)| {
            let node = nodes[0].0;
            for hostile in answers {
                let mut servers = Vec::new();
                for port in &ports {
                    servers.push(Server::start((nodes[0].1, *port).into(), &hostile).await);
                }
                let said = format!("{name}: {}", hostile.name);
                let all = async {
                    let (leader, health, clock, consensus, members, contents) = tokio::join!(
                        probes.leader(node),
                        probes.health(node),
                        probes.clock(node),
                        probes.consensus(node),
                        probes.members(node),
                        probes.contents(node),
                    );
                    assert!(leader.is_err(), "{said} leads: {leader:?}");
                    assert!(!matches!(health, Ok(true)), "{said} is well");
                    assert!(clock.is_err() && members.is_err(), "{said}: {clock:?}, {members:?}");
                    assert!(contents.is_err() || hostile.is_plausible, "{said} tells what it holds");
                    assert!(consensus.is_err() || hostile.is_plausible, "{said} has a consensus");
                    for text in [leader.map(drop), clock.map(drop), members.map(drop)] {
                        let text = text.expect_err("an error").to_string();
                        assert!(text.len() < 2_000 && !text.chars().any(char::is_control), "{said}: {text:?}");
                    }
                };
                assert!(tokio::time::timeout(PROBE_LIMIT, all).await.is_ok(), "{said}: no word");
                join_all(servers.into_iter().map(Server::stop)).await;
            }
        }))
        .await;
        // Those of three services go on at once, five of each.
        let peak = MEMORY.peak().saturating_sub(before);
        assert!(peak < 3 * MEMORY_BYTES, "probes took {peak} bytes");
    });
}

/// Runs it, and counts panics wherever they are: a task that panics is easily overlooked. One at a time, for memory and panics are
/// counted of the whole process.
fn without_panics(work: impl Future<Output = ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let panics = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&panics);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        count.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work);
    assert_eq!(panics.load(Ordering::SeqCst), 0, "somebody panicked on it");
}
