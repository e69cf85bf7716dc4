//! What a probe says, and how it travels from one process to another.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxError;

/// Why something does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub(super) cause: String,
    pub(super) remedy: Option<String>,
}

pub(super) type Answer = Result<String, Trouble>;

impl Trouble {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: None }
    }

    /// Adds what to change, unless that is known already.
    pub(super) fn or_remedy(mut self, remedy: &str) -> Self {
        self.remedy.get_or_insert_with(|| remedy.to_owned());
        self
    }
}

impl From<SandboxError> for Trouble {
    fn from(error: SandboxError) -> Self {
        let remedy = error.remedy().map(str::to_owned);
        // The remedy is said apart, so of the last cause only the kernel's answer is wanted here.
        let cause = match &error {
            SandboxError::Enter { step, source } => format!("cannot {step}: {}", source.answer()),
            _ => chain(&error),
        };
        Self { cause, remedy }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Writes an answer to a pipe. It is short enough for any pipe to take it at once.
pub(super) fn send(answer: &Answer, pipe: OwnedFd) -> io::Result<()> {
    File::from(pipe).write_all(&serde_json::to_vec(answer)?)
}

/// Reads an answer from a pipe whose writers are all gone. One that said nothing has died.
pub(super) fn receive(pipe: OwnedFd) -> Answer {
    let mut bytes = Vec::new();
    File::from(pipe).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).unwrap_or_else(|_| Err(Trouble::new("the probe died before it could answer")))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Trouble, receive, send};

    #[test]
    fn answers_arrive_as_sent() {
        let trouble = Trouble { cause: "no".to_owned(), remedy: Some("yes".to_owned()) };
        for answer in [Ok("seen".to_owned()), Err(trouble)] as [Answer; 2] {
            let (receiver, sender) = nix::unistd::pipe().expect("a pipe");
            send(&answer, sender).expect("room");
            assert_eq!(receive(receiver), answer);
        }
    }

    #[test]
    fn silence_is_trouble() {
        let (receiver, sender) = nix::unistd::pipe().expect("a pipe");
        drop(sender);
        assert!(receive(receiver).is_err());
    }
}
