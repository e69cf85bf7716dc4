//! What a server may expect, and what one gets to know of it.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::{env, fs};

use leasehold::NodeId;
use leasehold::sandbox::{Mode, Sandbox, SandboxError, ServerProcess};
use nix::sys::signal::{SigSet, Signal};

use super::{Stage, eventually, exit_of};

/// Signals 32 and 33, which the C library lets nobody touch.
const SIGNALS_OF_THE_C_LIBRARY: u64 = 0b11 << 31;

pub(super) fn servers_start_clean(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 2), NodeId::new(2));
    // What a careless harness would pass on: a variable, a file that survives exec, a blocked signal, an
    // ignored one. SAFETY: no other thread of this process reads the environment at this time.
    unsafe { env::set_var("LEAKED", "1") };
    let file = fs::File::open("/dev/null").expect("it is there");
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("it is ours");
    SigSet::from(Signal::SIGTERM).thread_block().expect("it can be blocked");
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
    let variables: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("env ")?.split('=').next()).collect();
    assert!(variables.contains(&"GIVEN"));
    assert!(variables.iter().all(|name| ["GIVEN", "PATH", "HOME", "TMPDIR"].contains(name)), "{variables:?}");
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).expect("it is there");
    assert_eq!(field("SigBlk:"), "0000000000000000");
    let ignored = u64::from_str_radix(field("SigIgn:"), 16).expect("a number") & !SIGNALS_OF_THE_C_LIBRARY;
    assert_eq!(
        ignored,
        1 << (libc::SIGPIPE - 1),
        "the runtime of this test program ignores SIGPIPE itself, and nothing else"
    );
    assert_eq!(field("session"), "own");
    assert_eq!(field("files"), "3", "input, output and errors");
    assert!(["1000", "absent"].contains(&field("rto")));
    assert_eq!(field("routes"), "1", "there is no way out");
    if sandbox.mode() == Mode::User {
        assert_eq!(field("CapEff:"), "0000000000000000");
    }
    0
}

pub(super) fn ends_and_pauses_are_seen(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let spawner = network.spawner();
    let idle = stage.start_ready(&spawner, node, &["idle"]);
    eventually("it sleeps", || idle.state().expect("a state") == 'S');
    idle.signal(Signal::SIGSTOP).expect("it is alive");
    eventually("it is stopped", || idle.state().expect("a state") == 'T');
    assert!(idle.try_exited().expect("an answer").is_none(), "a pause is no end");
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
    assert_eq!(idle.signal(Signal::SIGKILL).expect_err("it is gone").raw_os_error(), Some(libc::ESRCH));

    let (leaver, _) = stage.start(&spawner, node, &["exit", "3"]);
    assert_eq!(exit_of(&leaver).code(), Some(3));
    many_wait_for_one(&stage.start_ready(&spawner, node, &["idle"]));
    0
}

fn many_wait_for_one(server: &ServerProcess) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (one, two, killed) = runtime
        .block_on(async { tokio::join!(server.exited(), server.exited(), async { server.signal(Signal::SIGTERM) }) });
    killed.expect("it was alive");
    assert_eq!(one.expect("an end"), two.expect("the same end"));
}

pub(super) fn servers_are_prepared_at_exec(stage: &Stage, sandbox: &Sandbox) -> u8 {
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
    assert!(state.contains(") t "), "it stands under its tracer: {state}");
    assert_eq!(Some(program), env::current_exe().ok(), "it is the server already, and no copy of the harness");
    eventually("it runs", || idle.state().expect("a state") == 'S');
    idle.signal(Signal::SIGTERM).expect("it is alive");
    exit_of(&idle);

    let mut command = stage.command(node, &["idle"]);
    let (said, heard) = std::sync::mpsc::channel();
    command.at_exec = Some(Box::new(move |pid| {
        said.send(pid).map_err(io::Error::other)?;
        Err(io::Error::other("no"))
    }));
    assert!(matches!(spawner.spawn(command), Err(SandboxError::AtExec { .. })));
    let pid = heard.recv().expect("it was there");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "an unprepared server is killed and reaped");

    assert_eq!(
        spawner.on_tracer_thread(|| std::thread::current().name().map(str::to_owned)).as_deref(),
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

pub(super) fn what_cannot_start_says_so(stage: &Stage, sandbox: &Sandbox) -> u8 {
    assert!(matches!(sandbox.network(0), Err(SandboxError::NodeCount { .. })));
    assert!(matches!(sandbox.network(100), Err(SandboxError::NodeCount { .. })));
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let spawner = network.spawner();
    let mut missing = stage.command(node, &["idle"]);
    missing.program = "/nowhere/etcd".into();
    let Err(SandboxError::Spawn { source, .. }) = spawner.spawn(missing) else { panic!("there is no such program") };
    assert_eq!(source.kind(), ErrorKind::NotFound);
    let mut traced = stage.command(node, &["idle"]);
    traced.program = "/nowhere/etcd".into();
    traced.at_exec = Some(Box::new(|_| panic!("it never gets there")));
    assert!(matches!(spawner.spawn(traced), Err(SandboxError::Spawn { .. })));
    let mut unlogged = stage.command(node, &["idle"]);
    unlogged.log = "/nowhere/log".into();
    assert!(matches!(spawner.spawn(unlogged), Err(SandboxError::Log { .. })));
    let stranger = stage.command(NodeId::new(2), &["idle"]);
    assert!(matches!(spawner.spawn(stranger), Err(SandboxError::NoSuchNode(_))));
    0
}
