//! The adapter for Consul against real servers, on loopback addresses of their own, and against servers that only pretend.
//!
//! They need the servers: a machine that cannot get them cannot pass.

#[path = "common/recipes.rs"]
mod recipes;

use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::clients::Consul;
use leasehold::clients::consul::{Behavior, Checks, Reads, Settings};
use leasehold::packets::{Packet, consul};
use leasehold::servers::consul::{CLIENT_PORT, ConsulOptions, ConsulProbes, GOSSIP_PORT, SERVER_PORT, launch};
use leasehold::servers::{FetchOptions, ServerBinary, fetch, wait_ready};
use leasehold_checkers::history::vocabulary::code;
use leasehold_workloads::op::{Answer, Hold, Op, Owner, RegisterOp, Renewal, Wait};
use leasehold_workloads::service::{Certainty, Change, ChangeKind, Connect, LockService, OpError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const LOCK: &str = "jobs/7";
const SECOND: Duration = Duration::from_secs(1);
/// What a busy machine may add to a time.
const NOISE: Duration = Duration::from_secs(1);

// ---------------------------------------------------------------------------------------------------------------------
// Clusters
// ---------------------------------------------------------------------------------------------------------------------

/// A cluster of real servers, which ends with this value.
struct Cluster {
    binary: ServerBinary,
    addresses: Vec<(NodeId, Ipv4Addr)>,
    members: Vec<Option<Member>>,
    folder: TempDir,
    probes: ConsulProbes,
}

/// A server process. It is killed, by its own number, even when a test panics.
struct Member(Child);

impl Member {
    fn stop(&self) {
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
fn all_threads_stand(process: Pid) -> bool {
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
    async fn start(size: u8) -> Self {
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

    fn start_member(&mut self, node: NodeId) {
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

    fn log_of(&self, node: NodeId) -> PathBuf {
        self.folder.path().join(format!("{node}.log"))
    }

    async fn wait_ready(&self) {
        let log_of = |node| Some(self.log_of(node));
        wait_ready(&self.probes, PATIENCE, log_of).await.unwrap_or_else(|error| panic!("{error}"));
    }

    fn kill(&mut self, node: NodeId) {
        self.members[node.index()] = None;
    }

    fn consul(&self) -> Consul {
        let endpoints = self.addresses.iter().map(|(node, address)| (*node, (*address, CLIENT_PORT).into()));
        Consul::new(endpoints.collect())
    }

    fn with_lock_delay(&self, lock_delay: Duration) -> Consul {
        self.consul().with_settings(Settings { lock_delay, ..Settings::default() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}:{CLIENT_PORT}/v1/{path}", self.addresses[0].1)
    }

    async fn sessions(&self) -> Vec<Value> {
        let listed = reqwest::get(self.url("session/list")).await.expect("an answer");
        listed.json().await.expect("a list")
    }

    async fn destroy_session_of(&self, owner: Owner) {
        let name = format!(" {owner}");
        let is_its_own = |session: &Value| session["Name"].as_str().is_some_and(|told| told.ends_with(&name));
        let session = self.sessions().await.into_iter().find(is_its_own);
        let id = session.expect("it has a session")["ID"].as_str().expect("a name").to_owned();
        let destroyed = reqwest::Client::new().put(self.url(&format!("session/destroy/{id}"))).send().await;
        assert!(destroyed.expect("an answer").status().is_success());
    }
}

/// Loopback addresses that no other test has: of this process, and within it counted.
fn own_addresses(size: u8) -> Vec<(NodeId, Ipv4Addr)> {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let first = TAKEN.fetch_add(size, Ordering::Relaxed);
    NodeId::first(size).zip(first..).map(|(node, last)| (node, Ipv4Addr::new(127, high | 1, low, last))).collect()
}

fn binary() -> ServerBinary {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/servers");
    let named = std::env::var_os("LEASEHOLD_PACKAGES").map(PathBuf::from);
    let packages = named.or(beside.is_dir().then_some(beside));
    let options = FetchOptions { cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), packages };
    fetch(&"consul@1.8.7".parse().expect("a spec"), &options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

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

async fn acquire(service: &mut dyn LockService, process: u64, ttl: Duration, wait: Wait) -> Result<Hold, OpError> {
    acquire_key(service, LOCK, owner(process), ttl, wait).await
}

async fn acquire_key(
    service: &mut dyn LockService,
    key: &str,
    owner: Owner,
    ttl: Duration,
    wait: Wait,
) -> Result<Hold, OpError> {
    let op = Op::Acquire { key: key.to_owned(), owner, ttl, wait };
    let Answer::Acquired(grant) = service.perform(&op).await? else { panic!("an acquisition acquires") };
    Ok(Hold { key: key.to_owned(), owner, ttl, grant })
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

async fn register(service: &mut dyn LockService, op: RegisterOp) -> Result<Answer, OpError> {
    service.perform(&Op::Register { key: "register".to_owned(), op }).await
}

#[track_caller]
fn assert_certain<T: std::fmt::Debug>(outcome: Result<T, OpError>, code: &str) {
    let error = outcome.expect_err(code);
    assert_eq!((error.certainty, error.code), (Certainty::DidNotHappen, code), "{error}");
}

#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(outcome: Result<T, OpError>) {
    let error = outcome.expect_err("a failure");
    assert_eq!(error.certainty, Certainty::Unknown, "{error}");
}

/// Runs this while the locks are watched. The watch is open when it begins; every change comes with the time at which it was
/// told.
async fn while_watched<T>(
    consul: &Consul,
    keys: &[String],
    doing: impl AsyncFnOnce(&mut tokio::sync::mpsc::UnboundedReceiver<(Instant, Change)>) -> T,
) -> T {
    let beacon = format!("beacons/{}", keys[0]);
    let (told, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watched: Vec<String> = keys.iter().cloned().chain([beacon.clone()]).collect();
    let watch = consul.watch(0, &watched, Box::new(move |change: Change| told.send((Instant::now(), change)).is_ok()));
    let both = async {
        let doing = async {
            let mut service = consul.connect(0, 0);
            // Only what happens after the watch is open is told, so something happens until it is.
            for attempt in 1.. {
                let owner = Owner { process: 99, attempt };
                let lit = acquire_key(&mut *service, &beacon, owner, 10 * SECOND, Wait::Never).await.expect("a lock");
                let told = tokio::time::timeout(Duration::from_millis(100), changes.recv());
                release(&mut *service, &lit).await.expect("a release");
                if told.await.is_ok() {
                    break;
                }
            }
            while changes.try_recv().is_ok() {}
            doing(&mut changes).await
        };
        tokio::select! {
            ended = watch => panic!("the watch ended: {ended:?}"),
            done = doing => done,
        }
    };
    tokio::time::timeout(2 * PATIENCE, both).await.expect("in time")
}

async fn told_of(
    changes: &mut tokio::sync::mpsc::UnboundedReceiver<(Instant, Change)>,
    owner: Owner,
) -> (Instant, Change) {
    loop {
        let (at, change) = changes.recv().await.expect("the watch goes on");
        if change.owner == owner.to_string() {
            return (at, change);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What each operation does
// ---------------------------------------------------------------------------------------------------------------------

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
    let said = |port: u16, packets: &[Packet]| {
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
        String::from_utf8_lossy(&answer).into_owned()
    };
    for (name, packet) in consul::requests() {
        let answer = said(CLIENT_PORT, &[packet]);
        let status = if name == "session renew" { "HTTP/1.1 404" } else { "HTTP/1.1 200" };
        // A key under a session that does not exist is refused in the words of an answer.
        let is_refused = name == "kv acquire" && answer.starts_with("HTTP/1.1 500");
        assert!(answer.starts_with(status) || is_refused, "{name}: {answer}");
    }
    for packets in [consul::rpc(), consul::multiplexed()] {
        assert!(said(SERVER_PORT, &packets).contains("KVS.Get"), "no answer to a call");
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
    ];
    for (settings, process) in settings.into_iter().zip(1..) {
        let mut service = cluster.consul().with_settings(settings).connect(0, 0);
        let key = format!("leases/{process}");
        let owner = owner(process);
        acquire_key(&mut *service, &key, owner, 7 * SECOND, Wait::Never).await.expect("a free lock");
    }
    let mut sessions = cluster.sessions().await;
    sessions.sort_by_key(|session| session["Name"].to_string());
    let told = |session: &Value| {
        let [name, behavior, ttl] = ["Name", "Behavior", "TTL"].map(|field| session[field].as_str().map(str::to_owned));
        let checks = session["NodeChecks"].as_array().map_or(0, Vec::len);
        (name, behavior, ttl, session["LockDelay"].as_u64(), checks)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        sessions.iter().map(told).collect::<Vec<_>>(),
        [
            (text("leasehold leases/1 p1.1"), text("release"), text("7000ms"), Some(15_000_000_000), 0),
            (text("leasehold leases/2 p2.1"), text("delete"), text("7000ms"), Some(0), 1),
        ]
    );
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
        recipes::two_permits(&semaphore, "permits/1", SECOND),
        recipes::guarded_writes(&lock, "guarded/1", SECOND, Wait::Never),
    );
}

// ---------------------------------------------------------------------------------------------------------------------
// The contract, without a fault
// ---------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn sessions_end_between_their_ttl_and_the_contracts_latest_expiry() {
    let cluster = Cluster::start(3).await;
    let consul = cluster.with_lock_delay(Duration::ZERO);
    let latest = consul.contract().latest_expiry.expect("a bound").after_ttl(SECOND);
    let keys: Vec<String> = (0..20).map(|n| format!("leases/{n}")).collect();
    let lives = while_watched(&consul, &keys, async |changes| {
        let mut asked = Vec::new();
        for (key, process) in keys.iter().zip(0..) {
            let mut service = consul.connect(0, process as usize % 3);
            let hold = acquire_key(&mut *service, key, owner(process), SECOND, Wait::Never).await.expect("a free lock");
            let before = Instant::now();
            renew(&mut *service, &hold, Renewal::KeepAlive).await.expect("it is held");
            asked.push((owner(process).to_string(), before, Instant::now()));
        }
        let mut lives = Vec::new();
        while lives.len() < keys.len() {
            let (at, change) = changes.recv().await.expect("the watch goes on");
            assert_eq!(change.kind, ChangeKind::Deleted);
            let (_, before, after) = asked.iter().find(|(owner, ..)| *owner == change.owner).expect("an owner");
            lives.push((at - *before, at.saturating_duration_since(*after)));
        }
        lives
    })
    .await;
    for (longest, shortest) in lives {
        assert!(longest >= SECOND, "it ended {longest:?} after its renewal was asked for");
        assert!(shortest <= SECOND + latest, "it ended {shortest:?} after its renewal was answered");
    }
    let mut service = consul.connect(0, 0);
    let again = acquire_key(&mut *service, &keys[0], owner(50), SECOND, Wait::Never).await;
    again.expect("there is no lock-delay");
}

/// After a hold that ran out the lock stays closed for its lock-delay and no longer. The delay is kept by behaviour `delete` too.
#[tokio::test]
async fn a_lock_delay_is_kept_and_a_restored_snapshot_forgets_it() {
    let cluster = Cluster::start(1).await;
    let (cluster, none, three) = (&cluster, Duration::ZERO, 3 * SECOND);
    let cases = [(none, Behavior::Release), (three, Behavior::Release), (three, Behavior::Delete)];
    let delays = cases.into_iter().zip(1..).map(|((delay, behavior), n)| async move {
        let settings = Settings { behavior, lock_delay: delay, ..Settings::default() };
        let consul = cluster.consul().with_settings(settings);
        let key = format!("delayed/{n}");
        while_watched(&consul, std::slice::from_ref(&key), async |changes| {
            let [mut a, mut b] = [0, 0].map(|node| consul.connect(0, node));
            let first = acquire_key(&mut *a, &key, owner(10 * n), SECOND, Wait::Never).await.expect("a free lock");
            let successor = async {
                let second = acquire_key(&mut *b, &key, owner(10 * n + 1), 9 * SECOND, Wait::InQueue).await;
                (second.expect("the lock"), Instant::now())
            };
            let ((second, got), (lost, _)) = tokio::join!(successor, told_of(changes, first.owner));
            assert!(second.grant.token > first.grant.token);
            got.saturating_duration_since(lost)
        })
        .await
    });
    let waited = futures_util::future::join_all(delays).await;
    // The watch may hear of the loss late, but not by much.
    assert!(waited[0] < NOISE, "{waited:?}");
    for waited in &waited[1..] {
        assert!(*waited > three - SECOND / 4 && *waited < three + NOISE, "{waited:?}");
    }

    let consul = cluster.consul();
    let mut service = consul.connect(0, 0);
    acquire(&mut *service, 1, 10 * SECOND, Wait::Never).await.expect("a free lock");
    cluster.destroy_session_of(owner(1)).await;
    assert_certain(acquire(&mut *service, 2, 10 * SECOND, Wait::Never).await, code::HELD);
    assert_eq!(holder(&mut *service, true).await, None, "closed, and yet nobody's");
    let snapshot = reqwest::get(cluster.url("snapshot")).await.expect("an answer").bytes().await.expect("a snapshot");
    let restored = reqwest::Client::new().put(cluster.url("snapshot")).body(snapshot).send().await.expect("an answer");
    assert!(restored.status().is_success(), "{restored:?}");
    let asked = Instant::now();
    acquire(&mut *service, 3, 10 * SECOND, Wait::Never).await.expect("the delay of 15 s is forgotten");
    assert!(asked.elapsed() < 5 * SECOND);
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures, and what they say
// ---------------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_session_that_is_gone_is_an_observation() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.with_lock_delay(Duration::ZERO);
    let mut service = consul.connect(0, 0);
    let hold = acquire(&mut *service, 1, 10 * SECOND, Wait::Never).await.expect("a free lock");
    cluster.destroy_session_of(owner(1)).await;
    for how in [Renewal::KeepAlive, Renewal::StatusUpdate] {
        assert_certain(renew(&mut *service, &hold, how).await, code::EXPIRED);
    }
    assert_certain(release(&mut *service, &hold).await, code::NOT_HELD);
}

#[tokio::test]
async fn a_server_that_dies_with_a_request_leaves_it_unknown() {
    let mut cluster = Cluster::start(1).await;
    let n1 = NodeId::new(1);
    let consul = cluster.consul();
    let mut service = consul.connect(0, 0);
    let hold = acquire(&mut *service, 1, 60 * SECOND, Wait::Never).await.expect("a free lock");

    cluster.members[0].as_ref().expect("it runs").stop();
    let mut renewal = Box::pin(renew(&mut *service, &hold, Renewal::KeepAlive));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut renewal).await;
    assert!(early.is_err(), "a stopped server cannot have answered {early:?}");
    cluster.kill(n1);
    assert_unknown(renewal.await);

    // On a new connection nothing is sent at all.
    let mut fresh = consul.connect(0, 0);
    assert_certain(acquire(&mut *fresh, 2, SECOND, Wait::Never).await, "refused");
    assert_certain(acquire(&mut *fresh, 3, SECOND, Wait::InQueue).await, "refused");
    for linearizable in [true, false] {
        assert_certain(fresh.perform(&Op::Read { key: LOCK.to_owned(), linearizable }).await, "refused");
    }
    cluster.start_member(n1);
    cluster.wait_ready().await;
    let renewed = renew(&mut *service, &hold, Renewal::KeepAlive).await;
    renewed.expect("the same connection finds the server again, and the session");
}

#[tokio::test]
async fn without_a_leader_nothing_is_certain_but_that_nothing_was_begun() {
    let mut cluster = Cluster::start(3).await;
    let consul = cluster.consul();
    let mut services = [0, 0, 0, 0].map(|node| consul.connect(0, node));
    let hold = acquire(&mut *services[0], 1, 60 * SECOND, Wait::Never).await.expect("a free lock");
    // The server that is asked has to know of the lock before the others are gone.
    eventually("it knows", || {
        let mut service = consul.connect(0, 0);
        async move { holder(&mut *service, false).await }
    })
    .await;
    let quiet = |change: Change| panic!("nobody did anything, and yet {change:?}");
    let keys = [LOCK.to_owned()];
    let watch = consul.watch(0, &keys, Box::new(quiet));
    for node in [2, 3] {
        cluster.kill(NodeId::new(node));
    }
    let [a, b, c, d] = &mut services;
    let read = Op::Read { key: LOCK.to_owned(), linearizable: true };
    let outcomes = async {
        tokio::join!(
            renew(&mut **a, &hold, Renewal::StatusUpdate),
            acquire(&mut **b, 2, 10 * SECOND, Wait::Never),
            c.perform(&read),
            watch,
            async { holder(&mut **d, false).await },
        )
    };
    let (renewed, acquired, read, watched, stale) = tokio::time::timeout(PATIENCE, outcomes).await.expect("all end");
    assert_unknown(renewed);
    assert_certain(acquired, "session-create");
    assert_unknown(read);
    watched.expect_err("the watch can tell nothing any more");
    assert_eq!(stale.as_deref(), Some("p1.1"), "a stale read needs no leader");
}

#[tokio::test]
async fn a_watch_of_a_server_that_fell_silent_ends() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.consul();
    let keys = [LOCK.to_owned()];
    let watch = consul.watch(0, &keys, Box::new(|change| panic!("nobody did anything, and yet {change:?}")));
    cluster.members[0].as_ref().expect("it runs").stop();
    let ended = tokio::time::timeout(PATIENCE, watch).await.expect("it ends");
    ended.expect_err("a silent server");
}

#[tokio::test]
async fn a_watch_ends_when_nobody_listens() {
    let cluster = Cluster::start(1).await;
    let consul = cluster.consul();
    let keys = [LOCK.to_owned()];
    let watch = consul.watch(0, &keys, Box::new(|_| false));
    let holds = async {
        let mut service = consul.connect(0, 0);
        for attempt in 1.. {
            let owner = Owner { process: 1, attempt };
            let hold = acquire_key(&mut *service, LOCK, owner, 10 * SECOND, Wait::Never).await.expect("a free lock");
            tokio::time::sleep(Duration::from_millis(20)).await;
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

// ---------------------------------------------------------------------------------------------------------------------
// Nothing is sent on behalf of who is gone
// ---------------------------------------------------------------------------------------------------------------------

/// An operation that is given up while its connection is still being made must not reach the server later.
#[tokio::test]
async fn what_was_given_up_before_it_was_sent_is_never_sent() {
    let (_, address) = own_addresses(1)[0];
    let (listener, fillers) = full_listener(address);
    let consul = Consul::new(vec![(NodeId::new(1), listener.local_addr().expect("an address"))]);
    let mut service = consul.connect(0, 0);
    let read = |key: &str| Op::Read { key: key.to_owned(), linearizable: true };
    let given_up = tokio::time::timeout(SECOND / 5, service.perform(&read("given-up"))).await;
    assert!(given_up.is_err(), "nobody can have answered {given_up:?}");

    drop(fillers);
    let server = Pretender::at(listener, |_| None);
    let deadline = Instant::now() + PATIENCE;
    while !server.heard().contains("sent-later") {
        assert!(Instant::now() < deadline, "nothing arrives");
        let _ = tokio::time::timeout(SECOND / 3, service.perform(&read("sent-later"))).await;
    }
    assert!(!server.heard().contains("given-up"));
}

/// A process is retired by dropping its operation and its connection. The server sees every connection end, and nothing comes
/// after, be it that the holder had time left, or that a waiter would have had to renew its session.
#[tokio::test]
async fn a_retired_process_is_silent() {
    let (_, address) = own_addresses(1)[0];
    let server = Pretender::start(address, |request| {
        let waits = request.contains("index=");
        let answer = if request.contains("session/create") {
            r#"{"ID":"8d1a4c0f"}"#
        } else if request.contains("session/renew") {
            r#"[{"ID":"8d1a4c0f"}]"#
        } else if request.contains("acquire=") && request.contains("taken") {
            "false"
        } else if request.starts_with("GET") {
            r#"[{"LockIndex":1,"Key":"leasehold/taken","Flags":0,"Value":"eA==","Session":"77fe","CreateIndex":9,"ModifyIndex":9}]"#
        } else {
            "true"
        };
        (!waits).then(|| ok(answer))
    });
    let consul = Consul::new(vec![(NodeId::new(1), server.address)]);
    let mut holder = consul.connect(0, 0);
    acquire_key(&mut *holder, "free", owner(1), SECOND / 2, Wait::Never).await.expect("a grant");
    let mut waiter = consul.connect(1, 0);
    let waiting = acquire_key(&mut *waiter, "taken", owner(2), SECOND / 2, Wait::InQueue);
    let given_up = tokio::time::timeout(SECOND / 2, waiting).await;
    assert!(given_up.is_err(), "{given_up:?}");
    assert!(server.heard().contains("index="), "it waits for the lock: {}", server.heard());

    drop((holder, waiter));
    eventually("every connection ends", || async { (server.open() == 0).then_some(()) }).await;
    let heard = server.heard().len();
    // Several times the interval at which either would have renewed.
    tokio::time::sleep(SECOND).await;
    assert_eq!((server.open(), server.heard().len()), (0, heard), "{}", server.heard());
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

// ---------------------------------------------------------------------------------------------------------------------
// Servers that are none
// ---------------------------------------------------------------------------------------------------------------------

/// A server that answers each request as it was told, or not at all.
struct Pretender {
    address: SocketAddr,
    heard: Arc<Mutex<String>>,
    open: Arc<AtomicUsize>,
}

type Told = Option<Vec<u8>>;

impl Pretender {
    fn start(address: Ipv4Addr, answer: impl Fn(&str) -> Told + Send + Sync + 'static) -> Self {
        Self::at(TcpListener::bind((address, 0)).expect("an address of our own"), answer)
    }

    fn at(listener: TcpListener, answer: impl Fn(&str) -> Told + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("an address");
        let (heard, open) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let (server, answer) = ((Arc::clone(&heard), Arc::clone(&open)), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), (heard, open), answer) = (stream, server.clone(), Arc::clone(&answer)) else {
                    return;
                };
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut block = [0; 16 * 1024];
                    // Requests of ours are small: one comes in one piece.
                    while let Ok(n @ 1..) = stream.read(&mut block) {
                        let request = String::from_utf8_lossy(&block[..n]).into_owned();
                        heard.lock().expect("whole").push_str(&request);
                        let Some(answer) = answer(&request) else { continue };
                        if stream.write_all(&answer).is_err() {
                            break;
                        }
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, heard, open }
    }

    fn heard(&self) -> String {
        self.heard.lock().expect("whole").clone()
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Whatever a server says, the adapter answers with an error, and never believes a lock to be held.
#[tokio::test]
async fn hostile_answers_are_errors() {
    let odd_header =
        b"HTTP/1.1 200 OK\r\nX-Consul-Index: \xff\xfe\r\nX-Cache: \xff\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    let endless = {
        let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let chunk = [b"100000\r\n".to_vec(), vec![b'['; 1 << 20], b"\r\n".to_vec()].concat();
        (0..8).for_each(|_| endless.extend_from_slice(&chunk));
        endless
    };
    let hostile = [
        ok(""),
        ok("null"),
        ok("{}"),
        ok("[]"),
        ok("7"),
        ok("\"true\""),
        ok(r#"{"ID":7}"#),
        ok(r#"{"ID":"../../kv/x?dc=y"}"#),
        ok(r#"[{"ID":"another"}]"#),
        ok(r#"[{"Key":"leasehold/jobs/7","Value":7}]"#),
        ok(r#"[{"LockIndex":1,"Key":"x","Flags":0,"Value":"!","Session":"a","CreateIndex":1,"ModifyIndex":-1}]"#),
        ok(&"[".repeat(100_000)),
        odd_header,
        endless,
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 500 \xff\r\nContent-Length: 3\r\n\r\n\xff\xff\xff".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
        vec![0; 64 * 1024],
    ];
    let (_, address) = own_addresses(1)[0];
    for answer in hostile {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
        let server = Pretender::start(address, move |_| Some(answer.clone()));
        let consul = Consul::new(vec![(NodeId::new(1), server.address)]);
        for wait in [Wait::Never, Wait::InQueue] {
            let mut service = consul.connect(0, 0);
            assert_certain_failure(acquire(&mut *service, 1, SECOND, wait).await, &shown);
        }
        for op in [
            Op::Read { key: LOCK.to_owned(), linearizable: true },
            Op::Register { key: LOCK.to_owned(), op: RegisterOp::Read { linearizable: true } },
        ] {
            // An empty list of keys is what it seems: there is no key.
            match consul.connect(0, 0).perform(&op).await {
                Ok(Answer::Holder(None) | Answer::Value(None)) if shown.ends_with("[]") => {}
                other => drop(other.expect_err(&shown)),
            }
        }
        let write = RegisterOp::Write { value: 1 };
        assert_unknown(register(&mut *consul.connect(0, 0), write).await);
        let cas = register(&mut *consul.connect(0, 0), RegisterOp::Cas { old: None, new: 1 }).await;
        cas.expect_err(&shown);
        let keys = [LOCK.to_owned()];
        if !shown.ends_with("[]") {
            consul.prepare(&keys).await.expect_err(&shown);
            let watched = consul.watch(0, &keys, Box::new(|change| panic!("{change:?}"))).await;
            watched.expect_err(&shown);
        }
    }
}

#[track_caller]
fn assert_certain_failure<T: std::fmt::Debug>(outcome: Result<T, OpError>, shown: &str) {
    let error = outcome.expect_err(shown);
    assert_eq!(error.certainty, Certainty::DidNotHappen, "{shown}: {error}");
    assert!(error.text.len() < 1_000, "{shown}: {error}");
}

/// A session is made, and then the server says nonsense about the lock: nobody knows who holds it.
#[tokio::test]
async fn nonsense_about_a_lock_leaves_its_acquisition_unknown() {
    let (_, address) = own_addresses(1)[0];
    let server = Pretender::start(address, |request| {
        Some(ok(if request.contains("session/create") { r#"{"ID":"8d1a4c0f"}"# } else { "perhaps" }))
    });
    let consul = Consul::new(vec![(NodeId::new(1), server.address)]);
    for wait in [Wait::Never, Wait::InQueue] {
        assert_unknown(acquire(&mut *consul.connect(0, 0), 1, SECOND, wait).await);
    }
    assert!(!server.heard().contains("session/destroy"), "whoever may hold the lock keeps the session");
}

/// A server that leads anew may still count a lock-delay that is over, and refuses the holder's own write. The lock is not lost for that.
#[tokio::test]
async fn a_refused_status_is_no_loss_while_the_session_holds_the_lock() {
    let (_, address) = own_addresses(1)[0];
    for (session, code) in [("8d1a4c0f", "rejected"), ("77fe", code::NOT_HELD)] {
        let key = format!(
            r#"[{{"LockIndex":1,"Key":"leasehold/{LOCK}","Flags":0,"Value":"eA==","Session":"{session}","CreateIndex":9,"ModifyIndex":9}}]"#
        );
        let server = Pretender::start(address, move |request| {
            Some(ok(match request {
                request if request.contains("session/create") => r#"{"ID":"8d1a4c0f"}"#,
                request if request.contains("session/renew") => r#"[{"ID":"8d1a4c0f"}]"#,
                request if request.contains("flags=1") => "false",
                request if request.starts_with("GET") => &key,
                _ => "true",
            }))
        });
        let mut service = Consul::new(vec![(NodeId::new(1), server.address)]).connect(0, 0);
        let hold = acquire(&mut *service, 1, SECOND, Wait::Never).await.expect("a grant");
        assert_certain(renew(&mut *service, &hold, Renewal::StatusUpdate).await, code);
    }
}
