//! What the sandbox can do on this machine, found out by doing it.
//!
//! Version numbers, configuration files and capabilities tell what ought to work; containers and security
//! modules make sure that it does not. So each probe does the thing itself, through the code that a run
//! uses, in a process of its own.

mod answer;
mod checks;
mod child;
mod groups;

use super::entry::ensure_one_thread;
use super::{Medium, Mode, SandboxError, Step};
use answer::Trouble;

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was tried.
    pub name: &'static str,
    /// What does not work without it.
    pub needed_for: &'static str,
    /// What was seen when it worked, or the cause why it did not.
    pub outcome: Result<String, String>,
    /// What to change so that it works, where that is known.
    pub remedy: Option<String>,
}

/// What the sandbox can do on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Where a sandbox would have its rights from.
    pub mode: Mode,
    /// What its network would be made of; `None` where it can have none.
    pub medium: Option<Medium>,
    /// All probes.
    pub probes: Vec<Probe>,
}

/// A thing to try.
struct Trial {
    name: &'static str,
    needed_for: &'static str,
    check: fn(Mode) -> Result<String, Trouble>,
    /// Whether it fails for the same reason where the plain sandbox does.
    in_sandbox: bool,
}

const PLAIN: Trial = Trial {
    name: "namespaces and /proc",
    needed_for: "every run on servers of its own",
    check: checks::namespaces,
    in_sandbox: false,
};
const USER: Trial = Trial {
    name: "user namespace with capabilities",
    needed_for: "runs without root",
    check: checks::user_namespace,
    in_sandbox: false,
};
const TUN: Trial = Trial {
    name: "TUN interfaces",
    needed_for: "the faster network; without it, veth is used",
    check: checks::tun,
    in_sandbox: true,
};
const VETH: Trial = Trial {
    name: "veth and packet sockets",
    needed_for: "the network where there is no TUN",
    check: checks::veth,
    in_sandbox: true,
};
const EXEC_STOP: Trial =
    Trial { name: "ptrace stop at exec", needed_for: "clock faults", check: checks::exec_stop, in_sandbox: true };
const BACK_OFF: Trial = Trial {
    name: "limit on TCP's back-off",
    needed_for: "connections that recover within a second of a heal",
    check: checks::back_off,
    in_sandbox: true,
};

/// The name of the probe that has a process held back to its share of the processor.
pub const CPU_GROUPS: &str = "control groups for the processor";
/// The name of the probe that has the kernel kill a process for want of memory.
pub const MEMORY_GROUPS: &str = "control groups for the memory";

const CPU: Trial = Trial {
    name: CPU_GROUPS,
    needed_for: "the fault `slow-cpu` by a quota; without them, servers are stopped for short slices",
    check: groups::cpu,
    in_sandbox: false,
};
const MEMORY: Trial =
    Trial { name: MEMORY_GROUPS, needed_for: "the fault `out-of-memory`", check: groups::memory, in_sandbox: false };

/// Tries everything that the sandbox needs. It takes well under a second, and leaves nothing behind.
///
/// # Errors
/// [`SandboxError::Threads`] if this process has more than one thread, and [`SandboxError::Enter`] if it
/// cannot read its own status. That something does not work on this machine is no error but a finding.
pub fn probe() -> Result<Findings, SandboxError> {
    ensure_one_thread()?;
    let mode = Mode::of_this_process().map_err(|error| SandboxError::enter(Step::LookAtSelf, error))?;
    let mut probes = Vec::new();
    for trial in [PLAIN, USER, TUN, VETH, EXEC_STOP, BACK_OFF, CPU, MEMORY] {
        let hopeless = trial.in_sandbox && !worked(&probes, &PLAIN);
        probes.push(if hopeless { trial.skip() } else { trial.run(mode) });
    }
    let medium = [(TUN, Medium::Tun), (VETH, Medium::Veth)]
        .into_iter()
        .find_map(|(trial, medium)| worked(&probes, &trial).then_some(medium));
    Ok(Findings { mode, medium, probes })
}

fn worked(probes: &[Probe], trial: &Trial) -> bool {
    probes.iter().any(|probe| probe.name == trial.name && probe.outcome.is_ok())
}

impl Findings {
    /// Whether runs on servers of their own work on this machine.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.medium.is_some()
    }

    /// Whether this probe's failure is what makes runs impossible.
    #[must_use]
    pub fn blames(&self, probe: &Probe) -> bool {
        let causes: &[Trial] = if worked(&self.probes, &PLAIN) { &[TUN, VETH] } else { &[PLAIN] };
        !self.usable() && causes.iter().any(|trial| trial.name == probe.name)
    }
}

impl Trial {
    /// What is found without trying, where there is no sandbox to try it in.
    fn skip(&self) -> Probe {
        Probe {
            name: self.name,
            needed_for: self.needed_for,
            outcome: Err(format!("not tried, since it needs {}", PLAIN.name)),
            remedy: None,
        }
    }

    fn run(&self, mode: Mode) -> Probe {
        let (outcome, remedy) = match child::answer_of(|| (self.check)(mode)) {
            Ok(seen) => (Ok(seen), None),
            Err(Trouble { cause, remedy }) => (Err(cause), remedy),
        };
        Probe { name: self.name, needed_for: self.needed_for, outcome, remedy }
    }
}
