//! The adapters and probes for etcd against real servers, on loopback addresses of their own.
//!
//! They need the servers: a machine that cannot get them cannot pass.

#[path = "common/recipes.rs"]
mod recipes;

use std::fs::{self, File};
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::{EtcdV2, EtcdV3, Recipe};
use leasehold::packets::etcd::{Request, form};
use leasehold::servers::etcd::{CLIENT_PORT, EtcdOptions, EtcdProbes, command_line};
use leasehold::servers::{
    Availability, FetchError, FetchOptions, Probes, ServerBinary, ServerSpec, fetch, known, wait_ready,
};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Grant, Guard, Hold, Op, Owner, Piece, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::{Certainty, Change, ChangeKind, Connect, LockService, OpError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const LOCK: &str = "jobs/7";

// ---------------------------------------------------------------------------------------------------------------------
// Clusters
// ---------------------------------------------------------------------------------------------------------------------

/// A cluster of real servers, which ends with this value.
struct Cluster {
    binary: ServerBinary,
    addresses: Vec<(NodeId, Ipv4Addr)>,
    members: Vec<Option<Member>>,
    folder: TempDir,
    probes: EtcdProbes,
}

/// A server process. It is killed, by its own number, even when a test panics.
struct Member(Child);

impl Member {
    /// Stops the process and returns once every thread of it stands still: the signal alone does not mean that.
    fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let deadline = Instant::now() + PATIENCE;
        while !self.stands_still() {
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a process number"));
        kill(pid, signal).expect("a child of ours can be signalled");
    }

    fn stands_still(&self) -> bool {
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
    async fn start(version: &str, size: u8) -> Self {
        let mut cluster = Self::prepare(version, size);
        for node in NodeId::first(size) {
            cluster.start_member(node);
        }
        cluster.wait_ready().await;
        cluster
    }

    fn prepare(version: &str, size: u8) -> Self {
        let binary = binary(version);
        let addresses = own_addresses(size);
        let probes = EtcdProbes::new(&addresses);
        let members = addresses.iter().map(|_| None).collect();
        Self { binary, addresses, members, folder: TempDir::new().expect("a folder"), probes }
    }

    fn start_member(&mut self, node: NodeId) {
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

    fn log_of(&self, node: NodeId) -> PathBuf {
        self.folder.path().join(format!("{node}.log"))
    }

    async fn wait_ready(&self) {
        let log_of = |node| Some(self.log_of(node));
        wait_ready(&self.probes, PATIENCE, log_of).await.unwrap_or_else(|error| panic!("{error}"));
    }

    fn member(&self, node: NodeId) -> &Member {
        self.members[usize::from(node.number()) - 1].as_ref().expect("it runs")
    }

    fn kill(&mut self, node: NodeId) {
        self.members[usize::from(node.number()) - 1] = None;
    }

    fn endpoints(&self) -> Vec<(NodeId, SocketAddr)> {
        self.addresses.iter().map(|(node, address)| (*node, (*address, CLIENT_PORT).into())).collect()
    }

    fn v2(&self) -> EtcdV2 {
        EtcdV2::new(self.endpoints())
    }

    fn v3(&self, recipe: Recipe) -> EtcdV3 {
        EtcdV3::new(self.endpoints(), recipe)
    }
}

/// Loopback addresses that no other test has: of this process, and within it counted.
fn own_addresses(size: u8) -> Vec<(NodeId, Ipv4Addr)> {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(size, Ordering::Relaxed);
    NodeId::first(size).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}

fn binary(version: &str) -> ServerBinary {
    let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages: packages() };
    fetch(&spec(version), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

fn spec(version: &str) -> ServerSpec {
    format!("etcd@{version}").parse().expect("a spec")
}

/// The folder of packages, where the environment names one or one lies beside the checkout.
fn packages() -> Option<PathBuf> {
    std::env::var_os("LEASEHOLD_PACKAGES").filter(|value| !value.is_empty()).map(PathBuf::from).or_else(|| {
        let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        ["shared/servers", "../shared/servers"].map(|beside| parent.join(beside)).into_iter().find(|path| path.is_dir())
    })
}

/// Runs a test on a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

macro_rules! on_both_versions {
    ($($test:ident),* $(,)?) => {
        mod etcd_3_4_23 { $(#[test] fn $test() { super::run(super::$test("3.4.23")); })* }
        mod etcd_3_5_30 { $(#[test] fn $test() { super::run(super::$test("3.5.30")); })* }
    };
}

on_both_versions! {
    a_v2_lock_goes_from_hand_to_hand,
    a_v2_lock_expires,
    a_v2_watch_tells_how_a_hold_ended,
    a_v2_key_that_expires_late_is_understood,
    a_v3_lock_goes_from_hand_to_hand,
    a_v3_lock_expires,
    a_v3_watch_tells_that_a_hold_ended,
    a_semaphore_has_as_many_holders_as_permits,
    waiters_of_the_lock_service_queue_up,
    a_waiter_whose_lease_ran_out,
    a_waiter_that_gives_up_leaves_the_queue,
    registers_are_read_written_and_swapped,
    candidates_of_the_election_queue_up,
    a_guarded_write_is_refused_to_whoever_lost_the_lock,
    a_server_that_dies_with_a_request_leaves_it_unknown,
    probes_follow_the_leader,
}

/// In line, nobody keeps the lease alive.
const LOCK_SERVICE: Recipe = Recipe::LockService { kept_alive: false };
/// In line, each candidate keeps its lease alive.
const ELECTION: Recipe = Recipe::Election { kept_alive: true };

/// Looks until it is so.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Operations
// ---------------------------------------------------------------------------------------------------------------------

fn owner(process: u64) -> Owner {
    Owner { process, attempt: 1 }
}

fn acquisition(process: u64, ttl_ms: u64, wait: Wait) -> Op {
    acquisition_of(LOCK, owner(process), ttl_ms, wait)
}

fn acquisition_of(key: &str, owner: Owner, ttl_ms: u64, wait: Wait) -> Op {
    Op::Acquire { key: key.to_owned(), owner, ttl: Duration::from_millis(ttl_ms), wait }
}

async fn try_acquire(service: &mut dyn LockService, process: u64, ttl_ms: u64) -> Result<Hold, OpError> {
    acquire(service, process, ttl_ms, Wait::Never).await
}

async fn acquire(service: &mut dyn LockService, process: u64, ttl_ms: u64, wait: Wait) -> Result<Hold, OpError> {
    acquire_as(service, LOCK, owner(process), ttl_ms, wait).await
}

async fn acquire_as(
    service: &mut dyn LockService,
    key: &str,
    owner: Owner,
    ttl_ms: u64,
    wait: Wait,
) -> Result<Hold, OpError> {
    let Answer::Acquired(grant) = service.perform(&acquisition_of(key, owner, ttl_ms, wait)).await? else {
        panic!("an acquisition acquires")
    };
    Ok(Hold { key: key.to_owned(), owner, ttl: Duration::from_millis(ttl_ms), grant })
}

async fn renew(service: &mut dyn LockService, hold: &Hold, how: Renewal) -> Result<Answer, OpError> {
    service.perform(&Op::Renew { hold: hold.clone(), how }).await
}

async fn release(service: &mut dyn LockService, hold: &Hold) -> Result<Answer, OpError> {
    service.perform(&Op::Release { hold: hold.clone() }).await
}

async fn holder(service: &mut dyn LockService, linearizable: bool) -> Option<String> {
    match service.perform(&Op::Read { key: LOCK.to_owned(), linearizable }).await.expect("a read") {
        Answer::Holder(holder) => holder,
        other => panic!("a read reads, and not {other:?}"),
    }
}

async fn until_free(service: &mut dyn LockService) {
    let deadline = Instant::now() + PATIENCE;
    while holder(service, true).await.is_some() {
        assert!(Instant::now() < deadline, "never free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[track_caller]
fn assert_certain<T: std::fmt::Debug>(outcome: Result<T, OpError>, code: &str) {
    let error = outcome.expect_err(code);
    assert_eq!((error.certainty, error.code), (Certainty::DidNotHappen, code), "{error}");
}

const SECONDS_5: Duration = Duration::from_secs(5);

// ---------------------------------------------------------------------------------------------------------------------
// The old API
// ---------------------------------------------------------------------------------------------------------------------

async fn a_v2_lock_goes_from_hand_to_hand(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    goes_from_hand_to_hand(&etcd).await;

    let mut service = etcd.connect(0, 0);
    assert_certain(service.perform(&acquisition(9, 5_000, Wait::InQueue)).await, "unsupported");
    // The service counts in whole seconds and says so.
    let hold = try_acquire(&mut *service, 9, 1_500).await.expect("a free lock");
    assert_eq!(hold.grant.ttl, Duration::from_secs(2));
    // Preparing again frees the lock whoever has it.
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    assert_certain(release(&mut *service, &hold).await, code::NOT_HELD);
}

async fn a_v2_lock_expires(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    expires(&etcd).await;
}

async fn a_v2_watch_tells_how_a_hold_ended(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK, "beacon"].map(str::to_owned)).await.expect("prepared");
    let changes = changes_of_two_holds(&etcd, Wait::Never).await;
    assert_eq!(changes, [("p1.1".to_owned(), ChangeKind::Released), ("p2.1".to_owned(), ChangeKind::Expired)]);
    ends_when_nobody_listens(&etcd, 5, Wait::Never).await;
}

/// A server that was held up shows keys that outlived their TTL, and by how much.
async fn a_v2_key_that_expires_late_is_understood(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v2();
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let keys = [LOCK.to_owned()];
    let watch = etcd.watch(0, &keys, Box::new(move |change: Change| told.send(change).is_ok()));
    let late_expiry = async {
        let mut service = etcd.connect(0, 0);
        // The end of one hold shows that the watch is open.
        for process in 10.. {
            let hold = try_acquire(&mut *service, process, 60_000).await.expect("a free lock");
            release(&mut *service, &hold).await.expect("a release");
            if tokio::time::timeout(Duration::from_millis(50), changes.recv()).await.is_ok() {
                break;
            }
        }
        try_acquire(&mut *service, 1, 1_000).await.expect("a free lock");
        let member = cluster.member(NodeId::new(1));
        member.stop();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        member.resume();
        // Whether it is still there or not: the question is understood.
        holder(&mut *service, false).await;
        loop {
            let change = changes.recv().await.expect("the watch goes on");
            if change.owner == "p1.1" {
                return change.kind;
            }
        }
    };
    let both = async {
        tokio::select! {
            ended = watch => panic!("the watch ended: {ended:?}"),
            kind = late_expiry => kind,
        }
    };
    let kind = tokio::time::timeout(PATIENCE, both).await.expect("the expiry is told");
    assert_eq!(kind, ChangeKind::Expired);
}

// ---------------------------------------------------------------------------------------------------------------------
// The API of today
// ---------------------------------------------------------------------------------------------------------------------

async fn a_v3_lock_goes_from_hand_to_hand(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(Recipe::Txn);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    goes_from_hand_to_hand(&etcd).await;

    let mut service = etcd.connect(0, 0);
    assert_certain(service.perform(&acquisition(9, 5_000, Wait::InQueue)).await, "unsupported");
    let hold = try_acquire(&mut *service, 9, 5_000).await.expect("a free lock");
    assert_eq!(hold.grant.lease, Some(hold.owner.lease_id()));
    // A lease id is used once, or nothing was acquired.
    assert_certain(try_acquire(&mut *service, 9, 5_000).await, "lease-grant");
    // Preparing again frees the lock whoever has it. The lease lives on, so only the key tells.
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    assert!(renew(&mut *service, &hold, Renewal::KeepAlive).await.is_ok());
    assert_certain(renew(&mut *service, &hold, Renewal::StatusUpdate).await, code::NOT_HELD);
    assert_certain(release(&mut *service, &hold).await, code::NOT_HELD);
}

async fn a_v3_lock_expires(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(Recipe::Txn);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    expires(&etcd).await;
}

async fn a_v3_watch_tells_that_a_hold_ended(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let deleted = [("p1.1".to_owned(), ChangeKind::Deleted), ("p2.1".to_owned(), ChangeKind::Deleted)];
    for (recipe, wait) in [(Recipe::Txn, Wait::Never), (LOCK_SERVICE, Wait::InQueue)] {
        let etcd = cluster.v3(recipe);
        etcd.prepare(&[LOCK, "beacon"].map(str::to_owned)).await.expect("prepared");
        assert_eq!(changes_of_two_holds(&etcd, wait).await, deleted);
    }
    for (recipe, process, wait) in [(Recipe::Txn, 5, Wait::Never), (LOCK_SERVICE, 6, Wait::InQueue)] {
        ends_when_nobody_listens(&cluster.v3(recipe), process, wait).await;
    }
}

async fn a_semaphore_has_as_many_holders_as_permits(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    recipes::two_permits(&cluster.v3(Recipe::Semaphore { permits: 2 }), "permits/1", Duration::from_secs(2)).await;
}

async fn waiters_of_the_lock_service_queue_up(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(LOCK_SERVICE);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    assert_certain(try_acquire(&mut *a, 9, 5_000).await, "unsupported");
    assert_eq!(holder(&mut *a, true).await, None);

    let first = acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("a free lock");
    assert_eq!((first.grant.ttl, first.grant.lease), (Duration::from_secs(60), Some(first.owner.lease_id())));
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p1.1"));
    assert_eq!(holder(&mut *a, false).await.as_deref(), Some("p1.1"));
    assert!(renew(&mut *a, &first, Renewal::KeepAlive).await.is_ok());
    assert!(renew(&mut *a, &first, Renewal::StatusUpdate).await.is_ok());

    let (second, ()) = tokio::join!(acquire(&mut *b, 2, 60_000, Wait::InQueue), async {
        until_queue_is(&cluster, 2).await;
        assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p1.1"));
        assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    });
    let second = second.expect("the lock in its turn");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p2.1"));
    assert_certain(renew(&mut *a, &first, Renewal::KeepAlive).await, code::EXPIRED);
    // Unlocking what one has no longer is no failure for the lock service, and harms nobody.
    assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p2.1"));
}

/// etcd before 3.5 grants a lock to a waiter whose key is gone.
async fn a_waiter_whose_lease_ran_out(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(LOCK_SERVICE);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    let first = acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("a free lock");
    let (second, ()) = tokio::join!(acquire(&mut *b, 2, 1_000, Wait::InQueue), async {
        until_queue_is(&cluster, 2).await;
        until_queue_is(&cluster, 1).await;
        release(&mut *a, &first).await.expect("a release");
    });
    if version.starts_with("3.4") {
        assert_eq!(second.expect("a grant on a dead lease").grant.token, None);
    } else {
        assert_certain(second, code::EXPIRED);
    }
}

async fn a_waiter_that_gives_up_leaves_the_queue(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(LOCK_SERVICE);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("a free lock");
    tokio::select! {
        granted = acquire(&mut *b, 2, 60_000, Wait::InQueue) => panic!("{granted:?} while another holds it"),
        () = until_queue_is(&cluster, 2) => {}
    }
    // Far sooner than its lease would have run out.
    until_queue_is(&cluster, 1).await;
}

/// A waiter that keeps its lease alive outlasts its TTL in the line.
async fn candidates_of_the_election_queue_up(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let etcd = cluster.v3(ELECTION);
    etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    assert_certain(try_acquire(&mut *a, 9, 5_000).await, "unsupported");
    assert_eq!(holder(&mut *a, true).await, None);
    let first = acquire(&mut *a, 1, 60_000, Wait::InQueue).await.expect("nobody else stands");
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p1.1"));
    assert_eq!(holder(&mut *a, false).await.as_deref(), Some("p1.1"));
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert!(renew(&mut *a, &first, how).await.is_ok());
    }
    let ttl = Duration::from_secs(1);
    let (second, ()) = tokio::join!(acquire(&mut *b, 2, 1_000, Wait::InQueue), async {
        until_queue_is(&cluster, 2).await;
        // The time is what this is about: three TTLs, with which etcd ends a lease by a second and a half.
        let until = Instant::now() + 3 * ttl;
        eventually("three TTLs", || async { (Instant::now() > until).then_some(()) }).await;
        until_queue_is(&cluster, 2).await;
        assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    });
    let second = second.expect("its turn");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_eq!(second.grant.ttl, ttl);
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p2.1"));
    assert_certain(renew(&mut *a, &first, Renewal::KeepAlive).await, code::EXPIRED);
    // Now nobody keeps its lease alive.
    until_free(&mut *a).await;
}

async fn registers_are_read_written_and_swapped(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    let services: [Box<dyn Connect>; 2] = [Box::new(cluster.v2()), Box::new(cluster.v3(Recipe::Txn))];
    for etcd in services {
        let mut service = etcd.connect(0, 0);
        let mut ask = async |op| service.perform(&Op::Register { key: "registers/1".to_owned(), op }).await;
        let read = |linearizable| RegisterOp::Read { linearizable };
        let cas = |old, new| RegisterOp::Cas { old, new };
        assert_eq!(ask(read(true)).await, Ok(Answer::Value(None)));
        assert_certain(ask(cas(Some(1), 2)).await, code::MISMATCH);
        assert_eq!(ask(cas(None, 3)).await, Ok(Answer::Written));
        assert_certain(ask(cas(None, 4)).await, code::MISMATCH);
        assert_certain(ask(cas(Some(2), 5)).await, code::MISMATCH);
        assert_eq!(ask(read(true)).await, Ok(Answer::Value(Some(3))));
        assert_eq!(ask(cas(Some(3), 6)).await, Ok(Answer::Written));
        assert_eq!(ask(read(false)).await, Ok(Answer::Value(Some(6))));
        assert_eq!(ask(RegisterOp::Write { value: u64::MAX }).await, Ok(Answer::Written));
        assert_eq!(ask(read(true)).await, Ok(Answer::Value(Some(u64::MAX))));
    }
}

async fn a_guarded_write_is_refused_to_whoever_lost_the_lock(version: &str) {
    let cluster = Cluster::start(version, 1).await;
    for (recipe, wait) in [(Recipe::Txn, Wait::Never), (LOCK_SERVICE, Wait::InQueue), (ELECTION, Wait::InQueue)] {
        let etcd = cluster.v3(recipe);
        etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
        let mut service = etcd.connect(0, 0);
        let write = |hold: &Hold, guard| Op::Work { hold: hold.clone(), piece: Piece::Write, base: None, guard };
        let (one, other) = (Owner { process: 1, attempt: 1 }, Owner { process: 2, attempt: 1 });
        let first = acquire_as(&mut *service, LOCK, one, 60_000, wait).await.expect("a free lock");
        let written = service.perform(&write(&first, Guard::Service)).await;
        assert_eq!(written, Ok(Answer::Worked { version: None }));
        assert_certain(service.perform(&write(&first, Guard::Token)).await, "unsupported");
        release(&mut *service, &first).await.expect("a release");
        let second = acquire_as(&mut *service, LOCK, other, 60_000, wait).await.expect("a free lock");
        assert_certain(service.perform(&write(&first, Guard::Service)).await, code::NOT_HELD);
        assert!(service.perform(&write(&second, Guard::Service)).await.is_ok());
        release(&mut *service, &second).await.expect("a release");
        assert_certain(service.perform(&write(&second, Guard::Service)).await, code::NOT_HELD);
    }
    let client = etcd_client::Client::connect([cluster.endpoints()[0].1.to_string()], None).await.expect("a client");
    let store = client.kv_client().get(format!("/leasehold/{LOCK}.guarded"), None).await.expect("a read");
    assert_eq!(store.kvs()[0].value(), b"p2.1");
}

async fn until_queue_is(cluster: &Cluster, length: usize) {
    let endpoint = cluster.endpoints()[0].1.to_string();
    let client = etcd_client::Client::connect([endpoint], None).await.expect("a client");
    eventually("the queue has this length", || async {
        let options = etcd_client::GetOptions::new().with_prefix();
        let waiting = client.kv_client().get(format!("/leasehold/{LOCK}/"), Some(options)).await.expect("a read");
        (waiting.kvs().len() == length).then_some(())
    })
    .await;
}

// ---------------------------------------------------------------------------------------------------------------------
// What both have in common
// ---------------------------------------------------------------------------------------------------------------------

async fn goes_from_hand_to_hand(etcd: &dyn Connect) {
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    assert_eq!(holder(&mut *a, true).await, None);
    assert_eq!(holder(&mut *a, false).await, None);

    let first = try_acquire(&mut *a, 1, 5_000).await.expect("a free lock");
    assert_eq!(first.grant.ttl, SECONDS_5);
    for linearizable in [true, false] {
        assert_eq!(holder(&mut *b, linearizable).await.as_deref(), Some("p1.1"));
    }
    let refused = try_acquire(&mut *b, 2, 5_000).await.expect_err("a held lock");
    assert_eq!((refused.certainty, refused.code), (Certainty::DidNotHappen, code::HELD), "{refused}");
    assert_eq!(refused.holder.as_deref(), Some("p1.1"));
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_eq!(renew(&mut *a, &first, how).await, Ok(Answer::Renewed { ttl: SECONDS_5 }));
    }
    assert_eq!(holder(&mut *b, true).await.as_deref(), Some("p1.1"));
    assert_eq!(release(&mut *a, &first).await, Ok(Answer::Released));
    assert_eq!(holder(&mut *b, true).await, None);

    let second = try_acquire(&mut *b, 3, 5_000).await.expect("a free lock");
    assert!(second.grant.token > first.grant.token && first.grant.token.is_some());
    assert_certain(release(&mut *a, &first).await, code::NOT_HELD);
    assert_eq!(holder(&mut *a, true).await.as_deref(), Some("p3.1"));
    assert_eq!(release(&mut *b, &second).await, Ok(Answer::Released));
}

async fn expires(etcd: &dyn Connect) {
    let [mut a, mut b] = [0, 0].map(|node| etcd.connect(0, node));
    let asked = Instant::now();
    let first = try_acquire(&mut *a, 1, 1_000).await.expect("a free lock");
    assert_eq!(first.grant.ttl, Duration::from_secs(1));
    until_free(&mut *b).await;
    assert!(asked.elapsed() >= first.grant.ttl, "it expired after {:?}", asked.elapsed());
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_certain(renew(&mut *a, &first, how).await, code::EXPIRED);
    }
    let gone = release(&mut *a, &first).await.expect_err("nothing to release");
    assert_eq!(gone.certainty, Certainty::DidNotHappen);
    assert!(matches!(gone.code, code::EXPIRED | code::NOT_HELD), "{gone}");

    let second = try_acquire(&mut *b, 2, 5_000).await.expect("a free lock");
    assert!(second.grant.token > first.grant.token);
    assert_certain(release(&mut *a, &first).await, code::NOT_HELD);
    assert_eq!(release(&mut *b, &second).await, Ok(Answer::Released));
}

/// Watches while one hold ends by release and the next by expiry.
async fn changes_of_two_holds(etcd: &dyn Connect, wait: Wait) -> Vec<(String, ChangeKind)> {
    const BEACON: &str = "beacon";
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let keys = [LOCK, BEACON].map(str::to_owned);
    let watch = etcd.watch(0, &keys, Box::new(move |change: Change| told.send(change).is_ok()));
    let two_holds = async move {
        let mut service = etcd.connect(0, 0);
        // Only what happens after the watch is open is told, so something happens until it is.
        for attempt in 1.. {
            let owner = Owner { process: 8, attempt };
            let lit = acquire_as(&mut *service, BEACON, owner, 60_000, wait).await.expect("a free lock");
            release(&mut *service, &lit).await.expect("a release");
            if tokio::time::timeout(Duration::from_millis(50), changes.recv()).await.is_ok() {
                break;
            }
        }
        let first = acquire(&mut *service, 1, 60_000, wait).await.expect("a free lock");
        renew(&mut *service, &first, Renewal::StatusUpdate).await.expect("a renewal");
        release(&mut *service, &first).await.expect("a release");
        acquire(&mut *service, 2, 1_000, wait).await.expect("a free lock");
        let mut seen = Vec::new();
        while seen.len() < 2 {
            let change = changes.recv().await.expect("the watch goes on");
            if change.key == LOCK {
                seen.push((change.owner, change.kind));
            }
        }
        seen
    };
    let both = async {
        tokio::select! {
            ended = watch => panic!("the watch ended: {ended:?}"),
            seen = two_holds => seen,
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("two changes")
}

/// A watch ends when nobody listens any more.
async fn ends_when_nobody_listens(etcd: &dyn Connect, process: u64, wait: Wait) {
    let keys = [LOCK.to_owned()];
    let watch = etcd.watch(0, &keys, Box::new(|_| false));
    let holds = async {
        let mut service = etcd.connect(0, 0);
        for attempt in 1.. {
            let owner = Owner { process, attempt };
            let hold = acquire_as(&mut *service, LOCK, owner, 60_000, wait).await.expect("a free lock");
            release(&mut *service, &hold).await.expect("a release");
        }
    };
    let both = async {
        tokio::select! {
            ended = watch => assert_eq!(ended, Ok(())),
            () = holds => unreachable!("there is always another attempt"),
        }
    };
    tokio::time::timeout(PATIENCE, both).await.expect("it ends");
}

async fn a_server_that_dies_with_a_request_leaves_it_unknown(version: &str) {
    let mut cluster = Cluster::start(version, 1).await;
    let n1 = NodeId::new(1);
    let services: [(Box<dyn Connect>, Wait); 3] = [
        (Box::new(cluster.v2()), Wait::Never),
        (Box::new(cluster.v3(Recipe::Txn)), Wait::Never),
        (Box::new(cluster.v3(LOCK_SERVICE)), Wait::InQueue),
    ];
    for ((etcd, wait), process) in services.into_iter().zip(1..) {
        etcd.prepare(&[LOCK.to_owned()]).await.expect("prepared");
        let mut service = etcd.connect(0, 0);
        let hold = acquire(&mut *service, process, 60_000, wait).await.expect("a free lock");

        cluster.member(n1).stop();
        let mut renewal = Box::pin(renew(&mut *service, &hold, Renewal::KeepAlive));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut renewal).await;
        assert!(early.is_err(), "a stopped server cannot have answered {early:?}");
        cluster.kill(n1);
        let error = renewal.await.expect_err("the server is gone");
        assert_eq!(error.certainty, Certainty::Unknown, "{error}");

        // On a new connection nothing is sent at all.
        let mut service = etcd.connect(0, 0);
        for op in [Op::Renew { hold: hold.clone(), how: Renewal::KeepAlive }, acquisition(9, 1_000, wait)] {
            assert_certain(service.perform(&op).await, "refused");
        }
        cluster.start_member(n1);
        cluster.wait_ready().await;
        let renewed = renew(&mut *service, &hold, Renewal::KeepAlive).await;
        renewed.expect("the same connection finds the server again");
    }
}

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

// ---------------------------------------------------------------------------------------------------------------------
// Probes
// ---------------------------------------------------------------------------------------------------------------------

async fn probes_follow_the_leader(version: &str) {
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
            messages_of_the_grammar_are_answered(cluster.endpoints()[0].1, &server.spec.version);
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

// ---------------------------------------------------------------------------------------------------------------------
// Fetching
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn two_runs_that_fetch_into_an_empty_cache_both_get_the_server() {
    let folder = TempDir::new().expect("a folder");
    let options = FetchOptions { cache: folder.path().join("new/cache"), packages: packages() };
    let state = |version: &str| {
        let server = known(&options).into_iter().find(|server| server.spec == spec(version));
        server.expect("it is known").availability
    };
    let expected = if options.packages.is_some() { Availability::Offline } else { Availability::Downloadable };
    assert_eq!(state("3.4.23"), expected);
    std::thread::scope(|scope| {
        let fetch = || fetch(&spec("3.4.23"), &options, &mut |_| ()).expect("a server");
        let [a, b] = [scope.spawn(fetch), scope.spawn(fetch)].map(|run| run.join().expect("no panic"));
        assert_eq!(a, b);
        assert_eq!(a.label, "etcd 3.4.23");
        let version = Command::new(a.path).arg("--version").env_clear().output().expect("it runs");
        assert!(String::from_utf8_lossy(&version.stdout).contains("3.4.23"), "{version:?}");
    });
    assert_eq!(state("3.4.23"), Availability::Cached);
    // What is cached needs no packages, and nothing else is left behind.
    let cached = FetchOptions { packages: None, ..options.clone() };
    fetch(&spec("3.4.23"), &cached, &mut |step| panic!("{step}")).expect("the cached server");
    let mut left: Vec<_> =
        fs::read_dir(&options.cache).expect("a cache").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "etcd"]);
}

#[test]
fn a_fetch_that_was_cut_off_is_made_good_by_the_next() {
    let folder = TempDir::new().expect("a folder");
    let options = FetchOptions { cache: folder.path().to_owned(), packages: packages() };
    fs::create_dir_all(folder.path().join(".staging/unpacked/usr")).expect("what a killed run leaves behind");
    fs::create_dir_all(folder.path().join("etcd/3.4.23/usr/bin")).expect("a server without its program");
    let binary = fetch(&spec("3.4.23"), &options, &mut |_| ()).expect("a server");
    assert!(binary.path.is_file());
}

#[test]
fn a_package_that_is_not_what_it_should_be_is_refused() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("etcd-server_3.4.23-4+b4_amd64.deb"), "not a package").expect("written");
    let options = FetchOptions { cache: folder.path().join("cache"), packages: Some(folder.path().to_owned()) };
    let error = fetch(&spec("3.4.23"), &options, &mut |_| ()).expect_err("a wrong package");
    let FetchError::WrongHash { expected, found, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains(expected) && error.to_string().contains(found), "{error}");
    assert!(!options.cache.join("etcd").exists());
}

#[test]
fn an_unknown_server_is_answered_with_the_known_ones() {
    let options = FetchOptions { cache: PathBuf::new(), packages: None };
    let said = |text: &str| {
        let spec: ServerSpec = text.parse().expect("a spec");
        fetch(&spec, &options, &mut |_| ()).expect_err("an unknown server").to_string()
    };
    let text = said("etcd@3.5.17");
    assert!(text.contains("3.3.25, 3.4.23, 3.5.16, 3.5.30") && text.contains("the nearest is 3.5.16"), "{text}");
    assert!(said("etcd@latest").contains("known versions"));
    assert!(said("redis@7").contains("known: etcd"));
}

/// The archive may retire a package any day. Then the error must say so and what else there is.
#[test]
fn the_machines_package_manager_has_the_server_or_says_why_not() {
    let folder = TempDir::new().expect("a folder");
    let options = FetchOptions { cache: folder.path().to_owned(), packages: None };
    match fetch(&spec("3.4.23"), &options, &mut |step| eprintln!("{step}")) {
        Ok(binary) => assert!(binary.path.is_file()),
        Err(error @ (FetchError::Gone { .. } | FetchError::NoArchive { .. } | FetchError::Download { .. })) => {
            assert!(error.to_string().contains("3.4.23"), "{error}");
        }
        Err(error) => panic!("{error}"),
    }
}
