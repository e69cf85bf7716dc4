//! The real servers: fetching them, starting them, asking them for their leader, health and clock.

pub mod etcd;
mod fetch;
pub(crate) mod log_tail;
mod manifest;
mod runtime;
mod spec;

pub use fetch::{Availability, FetchError, FetchOptions, KnownServer, fetch, known};
pub use runtime::Runtime;
pub use spec::{NotAProgram, NotASpec, ServerBinary, ServerSpec};
