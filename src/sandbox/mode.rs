//! Whether the sandbox needs a user namespace.

use std::fmt;
use std::io;

use super::status::ProcessStatus;

/// The capabilities without which namespaces, interfaces and packet sockets cannot be made.
const NEEDED: [(u32, &str); 3] = [(21, "CAP_SYS_ADMIN"), (12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")];

/// How the sandbox gets the right to build hosts and networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The process has the capabilities already: there is no user namespace, and servers run as the same
    /// privileged user.
    Root,
    /// The capabilities come from a new user namespace, in which the user keeps its own id. Servers have no
    /// capabilities.
    User,
}

impl Mode {
    /// The mode for this process: [`Mode::Root`] where it has the capabilities already, because a user
    /// namespace would only take rights away from it.
    ///
    /// # Errors
    /// If `/proc/self/status` cannot be read.
    pub fn of_this_process() -> io::Result<Self> {
        let status = ProcessStatus::of_self()?;
        let privileged = NEEDED.iter().all(|&(capability, _)| status.has_capability(capability));
        Ok(if privileged { Self::Root } else { Self::User })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "with this user's own rights (root)",
            Self::User => "in a user namespace, without root",
        })
    }
}
