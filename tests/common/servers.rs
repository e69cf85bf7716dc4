//! A cluster of real servers on loopback addresses of its own, which ends with its value.

#![allow(dead_code, reason = "each kind of servers uses its part of it")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::servers::{FetchOptions, Launch, Probes, ServerBinary, fetch, wait_ready};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Each node and its address.
pub(crate) type Addresses = Vec<(NodeId, Ipv4Addr)>;

/// How a server is started: by its program, as which of these nodes, with its data in which folder.
type Launching = fn(&Path, NodeId, &[(NodeId, Ipv4Addr)], &Path) -> Launch;

/// A cluster of real servers, which ends with this value.
pub(crate) struct Cluster<P> {
    pub(crate) binary: ServerBinary,
    pub(crate) addresses: Addresses,
    pub(crate) folder: TempDir,
    pub(crate) probes: P,
    members: Vec<Option<Member>>,
    launching: Launching,
}

/// A server process. It is killed, by its own number, even when a test panics.
pub(crate) struct Member(Child);

impl Member {
    /// Stops the process and returns once every thread of it stands still: the signal alone does not mean that.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let deadline = Instant::now() + PATIENCE;
        while !self.stands_still() {
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a process number"));
        kill(pid, signal).expect("a child of ours can be signalled");
    }

    /// Whether no thread of it runs any more. One that has ended meanwhile does not.
    fn stands_still(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("a process has threads");
        threads.map(|thread| thread.expect("an entry").path().join("stat")).all(|stat| {
            // The state is the first letter after the name, which stands in parentheses.
            let stat = fs::read_to_string(stat).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<P: Probes> Cluster<P> {
    /// As many servers as are to be, none of which runs yet. Their probes are told where each server writes its log.
    pub(crate) fn prepare(
        spec: &str,
        size: u8,
        launching: Launching,
        probes: impl FnOnce(&Addresses, &dyn Fn(NodeId) -> PathBuf) -> P,
    ) -> Self {
        let (addresses, folder) = (own_addresses(size), TempDir::new().expect("a folder"));
        let probes = probes(&addresses, &|node| log_in(folder.path(), node));
        let members = addresses.iter().map(|_| None).collect();
        Self { binary: binary(spec), addresses, folder, probes, members, launching }
    }

    /// Starts all of them and waits until they serve.
    pub(crate) async fn started(mut self) -> Self {
        for (node, _) in self.addresses.clone() {
            self.start_member(node);
        }
        self.wait_ready().await;
        self
    }

    pub(crate) fn start_member(&mut self, node: NodeId) {
        let data = self.folder.path().join(node.to_string());
        let launch = (self.launching)(&self.binary.path, node, &self.addresses, &data);
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

    pub(crate) fn log_of(&self, node: NodeId) -> PathBuf {
        log_in(self.folder.path(), node)
    }

    pub(crate) async fn wait_ready(&self) {
        let log_of = |node| Some(self.log_of(node));
        wait_ready(&self.probes, PATIENCE, log_of).await.unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn member(&self, node: NodeId) -> &Member {
        self.members[node.index()].as_ref().expect("it runs")
    }

    pub(crate) fn kill(&mut self, node: NodeId) {
        self.members[node.index()] = None;
    }

    pub(crate) fn endpoints(&self, port: u16) -> Vec<(NodeId, SocketAddr)> {
        self.addresses.iter().map(|(node, address)| (*node, (*address, port).into())).collect()
    }
}

fn log_in(folder: &Path, node: NodeId) -> PathBuf {
    folder.join(format!("{node}.log"))
}

/// Loopback addresses that no other test has: of this process, and within it counted.
pub(crate) fn own_addresses(size: u8) -> Addresses {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(size, Ordering::Relaxed);
    NodeId::first(size).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}

fn binary(spec: &str) -> ServerBinary {
    let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages: packages() };
    let spec = spec.parse().expect("a spec");
    fetch(&spec, &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

/// The folder of packages, where the environment names one or one lies beside the checkout.
pub(crate) fn packages() -> Option<PathBuf> {
    std::env::var_os("LEASEHOLD_PACKAGES").filter(|value| !value.is_empty()).map(PathBuf::from).or_else(|| {
        let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        ["shared/servers", "../shared/servers"].map(|beside| parent.join(beside)).into_iter().find(|path| path.is_dir())
    })
}

/// Looks until it is so.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
