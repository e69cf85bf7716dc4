//! What the first process of the sandbox tells the outer one, in eight bytes on a pipe.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use super::step::{Step, StepError};

const LENGTH: usize = 8;
const ENDED: u8 = 1;
const FAILED: u8 = 2;

/// What the first process of the sandbox tells the outer one before it exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The harness ended with this status word of `waitpid`.
    Ended(i32),
    /// A step failed, and there is no harness.
    Failed(StepError),
}

impl Report {
    /// Writes it in one piece: a pipe takes so few bytes whole or not at all.
    pub(super) fn send(self, pipe: OwnedFd) -> io::Result<()> {
        std::fs::File::from(pipe).write_all(&self.to_bytes())
    }

    /// Reads it. `None` says that the sender died before it could speak.
    pub(super) fn receive(pipe: OwnedFd) -> io::Result<Option<Self>> {
        let mut bytes = [0; LENGTH];
        match std::fs::File::from(pipe).read_exact(&mut bytes) {
            Ok(()) => Ok(Self::from_bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn to_bytes(self) -> [u8; LENGTH] {
        let (tag, step, number) = match self {
            Self::Ended(status) => (ENDED, 0, status),
            Self::Failed(StepError { step, errno }) => (FAILED, step.number(), errno),
        };
        let [a, b, c, d] = number.to_ne_bytes();
        [tag, step, 0, 0, a, b, c, d]
    }

    fn from_bytes(bytes: [u8; LENGTH]) -> Option<Self> {
        let [tag, step, _, _, a, b, c, d] = bytes;
        let number = i32::from_ne_bytes([a, b, c, d]);
        match tag {
            ENDED => Some(Self::Ended(number)),
            FAILED => Some(Self::Failed(StepError { step: Step::from_number(step)?, errno: number })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Step, StepError};

    #[test]
    fn reports_arrive_as_sent() {
        let failed = Report::Failed(StepError { step: Step::MountProc, errno: libc::EPERM });
        for report in [Report::Ended(7 << 8), Report::Ended(-1), failed] {
            let (receiver, sender) = nix::unistd::pipe().expect("a pipe");
            report.send(sender).expect("room for eight bytes");
            assert_eq!(Report::receive(receiver).expect("a readable pipe"), Some(report));
        }
    }

    #[test]
    fn a_sender_that_died_said_nothing() {
        let (receiver, sender) = nix::unistd::pipe().expect("a pipe");
        drop(sender);
        assert_eq!(Report::receive(receiver).expect("a readable pipe"), None);
    }
}
