//! An ensemble of real servers, which ends with its value.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::ZooKeeper;
use leasehold::clients::zookeeper::Recipe;
use leasehold::servers::zookeeper::{self, CLIENT_PORT, ZooKeeperOptions, ZooKeeperProbes};
use leasehold::servers::{FetchOptions, Probes, fetch, wait_ready};
use leasehold_workloads::service::Connect as _;
use tempfile::TempDir;

use super::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(30);
const SIZE: u8 = 3;

/// Runs a test on a runtime of its own, one at a time: servers that start take all processors.
pub(super) fn run(test: impl Future<Output = ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

pub(super) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server process. It is killed, by its own number, even when a test panics.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Ensemble {
    _servers: Vec<Server>,
    addresses: Vec<(NodeId, Ipv4Addr)>,
    probes: ZooKeeperProbes,
    _folder: TempDir,
}

impl Ensemble {
    pub(super) async fn start(version: &str) -> Self {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/servers");
        let named = std::env::var_os("LEASEHOLD_PACKAGES").map(PathBuf::from);
        let packages = named.or(beside.is_dir().then_some(beside));
        let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages };
        let spec = format!("zookeeper@{version}").parse().expect("a spec");
        let jars = fetch(&spec, &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
        let java = zookeeper::java().unwrap_or_else(|error| panic!("{error}"));

        let folder = TempDir::new().expect("a folder");
        let addresses = own_addresses();
        let log_of = |node: NodeId| folder.path().join(format!("{node}.log"));
        let start = |node: NodeId| {
            let data = folder.path().join(node.to_string());
            let launch = zookeeper::launch(&java, &jars.path, node, &addresses, &data, &ZooKeeperOptions::default());
            launch.write_files().expect("files");
            let log = File::create(log_of(node)).expect("a log");
            let child = Command::new(&launch.program)
                .args(&launch.arguments)
                .env_clear()
                .stdin(Stdio::null())
                .stderr(log.try_clone().expect("a log"))
                .stdout(log)
                .spawn();
            Server(child.expect("the server starts"))
        };
        let servers = NodeId::first(SIZE).map(start).collect();
        let probes = ZooKeeperProbes::new(addresses.iter().map(|&(node, address)| (node, address, log_of(node))));
        let ready = wait_ready(&probes, PATIENCE, |node| Some(log_of(node))).await;
        ready.unwrap_or_else(|error| panic!("{error}"));
        Self { _servers: servers, addresses, probes, _folder: folder }
    }

    pub(super) fn endpoints(&self) -> Vec<(NodeId, SocketAddr)> {
        self.addresses.iter().map(|(node, address)| (*node, (*address, CLIENT_PORT).into())).collect()
    }

    pub(super) async fn leader(&self) -> NodeId {
        self.probes.leader(NodeId::new(1)).await.expect("a view").leader.expect("a leader")
    }

    pub(super) fn zookeeper(&self, recipe: Recipe) -> ZooKeeper {
        ZooKeeper::new(self.endpoints(), recipe, &ZooKeeperOptions::default())
    }

    pub(super) async fn prepared(&self, recipe: Recipe, keys: &[&str]) -> ZooKeeper {
        let zookeeper = self.zookeeper(recipe);
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        zookeeper.prepare(&keys).await.expect("the ensemble is well");
        zookeeper
    }

    /// The adapter for the one server at the end of this wire.
    pub(super) fn through(&self, wire: &Wire, recipe: Recipe) -> ZooKeeper {
        ZooKeeper::new(vec![(NodeId::new(1), wire.address())], recipe, &ZooKeeperOptions::default())
    }
}

/// Loopback addresses that no other test has: of this process, and within it counted.
fn own_addresses() -> Vec<(NodeId, Ipv4Addr)> {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(SIZE, Ordering::Relaxed);
    NodeId::first(SIZE).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}
