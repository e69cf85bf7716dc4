//! Exit codes, and the errors that lead to them.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use leasehold_checkers::verdict::Verdict;

/// How the program ends. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the history is valid, or the command did what it was asked.
    Valid,
    /// 1: at least one broken promise is proven.
    Invalid,
    /// 2: the history does not allow a judgement.
    Unknown,
    /// 64: the command line makes no sense.
    Usage,
    /// 65: the input data makes no sense.
    BadInput,
    /// 69: something that is needed is not to be had.
    Unavailable,
    /// 70: something went wrong that should not.
    Internal,
    /// 130: interrupted; what was recorded is kept and was checked.
    Interrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
            Self::Usage => 64,
            Self::BadInput => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Valid => Self::Valid,
            Verdict::Invalid => Self::Invalid,
            Verdict::Unknown => Self::Unknown,
        }
    }
}

/// An error with the exit code that it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// This error leads to this exit code.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit, error: error.into() }
    }
}

impl fmt::Display for Failure {
    /// The error and its causes, one a line, each said once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.error.to_string();
        write!(f, "{said}")?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, "\n  because: {text}")?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}

/// Adds an exit code to an error.
pub trait OrExit<T> {
    /// The value, or the error with this exit code.
    ///
    /// # Errors
    /// If there is an error.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}
