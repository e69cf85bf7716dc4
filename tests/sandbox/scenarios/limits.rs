//! What control groups do to servers, and that faults which come and go leave nothing.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, io};

use leasehold::NodeId;
use leasehold::clock::{self, ClockHook, Skew};
use leasehold::disk::{self, Gate, Rule};
use leasehold::sandbox::probe::{CPU_GROUPS, MEMORY_GROUPS, probe};
use leasehold::sandbox::{
    ControlGroups, Controller, CpuGroup, LinkRule, MemoryGroup, Network, Sandbox, ServerProcess, Spawner,
};
use nix::sys::signal::Signal;

use super::disk::Writer;
use super::network::send_datagrams;
use super::{Stage, eventually, exit_of};

/// The exit code of a scenario that this machine cannot play.
pub(crate) const IMPOSSIBLE: u8 = 77;

/// How many cycles are enough to see a leak, unless the environment asks for more.
const CYCLES: u32 = 10;

const MIB: u64 = 1 << 20;

/// Groups for a scenario that is nothing without them. Where there are none, the probes of the doctor must say the same.
pub(super) fn groups_or_impossible() -> Result<ControlGroups, u8> {
    let findings = probe().expect("one thread");
    let refusal = |name: &str| {
        let probe = findings.probes.iter().find(|probe| probe.name == name).expect("it is tried");
        probe.outcome.clone().err()
    };
    match (ControlGroups::create(&[Controller::Cpu, Controller::Memory]), refusal(CPU_GROUPS), refusal(MEMORY_GROUPS)) {
        (Ok(groups), None, None) => Ok(groups),
        (Err(_), cpu, Some(memory)) => {
            eprintln!("the doctor says so: {}; {memory}", cpu.unwrap_or_default());
            Err(IMPOSSIBLE)
        }
        (groups, cpu, memory) => panic!("the doctor is wrong: {groups:?}, {cpu:?}, {memory:?}"),
    }
}

/// Groups where there can be some.
pub(super) fn groups_if_any() -> ControlGroups {
    groups_or_impossible().unwrap_or_default()
}

/// The groups of one node.
struct Limits {
    cpu: Option<CpuGroup>,
    memory: Option<MemoryGroup>,
}

impl Limits {
    fn of(stage: &Stage, node: NodeId) -> Arc<Self> {
        let (cpu, memory) = (stage.groups.cpu_of(node), stage.groups.memory_of(node));
        Arc::new(Self { cpu: cpu.expect("the kernel makes it"), memory: memory.expect("the kernel makes it") })
    }
}

/// Starts a server in its groups and with its clock hooked, as a run does.
fn start(
    stage: &Stage,
    spawner: &Spawner,
    node: NodeId,
    words: &[&str],
    limits: &Arc<Limits>,
) -> (ServerProcess, Option<ClockHook>) {
    let (said, heard) = mpsc::channel();
    let (limits, hooked) = (Arc::clone(limits), clock::supported().is_ok());
    let mut command = stage.command(node, words);
    command.at_exec = Some(Box::new(move |pid| {
        limits.cpu.as_ref().map_or(Ok(()), |group| group.take_in(pid))?;
        limits.memory.as_ref().map_or(Ok(()), |group| group.take_in(pid))?;
        if hooked {
            said.send(ClockHook::inject(pid, Skew::default()).map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        Ok(())
    }));
    (spawner.spawn(command).expect("it starts"), heard.recv().ok())
}

pub(super) fn groups_limit_servers(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let (network, node) = (stage.network(sandbox, 1), NodeId::new(1));
    let (spawner, limits) = (network.spawner(), Limits::of(stage, node));
    let (cpu, memory) = (limits.cpu.as_ref().expect("asked for"), limits.memory.as_ref().expect("asked for"));

    cpu.limit(Some(10)).expect("the kernel takes it");
    let (busy, _) = start(stage, &spawner, node, &["busy"], &limits);
    eventually("the kernel has held it back ten times", || cpu.throttled().expect("a count").periods >= 10);
    let (start_of, before) = (std::time::Instant::now(), busy.cpu_time().expect("it lives"));
    eventually("it has run for a tenth of a second", || {
        busy.cpu_time().expect("it lives").as_millis() >= before.as_millis() + 100
    });
    let share = 0.1 / start_of.elapsed().as_secs_f64();
    println!("asked for 10 %, got {:.1} %", share * 100.0);
    assert!(share < 0.25, "it got {share} of a processor");
    cpu.limit(None).expect("the kernel takes it");
    busy.signal(Signal::SIGKILL).expect("it is alive");
    exit_of(&busy);

    for killed in 1..=3 {
        memory.limit(Some(16 * MIB)).expect("the kernel takes it");
        let (hungry, _) = start(stage, &spawner, node, &["hungry", "64"], &limits);
        assert_eq!(exit_of(&hungry).signal(), Some(libc::SIGKILL), "the kernel kills it");
        assert_eq!(memory.killed().expect("a count"), killed, "and counts it");
    }
    memory.limit(None).expect("the kernel takes it");
    let (hungry, _) = start(stage, &spawner, node, &["hungry", "64"], &limits);
    assert!(exit_of(&hungry).success(), "without a limit it gets what it wants");
    assert_eq!(memory.killed().expect("a count"), 3);
    0
}

/// What a harness has, that must not grow.
#[derive(Debug)]
struct Belongings {
    files: usize,
    threads: usize,
    processes: usize,
    resident_kib: u64,
}

impl Belongings {
    fn now() -> Self {
        let count = |folder: &str| fs::read_dir(folder).expect("it is there").count();
        let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        let status = fs::read_to_string("/proc/self/status").expect("it is there");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("every process has it");
        Self {
            files: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            processes: fs::read_dir("/proc")
                .expect("it is there")
                .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_process)))
                .count(),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().expect("a number"),
        }
    }

    /// Memory aside, which is measured by itself.
    fn are_no_more_than(&self, before: &Self) -> bool {
        self.files <= before.files && self.threads <= before.threads && self.processes <= before.processes
    }
}

pub(super) fn cycles_leave_nothing(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let cycles = env::var("LEASEHOLD_CYCLES").map_or(CYCLES, |text| text.parse().expect("a number"));
    let network = stage.network(sandbox, 3);
    let limits: BTreeMap<NodeId, Arc<Limits>> = network.nodes().map(|node| (node, Limits::of(stage, node))).collect();
    let gate = Gate::default();
    // The first two fill what is kept for good.
    let mut before = None;
    for number in 0..cycles + 2 {
        if number == 2 {
            before = Some(Belongings::now());
        }
        cycle(stage, &network.spawner(), &limits);
        cycle_of_links(stage, &network);
        cycle_of_disks(stage, &network.spawner(), &gate);
    }
    let before = before.expect("there were cycles");
    // Whoever listened to the last server has a moment to notice its end.
    eventually("nothing is left", || Belongings::now().are_no_more_than(&before));
    let after = Belongings::now();
    println!("{cycles} cycles: {before:?} and then {after:?}");
    assert!(after.resident_kib < before.resident_kib + 4096, "it grows: {before:?} and then {after:?}");
    0
}

/// Starts a server on each node, does to them what faults do, heals it, and stops them.
fn cycle(stage: &Stage, spawner: &Spawner, limits: &BTreeMap<NodeId, Arc<Limits>>) {
    let servers: BTreeMap<NodeId, _> =
        limits.iter().map(|(&node, limits)| (node, start(stage, spawner, node, &["busy"], limits))).collect();
    for (node, (server, hook)) in &servers {
        server.signal(Signal::SIGSTOP).expect("it is alive");
        if let Some(hook) = hook {
            hook.set_wall(Skew { offset_ns: 9_000_000_000, rate_ppm: 100_000 }).expect("it is alive");
            hook.set_monotonic_rate(100_000).expect("it is alive");
        }
        if let Some(cpu) = &limits[node].cpu {
            cpu.limit(Some(5)).expect("the kernel takes it");
        }
        eventually("it stands still", || server.threads().expect("it is alive").all_stopped());
        server.signal(Signal::SIGCONT).expect("it is alive");
    }
    for (node, (server, hook)) in &servers {
        if let Some(cpu) = &limits[node].cpu {
            let before = cpu.throttled().expect("a count").periods;
            eventually("it is held back", || cpu.throttled().expect("a count").periods > before);
            cpu.limit(None).expect("the kernel takes it");
        }
        if let Some(hook) = hook {
            hook.set_wall(Skew::default()).expect("it is alive");
            hook.set_monotonic_rate(0).expect("it is alive");
        }
        server.signal(Signal::SIGKILL).expect("it is alive");
        assert_eq!(exit_of(server).signal(), Some(libc::SIGKILL));
    }
    for (&node, limits) in limits.iter().filter(|(_, limits)| limits.memory.is_some()) {
        let memory = limits.memory.as_ref().expect("it was filtered");
        memory.limit(Some(8 * MIB)).expect("the kernel takes it");
        let (hungry, _) = start(stage, spawner, node, &["hungry", "32"], limits);
        assert_eq!(exit_of(&hungry).signal(), Some(libc::SIGKILL));
        memory.limit(None).expect("the kernel takes it");
    }
}

fn cycle_of_links(stage: &Stage, network: &Network) {
    let (switch, [one, two]) = (network.switch(), [1, 2].map(NodeId::new));
    let (cut, slow) = (switch.layer(), switch.layer());
    let dropped = || switch.counters(one, two).dropped;
    let before = dropped();
    slow.lay([(one, two, LinkRule::delayed(Duration::from_millis(20)))]);
    cut.lay([(one, two, LinkRule::cut())]);
    send_datagrams(stage, network, one, two);
    assert!(dropped() > before, "it is cut");
    cut.lift();
    send_datagrams(stage, network, one, two);
    slow.lift();
}

fn cycle_of_disks(stage: &Stage, spawner: &Spawner, gate: &Gate) {
    if disk::supported().is_err() {
        return;
    }
    let writer = Writer::start(stage, spawner, gate);
    let held = gate.put_up(Rule::Hold);
    eventually("a call is held", || gate.tally(held).is_some_and(|tally| tally.waiting == 1));
    gate.take_down(held);
    writer.goes_on("written");
    writer.process.signal(Signal::SIGKILL).expect("it is alive");
    exit_of(&writer.process);
}

/// Is full of faults when it is killed.
pub(super) fn wait_amidst_faults(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 3);
    let (spawner, token) = (network.spawner(), stage.folder.display().to_string());
    let servers: Vec<_> = network
        .nodes()
        .map(|node| {
            let limits = Limits::of(stage, node);
            let server = start(stage, &spawner, node, &["busy", &token], &limits);
            if let Some(cpu) = &limits.cpu {
                cpu.limit(Some(5)).expect("the kernel takes it");
            }
            if let Some(memory) = &limits.memory {
                memory.limit(Some(64 * MIB)).expect("the kernel takes it");
            }
            if let Some(hook) = &server.1 {
                hook.set_wall(Skew { offset_ns: 0, rate_ppm: 100_000 }).expect("it is alive");
            }
            server
        })
        .collect();
    servers[0].0.signal(Signal::SIGSTOP).expect("it is alive");
    fs::write(stage.folder.join("ready"), "").expect("the folder is ours");
    loop {
        std::thread::park();
    }
}
