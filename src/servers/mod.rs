//! The real servers: fetching them, starting them, asking them for their leader, health and clock.

mod ability;
mod clock;
pub mod consul;
mod deployment;
pub mod etcd;
mod fetch;
mod launch;
pub(crate) mod log_tail;
mod manifest;
mod probes;
mod readiness;
mod runtime;
mod software;
mod spec;
pub mod zookeeper;

pub use ability::{Ability, NotOffered};
pub use deployment::{Deployment, DeploymentError, Part, Place, ServerSettings};
pub use fetch::{Availability, FetchError, FetchOptions, KnownServer, fetch, known};
pub use launch::Launch;
pub use probes::{Contents, LeaderView, ProbeError, Probes};
pub use readiness::{NotReady, wait_ready};
pub use runtime::Runtime;
pub use software::Software;
pub use spec::{NotAProgram, NotASpec, ServerBinary, ServerSpec};
