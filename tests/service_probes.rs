//! Consul and ZooKeeper as they are started and asked about themselves, on loopback addresses of their own.
//!
//! They need the servers: a machine that cannot get them cannot pass.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::servers::consul::{self, ConsulOptions, ConsulProbes};
use leasehold::servers::zookeeper::{self, ZooKeeperOptions, ZooKeeperProbes};
use leasehold::servers::{FetchOptions, Launch, LeaderView, Probes, ServerBinary, fetch, wait_ready};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const SIZE: u8 = 3;

type Addresses = Vec<(NodeId, Ipv4Addr)>;

/// Servers, which end with this value.
struct Servers {
    launches: Vec<(NodeId, Launch)>,
    running: Vec<(NodeId, Server)>,
    folder: TempDir,
    probes: Box<dyn Probes>,
}

/// A server process. It is killed, by its own number, even when a test panics.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Servers {
    async fn start(
        launch: impl Fn(NodeId, &Addresses, &Path) -> Launch,
        probes: impl Fn(&Addresses, &dyn Fn(NodeId) -> PathBuf) -> Box<dyn Probes>,
    ) -> Self {
        let folder = TempDir::new().expect("a folder");
        let addresses = own_addresses();
        let log_of = |node: NodeId| folder.path().join(format!("{node}.log"));
        let probes = probes(&addresses, &log_of);
        let launches: Vec<_> = NodeId::first(SIZE)
            .map(|node| (node, launch(node, &addresses, &folder.path().join(node.to_string()))))
            .collect();
        let mut servers = Self { launches, running: Vec::new(), folder, probes };
        for node in NodeId::first(SIZE) {
            servers.start_one(node);
        }
        servers.ready().await;
        servers
    }

    fn start_one(&mut self, node: NodeId) {
        let launch = &self.launches.iter().find(|(id, _)| *id == node).expect("a node").1;
        launch.write_files().expect("files");
        let log = File::options().create(true).append(true).open(self.log_of(node)).expect("a log");
        let child = Command::new(&launch.program)
            .args(&launch.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("the server starts");
        self.running.push((node, Server(child)));
    }

    fn log_of(&self, node: NodeId) -> PathBuf {
        self.folder.path().join(format!("{node}.log"))
    }

    async fn ready(&self) -> LeaderView {
        let view = wait_ready(self.probes.as_ref(), PATIENCE, |node| Some(self.log_of(node))).await;
        view.unwrap_or_else(|error| panic!("{error}"))
    }

    fn kill(&mut self, node: NodeId) {
        self.running.retain(|(id, _)| *id != node);
    }
}

/// Loopback addresses that no other test has: of this process, and within it counted.
fn own_addresses() -> Addresses {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(SIZE, Ordering::Relaxed);
    NodeId::first(SIZE).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}

fn server(spec: &str) -> ServerBinary {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/servers");
    let named = std::env::var_os("LEASEHOLD_PACKAGES").map(PathBuf::from);
    let packages = named.or(beside.is_dir().then_some(beside));
    let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages };
    fetch(&spec.parse().expect("a spec"), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

async fn consul() -> Servers {
    let server = server("consul@1.8.7");
    let launch = |node, addresses: &Addresses, data: &Path| {
        consul::launch(&server.path, node, addresses, data, &ConsulOptions::default())
    };
    Servers::start(launch, |addresses, _| Box::new(ConsulProbes::new(addresses))).await
}

async fn zookeeper(version: &str) -> Servers {
    let server = server(&format!("zookeeper@{version}"));
    let java = zookeeper::java().unwrap_or_else(|error| panic!("{error}"));
    let launch = |node, addresses: &Addresses, data: &Path| {
        zookeeper::launch(&java, &server.path, node, addresses, data, &ZooKeeperOptions::default())
    };
    let probes = |addresses: &Addresses, log_of: &dyn Fn(NodeId) -> PathBuf| -> Box<dyn Probes> {
        Box::new(ZooKeeperProbes::new(addresses.iter().map(|&(node, address)| (node, address, log_of(node)))))
    };
    Servers::start(launch, probes).await
}

/// What must hold of every kind of server: it is well, its clock is the machine's, and when its leader dies another one leads
/// in a later term.
async fn tells_of_itself(mut servers: Servers, clock_within: Duration) {
    let before = servers.ready().await;
    let leader = before.leader.expect("a leader");
    for node in NodeId::first(SIZE) {
        let clock = servers.probes.clock(node).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(clock.offset_ns.unsigned_abs() <= clock.uncertainty_ns + 5_000_000, "{node}: {clock:?}");
        assert!(clock.uncertainty_ns < clock_within.as_nanos() as u64, "{node}: {clock:?}");
    }
    until("all are well", async || {
        for node in NodeId::first(SIZE) {
            if !servers.probes.health(node).await.is_ok_and(|healthy| healthy) {
                return None;
            }
        }
        Some(())
    })
    .await;

    until("all hold the same", async || {
        let mut held = Vec::new();
        for node in NodeId::first(SIZE) {
            held.push(servers.probes.contents(node).await.ok()?);
        }
        (!held[0].is_empty() && held.windows(2).all(|two| two[0] == two[1])).then_some(())
    })
    .await;

    servers.kill(leader);
    let rest: Vec<NodeId> = NodeId::first(SIZE).filter(|node| *node != leader).collect();
    let after = until("another leads", async || {
        let view = servers.probes.leader(rest[0]).await.ok()?;
        (view.leader.is_some_and(|node| node != leader) && view.term > before.term).then_some(view)
    })
    .await;
    assert!(rest.contains(&after.leader.expect("it leads")));
    assert!(servers.probes.leader(leader).await.is_err(), "{leader} is dead");

    servers.start_one(leader);
    let healed = servers.ready().await;
    assert!(healed.term >= after.term);
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consul_1_8_7() {
    tells_of_itself(consul().await, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_3_4_6() {
    tells_of_itself(zookeeper("3.4.6").await, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_3_4_13() {
    tells_of_itself(zookeeper("3.4.13").await, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_3_8_0() {
    tells_of_itself(zookeeper("3.8.0").await, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_3_9_6() {
    tells_of_itself(zookeeper("3.9.6").await, Duration::from_millis(500)).await;
}
