//! What stands between a server and its disk.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use leasehold::NodeId;
use leasehold::disk::{self, Gate, Rule, Tally};
use leasehold::sandbox::{Sandbox, ServerProcess, Spawner, Threads};
use nix::sys::signal::Signal;

use super::{Stage, eventually, exit_of};

const DELAY: Duration = Duration::from_millis(30);

/// A server behind a gate, and its log, in which it has a line for each round.
pub(super) struct Writer {
    pub(super) process: ServerProcess,
    log: PathBuf,
}

impl Writer {
    pub(super) fn start(stage: &Stage, spawner: &Spawner, gate: &Gate) -> Self {
        let file = stage.folder.join("file");
        let mut command = stage.command(NodeId::new(1), &["write-and-sync", file.to_str().expect("a plain path")]);
        let (in_child, arrival) = disk::filtered().expect("a filter");
        command.in_child = Some(in_child);
        let log = command.log.clone();
        let process = spawner.spawn(command).expect("it starts");
        gate.guard(arrival).expect("it is guarded");
        Self { process, log }
    }

    fn rounds(&self, word: &str) -> usize {
        fs::read_to_string(&self.log).map_or(0, |log| log.lines().filter(|line| *line == word).count())
    }

    /// Waits for a few more rounds that end with this word.
    pub(super) fn goes_on(&self, word: &str) {
        let before = self.rounds(word);
        eventually(word, || self.rounds(word) >= before + 3);
    }

    fn signal(&self, signal: Signal) {
        self.process.signal(signal).expect("it is alive");
    }
}

fn tally(gate: &Gate, barrier: disk::Barrier) -> Tally {
    gate.tally(barrier).expect("it stands")
}

pub(super) fn a_disk_is_held_slowed_and_refused(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 1);
    let gate = Gate::default();
    let writer = Writer::start(stage, &network.spawner(), &gate);
    writer.goes_on("written");

    let held = gate.put_up(Rule::Hold);
    eventually("a call is held", || tally(&gate, held).waiting == 1);
    let rounds = writer.rounds("written");
    // Paused, it stops in spite of its call, which is made anew when it goes on, and is still the same one to us.
    writer.signal(Signal::SIGSTOP);
    eventually("it is stopped", || writer.process.threads().is_ok_and(Threads::all_stopped));
    writer.signal(Signal::SIGCONT);
    eventually("it runs", || writer.process.threads().is_ok_and(|threads| threads.stopped == 0));
    let slowed = gate.put_up(Rule::Delay(DELAY));
    eventually("it is held for long", || tally(&gate, held).longest > 2 * DELAY);
    assert_eq!(writer.rounds("written"), rounds, "it does not get past");
    assert_eq!(tally(&gate, held).calls, 1);

    let told = gate.take_down(held).expect("it stood");
    assert!(told.calls == 1 && told.longest > 2 * DELAY, "{told:?}");
    writer.goes_on("written");
    let told = gate.take_down(slowed).expect("it stood");
    assert!(told.calls >= 3 && told.shortest.is_some_and(|shortest| shortest >= DELAY), "{told:?}");

    let refused = gate.put_up(Rule::Refuse);
    writer.goes_on(&format!("refused {}", libc::ENOSPC));
    assert!(gate.take_down(refused).expect("it stood").calls >= 3);
    writer.goes_on("written");
    assert!(gate.take_down(refused).is_none(), "it is down");
    0
}

pub(super) fn a_gate_stands_across_restarts(stage: &Stage, sandbox: &Sandbox) -> u8 {
    let network = stage.network(sandbox, 1);
    let gate = Gate::default();
    let held = gate.put_up(Rule::Hold);
    for calls in [1, 2] {
        let writer = Writer::start(stage, &network.spawner(), &gate);
        eventually("a call is held", || tally(&gate, held).calls == calls && tally(&gate, held).waiting == 1);
        writer.signal(Signal::SIGKILL);
        assert_eq!(exit_of(&writer.process).signal(), Some(Signal::SIGKILL as i32), "a held call keeps nobody alive");
        eventually("nothing of it waits", || tally(&gate, held).waiting == 0);
        assert_eq!(writer.rounds("written"), 0);
    }
    gate.take_down(held);
    Writer::start(stage, &network.spawner(), &gate).goes_on("written");
    0
}
