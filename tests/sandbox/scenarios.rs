//! What is checked inside of a sandbox.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leasehold::NodeId;
use leasehold::sandbox::{
    self, LinkRule, Medium, Network, Port, Sandbox, SandboxError, ServerCommand, ServerProcess,
    Spawner, Switch,
};
use nix::sys::signal::{SigSet, Signal};

use crate::servers::{READY, REPORT};

/// Nothing here takes so long, unless it never happens.
const DEADLINE: Duration = Duration::from_secs(20);

/// All servers listen here.
const SERVER_PORT: u16 = 7000;

/// Signals 32 and 33, which the C library lets nobody touch.
const SIGNALS_OF_THE_C_LIBRARY: u64 = 0b11 << 31;

/// So few datagrams fit any receive buffer.
const DATAGRAMS: u64 = 100;

pub(crate) fn run(name: &str, medium: &str, folder: &str) -> ExitCode {
    let stage = Stage {
        medium: medium.to_owned(),
        folder: PathBuf::from(folder),
    };
    let scenario: fn(&Stage, &Sandbox) -> u8 = match name {
        "hosts-reach-each-other" => hosts_reach_each_other,
        "a-one-way-cut-leaks-nothing" => a_one_way_cut_leaks_nothing,
        "delay-is-no-shorter-than-said" => delay_is_no_shorter_than_said,
        "healing-releases-what-is-held" => healing_releases_what_is_held,
        "bulk-passes-unharmed" => bulk_passes_unharmed,
        "tcp-recovers-after-a-heal" => tcp_recovers_after_a_heal,
        "servers-start-clean" => servers_start_clean,
        "ends-and-pauses-are-seen" => ends_and_pauses_are_seen,
        "servers-are-prepared-at-exec" => servers_are_prepared_at_exec,
        "what-cannot-start-says-so" => what_cannot_start_says_so,
        "exit-7" => |_, _| 7,
        "panic" => |_, _| panic!("as asked"),
        "abort" => |_, _| std::process::abort(),
        "kill-self" => |_, _| die_by(Signal::SIGKILL),
        "exit-with-orphans" => exit_with_orphans,
        "two-threads" => return two_threads(),
        "probe" => return probe(medium),
        "count-interrupts" => count_interrupts,
        "ignore-interrupts" => ignore_interrupts,
        "wait-with-servers" => wait_with_servers,
        _ => panic!("no scenario `{name}`"),
    };
    match sandbox::enter(|sandbox| scenario(&stage, &sandbox)) {
        Ok(outcome) => outcome.end_like_it(),
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            eprintln!("{error}{cause}");
            ExitCode::from(69)
        }
    }
}

/// What a scenario is run with.
struct Stage {
    medium: String,
    folder: PathBuf,
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
        let log = self.folder.join(format!(
            "{node}-{}.log",
            STARTED.fetch_add(1, Ordering::Relaxed)
        ));
        ServerCommand {
            node,
            program: std::env::current_exe().expect("the path of this program"),
            args: ["server"].iter().chain(words).map(Into::into).collect(),
            env: Vec::new(),
            log,
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
        eventually("the server is ready", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains(READY))
        });
        server
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn on(network: &Network, node: NodeId) -> SocketAddr {
    (network.address(node), SERVER_PORT).into()
}

/// Waits for a server to end, as the engine does.
fn exit_of(server: &ServerProcess) -> std::process::ExitStatus {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(DEADLINE, server.exited()).await })
        .expect("it ends in time")
        .expect("the kernel says how it ended")
}

/// A socket on the client's side, on which a missing answer is soon an error.
fn client_socket(patience: Duration) -> UdpSocket {
    let socket = UdpSocket::bind("10.77.0.100:0").expect("the client's address is here");
    socket.set_read_timeout(Some(patience)).expect("a timeout");
    socket
}

/// Asks until it is answered: only the first datagram to a host that has just come up may be lost.
fn ask(to: SocketAddr, question: &[u8]) -> Vec<u8> {
    let socket = client_socket(Duration::from_millis(500));
    let mut answer = [0; 64];
    let start = Instant::now();
    loop {
        socket.send_to(question, to).expect("the way is open");
        match socket.recv(&mut answer) {
            Ok(length) => return answer[..length].to_vec(),
            Err(error) => assert!(start.elapsed() < DEADLINE, "{to} does not answer: {error}"),
        }
    }
}

fn seen_by(counter: SocketAddr) -> u64 {
    String::from_utf8(ask(counter, REPORT))
        .expect("a number")
        .parse()
        .expect("a number")
}

/// Has `from` send datagrams to `to`, and waits until the switch has dealt with every one of them.
fn send_datagrams(stage: &Stage, network: &Network, from: NodeId, to: NodeId) {
    let switch = network.switch();
    let before = dealt_with(&switch, from, to);
    let (source, target) = (
        format!("{}:0", network.address(from)),
        on(network, to).to_string(),
    );
    let (sender, _) = stage.start(
        &network.spawner(),
        from,
        &["udp-send", &source, &target, &DATAGRAMS.to_string()],
    );
    assert!(exit_of(&sender).success(), "{from} can send");
    eventually("the switch has dealt with all datagrams", || {
        dealt_with(&switch, from, to) - before >= DATAGRAMS
    });
}

fn dealt_with(switch: &Switch, from: NodeId, to: NodeId) -> u64 {
    let counters = switch.counters(from.into(), to.into());
    assert_eq!(counters.lost, 0, "the machine can carry a few datagrams");
    counters.forwarded + counters.dropped
}

fn hosts_reach_each_other(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 3);
    let counters: Vec<_> = network
        .nodes()
        .map(|node| {
            stage.start_ready(
                &network.spawner(),
                node,
                &["udp-count", &on(&network, node).to_string()],
            )
        })
        .collect();
    let mut expected = [0; 3];
    for from in network.nodes() {
        for to in network.nodes() {
            if from != to {
                send_datagrams(stage, &network, from, to);
                expected[usize::from(to.number()) - 1] += DATAGRAMS;
            }
        }
    }
    let seen: Vec<_> = network
        .nodes()
        .map(|node| seen_by(on(&network, node)))
        .collect();
    assert_eq!(seen, expected);
    assert!(
        counters
            .iter()
            .all(|counter| counter.try_exited().expect("an answer").is_none())
    );
    assert_eq!(network.switch().strays(), 0, "nobody talks to anybody else");
    0
}

fn a_one_way_cut_leaks_nothing(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 3);
    let switch = network.switch();
    let [one, two, three] = network.nodes().collect::<Vec<_>>()[..] else {
        unreachable!("three nodes")
    };
    let _counters: Vec<_> = network
        .nodes()
        .map(|node| {
            stage.start_ready(
                &network.spawner(),
                node,
                &["udp-count", &on(&network, node).to_string()],
            )
        })
        .collect();

    switch.set(one.into(), two.into(), LinkRule::cut());
    send_datagrams(stage, &network, one, two);
    send_datagrams(stage, &network, two, one);
    send_datagrams(stage, &network, one, three);
    assert_eq!(
        seen_by(on(&network, two)),
        0,
        "nothing comes through the cut"
    );
    assert_eq!(
        seen_by(on(&network, one)),
        DATAGRAMS,
        "the other direction is open"
    );
    assert_eq!(
        seen_by(on(&network, three)),
        DATAGRAMS,
        "the other links are open"
    );
    let cut = switch.counters(one.into(), two.into());
    assert_eq!(
        (cut.forwarded, cut.dropped),
        (0, DATAGRAMS),
        "the counters prove it"
    );

    switch.heal_all();
    send_datagrams(stage, &network, one, two);
    assert_eq!(seen_by(on(&network, two)), DATAGRAMS, "healed is healed");
    0
}

fn delay_is_no_shorter_than_said(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, delay) = (stage.network(sandbox, 1), Duration::from_millis(50));
    let (switch, node) = (network.switch(), NodeId::new(1));
    let _echo = stage.start_ready(
        &network.spawner(),
        node,
        &["udp-echo", &on(&network, node).to_string()],
    );
    ask(on(&network, node), b"warm up");

    let direct = round_trip(on(&network, node));
    switch.set(Port::Client, node.into(), LinkRule::delayed(delay));
    let one_way: Vec<_> = (0..5).map(|_| round_trip(on(&network, node))).collect();
    switch.set(node.into(), Port::Client, LinkRule::delayed(delay));
    let both_ways: Vec<_> = (0..5).map(|_| round_trip(on(&network, node))).collect();
    println!("direct {direct:?}, one way {one_way:?}, both ways {both_ways:?}");
    assert!(one_way.iter().all(|&time| time >= delay), "{one_way:?}");
    assert!(
        both_ways.iter().all(|&time| time >= delay * 2),
        "{both_ways:?}"
    );
    assert_eq!(switch.counters(Port::Client, node.into()).delayed, 10);
    assert_eq!(switch.counters(node.into(), Port::Client).delayed, 5);
    assert_eq!(
        switch.rule(node.into(), Port::Client),
        LinkRule::delayed(delay)
    );
    0
}

fn round_trip(to: SocketAddr) -> Duration {
    let socket = client_socket(DEADLINE);
    let start = Instant::now();
    socket.send_to(b"ping", to).expect("the way is open");
    socket.recv(&mut [0; 8]).expect("an answer");
    start.elapsed()
}

fn healing_releases_what_is_held(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let switch = network.switch();
    let _counter = stage.start_ready(
        &network.spawner(),
        node,
        &["udp-count", &on(&network, node).to_string()],
    );
    switch.set(
        Port::Client,
        node.into(),
        LinkRule::delayed(Duration::from_secs(3600)),
    );
    let socket = client_socket(DEADLINE);
    for _ in 0..DATAGRAMS {
        socket
            .send_to(b"late", on(&network, node))
            .expect("the way is open");
    }
    eventually("the link holds all of them", || {
        switch.counters(Port::Client, node.into()).delayed == DATAGRAMS
    });
    assert_eq!(switch.counters(Port::Client, node.into()).forwarded, 0);
    switch.heal_all();
    assert_eq!(seen_by(on(&network, node)), DATAGRAMS);
    0
}

fn bulk_passes_unharmed(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 2), NodeId::new(2));
    let _echo = stage.start_ready(
        &network.spawner(),
        node,
        &["tcp-echo", &on(&network, node).to_string()],
    );
    let sent: Vec<u8> = (0..16_u32 << 20)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut stream = TcpStream::connect(on(&network, node)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut writer = stream.try_clone().expect("a second handle");
    let start = Instant::now();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).expect("all is sent");
            writer.shutdown(Shutdown::Write).expect("the end is sent");
        });
        let mut received = Vec::with_capacity(sent.len());
        stream.read_to_end(&mut received).expect("all comes back");
        received
    });
    println!("16 MiB there and back in {:?}", start.elapsed());
    assert!(received == sent, "what comes back is what was sent");
    0
}

fn tcp_recovers_after_a_heal(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let switch = network.switch();
    let _echo = stage.start_ready(
        &network.spawner(),
        node,
        &["tcp-echo", &on(&network, node).to_string()],
    );
    let mut stream = TcpStream::connect(on(&network, node)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut echo = [0; 4];
    stream
        .write_all(b"here")
        .and_then(|()| stream.read_exact(&mut echo))
        .expect("an echo");

    switch.set(Port::Client, node.into(), LinkRule::cut());
    stream.write_all(b"lost").expect("the socket takes it");
    // Six attempts would take 12.6 s without the limit on the back-off, and less than 6 s with it.
    eventually("six attempts were dropped", || {
        switch.counters(Port::Client, node.into()).dropped >= 6
    });
    switch.heal_all();
    let healed = Instant::now();
    stream
        .read_exact(&mut echo)
        .expect("an echo after the heal");
    println!("recovered {:?} after the heal", healed.elapsed());
    if Path::new("/proc/sys/net/ipv4/tcp_rto_max_ms").exists() {
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/tcp_rto_max_ms")
                .expect("it is readable")
                .trim(),
            "1000"
        );
    }
    0
}

fn servers_start_clean(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 2), NodeId::new(2));
    // What a careless harness would pass on: a variable, a file that survives exec, a blocked signal, an
    // ignored one. SAFETY: no other thread of this process reads the environment at this time.
    unsafe { std::env::set_var("LEAKED", "1") };
    let file = fs::File::open("/dev/null").expect("it is there");
    nix::fcntl::fcntl(
        &file,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .expect("it is ours");
    SigSet::from(Signal::SIGTERM)
        .thread_block()
        .expect("it can be blocked");
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };

    let mut command = stage.command(node, &["describe-self"]);
    command.env.push(("GIVEN".into(), "yes".into()));
    let log = command.log.clone();
    let server = network.spawner().spawn(command).expect("it starts");
    assert!(exit_of(&server).success());
    drop(file);
    let text = fs::read_to_string(log).expect("it has written");
    println!("{text}");
    let variables: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("env ")?.split('=').next())
        .collect();
    assert!(variables.contains(&"GIVEN"));
    assert!(
        variables
            .iter()
            .all(|name| ["GIVEN", "PATH", "HOME", "TMPDIR"].contains(name)),
        "{variables:?}"
    );
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .expect("it is there")
    };
    assert_eq!(field("SigBlk:"), "0000000000000000");
    let ignored =
        u64::from_str_radix(field("SigIgn:"), 16).expect("a number") & !SIGNALS_OF_THE_C_LIBRARY;
    assert_eq!(
        ignored,
        1 << (libc::SIGPIPE - 1),
        "the runtime of this test program ignores SIGPIPE itself, and nothing else"
    );
    assert_eq!(field("session"), "own");
    assert_eq!(field("files"), "3", "input, output and errors");
    assert!(["1000", "absent"].contains(&field("rto")));
    assert_eq!(field("routes"), "1", "there is no way out");
    if sandbox.mode() == sandbox::Mode::User {
        assert_eq!(field("CapEff:"), "0000000000000000");
    }
    0
}

fn ends_and_pauses_are_seen(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let spawner = network.spawner();
    let idle = stage.start_ready(&spawner, node, &["idle"]);
    eventually("it sleeps", || idle.state().expect("a state") == 'S');
    idle.signal(Signal::SIGSTOP).expect("it is alive");
    eventually("it is stopped", || idle.state().expect("a state") == 'T');
    assert!(
        idle.try_exited().expect("an answer").is_none(),
        "a pause is no end"
    );
    idle.signal(Signal::SIGCONT).expect("it is alive");
    eventually("it runs again", || idle.state().expect("a state") == 'S');
    idle.signal(Signal::SIGKILL).expect("it is alive");
    for _ in 0..2 {
        let status = exit_of(&idle);
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(libc::SIGKILL),
            "asked twice, said twice"
        );
    }
    assert_eq!(idle.state().expect("a state"), 'X');
    assert_eq!(
        idle.signal(Signal::SIGKILL)
            .expect_err("it is gone")
            .raw_os_error(),
        Some(libc::ESRCH)
    );

    let (leaver, _) = stage.start(&spawner, node, &["exit", "3"]);
    assert_eq!(exit_of(&leaver).code(), Some(3));
    many_wait_for_one(&stage.start_ready(&spawner, node, &["idle"]));
    0
}

fn many_wait_for_one(server: &ServerProcess) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (one, two, killed) = runtime.block_on(async {
        tokio::join!(server.exited(), server.exited(), async {
            server.signal(Signal::SIGTERM)
        })
    });
    killed.expect("it was alive");
    assert_eq!(one.expect("an end"), two.expect("the same end"));
}

fn servers_are_prepared_at_exec(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let spawner = network.spawner();
    let (said, heard) = std::sync::mpsc::channel();

    let mut command = stage.command(node, &["idle"]);
    command.at_exec = Some(Box::new(move |pid| {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let program = fs::read_link(format!("/proc/{pid}/exe"))?;
        let word = nix::sys::ptrace::read(pid, instruction_pointer(pid)?)?;
        said.send((state, program, word)).map_err(io::Error::other)
    }));
    let idle = spawner.spawn(command).expect("it starts");
    let (state, program, _) = heard.recv().expect("it was prepared");
    assert!(
        state.contains(") t "),
        "it stands under its tracer: {state}"
    );
    assert_eq!(
        Some(program),
        std::env::current_exe().ok(),
        "it is the server already, and no copy of the harness"
    );
    eventually("it runs", || idle.state().expect("a state") == 'S');
    idle.signal(Signal::SIGTERM).expect("it is alive");
    exit_of(&idle);

    let mut command = stage.command(node, &["idle"]);
    let (said, heard) = std::sync::mpsc::channel();
    command.at_exec = Some(Box::new(move |pid| {
        said.send(pid).map_err(io::Error::other)?;
        Err(io::Error::other("no"))
    }));
    assert!(matches!(
        spawner.spawn(command),
        Err(SandboxError::AtExec { .. })
    ));
    let pid = heard.recv().expect("it was there");
    assert!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "an unprepared server is killed and reaped"
    );

    assert_eq!(
        spawner
            .on_tracer_thread(|| std::thread::current().name().map(str::to_owned))
            .as_deref(),
        Some("spawner")
    );
    0
}

#[cfg(target_arch = "x86_64")]
fn instruction_pointer(pid: nix::unistd::Pid) -> io::Result<nix::sys::ptrace::AddressType> {
    Ok(nix::sys::ptrace::getregs(pid)?.rip as nix::sys::ptrace::AddressType)
}

#[cfg(target_arch = "aarch64")]
fn instruction_pointer(pid: nix::unistd::Pid) -> io::Result<nix::sys::ptrace::AddressType> {
    Ok(nix::sys::ptrace::getregs(pid)?.pc as nix::sys::ptrace::AddressType)
}

fn what_cannot_start_says_so(stage: &Stage, sandbox: &Sandbox) -> u8 {
    assert!(matches!(
        sandbox.network(0),
        Err(SandboxError::NodeCount { .. })
    ));
    assert!(matches!(
        sandbox.network(100),
        Err(SandboxError::NodeCount { .. })
    ));
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let spawner = network.spawner();
    let mut missing = stage.command(node, &["idle"]);
    missing.program = "/nowhere/etcd".into();
    let Err(SandboxError::Spawn { source, .. }) = spawner.spawn(missing) else {
        panic!("there is no such program")
    };
    assert_eq!(source.kind(), ErrorKind::NotFound);
    let mut traced = stage.command(node, &["idle"]);
    traced.program = "/nowhere/etcd".into();
    traced.at_exec = Some(Box::new(|_| panic!("it never gets there")));
    assert!(matches!(
        spawner.spawn(traced),
        Err(SandboxError::Spawn { .. })
    ));
    let mut unlogged = stage.command(node, &["idle"]);
    unlogged.log = "/nowhere/log".into();
    assert!(matches!(
        spawner.spawn(unlogged),
        Err(SandboxError::Log { .. })
    ));
    let stranger = stage.command(NodeId::new(2), &["idle"]);
    assert!(matches!(
        spawner.spawn(stranger),
        Err(SandboxError::NoSuchNode(_))
    ));
    0
}

fn die_by(signal: Signal) -> ! {
    nix::sys::signal::raise(signal).expect("it is sent");
    unreachable!("{signal} ends a process")
}

/// Leaves servers running, and so shows that they end with the harness.
fn exit_with_orphans(stage: &Stage, sandbox: &Sandbox) -> u8 {
    start_idle_servers(stage, sandbox);
    0
}

fn start_idle_servers(stage: &Stage, sandbox: &Sandbox) -> Vec<ServerProcess> {
    let network = stage.network(sandbox, 3);
    let token = stage.folder.display().to_string();
    network
        .nodes()
        .map(|node| stage.start(&network.spawner(), node, &["idle", &token]).0)
        .collect()
}

fn wait_with_servers(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let servers = start_idle_servers(stage, sandbox);
    servers[0].signal(Signal::SIGSTOP).expect("it is alive");
    fs::write(stage.folder.join("ready"), "").expect("the folder is ours");
    loop {
        std::thread::park();
    }
}

/// Says each interrupt aloud, until it is told to end; servers must not notice.
fn count_interrupts(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let watched: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    watched.thread_block().expect("they can be blocked");
    let servers = start_idle_servers(stage, sandbox);
    println!("{READY}");
    let mut interrupts = 0;
    while watched.wait().expect("a signal") == Signal::SIGINT {
        interrupts += 1;
        println!("interrupt {interrupts}");
    }
    let alive = servers
        .iter()
        .all(|server| server.try_exited().expect("an answer").is_none());
    println!(
        "interrupts {interrupts} servers {}",
        if alive { "alive" } else { "dead" }
    );
    143
}

/// Does not react to Ctrl-C at all.
fn ignore_interrupts(stage: &Stage, sandbox: &Sandbox) -> u8 {
    SigSet::from(Signal::SIGINT)
        .thread_block()
        .expect("it can be blocked");
    start_idle_servers(stage, sandbox);
    println!("{READY}");
    loop {
        std::thread::park();
    }
}

fn two_threads() -> ExitCode {
    let (_hold, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || wait.recv());
    match sandbox::enter(|_| 0) {
        Err(SandboxError::Threads(2)) => ExitCode::SUCCESS,
        other => panic!("two threads must not enter: {other:?}"),
    }
}

/// Says what the probes find, and whether this medium can be had.
fn probe(medium: &str) -> ExitCode {
    let findings = sandbox::probe::probe().expect("one thread");
    let mut out = io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").expect("somebody reads it");
    say(format!(
        "mode {}, medium {:?}",
        findings.mode, findings.medium
    ));
    for probe in &findings.probes {
        match &probe.outcome {
            Ok(seen) => say(format!("ok   {}: {seen}", probe.name)),
            Err(cause) => say(format!(
                "FAIL {} (needed for {}): {cause}; {:?}",
                probe.name, probe.needed_for, probe.remedy
            )),
        }
    }
    let works = |part| {
        findings
            .probes
            .iter()
            .any(|probe| probe.name.contains(part) && probe.outcome.is_ok())
    };
    let possible = match medium {
        "tun" => works("TUN"),
        "veth" => works("veth"),
        _ => findings.usable(),
    };
    ExitCode::from(u8::from(!possible))
}
