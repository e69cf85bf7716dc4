//! The real servers: fetching them, starting them, asking them for their leader, health and clock.

pub mod etcd;
mod fetch;
mod log_tail;
mod manifest;
mod spec;

pub use fetch::{Availability, FetchError, FetchOptions, KnownServer, fetch, known};
pub use spec::{NotASpec, ServerBinary, ServerSpec};
