//! The steps into the sandbox, so that a failure of any process on the way can be named by the outermost
//! one.

use std::fmt;

/// A step into the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Reading this process's capabilities and threads.
    LookAtSelf,
    /// The pipes between the outer process and the first one inside.
    Pipes,
    /// Blocking the signals that the outer process forwards.
    BlockSignals,
    /// The clone that makes the namespaces.
    CloneNamespaces,
    /// The maps of the user namespace, written from the outside.
    MapIds,
    /// The maps of the user namespace, written by the first process inside.
    MapOwnIds,
    /// Having the first process inside die with the outer one.
    DieWithParent,
    /// Cutting the mounts off from those outside.
    PrivateMounts,
    /// A `/proc` that shows the processes of the sandbox.
    MountProc,
    /// The name of the host.
    HostName,
    /// A session of its own, so that the terminal does not deliver Ctrl-C a second time.
    Session,
    /// The loopback interface.
    Loopback,
    /// The fork of the harness.
    ForkHarness,
    /// Waiting for the harness.
    Await,
}

impl Step {
    const ALL: [Self; 14] = [
        Self::LookAtSelf,
        Self::Pipes,
        Self::BlockSignals,
        Self::CloneNamespaces,
        Self::MapIds,
        Self::MapOwnIds,
        Self::DieWithParent,
        Self::PrivateMounts,
        Self::MountProc,
        Self::HostName,
        Self::Session,
        Self::Loopback,
        Self::ForkHarness,
        Self::Await,
    ];

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.number() == number)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LookAtSelf => "look at this process in /proc/self",
            Self::Pipes => "make the pipes into the sandbox",
            Self::BlockSignals => "block the signals that go to the sandbox",
            Self::CloneNamespaces => "create the namespaces of the sandbox",
            Self::MapIds | Self::MapOwnIds => "map the user into the user namespace of the sandbox",
            Self::DieWithParent => "tie the sandbox to the life of this process",
            Self::PrivateMounts => "make the mounts of the sandbox private",
            Self::MountProc => "mount /proc in the sandbox",
            Self::HostName => "name the host of the sandbox",
            Self::Session => "start a session in the sandbox",
            Self::Loopback => "bring up the loopback interface of the sandbox",
            Self::ForkHarness => "start the harness in the sandbox",
            Self::Await => "wait for the sandbox",
        })
    }
}

/// A step that failed, as it travels between the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepError {
    pub(super) step: Step,
    pub(super) errno: i32,
}

/// Names the step in which an error happened.
pub(super) trait During<T> {
    fn during(self, step: Step) -> Result<T, StepError>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, step: Step) -> Result<T, StepError> {
        self.map_err(|error| StepError { step, errno: error.raw_os_error().unwrap_or(libc::EIO) })
    }
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, step: Step) -> Result<T, StepError> {
        self.map_err(|errno| StepError { step, errno: errno as i32 })
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn every_step_survives_the_pipe() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(step.number()), index, "{step:?} is missing from ALL, or out of order");
            assert_eq!(Step::from_number(step.number()), Some(step));
        }
        assert_eq!(Step::from_number(Step::ALL.len() as u8), None);
    }
}
