//! A cluster of real servers, which ends with its value.

use std::fs::{self, File};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::{EtcdV2, EtcdV3, Recipe};
use leasehold::servers::etcd::{CLIENT_PORT, EtcdOptions, EtcdProbes, command_line};
use leasehold::servers::{FetchOptions, ServerBinary, ServerSpec, fetch, wait_ready};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of real servers, which ends with this value.
pub(super) struct Cluster {
    pub(super) binary: ServerBinary,
    pub(super) addresses: Vec<(NodeId, Ipv4Addr)>,
    pub(super) members: Vec<Option<Member>>,
    pub(super) folder: TempDir,
    pub(super) probes: EtcdProbes,
}

/// A server process. It is killed, by its own number, even when a test panics.
pub(super) struct Member(Child);

impl Member {
    /// Stops the process and returns once every thread of it stands still: the signal alone does not mean that.
    pub(super) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let deadline = Instant::now() + PATIENCE;
        while !self.stands_still() {
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a process number"));
        kill(pid, signal).expect("a child of ours can be signalled");
    }

    pub(super) fn stands_still(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("a process has threads");
        threads.map(|thread| thread.expect("an entry").path().join("stat")).all(|stat| {
            // The state is the first letter after the name, which stands in parentheses.
            fs::read_to_string(stat)
                .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Cluster {
    pub(super) async fn start(version: &str, size: u8) -> Self {
        let mut cluster = Self::prepare(version, size);
        for node in NodeId::first(size) {
            cluster.start_member(node);
        }
        cluster.wait_ready().await;
        cluster
    }

    pub(super) fn prepare(version: &str, size: u8) -> Self {
        let binary = binary(version);
        let addresses = own_addresses(size);
        let probes = EtcdProbes::new(&addresses);
        let members = addresses.iter().map(|_| None).collect();
        Self { binary, addresses, members, folder: TempDir::new().expect("a folder"), probes }
    }

    pub(super) fn start_member(&mut self, node: NodeId) {
        let data = self.folder.path().join(node.to_string());
        let line = command_line(&self.binary.path, node, &self.addresses, &data, &EtcdOptions::default());
        let log = File::options().create(true).append(true).open(self.log_of(node)).expect("a log");
        let child = Command::new(line.program)
            .args(line.arguments)
            .env_clear()
            .envs(line.environment)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("the server starts");
        self.members[usize::from(node.number()) - 1] = Some(Member(child));
    }

    pub(super) fn log_of(&self, node: NodeId) -> PathBuf {
        self.folder.path().join(format!("{node}.log"))
    }

    pub(super) async fn wait_ready(&self) {
        let log_of = |node| Some(self.log_of(node));
        wait_ready(&self.probes, PATIENCE, log_of).await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(super) fn member(&self, node: NodeId) -> &Member {
        self.members[usize::from(node.number()) - 1].as_ref().expect("it runs")
    }

    pub(super) fn kill(&mut self, node: NodeId) {
        self.members[usize::from(node.number()) - 1] = None;
    }

    pub(super) fn endpoints(&self) -> Vec<(NodeId, SocketAddr)> {
        self.addresses.iter().map(|(node, address)| (*node, (*address, CLIENT_PORT).into())).collect()
    }

    pub(super) fn v2(&self) -> EtcdV2 {
        EtcdV2::new(self.endpoints())
    }

    pub(super) fn v3(&self, recipe: Recipe) -> EtcdV3 {
        EtcdV3::new(self.endpoints(), recipe)
    }
}

/// Loopback addresses that no other test has: of this process, and within it counted.
pub(super) fn own_addresses(size: u8) -> Vec<(NodeId, Ipv4Addr)> {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(size, Ordering::Relaxed);
    NodeId::first(size).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}

pub(super) fn binary(version: &str) -> ServerBinary {
    let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages: packages() };
    fetch(&spec(version), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn spec(version: &str) -> ServerSpec {
    format!("etcd@{version}").parse().expect("a spec")
}

/// The folder of packages, where the environment names one or one lies beside the checkout.
pub(super) fn packages() -> Option<PathBuf> {
    std::env::var_os("LEASEHOLD_PACKAGES").filter(|value| !value.is_empty()).map(PathBuf::from).or_else(|| {
        let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        ["shared/servers", "../shared/servers"].map(|beside| parent.join(beside)).into_iter().find(|path| path.is_dir())
    })
}

/// Runs a test on a runtime of its own.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

/// In line, nobody keeps the lease alive.
pub(super) const LOCK_SERVICE: Recipe = Recipe::LockService { kept_alive: false };
/// In line, each candidate keeps its lease alive.
pub(super) const ELECTION: Recipe = Recipe::Election { kept_alive: true };

/// Looks until it is so.
pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
