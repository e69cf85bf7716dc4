//! A cluster of real servers, which ends with its value.

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::Consul;
use leasehold::clients::consul::Settings;
use leasehold::servers::consul::{CLIENT_PORT, ConsulOptions, ConsulProbes, launch};
use leasehold::servers::{FetchOptions, ServerBinary, fetch, wait_ready};
use leasehold_workloads::op::Owner;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// What a busy machine may add to a time.
pub(super) const NOISE: Duration = Duration::from_secs(1);

/// A cluster of real servers, which ends with this value.
pub(super) struct Cluster {
    pub(super) binary: ServerBinary,
    pub(super) addresses: Vec<(NodeId, Ipv4Addr)>,
    pub(super) members: Vec<Option<Member>>,
    pub(super) folder: TempDir,
    pub(super) probes: ConsulProbes,
}

/// A server process. It is killed, by its own number, even when a test panics.
pub(super) struct Member(Child);

impl Member {
    pub(super) fn stop(&self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a process number"));
        kill(pid, Signal::SIGSTOP).expect("a child of ours can be signalled");
        // The signal is sent, and its threads stop one after the other.
        let deadline = Instant::now() + 10 * SECOND;
        while !all_threads_stand(pid) {
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether no thread of this process runs any more. One that has ended meanwhile does not.
pub(super) fn all_threads_stand(process: Pid) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it is there");
    threads.map(|thread| thread.expect("a thread").path().join("stat")).all(|stat| {
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Cluster {
    pub(super) async fn start(size: u8) -> Self {
        let addresses = own_addresses(size);
        let mut cluster = Self {
            binary: binary(),
            probes: ConsulProbes::new(&addresses),
            members: addresses.iter().map(|_| None).collect(),
            addresses,
            folder: TempDir::new().expect("a folder"),
        };
        for node in NodeId::first(size) {
            cluster.start_member(node);
        }
        cluster.wait_ready().await;
        cluster
    }

    pub(super) fn start_member(&mut self, node: NodeId) {
        let data = self.folder.path().join(node.to_string());
        let launch = launch(&self.binary.path, node, &self.addresses, &data, &ConsulOptions::default());
        launch.write_files().expect("files");
        let log = File::options().create(true).append(true).open(self.log_of(node)).expect("a log");
        let child = Command::new(launch.program)
            .args(launch.arguments)
            .env_clear()
            .envs(launch.environment)
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("the server starts");
        self.members[node.index()] = Some(Member(child));
    }

    pub(super) fn log_of(&self, node: NodeId) -> PathBuf {
        self.folder.path().join(format!("{node}.log"))
    }

    pub(super) async fn wait_ready(&self) {
        let log_of = |node| Some(self.log_of(node));
        wait_ready(&self.probes, PATIENCE, log_of).await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(super) fn kill(&mut self, node: NodeId) {
        self.members[node.index()] = None;
    }

    pub(super) fn consul(&self) -> Consul {
        let endpoints = self.addresses.iter().map(|(node, address)| (*node, (*address, CLIENT_PORT).into()));
        Consul::new(endpoints.collect())
    }

    pub(super) fn with_lock_delay(&self, lock_delay: Duration) -> Consul {
        self.consul().with_settings(Settings { lock_delay, ..Settings::default() })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}:{CLIENT_PORT}/v1/{path}", self.addresses[0].1)
    }

    pub(super) async fn sessions(&self) -> Vec<Value> {
        let listed = reqwest::get(self.url("session/list")).await.expect("an answer");
        listed.json().await.expect("a list")
    }

    pub(super) async fn destroy_session_of(&self, owner: Owner) {
        let name = format!(" {owner}");
        let is_its_own = |session: &Value| session["Name"].as_str().is_some_and(|told| told.ends_with(&name));
        let session = self.sessions().await.into_iter().find(is_its_own);
        let id = session.expect("it has a session")["ID"].as_str().expect("a name").to_owned();
        let destroyed = reqwest::Client::new().put(self.url(&format!("session/destroy/{id}"))).send().await;
        assert!(destroyed.expect("an answer").status().is_success());
    }
}

/// Loopback addresses that no other test has: of this process, and within it counted.
pub(super) fn own_addresses(size: u8) -> Vec<(NodeId, Ipv4Addr)> {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(size, Ordering::Relaxed);
    NodeId::first(size).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}

pub(super) fn binary() -> ServerBinary {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/servers");
    let named = std::env::var_os("LEASEHOLD_PACKAGES").map(PathBuf::from);
    let packages = named.or(beside.is_dir().then_some(beside));
    let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages };
    fetch(&"consul@1.8.7".parse().expect("a spec"), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

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
