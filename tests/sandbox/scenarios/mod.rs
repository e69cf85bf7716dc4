//! What is checked inside of a sandbox.

mod disk;
mod faults;
mod life;
pub(crate) mod limits;
mod network;
mod processes;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::sandbox::{self, ControlGroups, Medium, Network, Sandbox, ServerCommand, ServerProcess, Spawner};
use nix::sys::signal::Signal;

use crate::servers::READY;

/// Nothing here takes so long, unless it never happens.
const DEADLINE: Duration = Duration::from_secs(20);

/// All servers listen here.
const SERVER_PORT: u16 = 7000;

pub(crate) fn run(name: &str, medium: &str, folder: &str) -> ExitCode {
    // Groups are made outside of the sandbox, and only for those who use them.
    let groups = match name {
        "groups-limit-servers" => match limits::groups_or_impossible() {
            Ok(groups) => groups,
            Err(code) => return ExitCode::from(code),
        },
        "cycles-leave-nothing" | "wait-amidst-faults" => limits::groups_if_any(),
        _ => ControlGroups::default(),
    };
    let stage = Stage { medium: medium.to_owned(), folder: PathBuf::from(folder), groups };
    let scenario: fn(&Stage, &Sandbox) -> u8 = match name {
        "hosts-reach-each-other" => network::hosts_reach_each_other,
        "a-one-way-cut-leaks-nothing" => network::a_one_way_cut_leaks_nothing,
        "each-worker-has-links-of-its-own" => network::each_worker_has_links_of_its_own,
        "delay-is-no-shorter-than-said" => network::delay_is_no_shorter_than_said,
        "healing-releases-what-is-held" => network::healing_releases_what_is_held,
        "bulk-passes-unharmed" => network::bulk_passes_unharmed,
        "tcp-recovers-after-a-heal" => network::tcp_recovers_after_a_heal,
        "a-cut-leaks-none-of-many" => faults::a_cut_leaks_none_of_many,
        "delays-are-what-was-asked" => faults::delays_are_what_was_asked,
        "losses-are-what-was-asked" => faults::losses_are_what_was_asked,
        "a-rate-is-what-was-asked" => faults::a_rate_is_what_was_asked,
        "corruption-is-seen-by-whom-it-should" => faults::corruption_is_seen_by_whom_it_should,
        "all-packets-are-captured" => faults::all_packets_are_captured,
        "servers-start-clean" => processes::servers_start_clean,
        "ends-and-pauses-are-seen" => processes::ends_and_pauses_are_seen,
        "servers-are-prepared-at-exec" => processes::servers_are_prepared_at_exec,
        "what-cannot-start-says-so" => processes::what_cannot_start_says_so,
        "groups-limit-servers" => limits::groups_limit_servers,
        "cycles-leave-nothing" => limits::cycles_leave_nothing,
        "wait-amidst-faults" => limits::wait_amidst_faults,
        "a-disk-is-held-slowed-and-refused" => disk::a_disk_is_held_slowed_and_refused,
        "a-gate-stands-across-restarts" => disk::a_gate_stands_across_restarts,
        "exit-7" => |_, _| 7,
        "panic" => |_, _| panic!("as asked"),
        "abort" => |_, _| std::process::abort(),
        "kill-self" => |_, _| life::die_by(Signal::SIGKILL),
        "exit-with-orphans" => life::exit_with_orphans,
        "two-threads" => return life::two_threads(),
        "probe" => return life::probe(medium),
        "count-interrupts" => life::count_interrupts,
        "ignore-interrupts" => life::ignore_interrupts,
        "wait-with-servers" => life::wait_with_servers,
        _ => panic!("no scenario `{name}`"),
    };
    match sandbox::enter(|sandbox| scenario(&stage, &sandbox)) {
        Ok(outcome) => {
            drop(stage);
            outcome.end_like_it()
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("{error}{cause}");
            ExitCode::from(69)
        }
    }
}

/// What a scenario is run with.
struct Stage {
    medium: String,
    folder: PathBuf,
    groups: ControlGroups,
}

impl Stage {
    fn network(&self, sandbox: &Sandbox, nodes: u8) -> Network {
        let network = match self.medium.as_str() {
            "tun" => sandbox.network_over(Medium::Tun, nodes),
            "veth" => sandbox.network_over(Medium::Veth, nodes),
            _ => sandbox.network(nodes),
        };
        network.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
    }

    /// This program as a server.
    fn command(&self, node: NodeId, words: &[&str]) -> ServerCommand {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let log = self.folder.join(format!("{node}-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        ServerCommand {
            node,
            program: std::env::current_exe().expect("the path of this program"),
            args: ["server"].iter().chain(words).map(Into::into).collect(),
            env: Vec::new(),
            log,
            in_child: None,
            at_exec: None,
        }
    }

    fn start(&self, spawner: &Spawner, node: NodeId, words: &[&str]) -> (ServerProcess, PathBuf) {
        let command = self.command(node, words);
        let log = command.log.clone();
        (spawner.spawn(command).expect("it starts"), log)
    }

    /// Starts a server that says when it can be reached, and waits for that.
    fn start_ready(&self, spawner: &Spawner, node: NodeId, words: &[&str]) -> ServerProcess {
        let (server, log) = self.start(spawner, node, words);
        eventually("the server is ready", || fs::read_to_string(&log).is_ok_and(|text| text.contains(READY)));
        server
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn on(network: &Network, node: NodeId) -> SocketAddr {
    (network.address(node), SERVER_PORT).into()
}

/// Waits for a server to end, as the engine does.
fn exit_of(server: &ServerProcess) -> std::process::ExitStatus {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(DEADLINE, server.exited()).await })
        .expect("it ends in time")
        .expect("the kernel says how it ended")
}
