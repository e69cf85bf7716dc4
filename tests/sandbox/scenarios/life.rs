//! Harnesses that live and die in all the ways there are.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use leasehold::sandbox::{self, Sandbox, SandboxError, ServerProcess};
use nix::sys::signal::{SigSet, Signal};

use super::Stage;
use crate::servers::READY;

pub(super) fn die_by(signal: Signal) -> ! {
    nix::sys::signal::raise(signal).expect("it is sent");
    unreachable!("{signal} ends a process")
}

/// Leaves servers running, and so shows that they end with the harness.
pub(super) fn exit_with_orphans(stage: &Stage, sandbox: &Sandbox) -> u8 {
    start_idle_servers(stage, sandbox);
    0
}

fn start_idle_servers(stage: &Stage, sandbox: &Sandbox) -> Vec<ServerProcess> {
    let network = stage.network(sandbox, 3);
    let token = stage.folder.display().to_string();
    network.nodes().map(|node| stage.start(&network.spawner(), node, &["idle", &token]).0).collect()
}

pub(super) fn wait_with_servers(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let servers = start_idle_servers(stage, sandbox);
    servers[0].signal(Signal::SIGSTOP).expect("it is alive");
    fs::write(stage.folder.join("ready"), "").expect("the folder is ours");
    loop {
        std::thread::park();
    }
}

/// Says each interrupt aloud, until it is told to end; servers must not notice.
pub(super) fn count_interrupts(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let watched: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    watched.thread_block().expect("they can be blocked");
    let servers = start_idle_servers(stage, sandbox);
    println!("{READY}");
    let mut interrupts = 0;
    while watched.wait().expect("a signal") == Signal::SIGINT {
        interrupts += 1;
        println!("interrupt {interrupts}");
    }
    let alive = servers.iter().all(|server| server.try_exited().expect("an answer").is_none());
    println!("interrupts {interrupts} servers {}", if alive { "alive" } else { "dead" });
    143
}

/// Does not react to Ctrl-C at all.
pub(super) fn ignore_interrupts(stage: &Stage, sandbox: &Sandbox) -> u8 {
    SigSet::from(Signal::SIGINT).thread_block().expect("it can be blocked");
    start_idle_servers(stage, sandbox);
    println!("{READY}");
    loop {
        std::thread::park();
    }
}

pub(super) fn two_threads() -> ExitCode {
    let (_hold, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || wait.recv());
    match sandbox::enter(|_| 0) {
        Err(SandboxError::Threads(2)) => ExitCode::SUCCESS,
        other => panic!("two threads must not enter: {other:?}"),
    }
}

/// Says what the probes find, and whether this medium can be had.
pub(super) fn probe(medium: &str) -> ExitCode {
    let findings = sandbox::probe::probe().expect("one thread");
    let mut out = io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").expect("somebody reads it");
    say(format!("mode {}, medium {:?}", findings.mode, findings.medium));
    for probe in &findings.probes {
        match &probe.outcome {
            Ok(seen) => say(format!("ok   {}: {seen}", probe.name)),
            Err(cause) => {
                say(format!("FAIL {} (needed for {}): {cause}; {:?}", probe.name, probe.needed_for, probe.remedy));
            }
        }
    }
    let works = |part| findings.probes.iter().any(|probe| probe.name.contains(part) && probe.outcome.is_ok());
    let possible = match medium {
        "tun" => works("TUN"),
        "veth" => works("veth"),
        _ => findings.usable(),
    };
    ExitCode::from(u8::from(!possible))
}
