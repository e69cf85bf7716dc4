//! A private set of hosts on this machine.
//!
//! ```text
//! outer     the process that the user started; one thread; passes signals on and ends like the harness
//! └─ first  process 1 of the sandbox's pid namespace; reaps orphans; its end is the end of all below
//!    └─ harness   what `enter` was given; lives in the client's network; starts servers
//!       ├─ server on n1   each in its node's own network namespace, in a session of its own
//!       └─ server on n2   …
//! ```
//!
//! Whoever of the first three dies takes the rest along: the first process dies with the outer one by the
//! kernel's hand (and, should it have been too young for that, by the end of a pipe), and with process 1
//! the kernel ends its namespace. Namespaces are held by open files alone, never by a name on disk, so that
//! nothing outlives the processes: no interface, no mount.
//!
//! Every packet between two hosts passes through a [`Switch`] in the harness, which delays and drops it as
//! told. A harness that dies therefore leaves a network that stands still, not one that has healed.
//!
//! It needs Linux 5.4 or later. No privilege is needed where the kernel grants user namespaces; [`probe`]
//! finds out, and says what to change where it does not.

mod cgroup;
mod entry;
mod error;
mod mode;
mod network;
mod outcome;
pub mod probe;
mod spawn;
mod status;
mod switch;

pub use cgroup::{ControlGroups, Controller, CpuGroup, MemoryGroup, NoGroups, Throttled, sweep};
pub use entry::{Step, enter};
pub use error::{Refusal, SandboxError};
pub use mode::Mode;
pub use network::{Medium, Network};
pub use outcome::Outcome;
pub use spawn::{AtExec, InChild, ServerCommand, ServerProcess, Spawner};
pub use status::{ThreadNames, Threads};
pub use switch::{
    Budget, Capture, Captured, Change, Damage, FindPlaces, Jitter, LinkCounters, LinkLayer, LinkRule, Place, Places,
    Port, Side, Spoil, SpoilNotes, Spread, Switch,
};

/// Proof that this process is the harness inside a sandbox. Only [`enter`] makes one.
#[derive(Debug)]
pub struct Sandbox {
    mode: Mode,
}

impl Sandbox {
    fn new(mode: Mode) -> Self {
        Self { mode }
    }

    /// Where the sandbox has its rights from.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Builds `nodes` hosts and the network between them and this process, and starts the switch. It is
    /// made of TUN interfaces where this process may have them, and of veth pairs otherwise.
    ///
    /// # Errors
    /// [`SandboxError::NodeCount`] for none or more than 99 nodes, and [`SandboxError::Network`] if the
    /// kernel refuses a part.
    pub fn network(&self, nodes: u8) -> Result<Network, SandboxError> {
        match self.network_over(Medium::Tun, nodes) {
            Err(SandboxError::Network { .. }) => self.network_over(Medium::Veth, nodes),
            built => built,
        }
    }

    /// Like [`Sandbox::network`], over a medium of the caller's choice.
    ///
    /// # Errors
    /// As [`Sandbox::network`]; also where the medium is not to be had.
    pub fn network_over(&self, medium: Medium, nodes: u8) -> Result<Network, SandboxError> {
        Network::build(medium, nodes)
    }
}
